using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Scheduling.Filters;
using SharpStack.Nova.Scheduling.Weighers;

namespace SharpStack.Nova.Tests.Scheduling;

/// <summary>What host aggregates do to the choice of a host.</summary>
public sealed class AggregateSchedulingTests
{
    private static readonly HostState Host = new()
    {
        Host = "a",
        Node = "a.local",
        ComputeNodeId = "id",
        AvailabilityZone = "nova",
        IsUp = true,
        IsDisabled = false,
        HypervisorType = "QEMU",
        InstanceCount = 3,
        BusyInstanceCount = 2,
    };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private static RequestSpec Spec(params (string Name, string Value)[] extraSpecs) =>
        new()
        {
            InstanceId = Guid.NewGuid().ToString(),
            ProjectId = "project",
            UserId = "user",
            FlavorName = "m1.small",
            Vcpus = 1,
            MemoryMb = 512,
            RootGb = 1,
            ImageId = "image",
            ExtraSpecs = extraSpecs.ToDictionary(pair => pair.Name, pair => pair.Value),
        };

    private static HostState In(params (string Name, string Value)[][] aggregates) =>
        Host with { Aggregates = [.. aggregates.Select(items => items.ToDictionary(item => item.Name, item => item.Value))] };

    private static ServiceConfig Config(string name, string value) => ServiceConfig.Empty("nova").With("filter_scheduler", name, value);

    [Theory]
    [InlineData("aggregate_instance_extra_specs:ssd", "true", true)]
    [InlineData("aggregate_instance_extra_specs:ssd", "false", false)]
    [InlineData("ssd", "true", true)]
    [InlineData("nothing", "true", false)]
    [InlineData("hw:cpu_policy", "dedicated", true)]
    [InlineData("aggregate_instance_extra_specs:rack", "<or> r1 <or> r9", true)]
    [InlineData("aggregate_instance_extra_specs:cores", ">= 8", true)]
    [InlineData("aggregate_instance_extra_specs:cores", ">= 32", false)]
    public void Extra_specs_find_their_values_in_the_metadata_of_any_aggregate(string name, string wanted, bool passes)
    {
        var host = In([("ssd", "true"), ("rack", "r8, r9")], [("cores", "16")]);
        Assert.Equal(passes, new AggregateInstanceExtraSpecsFilter().Refuse(host, Spec((name, wanted))) is null);
    }

    [Fact]
    public void A_host_without_the_aggregate_takes_no_flavor_that_asks_for_it_and_every_one_that_does_not()
    {
        Assert.NotNull(new AggregateInstanceExtraSpecsFilter().Refuse(Host, Spec(("ssd", "true"))));
        Assert.Null(new AggregateInstanceExtraSpecsFilter().Refuse(Host, Spec()));
    }

    [Theory]
    [InlineData("", "os_distro", "debian", true)]
    [InlineData("", "os_distro", "windows", false)]
    [InlineData("", "os_version", "1", true)]
    [InlineData("iso", "os_distro", "windows", true)]
    [InlineData("iso", "iso.licensed", "no", false)]
    public void Images_are_isolated_by_the_properties_that_an_aggregate_names(string scope, string property, string value, bool passes)
    {
        var host = In([("os_distro", "debian,ubuntu"), ("iso.licensed", "yes")]);
        var spec = Spec() with { ImageProperties = new Dictionary<string, string> { [property] = value } };
        Assert.Equal(passes, new AggregateImagePropertiesIsolation(Config("aggregate_image_properties_isolation_namespace", scope)).Refuse(host, spec) is null);
    }

    [Fact]
    public void An_aggregate_for_projects_takes_those_and_one_for_flavors_takes_those()
    {
        Assert.Null(new AggregateMultiTenancyIsolation().Refuse(In([("filter_tenant_id", "other, project")]), Spec()));
        Assert.NotNull(new AggregateMultiTenancyIsolation().Refuse(In([("filter_tenant_id", "other")]), Spec()));
        Assert.Null(new AggregateMultiTenancyIsolation().Refuse(In([("ssd", "true")]), Spec()));
        Assert.Null(new AggregateTypeAffinityFilter().Refuse(In([("instance_type", "m1.tiny,m1.small")]), Spec()));
        Assert.NotNull(new AggregateTypeAffinityFilter().Refuse(In([("instance_type", "m1.tiny")]), Spec()));
        Assert.Null(new AggregateTypeAffinityFilter().Refuse(Host, Spec()));
    }

    [Fact]
    public void The_least_limit_of_the_aggregates_counts_and_nonsense_counts_as_none()
    {
        var empty = ServiceConfig.Empty("nova");
        Assert.Null(new AggregateNumInstancesFilter(empty).Refuse(Host, Spec()));
        Assert.Equal("3 or more instances", new AggregateNumInstancesFilter(empty).Refuse(In([("max_instances_per_host", "9")], [("max_instances_per_host", "3")]), Spec()));
        Assert.Null(new AggregateNumInstancesFilter(empty).Refuse(In([("max_instances_per_host", "few")]), Spec()));
        Assert.NotNull(new AggregateIoOpsFilter(empty).Refuse(In([("max_io_ops_per_host", "2")]), Spec()));
        Assert.Null(new AggregateIoOpsFilter(empty).Refuse(In([("max_io_ops_per_host", "3")]), Spec()));
    }

