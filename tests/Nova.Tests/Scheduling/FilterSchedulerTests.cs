using SharpStack.Nova.Scheduling;

namespace SharpStack.Nova.Tests.Scheduling;

public sealed class FilterSchedulerTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_host_with_most_room_is_chosen_and_the_next_best_are_alternates()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("small");
        await cloud.HostAsync("large", vcpus: 16, memoryMb: 32_768, diskGb: 200);
        await cloud.HostAsync("middle", vcpus: 8, memoryMb: 8192, diskGb: 40);
        await cloud.HostAsync("tiny", vcpus: 1, memoryMb: 1024, diskGb: 2);
        var choice = await cloud.Scheduler.SelectDestinationAsync(Spec(), Cancelled);
        Assert.Equal("large", choice.Selected.Host);
        Assert.Equal("large.local", choice.Selected.Node);
        Assert.Equal(["middle", "small"], choice.Alternates.Select(alternate => alternate.Host));
        var allocation = choice.Selected.Allocations[choice.Selected.ComputeNodeId];
        Assert.Equal(new Dictionary<string, int> { ["VCPU"] = 1, ["MEMORY_MB"] = 512, ["DISK_GB"] = 1 }, allocation);
    }

    [Fact]
    public async Task Instances_spread_because_claims_count_at_once_and_stack_where_the_multiplier_is_negative()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        Assert.Equal(["a", "b", "a", "b"], await PlaceAsync(cloud, 4));

        await using var stacking = await SchedulerCloud.StartAsync(
            ("filter_scheduler", "ram_weight_multiplier", "-1.0"), ("filter_scheduler", "cpu_weight_multiplier", "0"), ("filter_scheduler", "disk_weight_multiplier", "0"));
        await stacking.HostAsync("a");
        await stacking.HostAsync("b");
        Assert.Equal(["a", "a", "a"], await PlaceAsync(stacking, 3));
    }

    [Fact]
    public async Task A_claim_that_others_took_fails_and_an_alternate_takes_it()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a", vcpus: 4, memoryMb: 2048, diskGb: 2);
        await cloud.HostAsync("b", vcpus: 2, memoryMb: 1536, diskGb: 1);
        var spec = Spec(memoryMb: 512) with { RootGb = 1 };
        var mine = await cloud.Scheduler.SelectDestinationAsync(spec, Cancelled);
        var theirs = await cloud.Scheduler.SelectDestinationAsync(spec with { RootGb = 2 }, Cancelled);
        Assert.Equal("a", theirs.Selected.Host);
        Assert.Equal(204, await cloud.ClaimAsync(theirs.Selected));
        Assert.Equal("a", mine.Selected.Host);
        Assert.Equal(409, await cloud.ClaimAsync(mine.Selected));
        Assert.Equal(204, await cloud.ClaimAsync(mine.Alternates[0]));
    }

    [Fact]
    public async Task The_message_names_what_each_filter_removed_and_which_came_nearest()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a", with: host => host with { IsUp = false });
        await cloud.HostAsync("b", with: host => host with { IsUp = false });
        await cloud.HostAsync("c", with: host => host with { IsDisabled = true });
        await cloud.HostAsync("d", with: host => host with { AvailabilityZone = "other" });
        var message = await RefusedAsync(cloud, Spec() with { AvailabilityZone = "nova" });
        Assert.Equal(
            "No valid host was found. 4 hosts had room: AvailabilityZoneFilter removed 1 (not in zone nova: d), "
            + "ComputeFilter removed 3 (service down: a, b; service disabled: c); nearest: host c (service disabled).",
            message);
    }

    [Fact]
    public async Task Without_room_anywhere_the_message_says_what_the_nearest_host_lacks()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        Assert.StartsWith("No valid host was found. No host has any of ", await RefusedAsync(cloud, Spec()), StringComparison.Ordinal);
        await cloud.HostAsync("a", memoryMb: 1024);
        await cloud.HostAsync("b", memoryMb: 2048);
        Assert.Equal(
            "No valid host was found. 2 hosts, none with room for DISK_GB 1, MEMORY_MB 2560, VCPU 1; nearest: host b lacks MEMORY_MB 256 (has 2304 of 2304 free).",
            await RefusedAsync(cloud, Spec(memoryMb: 2560)));
        Assert.EndsWith("nearest: host a gives VCPU from 1 to 4 in steps of 1.", await RefusedAsync(cloud, Spec() with { Vcpus = 5 }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disabled_hosts_are_left_out_by_their_trait_and_named()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a", traits: "COMPUTE_STATUS_DISABLED");
        Assert.Contains("ComputeFilter removed 1 (service disabled)", await RefusedAsync(cloud, Spec()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Extra_specs_and_image_properties_ask_for_traits_and_resources()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("plain", vcpus: 64, memoryMb: 65_536);
        await cloud.HostAsync("fast", traits: "HW_CPU_X86_AVX2");
        Assert.Equal("fast", await HostOfAsync(cloud, Spec() with { ExtraSpecs = Map(("trait:HW_CPU_X86_AVX2", "required")) }));
        Assert.Equal("fast", await HostOfAsync(cloud, Spec() with { ImageProperties = Map(("trait:HW_CPU_X86_AVX2", "required")) }));
        Assert.Equal("plain", await HostOfAsync(cloud, Spec() with { ExtraSpecs = Map(("trait:HW_CPU_X86_AVX2", "forbidden")) }));
        var choice = await cloud.Scheduler.SelectDestinationAsync(Spec() with { ExtraSpecs = Map(("resources:VCPU", "3"), ("resources:DISK_GB", "0")) }, Cancelled);
        Assert.Equal(new Dictionary<string, int> { ["VCPU"] = 3, ["MEMORY_MB"] = 512 }, choice.Selected.Allocations[choice.Selected.ComputeNodeId]);
        Assert.Equal(
            "No valid host was found. 2 hosts with room for DISK_GB 1, MEMORY_MB 512, VCPU 1, but none with the required traits HW_CPU_X86_AVX512F.",
            await RefusedAsync(cloud, Spec() with { ExtraSpecs = Map(("trait:HW_CPU_X86_AVX512F", "required")) }));
        Assert.Contains("No such trait", await RefusedAsync(cloud, Spec() with { ExtraSpecs = Map(("trait:CUSTOM_NONE", "required")) }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sizes_add_up_ephemeral_disk_and_swap_and_leave_out_the_disk_of_a_volume()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a");
        var spec = Spec() with { RootGb = 3, EphemeralGb = 2, SwapMb = 1025 };
        var choice = await cloud.Scheduler.SelectDestinationAsync(spec, Cancelled);
        Assert.Equal(7, choice.Selected.Allocations[choice.Selected.ComputeNodeId]["DISK_GB"]);
        choice = await cloud.Scheduler.SelectDestinationAsync(spec with { ImageId = null }, Cancelled);
        Assert.Equal(4, choice.Selected.Allocations[choice.Selected.ComputeNodeId]["DISK_GB"]);
    }

    [Fact]
    public async Task Forced_and_ignored_hosts_are_kept_to()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("scheduler", "max_placement_results", "1"));
        await cloud.HostAsync("a");
        await cloud.HostAsync("b");
        Assert.Equal("b", await HostOfAsync(cloud, Spec() with { ForcedHost = "b" }));
        Assert.Equal("b", await HostOfAsync(cloud, Spec() with { ForcedNode = "b.local" }));
        Assert.Contains("host asked for removed 2 (not c: a, b)", await RefusedAsync(cloud, Spec() with { ForcedHost = "c" }), StringComparison.Ordinal);
        Assert.Contains("retry removed 1 (the instance failed there before: a)", await RefusedAsync(cloud, Spec() with { IgnoredHosts = ["a"] }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Hints_and_groups_keep_instances_apart_or_together()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("filter_scheduler", "enabled_filters", "DifferentHostFilter,SameHostFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter"));
        await cloud.HostAsync("a", vcpus: 64, with: host => host with { InstanceIds = ["one"] });
        await cloud.HostAsync("b");
        Assert.Equal("b", await HostOfAsync(cloud, Spec() with { Hints = Hint("different_host", "one") }));
        Assert.Equal("a", await HostOfAsync(cloud, Spec() with { Hints = Hint("same_host", "one") }));
        Assert.Equal("b", await HostOfAsync(cloud, Spec() with { Group = new GroupRule("anti-affinity", 1, ["one"], ["a"]) }));
        Assert.Equal("a", await HostOfAsync(cloud, Spec() with { Group = new GroupRule("anti-affinity", 2, ["one"], ["a"]) }));
        Assert.Equal("b", await HostOfAsync(cloud, Spec() with { Group = new GroupRule("affinity", 1, ["two"], ["b"]) }));
        Assert.Contains("SameHostFilter removed 2", await RefusedAsync(cloud, Spec() with { Hints = Hint("same_host", "none") }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_filter_is_refused_with_the_names_that_there_are()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("filter_scheduler", "enabled_filters", "ComputeFilter,NoSuchFilter"));
        var failure = Assert.Throws<FormatException>(() => cloud.Scheduler);
        Assert.Contains("there is no filter NoSuchFilter", failure.Message, StringComparison.Ordinal);
        Assert.Contains("AvailabilityZoneFilter", failure.Message, StringComparison.Ordinal);
    }

    private static RequestSpec Spec(int memoryMb = 512) => new()
    {
        InstanceId = Guid.NewGuid().ToString(),
        ProjectId = "p",
        UserId = "u",
        FlavorName = "m1.nano",
        Vcpus = 1,
        MemoryMb = memoryMb,
        RootGb = 1,
        ImageId = "image",
    };

    private static async Task<string> HostOfAsync(SchedulerCloud cloud, RequestSpec spec) => (await cloud.Scheduler.SelectDestinationAsync(spec, Cancelled)).Selected.Host;

    private static async Task<string> RefusedAsync(SchedulerCloud cloud, RequestSpec spec) =>
        (await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(spec, Cancelled))).Message;

    private static async Task<List<string>> PlaceAsync(SchedulerCloud cloud, int count)
    {
        var hosts = new List<string>();
        for (var i = 0; i < count; i++)
        {
            var choice = await cloud.Scheduler.SelectDestinationAsync(Spec(), Cancelled);
            Assert.Equal(204, await cloud.ClaimAsync(choice.Selected));
            hosts.Add(choice.Selected.Host);
        }

        return hosts;
    }

    private static Dictionary<string, string> Map(params (string Key, string Value)[] pairs) => pairs.ToDictionary(pair => pair.Key, pair => pair.Value);

    private static Dictionary<string, IReadOnlyList<string>> Hint(string name, string value) => new() { [name] = [value] };
}
