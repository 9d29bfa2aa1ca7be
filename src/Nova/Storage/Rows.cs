using LinqToDB.Mapping;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Storage;

/// <summary>
/// One instance, with all that a list shows in one row: what has several values is JSON text, written to the wire as it stands.
/// </summary>
[Table("instances")]
internal sealed record InstanceRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    /// <summary>Grows with each change; see <see cref="NovaSession.SaveAsync"/>.</summary>
    [Column("revision")]
    public long Revision { get; set; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("project_name")]
    public string ProjectName { get; init; } = "";

    [Column("user_name")]
    public string UserName { get; init; } = "";

    [Column("name")]
    public required string Name { get; set; }

    [Column("description")]
    public string? Description { get; set; }

    [Column("hostname")]
    public required string Hostname { get; set; }

    [Column("reservation_id")]
    public required string ReservationId { get; init; }

    [Column("launch_index")]
    public int LaunchIndex { get; init; }

    /// <summary>Empty for an instance without an image.</summary>
    [Column("image_id")]
    public string ImageId { get; init; } = "";

    /// <summary>An <see cref="ImageSpec"/>: the image as it was when the instance was asked for.</summary>
    [Column("image")]
    public string? Image { get; init; }

    [Column("flavor_id")]
    public required string FlavorId { get; init; }

    [Column("flavor_name")]
    public required string FlavorName { get; init; }

    [Column("vcpus")]
    public int Vcpus { get; init; }

    [Column("memory_mb")]
    public int MemoryMb { get; init; }

    [Column("root_gb")]
    public int RootGb { get; init; }

    [Column("ephemeral_gb")]
    public int EphemeralGb { get; init; }

    [Column("swap_mb")]
    public int SwapMb { get; init; }

    /// <summary>An object of texts.</summary>
    [Column("flavor_extra_specs")]
    public string FlavorExtraSpecs { get; init; } = "{}";

    [Column("key_name")]
    public string? KeyName { get; init; }

    [Column("key_type")]
    public string? KeyType { get; init; }

    [Column("key_data")]
    public string? KeyData { get; init; }

    /// <summary>Base64. Not read with the row, for it may be large: ask for it by itself.</summary>
    [Column("user_data", SkipOnEntityFetch = true, SkipOnUpdate = true)]
    public string? UserData { get; init; }

    [Column("config_drive")]
    public bool ConfigDrive { get; init; }

    /// <summary><c>AUTO</c> or <c>MANUAL</c>.</summary>
    [Column("disk_config")]
    public string DiskConfig { get; set; } = "MANUAL";

    /// <summary>The zone of the host once there is one.</summary>
    [Column("availability_zone")]
    public string? AvailabilityZone { get; set; }

    [Column("requested_zone")]
    public string? RequestedZone { get; init; }

    [Column("requested_host")]
    public string? RequestedHost { get; init; }

    [Column("requested_node")]
    public string? RequestedNode { get; init; }

    /// <summary>Whether the host was named with the zone (<c>zone:host</c>): then only its zone and its health are looked at.</summary>
    [Column("host_is_forced")]
    public bool HostIsForced { get; init; }

    /// <summary>A list of hosts that failed this instance.</summary>
    [Column("ignored_hosts")]
    public string IgnoredHosts { get; set; } = "[]";

    /// <summary>An object of lists.</summary>
    [Column("scheduler_hints")]
    public string SchedulerHints { get; init; } = "{}";

    /// <summary>A list of <see cref="Servers.RequestedNetwork"/>.</summary>
    [Column("requested_networks")]
    public string RequestedNetworks { get; set; } = "[]";

    /// <summary>A list of security group UUIDs; empty for Neutron's default.</summary>
    [Column("requested_groups")]
    public string RequestedGroups { get; init; } = "[]";

    [Column("host")]
    public string? Host { get; set; }

    [Column("node")]
    public string? Node { get; set; }

    [Column("compute_node_id")]
    public string? ComputeNodeId { get; set; }

    [Column("desired")]
    public DesiredState Desired { get; set; }

    [Column("vm_state")]
    public required string VmState { get; set; }

    [Column("task_state")]
    public string? TaskState { get; set; }

    [Column("power_state")]
    public PowerState PowerState { get; set; }

    [Column("progress")]
    public int Progress { get; set; }

    /// <summary>How far the ports are.</summary>
    [Column("network")]
    public NetworkStage Network { get; set; }

    /// <summary>What the instance holds in Placement and Neutron is to be given back.</summary>
    [Column("release")]
    public bool Release { get; set; }

    /// <summary>A list of <see cref="Servers.Vif"/>.</summary>
    [Column("network_info")]
    public string NetworkInfo { get; set; } = "[]";

    /// <summary>The addresses as servers show them.</summary>
    [Column("addresses")]
    public string Addresses { get; set; } = "{}";

    /// <summary>The security groups as servers show them: a list of objects with a name.</summary>
    [Column("security_groups")]
    public string SecurityGroups { get; set; } = "[]";

    /// <summary>An object of texts.</summary>
    [Column("metadata")]
    public string Metadata { get; set; } = "{}";

    /// <summary>A list of texts.</summary>
    [Column("tags")]
    public string Tags { get; set; } = "[]";

    /// <summary>A list of texts, or null.</summary>
    [Column("trusted_certs")]
    public string? TrustedCerts { get; init; }

    [Column("access_ip_v4")]
    public string AccessIpV4 { get; set; } = "";

    [Column("access_ip_v6")]
    public string AccessIpV6 { get; set; } = "";

    /// <summary><c>owner</c> or <c>admin</c>.</summary>
    [Column("locked_by")]
    public string? LockedBy { get; set; }

    [Column("locked_reason")]
    public string? LockedReason { get; set; }

    [Column("fault_code")]
    public int? FaultCode { get; set; }

    [Column("fault_message")]
    public string? FaultMessage { get; set; }

    [Column("fault_details")]
    public string? FaultDetails { get; set; }

    [Column("fault_at")]
    public long? FaultAt { get; set; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; set; }

    [Column("launched_at")]
    public long? LaunchedAt { get; set; }

    [Column("terminated_at")]
    public long? TerminatedAt { get; set; }

    [Column("deleted_at")]
    public long? DeletedAt { get; set; }

    public string DomainName => $"instance-{Id:x8}";

    public bool IsDeleted => DeletedAt is not null;

    /// <summary>Makes it one that users do not see any more.</summary>
    public void SetDeleted(long now)
    {
        VmState = Servers.VmStates.Deleted;
        TaskState = null;
        PowerState = PowerState.NoState;
        DeletedAt = now;
        TerminatedAt = now;
    }
}

