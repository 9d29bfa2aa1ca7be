using System.Net;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Scheduling.Filters;

internal sealed class AllHostsFilter : IHostFilter
{
    public string Name => "AllHostsFilter";

    public string? Refuse(HostState host, RequestSpec spec) => null;
}

/// <summary>Only hosts whose service is enabled and reports.</summary>
internal sealed class ComputeFilter : IHostFilter
{
    public string Name => "ComputeFilter";

    public string? Refuse(HostState host, RequestSpec spec) => host.IsDisabled ? "service disabled" : host.IsUp ? null : "service down";
}

internal sealed class AvailabilityZoneFilter : IHostFilter
{
    public string Name => "AvailabilityZoneFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        spec.AvailabilityZone is null || spec.AvailabilityZone == host.AvailabilityZone ? null : $"not in zone {spec.AvailabilityZone}";
}

/// <summary>Scheduler hint <c>different_host</c>: not where these instances are.</summary>
internal sealed class DifferentHostFilter : IHostFilter
{
    public string Name => "DifferentHostFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        spec.Hints.TryGetValue("different_host", out var instances) && instances.Any(host.InstanceIds.Contains) ? "hint different_host" : null;
}

/// <summary>Scheduler hint <c>same_host</c>: where one of these instances is.</summary>
internal sealed class SameHostFilter : IHostFilter
{
    public string Name => "SameHostFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        spec.Hints.TryGetValue("same_host", out var instances) && instances.Count > 0 && !instances.Any(host.InstanceIds.Contains) ? "hint same_host" : null;
}

internal sealed class ServerGroupAntiAffinityFilter : IHostFilter
{
    public string Name => "ServerGroupAntiAffinityFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        spec.Group is { Policy: "anti-affinity" } group
        && !host.InstanceIds.Contains(spec.InstanceId)
        && group.MemberIds.Count(host.InstanceIds.Contains) >= group.MaxPerHost
            ? "has members of the server group"
            : null;
}

internal sealed class ServerGroupAffinityFilter : IHostFilter
{
    public string Name => "ServerGroupAffinityFilter";

    public string? Refuse(HostState host, RequestSpec spec) =>
        spec.Group is { Policy: "affinity", Hosts.Count: > 0 } group && !group.Hosts.Contains(host.Host) ? "the server group is on another host" : null;
}

internal sealed class IoOpsFilter(ServiceConfig config) : IHostFilter
{
    private readonly int max = config.Get(SchedulerOptions.MaxIoOps);

    public string Name => "IoOpsFilter";

    public string? Refuse(HostState host, RequestSpec spec) => Refuse(host, max);

    internal static string? Refuse(HostState host, int max) => host.BusyInstanceCount < max ? null : $"busy with {max} or more instances";
}

internal sealed class NumInstancesFilter(ServiceConfig config) : IHostFilter
{
    private readonly int max = config.Get(SchedulerOptions.MaxInstances);

    public string Name => "NumInstancesFilter";

    public string? Refuse(HostState host, RequestSpec spec) => Refuse(host, max);

    internal static string? Refuse(HostState host, int max) => host.InstanceCount < max ? null : $"{max} or more instances";
}

/// <summary>The images of <c>isolated_images</c> on the hosts of <c>isolated_hosts</c>, and no others there.</summary>
internal sealed class IsolatedHostsFilter(ServiceConfig config) : IHostFilter
{
    private readonly HashSet<string> images = [.. config.Get(SchedulerOptions.IsolatedImages)];
    private readonly HashSet<string> hosts = [.. config.Get(SchedulerOptions.IsolatedHosts)];
    private readonly bool restrict = config.Get(SchedulerOptions.RestrictIsolatedHosts);

    public string Name => "IsolatedHostsFilter";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        var isolated = hosts.Contains(host.Host);
        return spec.ImageId is { } image && images.Contains(image) ? (isolated ? null : "not an isolated host")
            : isolated && restrict ? "kept for isolated images" : null;
    }
}

/// <summary>Scheduler hints <c>build_near_host_ip</c> and <c>cidr</c> (<c>/24</c>): in this network.</summary>
internal sealed class SimpleCIDRAffinityFilter : IHostFilter
{
    public string Name => "SimpleCIDRAffinityFilter";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        if (!spec.Hints.TryGetValue("build_near_host_ip", out var near) || near.Count == 0)
        {
            return null;
        }

        var prefix = spec.Hints.TryGetValue("cidr", out var given) && given.Count > 0 ? given[0] : "/24";
        return IPAddress.TryParse(near[0], out var address)
            && IPAddress.TryParse(host.HostIp, out var own)
            && address.AddressFamily == own.AddressFamily
            && int.TryParse(prefix.AsSpan().TrimStart('/'), out var length)
            && length >= 0 && length <= address.GetAddressBytes().Length * 8
            && new IPNetwork(Masked(address, length), length).Contains(own)
                ? null
                : $"not in {near[0]}{prefix}";
    }

    private static IPAddress Masked(IPAddress address, int length)
    {
        var bytes = address.GetAddressBytes();
        for (var bit = length; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        }

        return new IPAddress(bytes);
    }
}
