namespace SharpStack.Nova.Contracts;

public sealed record InstanceList(IReadOnlyList<InstanceHint> Instances);

/// <param name="Id">UUID of the instance.</param>
/// <param name="Revision">Grows with each change; a host that has seen this one or a newer one need not ask.</param>
public sealed record InstanceHint(string Id, long Revision);

public sealed record InstanceQuery(string Host, string Id);

/// <param name="Instance">Null where the instance is not this host's: unknown, deleted, or on another host. What the host has of it is to be removed.</param>
public sealed record InstanceAnswer(InstanceSpec? Instance);

/// <summary>What should be.</summary>
public enum DesiredState
{
    Running,
    Stopped,

    /// <summary>Domain, disks and interfaces removed; reported with <see cref="InstanceReport.Exists"/> false.</summary>
    Absent,
}

public enum InstanceActionKind
{
    Create,
    Start,
    Stop,
    RebootSoft,
    RebootHard,
    Delete,
}

/// <summary>
/// The action that the host has to carry out. It stays pending, and is handed out again after a crash of either side, until the host reports it done
/// or failed.
/// </summary>
/// <param name="Id">Of the action, unique in the cloud.</param>
/// <param name="RequestId">The request that asked for it, for logs.</param>
/// <param name="Deadline">When the conductor will give the action up, UTC.</param>
public sealed record PendingAction(long Id, InstanceActionKind Kind, string RequestId, DateTimeOffset Deadline);

/// <summary>
/// What one instance should be. Without a <see cref="Action"/> the host changes nothing: it reports a guest that stopped by itself, and removes
/// what is <see cref="DesiredState.Absent"/>.
/// </summary>
public sealed record InstanceSpec
{
    /// <summary>UUID.</summary>
    public required string Id { get; init; }

    public required long Revision { get; init; }

    /// <summary>The hypervisor's name for it: <c>instance-0000002a</c>.</summary>
    public required string DomainName { get; init; }

    /// <summary>The user's name for it.</summary>
    public required string Name { get; init; }

    public required string Hostname { get; init; }

    public required DesiredState Desired { get; init; }

    public PendingAction? Action { get; init; }

    public required string ProjectId { get; init; }

    public required string UserId { get; init; }

    public string ProjectName { get; init; } = "";

    public string UserName { get; init; } = "";

    public required FlavorSpec Flavor { get; init; }

    /// <summary>Null for an instance that boots from a volume.</summary>
    public ImageSpec? Image { get; init; }

    /// <summary>In the order in which the guest sees them.</summary>
    public IReadOnlyList<PortSpec> Ports { get; init; } = [];

    public string? KeyName { get; init; }

    /// <summary>Base64, as the user sent it.</summary>
    public string? UserData { get; init; }

    public bool ConfigDrive { get; init; }

    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>Null until the guest ran for the first time.</summary>
    public DateTimeOffset? LaunchedAt { get; init; }
}

/// <summary>Memory in MiB, disks in GiB, swap in MiB; a disk of 0 is as large as the image.</summary>
public sealed record FlavorSpec(string Name, int Vcpus, int MemoryMb, int DiskGb, int EphemeralGb, int SwapMb)
{
    public IReadOnlyDictionary<string, string> ExtraSpecs { get; init; } = new Dictionary<string, string>();
}

/// <summary>The image, fetched from Glance with the service's credentials; sizes in bytes.</summary>
public sealed record ImageSpec(string Id, string Name, string DiskFormat, string ContainerFormat, long Size)
{
    /// <summary><c>sha512</c> as a rule; null with <see cref="HashValue"/> for images of old.</summary>
    public string? HashAlgorithm { get; init; }

    public string? HashValue { get; init; }

    public int MinDiskGb { get; init; }

    public int MinMemoryMb { get; init; }

    /// <summary><c>hw_disk_bus</c>, <c>hw_vif_model</c>, <c>hw_firmware_type</c>, <c>kernel_id</c> …</summary>
    public IReadOnlyDictionary<string, string> Properties { get; init; } = new Dictionary<string, string>();
}

/// <summary>A port, bound to the host by the conductor before the host is asked to create or start the instance.</summary>
public sealed record PortSpec
{
    /// <summary>UUID of the Neutron port; <c>external_ids:iface-id</c> in Open vSwitch.</summary>
    public required string Id { get; init; }

    public required string NetworkId { get; init; }

    public string NetworkName { get; init; } = "";

    public required string MacAddress { get; init; }

    public IReadOnlyList<string> FixedIps { get; init; } = [];

    public int Mtu { get; init; } = 1500;

    /// <summary><c>ovs</c>, <c>bridge</c>, <c>tap</c>; <c>other</c> for networks without a data plane.</summary>
    public required string VifType { get; init; }

    public string VnicType { get; init; } = "normal";

    /// <summary>The bridge to plug into; <c>br-int</c> as a rule. Null where the type of interface has none.</summary>
    public string? Bridge { get; init; }

    /// <summary>Name of the tap device: <c>tap</c> and the first eleven characters of the port's id.</summary>
    public required string DeviceName { get; init; }

    /// <summary>Neutron's <c>binding:vif_details</c> as texts: <c>port_filter</c>, <c>ovs_hybrid_plug</c>, <c>datapath_type</c>, <c>connectivity</c>.</summary>
    public IReadOnlyDictionary<string, string> VifDetails { get; init; } = new Dictionary<string, string>();

    /// <summary>Neutron said <c>network-vif-plugged</c> since the last time it was unplugged. A host that has plugged its interfaces waits for this on
    /// all ports (hints come with it), up to <c>vif_plugging_timeout</c>, before the guest runs.</summary>
    public bool Plugged { get; init; }
}
