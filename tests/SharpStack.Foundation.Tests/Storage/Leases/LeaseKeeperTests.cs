using FluentMigrator;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation.Storage;
using SharpStack.Foundation.Storage.Leases;

namespace SharpStack.Foundation.Tests.Storage.Leases;

[Migration(1)]
public sealed class CreateLeases : ForwardOnlyMigration
{
    public override void Up() => LeaseSchema.Add(Create);
}

public sealed class LeaseKeeperTests : IAsyncDisposable
{
    private const int Parts = 8;
    private static readonly TimeSpan Beat = LeaseTimings.Default.Beat;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();
    private readonly FakeTimeProvider time = new();
    private readonly List<Node> nodes = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_keeper_takes_all_parts_and_shares_them_evenly_with_a_second()
    {
        var first = await JoinAsync();
        Assert.Equal(Parts, first.Held);
        var second = await JoinAsync();
        await TurnAsync(3);
        Assert.Equal((Parts / 2, Parts / 2), (first.Held, second.Held));
        Assert.All(Keys, key => Assert.Single(nodes, node => node.Share.Holds(key)));
    }

    [Fact]
    public async Task Work_on_a_key_goes_on_before_its_part_is_handed_over()
    {
        var first = await JoinAsync();
        var holds = Keys.Select(first.Share.TryEnter).ToList();
        var second = await JoinAsync();
        await TurnAsync(3);
        Assert.Equal(0, second.Held);
        Assert.All(holds, hold => Assert.True(hold!.Lease.IsHeld));
        holds.ForEach(hold => hold!.Dispose());
        await TurnAsync(2);
        Assert.Equal(Parts / 2, second.Held);
    }

    [Fact]
    public async Task What_is_given_back_is_taken_at_the_next_beat()
    {
        var first = await JoinAsync();
        var second = await JoinAsync();
        await first.Keeper.StopAsync();
        nodes.Remove(first);
        await TurnAsync(1);
        Assert.Equal(Parts, second.Held);
    }

    [Fact]
    public async Task A_keeper_that_stands_still_loses_its_parts_within_thirteen_seconds_and_knows_it_before()
    {
        var first = await JoinAsync();
        var second = await JoinAsync();
        await TurnAsync(3);
        var hold = first.Share.TryEnter(Keys.First(first.Share.Holds))!;
        nodes.Remove(first);
        var waited = TimeSpan.Zero;
        while (second.Held < Parts)
        {
            var before = hold.Lease.IsHeld;
            await TurnAsync(1);
            waited += Beat;
            Assert.True(second.Held < Parts || !before || !hold.Lease.IsHeld, "it was taken from one who thought to have it");
            Assert.True(waited <= TimeSpan.FromSeconds(13), $"not taken over after {waited}");
        }

        Assert.False(hold.Lease.IsHeld);
        Assert.Throws<LeaseLostException>(hold.Lease.ThrowIfLost);
    }

    [Fact]
    public async Task A_keeper_that_comes_back_after_it_hung_writes_nothing_under_its_former_lease_and_takes_part_again()
    {
        var first = await JoinAsync();
        var second = await JoinAsync();
        await TurnAsync(3);
        var former = first.Share.TryEnter(Keys.First(first.Share.Holds))!;
        nodes.Remove(first);
        await TurnAsync(7);
        var owner = first.Keeper.OwnerId;

        await Assert.ThrowsAsync<LeaseLostException>(() => first.Database.WriteAsync(session => former.Lease.CheckAsync(session, Cancelled), Cancelled));
        nodes.Add(first);
        await TurnAsync(3);
        Assert.NotEqual(owner, first.Keeper.OwnerId);
        Assert.Equal((Parts / 2, Parts / 2), (first.Held, second.Held));
        await Assert.ThrowsAsync<LeaseLostException>(() => first.Database.WriteAsync(session => former.Lease.CheckAsync(session, Cancelled), Cancelled));
        var now = first.Share.TryEnter(Keys.First(first.Share.Holds))!;
        await first.Database.WriteAsync(session => now.Lease.CheckAsync(session, Cancelled), Cancelled);
    }

    [Fact]
    public async Task The_fence_holds_in_the_database_even_for_one_whose_clock_stands_still()
    {
        var frozen = new FakeTimeProvider();
        var first = await JoinAsync(frozen);
        var second = await JoinAsync();
        await TurnAsync(3);
        var hold = first.Share.TryEnter(Keys.First(first.Share.Holds))!;
        nodes.Remove(first);
        await TurnAsync(7);
        Assert.Equal(Parts, second.Held);
        Assert.True(hold.Lease.IsHeld, "for its own clock no time has passed");
        await Assert.ThrowsAsync<LeaseLostException>(() => first.Database.WriteAsync(session => hold.Lease.CheckAsync(session, Cancelled), Cancelled));
    }

