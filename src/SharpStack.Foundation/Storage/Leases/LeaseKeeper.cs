using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Storage.Leases;

/// <param name="Beat">How often a keeper says that it lives, and looks at the others.</param>
/// <param name="Limit">After so long without a beat a keeper gives its leases up by itself, and others take them: a process that dies loses them within
/// <see cref="Limit"/> and two beats, 13 s.</param>
public sealed record LeaseTimings(TimeSpan Beat, TimeSpan Limit)
{
    public static readonly LeaseTimings Default = new(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(9));
}

/// <summary>
/// Holds this process's leases in a service's database. It lives by a counter that it raises: others that saw it stand still for the limit, measured by
/// their own clocks from when they saw it, take its leases away in one transaction. It itself holds nothing to be its own from the limit after the beginning of its
/// last beat on, which is earlier. No clock is compared with another machine's.
/// </summary>
public sealed partial class LeaseKeeper : IAsyncDisposable
{
    private readonly Func<ServiceDatabase> database;
    private readonly string kind;
    private readonly string host;
    private readonly TimeProvider time;
    private readonly ILogger<LeaseKeeper> log;
    private readonly LeaseTimings timings;
    private readonly List<LeaseShare> shares = [];
    private readonly Dictionary<string, (long Beat, long Since)> seen = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly SemaphoreSlim ticking = new(1);
    private Alive alive = new("", 0);
    private long lastLook;
    private Task? running;
    private bool disposed;

    /// <param name="database">Called when the keeper starts.</param>
    /// <param name="kind">The work that is shared: <c>nova-conductor</c>.</param>
    public LeaseKeeper(Func<ServiceDatabase> database, string kind, string host, TimeProvider time, ILogger<LeaseKeeper> log, LeaseTimings? timings = null)
    {
        this.database = database;
        this.kind = kind;
        this.host = host;
        this.time = time;
        this.log = log;
        this.timings = timings ?? LeaseTimings.Default;
    }

    /// <summary>Which run of the keeper lives, and since which moment of its own clock.</summary>
    private sealed record Alive(string Owner, long At);

    /// <summary>Raised when another keeper's leases were taken away: its host and the id of its run.</summary>
    public event Action<string, string>? Buried;

    /// <summary>The id of this run; another one after the leases were taken away.</summary>
    public string OwnerId => alive.Owner;

    /// <summary>Declares shared work; before the start.</summary>
    /// <param name="parts">How many keepers can work at once.</param>
    public LeaseShare Share(string name, int parts = 1)
    {
        var share = new LeaseShare(name, parts);
        shares.Add(share);
        return share;
    }

