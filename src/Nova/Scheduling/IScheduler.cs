using SharpStack.Foundation;

namespace SharpStack.Nova.Scheduling;

/// <summary>Chooses hosts: Placement's candidates, then filters and weighers.</summary>
public interface IScheduler
{
    /// <summary>
    /// Chooses a host for one instance, with some alternates where there are any. Claims nothing: the conductor claims the returned request in
    /// Placement, and asks again where a claim fails because others were quicker.
    /// </summary>
    /// <exception cref="NoValidHostException">No host fits.</exception>
    /// <exception cref="CloudException">Placement cannot be reached (<see cref="ErrorKind.ServiceUnavailable"/>): worth another try later.</exception>
    Task<SchedulerChoice> SelectDestinationAsync(RequestSpec spec, CancellationToken cancellationToken);
}

/// <summary>What an instance needs of a host.</summary>
public sealed record RequestSpec
{
    public required string InstanceId { get; init; }

    public required string ProjectId { get; init; }

    public required string UserId { get; init; }

    public required string FlavorName { get; init; }

    public required int Vcpus { get; init; }

    public required int MemoryMb { get; init; }

    public required int RootGb { get; init; }

    public int EphemeralGb { get; init; }

    public int SwapMb { get; init; }

    /// <summary><c>resources:CUSTOM_GPU</c>, <c>trait:HW_CPU_X86_AVX2</c>, <c>hw:cpu_policy</c> …</summary>
    public IReadOnlyDictionary<string, string> ExtraSpecs { get; init; } = new Dictionary<string, string>();

    /// <summary>Null where the instance boots from a volume: then its root disk takes no DISK_GB.</summary>
    public string? ImageId { get; init; }

    public IReadOnlyDictionary<string, string> ImageProperties { get; init; } = new Dictionary<string, string>();

    /// <summary>Null for any.</summary>
    public string? AvailabilityZone { get; init; }

    /// <summary>The one host asked for (<c>host</c> of microversion 2.74, or <c>az:host</c>); filters still apply. Null for any.</summary>
    public string? ForcedHost { get; init; }

    /// <summary>The one hypervisor asked for; null for any.</summary>
    public string? ForcedNode { get; init; }

    /// <summary>The host was named with the zone, by one who may: of the filters, only zone and health count.</summary>
    public bool IsForced { get; init; }

    /// <summary>Hosts that failed this instance before.</summary>
    public IReadOnlyCollection<string> IgnoredHosts { get; init; } = [];

    /// <summary>The server's <c>os:scheduler_hints</c>, by name; one value or several.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Hints { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>Physical networks that the host's ports need; empty where any host will do.</summary>
    public IReadOnlyList<string> PhysicalNetworks { get; init; } = [];

    /// <summary>What the ports ask for; those that ask for nothing are left out.</summary>
    public IReadOnlyList<PortRequest> Ports { get; init; } = [];

    /// <summary>The server group that the instance is a member of; null for none.</summary>
    public GroupRule? Group { get; init; }
}

/// <summary>What a port asks of Placement (Neutron's <c>resource_request</c>).</summary>
/// <param name="SameSubtree">The groups (ids) whose providers are to be below one another or one other provider.</param>
public sealed record PortRequest(string PortId, IReadOnlyList<PortRequestGroup> Groups, IReadOnlyList<string> SameSubtree);

/// <summary>Amounts that are to come from one provider.</summary>
public sealed record PortRequestGroup(string Id, IReadOnlyDictionary<string, int> Resources, IReadOnlyList<string> Required);

/// <summary>Where the members of a server group are, and how they are to be spread.</summary>
/// <param name="Policy"><c>affinity</c>, <c>anti-affinity</c>, <c>soft-affinity</c> or <c>soft-anti-affinity</c>.</param>
/// <param name="MaxPerHost"><c>max_server_per_host</c> of an anti-affinity group.</param>
/// <param name="MemberIds">UUIDs of the other members.</param>
/// <param name="Hosts">The hosts that they are on.</param>
public sealed record GroupRule(string Policy, int MaxPerHost, IReadOnlyCollection<string> MemberIds, IReadOnlyCollection<string> Hosts);

/// <param name="Host">The compute service's name of the host.</param>
/// <param name="Node">The hypervisor's name.</param>
/// <param name="ComputeNodeId">UUID of the hypervisor row and of its root resource provider.</param>
/// <param name="Allocations">What to claim: resource class and amount, by resource provider UUID (<c>allocation_requests[].allocations</c>).</param>
public sealed record Destination(
    string Host, string Node, string ComputeNodeId, IReadOnlyDictionary<string, IReadOnlyDictionary<string, int>> Allocations)
{
    /// <summary>The providers of each group of the request, by the group's suffix.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Mappings { get; init; } = new Dictionary<string, IReadOnlyList<string>>();
}

/// <param name="Selected">The best host.</param>
/// <param name="Alternates">Next best ones, best first.</param>
public sealed record SchedulerChoice(Destination Selected, IReadOnlyList<Destination> Alternates);

/// <summary>No host fits; the message begins with <c>No valid host was found.</c> and names how many hosts each step removed and what came nearest.</summary>
public sealed class NoValidHostException(string message) : CloudException(ErrorKind.BadRequest, message, "NoValidHost");
