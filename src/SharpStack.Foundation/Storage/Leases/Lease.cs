using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using LinqToDB.DataProvider.MySql;
using LinqToDB.DataProvider.PostgreSQL;

namespace SharpStack.Foundation.Storage.Leases;

/// <summary>
/// The right to work on something alone. Before each step that others can see the holder calls <see cref="ThrowIfLost"/>; within each write transaction that
/// the work leads to, <see cref="CheckAsync"/>. Then one who hung while another took over undoes nothing.
/// </summary>
public sealed class Lease
{
    private readonly LeaseKeeper keeper;
    private volatile bool ended;

    internal Lease(LeaseKeeper keeper, string name, string owner, long token)
    {
        this.keeper = keeper;
        Name = name;
        Owner = owner;
        Token = token;
    }

    public string Name { get; }

    /// <summary>Id of this run of the keeper.</summary>
    public string Owner { get; }

    /// <summary>The fence: a later holder has a greater one.</summary>
    public long Token { get; }

    /// <summary>As far as this process can tell without asking the database; false before anyone else can have taken it over.</summary>
    public bool IsHeld => !ended && keeper.IsAlive(Owner);

    /// <exception cref="LeaseLostException">The lease is, or may be, another's.</exception>
    public void ThrowIfLost()
    {
        if (!IsHeld)
        {
            throw new LeaseLostException(Name);
        }
    }

    /// <summary>To be called first in a write transaction: nobody takes the lease over before the transaction has ended.</summary>
    /// <exception cref="LeaseLostException">The lease is another's.</exception>
    public async Task CheckAsync(DataConnection session, CancellationToken cancellationToken)
    {
        ThrowIfLost();
        var (name, owner, token) = (Name, Owner, Token);
        // The lock makes a takeover wait, instead of the two missing each other; SQLite has one writer anyway.
        if (!await session.GetTable<LeaseRow>().Where(row => row.Name == name && row.Owner == owner && row.Token == token)
            .AsPostgreSQL().ForShareHint()
            .AsMySql().LockInShareModeHint()
            .Select(row => row.Name).AnyRowAsync(cancellationToken))
        {
            ended = true;
            throw new LeaseLostException(Name);
        }
    }

    internal void End() => ended = true;
}

/// <summary>Another process has the work by now: what was begun here is to be left to it.</summary>
public sealed class LeaseLostException(string name) : Exception($"The lease {name} was lost: another process goes on with its work.");

internal static class LeaseQueries
{
    /// <summary>Whether there is a row, without the subquery of EXISTS, which takes no lock.</summary>
    public static async Task<bool> AnyRowAsync(this IQueryable<string> query, CancellationToken cancellationToken) =>
        (await query.ToListAsync(cancellationToken)).Count > 0;
}
