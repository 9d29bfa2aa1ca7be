using System.Globalization;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Scheduling.Filters;

/// <summary>What filters read from the metadata of a host's aggregates.</summary>
internal static class AggregateMetadata
{
    /// <summary>All values of an item; one value may name several, with commas.</summary>
    public static IEnumerable<string> ValuesOf(this HostState host, string name) =>
        host.Aggregates.Where(aggregate => aggregate.ContainsKey(name)).SelectMany(aggregate => aggregate[name].Split(',', StringSplitOptions.TrimEntries));

    /// <summary>The least number that an aggregate gives; <paramref name="otherwise"/> where none does, or one is no number.</summary>
    public static int LeastOf(this HostState host, string name, int otherwise)
    {
        int? least = null;
        foreach (var aggregate in host.Aggregates)
        {
            if (aggregate.TryGetValue(name, out var text))
            {
                if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value))
                {
                    return otherwise;
                }

                least = Math.Min(least ?? value, value);
            }
        }

        return least ?? otherwise;
    }
}

/// <summary>Extra specs of the flavor (those of <c>aggregate_instance_extra_specs:</c>, and those without a scope) against the aggregates' metadata.</summary>
internal sealed class AggregateInstanceExtraSpecsFilter : IHostFilter
{
    private const string Scope = "aggregate_instance_extra_specs:";

    public string Name => "AggregateInstanceExtraSpecsFilter";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        foreach (var (key, wanted) in spec.ExtraSpecs)
        {
            var scoped = key.StartsWith(Scope, StringComparison.Ordinal);
            if (!scoped && key.Contains(':', StringComparison.Ordinal))
            {
                continue;
            }

            var name = scoped ? key[Scope.Length..] : key;
            if (!host.ValuesOf(name).Any(value => ExtraSpecOperators.Match(value, wanted)))
            {
                return $"no aggregate with {name} {wanted}";
            }
        }

        return null;
    }
}

/// <summary>An image that has a property of the aggregates' metadata must have one of their values.</summary>
internal sealed class AggregateImagePropertiesIsolation(ServiceConfig config) : IHostFilter
{
    private readonly string prefix = config.Get(SchedulerOptions.ImagePropertiesNamespace) is { Length: > 0 } scope ? scope + config.Get(SchedulerOptions.ImagePropertiesSeparator) : "";

    public string Name => "AggregateImagePropertiesIsolation";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        foreach (var name in host.Aggregates.SelectMany(aggregate => aggregate.Keys).Where(name => name.StartsWith(prefix, StringComparison.Ordinal)).Distinct())
        {
            if (spec.ImageProperties.TryGetValue(name, out var property) && property.Length > 0 && !host.ValuesOf(name).Contains(property))
            {
                return $"aggregate isolates images by {name}";
            }
        }

        return null;
    }
}

/// <summary>A host in an aggregate with <c>filter_tenant_id</c> is for those projects.</summary>
internal sealed class AggregateMultiTenancyIsolation : IHostFilter
{
    private const string Key = "filter_tenant_id";

    public string Name => "AggregateMultiTenancyIsolation";

    public string? Refuse(HostState host, RequestSpec spec) =>
        host.Aggregates.Any(aggregate => aggregate.ContainsKey(Key)) && !host.ValuesOf(Key).Contains(spec.ProjectId) ? "aggregate is for other projects" : null;
}

/// <summary>A host in an aggregate with <c>instance_type</c> is for flavors of those names.</summary>
internal sealed class AggregateTypeAffinityFilter : IHostFilter
{
    private const string Key = "instance_type";

    public string Name => "AggregateTypeAffinityFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        host.Aggregates.Any(aggregate => aggregate.ContainsKey(Key)) && !host.ValuesOf(Key).Contains(spec.FlavorName) ? "aggregate is for other flavors" : null;
}

/// <summary>As <see cref="IoOpsFilter"/>, with <c>max_io_ops_per_host</c> of the aggregates.</summary>
internal sealed class AggregateIoOpsFilter(ServiceConfig config) : IHostFilter
{
    private readonly int max = config.Get(SchedulerOptions.MaxIoOps);

    public string Name => "AggregateIoOpsFilter";

    public string? Refuse(HostState host, RequestSpec spec) => IoOpsFilter.Refuse(host, host.LeastOf(SchedulerOptions.MaxIoOps.Name, max));
}

/// <summary>As <see cref="NumInstancesFilter"/>, with <c>max_instances_per_host</c> of the aggregates.</summary>
internal sealed class AggregateNumInstancesFilter(ServiceConfig config) : IHostFilter
{
    private readonly int max = config.Get(SchedulerOptions.MaxInstances);

    public string Name => "AggregateNumInstancesFilter";

    public string? Refuse(HostState host, RequestSpec spec) => NumInstancesFilter.Refuse(host, host.LeastOf(SchedulerOptions.MaxInstances.Name, max));
}
