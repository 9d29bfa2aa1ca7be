namespace SharpStack.OpenVSwitch.Switches;

/// <summary>What a bridge shall be; what is null is left as it is.</summary>
public sealed record BridgeSettings
{
    /// <summary><c>system</c> for the kernel datapath, <c>netdev</c> for the userspace one.</summary>
    public string? DatapathType { get; init; }

    /// <summary><c>secure</c> or <c>standalone</c>.</summary>
    public string? FailMode { get; init; }

    /// <summary>OpenFlow versions to speak, such as OpenFlow14; others that the bridge speaks stay.</summary>
    public IReadOnlyList<string>? Protocols { get; init; }

    /// <summary>Keys of other_config to set; others stay.</summary>
    public IReadOnlyDictionary<string, string>? OtherConfig { get; init; }

    /// <summary>The only controller. Setting the first one deletes all flows of the bridge.</summary>
    public ControllerSettings? Controller { get; init; }
}

/// <summary>A controller that a bridge dials.</summary>
/// <param name="Target">Such as <c>tcp:127.0.0.1:6633</c>.</param>
public sealed record ControllerSettings(string Target)
{
    /// <summary>How the switch reaches the controller: <c>out-of-band</c> adds no hidden flows.</summary>
    public string ConnectionMode { get; init; } = "out-of-band";

    /// <summary>Milliseconds of silence after which the switch probes.</summary>
    public long InactivityProbe { get; init; } = 10_000;

    /// <summary>The longest pause between attempts in milliseconds.</summary>
    public long MaxBackoff { get; init; } = 1_000;
}

/// <summary>What a port with its one interface shall be; what is null is left as it is.</summary>
public sealed record PortSettings
{
    /// <summary>The interface's type: empty for a device that exists (a tap, a veth, a NIC), else <c>internal</c>, <c>patch</c>, <c>vxlan</c>…</summary>
    public string Type { get; init; } = "";

    /// <summary>The VLAN of an access port; 0 for none (a trunk).</summary>
    public int? Tag { get; init; }

    /// <summary>The VLANs that a port without a tag carries; 0 stands for untagged packets. Empty for all.</summary>
    public IReadOnlyList<int>? Trunks { get; init; }

    /// <summary>Keys of the port's other_config to set.</summary>
    public IReadOnlyDictionary<string, string>? OtherConfig { get; init; }

    /// <summary>Keys of the interface's external_ids to set.</summary>
    public IReadOnlyDictionary<string, string>? ExternalIds { get; init; }

    /// <summary>Keys of the interface's options to set.</summary>
    public IReadOnlyDictionary<string, string>? Options { get; init; }

    /// <summary>The MAC address of an internal interface; to be set when it is created.</summary>
    public MacAddress? Mac { get; init; }

    /// <summary>The MTU of an internal interface that stays in the switch's own namespace.</summary>
    public int? Mtu { get; init; }
}