/// <summary>How far the ports of an instance are.</summary>
internal enum NetworkStage
{
    None,

    /// <summary>Some may be in Neutron already: look before creating.</summary>
    Started,

    /// <summary>All are there and bound to the instance's host.</summary>
    Bound,
}

[Table("instance_actions")]
internal sealed record ActionRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("instance_id")]
    public required string InstanceId { get; init; }

    /// <summary>Nova's name: <c>create</c>, <c>reboot</c>, <c>stop</c>.</summary>
    [Column("action")]
    public required string Action { get; init; }

    /// <summary>Null for what was done at once.</summary>
    [Column("kind")]
    public InstanceActionKind? Kind { get; init; }

    [Column("request_id")]
    public required string RequestId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("started_at")]
    public long StartedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; set; }

    [Column("finished_at")]
    public long? FinishedAt { get; set; }

    [Column("deadline")]
    public long Deadline { get; init; }

    /// <summary>Hosts tried.</summary>
    [Column("attempts")]
    public int Attempts { get; set; }

    [Column("pending")]
    public bool Pending { get; set; }

    /// <summary><c>Error</c> where it failed.</summary>
    [Column("message")]
    public string? Message { get; set; }
}

[Table("instance_action_events")]
internal sealed record ActionEventRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("action_id")]
    public long ActionId { get; init; }

    [Column("event")]
    public required string Event { get; init; }

    [Column("host")]
    public string? Host { get; init; }

    [Column("started_at")]
    public long StartedAt { get; init; }

    [Column("finished_at")]
    public long? FinishedAt { get; set; }

    [Column("result")]
    public string? Result { get; set; }

    [Column("details")]
    public string? Details { get; set; }
}