    [Fact]
    public async Task Clocks_that_differ_by_a_day_do_not_matter()
    {
        var ahead = new FakeTimeProvider(time.GetUtcNow() + TimeSpan.FromDays(1));
        var first = await JoinAsync(ahead);
        var second = await JoinAsync();
        for (var i = 0; i < 10; i++)
        {
            ahead.Advance(Beat);
            await TurnAsync(1);
        }

        Assert.Equal((Parts / 2, Parts / 2), (first.Held, second.Held));
    }

    [Fact]
    public async Task Keepers_that_could_not_reach_the_database_for_a_while_do_not_take_each_others_work_when_it_is_back()
    {
        var first = await JoinAsync();
        var second = await JoinAsync();
        await TurnAsync(3);
        var owners = nodes.Select(node => node.Keeper.OwnerId).ToList();
        var looks = 0;
        first.Share.Gained += () => looks++;
        time.Advance(TimeSpan.FromMinutes(1));
        Assert.DoesNotContain(Keys, first.Share.Holds);

        // The one that is back first sees the other stand still.
        await first.Keeper.TickAsync(Cancelled);
        await TurnAsync(2);
        Assert.Equal(owners, nodes.Select(node => node.Keeper.OwnerId));
        Assert.Equal((Parts / 2, Parts / 2), (first.Held, second.Held));
        Assert.Equal(1, looks);
    }

    [Fact]
    public async Task The_leases_of_a_process_of_this_machine_that_is_gone_are_free_at_once()
    {
        var first = await JoinAsync();
        var process = ProcessIdentity.Current.Split('/');
        process[3] = "1";
        await first.Database.WriteAsync(session => session.GetTable<LeaseOwnerRow>().Set(row => row.Process, string.Join('/', process)).UpdateAsync(Cancelled), Cancelled);
        nodes.Remove(first);
        var second = await JoinAsync();
        Assert.Equal(Parts, second.Held);
    }

    [Fact]
    public async Task Of_many_that_want_one_piece_of_work_one_gets_it_and_the_next_one_after_it()
    {
        for (var i = 0; i < 4; i++)
        {
            await JoinAsync();
        }

        var taken = await Task.WhenAll(nodes.Select(node => node.Keeper.TryAcquireAsync("import/1", Cancelled)));
        var lease = Assert.Single(taken, lease => lease is not null)!;
        var other = nodes.First(node => node.Keeper.OwnerId != lease.Owner);
        Assert.Null(await other.Keeper.TryAcquireAsync("import/1", Cancelled));
        await nodes.First(node => node.Keeper.OwnerId == lease.Owner).Keeper.ReleaseAsync(lease, Cancelled);
        Assert.NotNull(await other.Keeper.TryAcquireAsync("import/1", Cancelled));
        Assert.False(lease.IsHeld);
    }

    [Fact]
    public async Task The_process_of_this_test_is_not_gone_and_one_that_never_was_is()
    {
        var own = ProcessIdentity.Current;
        Assert.False(ProcessIdentity.IsGone(own));
        Assert.True(ProcessIdentity.IsGone($"{string.Join('/', own.Split('/')[..2])}/{int.MaxValue}/1"));
        Assert.False(ProcessIdentity.IsGone("another machine/pid:[1]/1/1"));
        var node = await JoinAsync();
        await using var read = node.Database.Read();
        Assert.Equal(own, (await read.GetTable<LeaseOwnerRow>().SingleAsync(Cancelled)).Process);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var node in nodes)
        {
            await node.Keeper.DisposeAsync();
            await node.Database.DisposeAsync();
        }

        folder.Delete(recursive: true);
    }

    private static IReadOnlyList<string> Keys { get; } = [.. Enumerable.Range(0, 100).Select(index => $"key-{index}")];

    /// <summary>A process of its own on the common database: each has its own connections and writer's gate.</summary>
    private async Task<Node> JoinAsync(TimeProvider? clock = null)
    {
        var database = new ServiceDatabase($"sqlite:///{folder.FullName}/leases.db", typeof(CreateLeases).Assembly, typeof(CreateLeases).Namespace!);
        database.Migrate();
        var keeper = new LeaseKeeper(() => database, "worker", $"node{nodes.Count}", clock ?? time, NullLogger<LeaseKeeper>.Instance);
        var node = new Node(database, keeper, keeper.Share("things", Parts));
        await keeper.JoinAsync(Cancelled);
        nodes.Add(node);
        return node;
    }

    /// <summary>As many beats of all nodes.</summary>
    private async Task TurnAsync(int beats)
    {
        for (var i = 0; i < beats; i++)
        {
            time.Advance(Beat);
            foreach (var node in nodes)
            {
                await node.Keeper.TickAsync(Cancelled);
            }
        }
    }

    private sealed record Node(ServiceDatabase Database, LeaseKeeper Keeper, LeaseShare Share)
    {
        public int Held => Share.HeldCount;
    }
}
