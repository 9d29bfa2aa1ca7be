using SharpStack.CommandLine;

namespace SharpStack.Serve;

/// <summary>The services by the names that users know them by.</summary>
internal static class ServiceNames
{
    /// <summary>The services that are configured by each of OpenStack's projects.</summary>
    public static readonly IReadOnlyList<string> Projects = ["keystone", "glance", "placement", "nova", "neutron"];

    /// <summary>Other names of the same, as packages and units elsewhere have them.</summary>
    private static readonly Dictionary<string, string> Aliases = new()
    {
        ["glance"] = "glance-api",
        ["placement"] = "placement-api",
        ["neutron"] = "neutron-server",
        ["neutron-api"] = "neutron-server",
        ["nova-api-metadata"] = "nova-metadata-api",
        ["nova-metadata"] = "nova-metadata-api",
        ["neutron-ovs-agent"] = "neutron-openvswitch-agent",
    };

    /// <exception cref="UsageException">A name that is none of a service.</exception>
    public static string Canonical(string name, IEnumerable<string> known)
    {
        // nova-api is both of nova's APIs, as far as [DEFAULT] enabled_apis has them; this is the one alone.
        var canonical = name is "nova-api-os-compute" ? "nova-api" : Aliases.GetValueOrDefault(name, name);
        return known.Contains(canonical)
            ? canonical
            : throw new UsageException($"there is no service {name}; there are {string.Join(", ", known.Order(StringComparer.Ordinal))}");
    }

    /// <summary>The project that a service belongs to; null for one of no project (metrics).</summary>
    public static string? ProjectOf(string service) =>
        service.Split('-')[0] is var project && Projects.Contains(project) ? project : null;
}
