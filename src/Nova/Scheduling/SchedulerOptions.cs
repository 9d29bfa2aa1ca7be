using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Scheduling;

/// <summary>The options of <c>nova.conf</c> that the scheduler reads.</summary>
internal static class SchedulerOptions
{
    public static readonly ConfigOption<int> MaxPlacementResults = new(
        "scheduler", "max_placement_results", 1000, "The most candidates that Placement is asked for.") { Min = 1 };

    public static readonly ConfigOption<int> MaxAttempts = new("scheduler", "max_attempts", 3, "Hosts that are tried for one server: one, and the rest are alternates.") { Min = 1 };

    public static readonly ConfigOption<IReadOnlyList<string>> EnabledFilters = new(
        "filter_scheduler",
        "enabled_filters",
        ["AvailabilityZoneFilter", "ComputeFilter", "ComputeCapabilitiesFilter", "ImagePropertiesFilter", "ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter"],
        "The filters that hosts have to pass, in order.");

    public static readonly ConfigOption<IReadOnlyList<string>> WeightClasses = new(
        "filter_scheduler", "weight_classes", ["nova.scheduler.weights.all_weighers"], "The weighers, by the names of their classes.");

    public static readonly ConfigOption<int> HostSubsetSize = new(
        "filter_scheduler", "host_subset_size", 1, "One of so many best hosts is chosen at random, so that schedulers side by side do not choose the same one.") { Min = 1 };

    public static readonly ConfigOption<bool> ShuffleSameWeight = new(
        "filter_scheduler", "shuffle_best_same_weighed_hosts", false, "Choose at random among the best hosts of the same weight.");

    public static readonly ConfigOption<int> MaxIoOps = new("filter_scheduler", "max_io_ops_per_host", 8, "IoOpsFilter: instances that a host may be busy with.") { Min = 0 };

    public static readonly ConfigOption<int> MaxInstances = new("filter_scheduler", "max_instances_per_host", 50, "NumInstancesFilter: instances on a host.") { Min = 1 };

    public static readonly ConfigOption<bool> ZoneByPlacement = new(
        "scheduler", "query_placement_for_availability_zone", true, "Ask Placement for hosts of the zone's aggregates only.");

    public static readonly ConfigOption<bool> LimitTenants = new(
        "scheduler", "limit_tenants_to_placement_aggregate", false, "Keep projects to the aggregates whose metadata filter_tenant_id names them.");

    public static readonly ConfigOption<bool> TenantsNeedAggregate = new(
        "scheduler", "placement_aggregate_required_for_tenants", false, "With limit_tenants_to_placement_aggregate: projects that no aggregate names have no hosts.");

    public static readonly ConfigOption<bool> IsolatedAggregates = new(
        "scheduler", "enable_isolated_aggregate_filtering", false, "Keep servers that do not ask for a trait away from aggregates whose metadata requires it (trait:NAME=required).");

    public static readonly ConfigOption<IReadOnlyList<string>> IsolatedImages = new("filter_scheduler", "isolated_images", [], "IsolatedHostsFilter: UUIDs of images that run on the isolated hosts only.");

    public static readonly ConfigOption<IReadOnlyList<string>> IsolatedHosts = new("filter_scheduler", "isolated_hosts", [], "IsolatedHostsFilter: hosts for the isolated images.");

    public static readonly ConfigOption<bool> RestrictIsolatedHosts = new(
        "filter_scheduler", "restrict_isolated_hosts_to_isolated_images", true, "IsolatedHostsFilter: no other image runs on the isolated hosts.");

    public static readonly ConfigOption<string> ImagePropertiesNamespace = new(
        "filter_scheduler", "aggregate_image_properties_isolation_namespace", "", "AggregateImagePropertiesIsolation: what the names of properties begin with; empty for all.");

    public static readonly ConfigOption<string> ImagePropertiesSeparator = new(
        "filter_scheduler", "aggregate_image_properties_isolation_separator", ".", "AggregateImagePropertiesIsolation: what stands between that beginning and the rest.");

    public static readonly ConfigOption<string> DefaultArchitecture = new(
        "filter_scheduler", "image_properties_default_architecture", "", "ImagePropertiesFilter: the architecture of images that name none; empty for any.");

    public static readonly ConfigOption<double> RamMultiplier = new("filter_scheduler", "ram_weight_multiplier", 1.0, "RAMWeigher: positive spreads, negative stacks.");

    public static readonly ConfigOption<double> CpuMultiplier = new("filter_scheduler", "cpu_weight_multiplier", 1.0, "CPUWeigher: positive spreads, negative stacks.");

    public static readonly ConfigOption<double> DiskMultiplier = new("filter_scheduler", "disk_weight_multiplier", 1.0, "DiskWeigher: positive spreads, negative stacks.");

    public static readonly ConfigOption<double> IoOpsMultiplier = new("filter_scheduler", "io_ops_weight_multiplier", -1.0, "IoOpsWeigher: negative prefers hosts that do less.");

    public static readonly ConfigOption<double> SoftAffinityMultiplier = new(
        "filter_scheduler", "soft_affinity_weight_multiplier", 1.0, "ServerGroupSoftAffinityWeigher: positive prefers hosts with more members of the group.");

    public static readonly ConfigOption<double> SoftAntiAffinityMultiplier = new(
        "filter_scheduler", "soft_anti_affinity_weight_multiplier", 1.0, "ServerGroupSoftAntiAffinityWeigher: positive prefers hosts with fewer members of the group.");
}