    /// <summary>Registers, and takes at once what is free.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await JoinAsync(cancellationToken);
        running = RunAsync();
    }

    /// <summary>Gives everything back, so that others need not wait.</summary>
    public async Task StopAsync()
    {
        await HaltAsync();
        var owner = alive.Owner;
        if (owner.Length == 0)
        {
            return;
        }

        shares.ForEach(share => share.TakeIdle(all: true));
        try
        {
            await database().WriteAsync(session => RemoveAsync(session, owner, null, CancellationToken.None));
        }
        catch (Exception failure)
        {
            LogNotReleased(kind, failure);
        }
    }

    /// <summary>Ends the beat and gives nothing back, as a kill does; see <see cref="StopAsync"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!Interlocked.Exchange(ref disposed, true))
        {
            await HaltAsync();
            stopping.Dispose();
            ticking.Dispose();
        }
    }

    /// <summary>Takes one piece of work, named by itself.</summary>
    /// <returns>Null where another has it.</returns>
    public async Task<Lease?> TryAcquireAsync(string name, CancellationToken cancellationToken) =>
        (await TakeAsync([name], 1, cancellationToken)).FirstOrDefault();

    /// <summary>Gives one piece of work back. The row goes: the next one to take the name has another owner's id or, here, is begun after this.</summary>
    public async Task ReleaseAsync(Lease lease, CancellationToken cancellationToken)
    {
        lease.End();
        var (name, owner, token) = (lease.Name, lease.Owner, lease.Token);
        await database().WriteAsync(
            session => session.GetTable<LeaseRow>().Where(row => row.Name == name && row.Owner == owner && row.Token == token).DeleteAsync(cancellationToken), cancellationToken);
    }

    /// <summary>The runs of keepers of this kind that nobody has found dead yet, with their hosts.</summary>
    public async Task<IReadOnlyDictionary<string, string>> LiveOwnersAsync(CancellationToken cancellationToken)
    {
        await using var session = database().Read();
        return await session.GetTable<LeaseOwnerRow>().Where(row => row.Kind == kind).ToDictionaryAsync(row => row.Id, row => row.Host, cancellationToken);
    }

    internal bool IsAlive(string owner)
    {
        var (current, at) = alive;
        return current == owner && time.GetElapsedTime(at) < timings.Limit;
    }

    /// <summary>Registers and takes what is free, without going on by itself.</summary>
    internal async Task JoinAsync(CancellationToken cancellationToken)
    {
        await RegisterAsync(cancellationToken);
        await TickAsync(cancellationToken);
    }

    /// <summary>One beat and one look at the others.</summary>
    internal async Task TickAsync(CancellationToken cancellationToken)
    {
        await ticking.WaitAsync(cancellationToken);
        try
        {
            await BeatAsync(cancellationToken);
            var (owners, leases) = await LookAsync(cancellationToken);
            foreach (var dead in owners.Where(IsDead).ToList())
            {
                if (await BuryAsync(dead, cancellationToken))
                {
                    LogBuried(kind, dead.Host, dead.Id);
                    Buried?.Invoke(dead.Host, dead.Id);
                    leases = leases.ConvertAll(lease => lease.Owner == dead.Id ? lease with { Owner = "" } : lease);
                }

                owners.Remove(dead);
            }

            foreach (var share in shares)
            {
                await BalanceAsync(share, Math.Max(1, owners.Count), leases, cancellationToken);
            }
        }
        finally
        {
            ticking.Release();
        }
    }

    private async Task HaltAsync()
    {
        if (!stopping.IsCancellationRequested)
        {
            await stopping.CancelAsync();
        }

        await (running ?? Task.CompletedTask);
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(timings.Beat, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                try
                {
                    await TickAsync(stopping.Token);
                }
                catch (Exception failure) when (failure is not OperationCanceledException || !stopping.IsCancellationRequested)
                {
                    LogFailed(kind, failure);
                }
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private async Task RegisterAsync(CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        var owner = Guid.NewGuid().ToString("D");
        var names = shares.SelectMany(share => share.Names).ToList();
        await database().WriteAsync(
            async session =>
            {
                await session.InsertAsync(
                    new LeaseOwnerRow { Id = owner, Kind = kind, Host = host, Process = ProcessIdentity.Current, Beat = 1, BeatAt = time.NowMicroseconds() }, token: cancellationToken);
                var known = await session.GetTable<LeaseRow>().Where(row => names.Contains(row.Name)).Select(row => row.Name).ToListAsync(cancellationToken);
                await session.BulkCopyAsync(names.Except(known).Select(name => new LeaseRow { Name = name, Owner = "" }), cancellationToken);
            },
            cancellationToken);
        alive = new Alive(owner, began);
    }

    private async Task BeatAsync(CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        var owner = alive.Owner;
        var found = await database().WriteAsync(
            session => session.GetTable<LeaseOwnerRow>().Where(row => row.Id == owner)
                .Set(row => row.Beat, row => row.Beat + 1)
                .Set(row => row.BeatAt, time.NowMicroseconds())
                .UpdateAsync(cancellationToken),
            cancellationToken);
        if (found > 0)
        {
            var doubted = !IsAlive(owner);
            alive = new Alive(owner, began);
            if (doubted)
            {
                // Nobody else was there, or could write either: what is held is held again, and what was left lying is to be looked at.
                shares.ForEach(share => share.Regain());
            }

            return;
        }

        // It hung for longer than the limit: everything it had is another's by now.
        LogLost(kind);
        alive = new Alive("", 0);
        shares.ForEach(share => share.TakeIdle(all: true));
        await RegisterAsync(cancellationToken);
    }

    private async Task<(List<LeaseOwnerRow> Owners, List<LeaseRow> Leases)> LookAsync(CancellationToken cancellationToken)
    {
        var names = shares.SelectMany(share => share.Names).ToList();
        await using var session = database().Read();
        var owners = await session.GetTable<LeaseOwnerRow>().Where(row => row.Kind == kind).ToListAsync(cancellationToken);
        var leases = await session.GetTable<LeaseRow>().Where(row => names.Contains(row.Name)).ToListAsync(cancellationToken);
        var now = time.GetTimestamp();
        // While this one could not look the others may have beaten, or may have been kept from it by the same cause.
        var blind = time.GetElapsedTime(lastLook, now) > timings.Limit / 2;
        foreach (var owner in owners)
        {
            if (blind || !seen.TryGetValue(owner.Id, out var before) || before.Beat != owner.Beat)
            {
                seen[owner.Id] = (owner.Beat, now);
            }
        }

        foreach (var gone in seen.Keys.Except(owners.Select(owner => owner.Id)).ToList())
        {
            seen.Remove(gone);
        }

        lastLook = now;
        return (owners, leases);
    }

    private bool IsDead(LeaseOwnerRow owner) =>
        owner.Id != alive.Owner && (time.GetElapsedTime(seen[owner.Id].Since) >= timings.Limit || ProcessIdentity.IsGone(owner.Process));

    private Task<bool> BuryAsync(LeaseOwnerRow dead, CancellationToken cancellationToken) =>
        database().WriteAsync(session => RemoveAsync(session, dead.Id, dead.Beat, cancellationToken), cancellationToken);

    /// <summary>Removes an owner whose beat is still this one, and frees all its leases.</summary>
    private static async Task<bool> RemoveAsync(DataConnection session, string owner, long? beat, CancellationToken cancellationToken)
    {
        if (await session.GetTable<LeaseOwnerRow>().Where(row => row.Id == owner && (beat == null || row.Beat == beat)).DeleteAsync(cancellationToken) == 0)
        {
            return false;
        }

        await session.GetTable<LeaseRow>().Where(row => row.Owner == owner).Set(row => row.Owner, "").Set(row => row.Token, row => row.Token + 1).UpdateAsync(cancellationToken);
        return true;
    }

    private async Task BalanceAsync(LeaseShare share, int keepers, List<LeaseRow> leases, CancellationToken cancellationToken)
    {
        var fair = (share.Names.Count + keepers - 1) / keepers;
        share.GiveUp(share.HeldCount - fair);
        var idle = share.TakeIdle(all: false).ConvertAll(lease => lease.Name);
        if (idle.Count > 0)
        {
            var owner = alive.Owner;
            await database().WriteAsync(
                session => session.GetTable<LeaseRow>().Where(row => idle.Contains(row.Name) && row.Owner == owner)
                    .Set(row => row.Owner, "").Set(row => row.Token, row => row.Token + 1).UpdateAsync(cancellationToken),
                cancellationToken);
        }

        var names = share.Names.ToHashSet(StringComparer.Ordinal);
        var free = leases.Where(lease => lease.Owner.Length == 0 && names.Contains(lease.Name)).Select(lease => lease.Name).ToList();
        if (free.Count > 0 && share.HeldCount < fair)
        {
            share.Gain(await TakeAsync(free, fair - share.HeldCount, cancellationToken));
        }
    }

    /// <summary>Takes some of the names that are free, or new.</summary>
    private async Task<List<Lease>> TakeAsync(IReadOnlyList<string> names, int most, CancellationToken cancellationToken)
    {
        var owner = alive.Owner;
        var wanted = names.ToList();
        var taken = await database().WriteAsync(
            async session =>
            {
                if (!await session.GetTable<LeaseOwnerRow>().AnyAsync(row => row.Id == owner, cancellationToken))
                {
                    return [];
                }

                var rows = await session.GetTable<LeaseRow>().Where(row => wanted.Contains(row.Name)).ToListAsync(cancellationToken);
                var mine = new List<LeaseRow>();
                foreach (var name in wanted)
                {
                    var row = rows.Find(row => row.Name == name);
                    if (row is { Owner.Length: > 0 } || mine.Count == most)
                    {
                        continue;
                    }

                    var next = new LeaseRow { Name = name, Owner = owner, Token = (row?.Token ?? 0) + 1 };
                    await (row is null ? session.InsertAsync(next, token: cancellationToken) : session.UpdateAsync(next, token: cancellationToken));
                    mine.Add(next);
                }

                return mine;
            },
            cancellationToken);
        return taken.ConvertAll(row => new Lease(this, row.Name, row.Owner, row.Token));
    }

    [LoggerMessage(EventId = 1501, Level = LogLevel.Warning, Message = "Leases of {Kind}: the beat failed and will be tried again")]
    private partial void LogFailed(string kind, Exception failure);

    [LoggerMessage(EventId = 1502, Level = LogLevel.Warning, Message = "Leases of {Kind}: {Host} ({Id}) is dead or hangs, its work is taken over")]
    private partial void LogBuried(string kind, string host, string id);

    [LoggerMessage(EventId = 1503, Level = LogLevel.Warning, Message = "Leases of {Kind}: this process hung for too long, others have taken its work")]
    private partial void LogLost(string kind);

    [LoggerMessage(EventId = 1504, Level = LogLevel.Warning, Message = "Leases of {Kind}: they could not be given back; others take them when they have run out")]
    private partial void LogNotReleased(string kind, Exception failure);
}