    [Theory]
    [InlineData("a", "image", true, true)]
    [InlineData("b", "image", true, false)]
    [InlineData("a", "other", true, false)]
    [InlineData("b", "other", true, true)]
    [InlineData("a", "other", false, true)]
    [InlineData("b", "image", false, false)]
    public void Isolated_images_and_isolated_hosts_belong_together(string host, string image, bool restrict, bool passes)
    {
        var config = Config("isolated_hosts", "a").With("filter_scheduler", "isolated_images", "image")
            .With("filter_scheduler", "restrict_isolated_hosts_to_isolated_images", restrict ? "true" : "false");
        Assert.Equal(passes, new IsolatedHostsFilter(config).Refuse(Host with { Host = host }, Spec() with { ImageId = image }) is null);
    }

    [Fact]
    public void An_aggregate_has_its_own_multipliers()
    {
        var weigher = new HostWeigher("RAMWeigher", "ram_weight_multiplier", 1, (_, _) => 1);
        Assert.Equal(1, weigher.MultiplierOf(Host));
        Assert.Equal(-2.5, weigher.MultiplierOf(In([("ram_weight_multiplier", "3")], [("ram_weight_multiplier", "-2.5")])));
        Assert.Equal(1, weigher.MultiplierOf(In([("ram_weight_multiplier", "much")])));
    }

    [Fact]
    public async Task A_zone_is_asked_of_placement_and_the_message_tells_where_there_would_be_room()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("filter_scheduler", "enabled_filters", "ComputeFilter"));
        await cloud.HostAsync("large", vcpus: 16, memoryMb: 32_768, diskGb: 200);
        var small = await cloud.HostAsync("small");
        await cloud.AggregateAsync(new() { ["availability_zone"] = "london" }, small);
        Assert.Equal("small", (await cloud.Scheduler.SelectDestinationAsync(Spec() with { AvailabilityZone = "london" }, Cancelled)).Selected.Host);
        var refused = await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(Spec() with { AvailabilityZone = "london", MemoryMb = 20_000 }, Cancelled));
        Assert.Contains("1 host with room", refused.Message, StringComparison.Ordinal);
        Assert.Contains("none in the aggregates", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_project_is_kept_to_its_aggregates_and_has_none_where_it_needs_one()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("scheduler", "limit_tenants_to_placement_aggregate", "true"), ("scheduler", "placement_aggregate_required_for_tenants", "true"));
        await cloud.HostAsync("large", vcpus: 16, memoryMb: 32_768, diskGb: 200);
        var small = await cloud.HostAsync("small");
        await cloud.AggregateAsync(new() { ["filter_tenant_id_2"] = "project" }, small);
        Assert.Equal("small", (await cloud.Scheduler.SelectDestinationAsync(Spec(), Cancelled)).Selected.Host);
        var refused = await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(Spec() with { ProjectId = "stranger" }, Cancelled));
        Assert.Contains("No hosts available for tenant", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_aggregate_that_requires_a_trait_is_for_servers_that_ask_for_it()
    {
        await using var cloud = await SchedulerCloud.StartAsync(("scheduler", "enable_isolated_aggregate_filtering", "true"));
        var licensed = await cloud.HostAsync("large", vcpus: 16, memoryMb: 32_768, diskGb: 200, traits: "HW_CPU_X86_AVX2");
        await cloud.HostAsync("small");
        await cloud.AggregateAsync(new() { ["trait:HW_CPU_X86_AVX2"] = "required" }, licensed);
        Assert.Equal("small", (await cloud.Scheduler.SelectDestinationAsync(Spec(), Cancelled)).Selected.Host);
        Assert.Equal("large", (await cloud.Scheduler.SelectDestinationAsync(Spec(("trait:HW_CPU_X86_AVX2", "required")), Cancelled)).Selected.Host);
    }

    [Fact]
    public async Task A_host_named_with_its_zone_passes_filters_that_are_not_about_zone_and_health()
    {
        await using var cloud = await SchedulerCloud.StartAsync();
        await cloud.HostAsync("a", with: host => host with { HypervisorType = "KVM" });
        await cloud.HostAsync("down", with: host => host with { IsUp = false });
        var choosy = Spec(("capabilities:hypervisor_type", "s== xen")) with { ForcedHost = "a" };
        await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(choosy, Cancelled));
        Assert.Equal("a", (await cloud.Scheduler.SelectDestinationAsync(choosy with { IsForced = true }, Cancelled)).Selected.Host);
        await Assert.ThrowsAsync<NoValidHostException>(() => cloud.Scheduler.SelectDestinationAsync(Spec() with { ForcedHost = "down", IsForced = true }, Cancelled));
    }
}