[Table("flavors")]
internal sealed record FlavorRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("flavor_id")]
    public required string FlavorId { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("vcpus")]
    public int Vcpus { get; init; }

    [Column("memory_mb")]
    public int MemoryMb { get; init; }

    [Column("root_gb")]
    public int RootGb { get; init; }

    [Column("ephemeral_gb")]
    public int EphemeralGb { get; init; }

    [Column("swap_mb")]
    public int SwapMb { get; init; }

    [Column("rxtx_factor")]
    public double RxtxFactor { get; init; }

    [Column("is_public")]
    public bool IsPublic { get; init; }

    [Column("disabled")]
    public bool Disabled { get; init; }

    [Column("description")]
    public string? Description { get; init; }

    /// <summary>An object of texts.</summary>
    [Column("extra_specs")]
    public string ExtraSpecs { get; init; } = "{}";

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long? UpdatedAt { get; init; }
}

[Table("flavor_projects")]
internal sealed record FlavorProjectRow
{
    [Column("flavor"), PrimaryKey(0)]
    public long Flavor { get; init; }

    [Column("project_id"), PrimaryKey(1)]
    public required string ProjectId { get; init; }
}

[Table("key_pairs")]
internal sealed record KeyPairRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("type")]
    public required string Type { get; init; }

    [Column("fingerprint")]
    public required string Fingerprint { get; init; }

    [Column("public_key")]
    public required string PublicKey { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }
}

[Table("services")]
internal sealed record ServiceRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("host")]
    public required string Host { get; init; }

    [Column("binary")]
    public required string Binary { get; init; }

    [Column("disabled")]
    public bool Disabled { get; init; }

    [Column("disabled_reason")]
    public string? DisabledReason { get; init; }

    [Column("forced_down")]
    public bool ForcedDown { get; init; }

    [Column("last_seen_at")]
    public long LastSeenAt { get; init; }

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }
}

[Table("compute_nodes")]
internal sealed record ComputeNodeRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("host")]
    public required string Host { get; init; }

    [Column("hypervisor_hostname")]
    public required string HypervisorHostname { get; init; }

    [Column("hypervisor_type")]
    public required string HypervisorType { get; init; }

    [Column("hypervisor_version")]
    public int HypervisorVersion { get; init; }

    [Column("host_ip")]
    public string HostIp { get; init; } = "";

    [Column("vcpus")]
    public int Vcpus { get; init; }

    [Column("memory_mb")]
    public int MemoryMb { get; init; }

    [Column("memory_mb_used")]
    public int MemoryMbUsed { get; init; }

    [Column("local_gb")]
    public int LocalGb { get; init; }

    [Column("local_gb_used")]
    public int LocalGbUsed { get; init; }

    [Column("disk_available_least")]
    public int DiskAvailableLeast { get; init; }

    [Column("running_vms")]
    public int RunningVms { get; init; }

    /// <summary>An object, as the host reported it.</summary>
    [Column("cpu_info")]
    public string CpuInfo { get; init; } = "{}";

    [Column("uptime")]
    public string? Uptime { get; init; }

    /// <summary>A list of <see cref="InventoryReport"/>: what Placement should have.</summary>
    [Column("inventories")]
    public string Inventories { get; init; } = "[]";

    /// <summary>A list of texts: what Placement should have.</summary>
    [Column("traits")]
    public string Traits { get; init; } = "[]";

    [Column("created_at")]
    public long CreatedAt { get; init; }

    [Column("updated_at")]
    public long UpdatedAt { get; init; }
}

[Table("quotas")]
internal sealed record QuotaRow
{
    [Column("project_id"), PrimaryKey(0)]
    public required string ProjectId { get; init; }

    /// <summary>Empty for the project as a whole.</summary>
    [Column("user_id"), PrimaryKey(1)]
    public string UserId { get; init; } = "";

    [Column("resource"), PrimaryKey(2)]
    public required string Resource { get; init; }

    [Column("hard_limit")]
    public int HardLimit { get; init; }
}

[Table("quota_classes")]
internal sealed record QuotaClassRow
{
    [Column("class"), PrimaryKey(0)]
    public required string Class { get; init; }

    [Column("resource"), PrimaryKey(1)]
    public required string Resource { get; init; }

    [Column("hard_limit")]
    public int HardLimit { get; init; }
}
