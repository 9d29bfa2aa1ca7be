using Microsoft.Extensions.Time.Testing;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Tests.Scheduling;

/// <summary>What is chosen and not claimed yet counts for those who choose next, in whatever process they are.</summary>
public sealed class HostChoicesTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Instances_placed_at_once_spread_though_none_is_claimed()
    {
        await using var cloud = await ThreeHostsAsync();
        var hosts = await Task.WhenAll(Enumerable.Range(0, 9).Select(_ => ChooseAsync(cloud, Spec())));
        Assert.Equal([("a", 3), ("b", 3), ("c", 3)], Counts(hosts));
    }

    [Fact]
    public async Task Schedulers_of_several_processes_spread_what_they_place_at_once()
    {
        await using var cloud = await ThreeHostsAsync();
        await using var second = await SchedulerCloud.StartAsync(TimeProvider.System, cloud);
        var hosts = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => ChooseAsync(i % 2 == 0 ? cloud : second, Spec())));
        Assert.Equal([("a", 4), ("b", 4), ("c", 4)], Counts(hosts));
    }

    [Fact]
    public async Task A_choice_that_Placement_knows_already_counts_once()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        var first = await cloud.Scheduler.SelectDestinationAsync(Spec(), Cancelled);
        Assert.Equal(204, await cloud.ClaimAsync(first.Selected));
        Assert.Equal("b", await ChooseAsync(cloud, Spec()));
        // Were the claim counted beside the choice, b would be the emptier one.
        Assert.Equal("a", await ChooseAsync(cloud, Spec()));
        Assert.Equal("b", await ChooseAsync(cloud, Spec()));
    }

    [Fact]
    public async Task A_choice_that_nobody_claims_is_forgotten()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(56));
        await using var cloud = await SchedulerCloud.StartAsync(time, null);
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        Assert.Equal("a", await ChooseAsync(cloud, Spec()));
        time.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal("a", await ChooseAsync(cloud, Spec()));
    }

    [Fact]
    public async Task A_choice_counts_until_its_instance_has_a_host_or_none_to_come()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        foreach (var settle in (Action<InstanceRow>[])[row => row.Host = "a", row => row.VmState = VmStates.Error, row => row.DeletedAt = 1])
        {
            var spec = Spec();
            await cloud.InstanceAsync(spec.InstanceId);
            Assert.Equal("a", await ChooseAsync(cloud, spec));
            await cloud.ChangeAsync(spec.InstanceId, settle);
        }

        var building = Spec();
        await cloud.InstanceAsync(building.InstanceId);
        Assert.Equal("a", await ChooseAsync(cloud, building));
        Assert.Equal("b", await ChooseAsync(cloud, Spec()));
    }

    [Fact]
    public async Task An_instance_that_is_placed_anew_does_not_count_itself()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        var spec = Spec();
        Assert.Equal("a", await ChooseAsync(cloud, spec));
        Assert.Equal("a", await ChooseAsync(cloud, spec));
        Assert.Equal("b", await ChooseAsync(cloud, Spec()));
    }

    [Fact]
    public async Task Members_of_a_group_placed_at_once_come_apart_and_none_is_refused_for_one_on_its_way()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a", vcpus: 64, memoryMb: 65_536, diskGb: 500);
        await cloud.HostAsync("b");
        string[] members = [Guid.NewGuid().ToString(), Guid.NewGuid().ToString(), Guid.NewGuid().ToString()];
        var specs = Array.ConvertAll(members, id => Spec() with { InstanceId = id, Group = new GroupRule("anti-affinity", 1, [.. members.Where(other => other != id)], []) });
        Assert.Equal("a", await ChooseAsync(cloud, specs[0]));
        Assert.Equal("b", await ChooseAsync(cloud, specs[1]));
        // Either of the two may still fail: the conductor has the last word.
        Assert.Equal("a", await ChooseAsync(cloud, specs[2]));
    }

    [Fact]
    public async Task Members_of_an_affinity_group_placed_at_once_stay_together()
    {
        await using var cloud = await ThreeHostsAsync();
        string[] members = [Guid.NewGuid().ToString(), Guid.NewGuid().ToString(), Guid.NewGuid().ToString()];
        var hosts = await Task.WhenAll(members.Select(id => ChooseAsync(cloud, Spec() with { InstanceId = id, Group = new GroupRule("affinity", 1, [.. members.Where(other => other != id)], []) })));
        Assert.Single(hosts.Distinct());
    }

    private static async Task<SchedulerCloud> ThreeHostsAsync()
    {
        var cloud = await SchedulerCloud.StartAsync();
        foreach (var name in new[] { "a", "b", "c" })
        {
            await cloud.HostAsync(name, vcpus: 8, memoryMb: 16_384, diskGb: 100);
        }

        return cloud;
    }

    private static RequestSpec Spec() => new()
    {
        InstanceId = Guid.NewGuid().ToString(),
        ProjectId = "p",
        UserId = "u",
        FlavorName = "m1.nano",
        Vcpus = 1,
        MemoryMb = 512,
        RootGb = 1,
        ImageId = "image",
    };

    private static async Task<string> ChooseAsync(SchedulerCloud cloud, RequestSpec spec) => (await cloud.Scheduler.SelectDestinationAsync(spec, Cancelled)).Selected.Host;

    private static (string, int)[] Counts(IEnumerable<string> hosts) => [.. hosts.CountBy(host => host).OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value))];
}
