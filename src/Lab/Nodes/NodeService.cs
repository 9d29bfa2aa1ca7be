namespace SharpStack.Lab.Nodes;

/// <summary>What a service of a node belongs to; the groups are started in this order.</summary>
public enum ServiceGroup
{
    /// <summary>Database, broker, cache.</summary>
    Engine,

    /// <summary>Open vSwitch and libvirt.</summary>
    Host,

    /// <summary>This program's own services.</summary>
    Cloud,
}

/// <summary>A service of a node, as data.</summary>
/// <param name="Name">By which it is known, and its log named.</param>
public sealed record NodeService(string Name, ServiceGroup Group, IReadOnlyList<string> Command)
{
    /// <summary>Shell commands before the service itself, at each start.</summary>
    public string? Prepare { get; init; }

    /// <summary>The port on the management address, or the socket, at which it is asked whether it listens; null where nothing waits for it.</summary>
    public int? Port { get; init; }

    public string? Socket { get; init; }

    /// <summary>Whether its children are it too, and end with it; the children of others outlive them (virtual machines, DHCP servers).</summary>
    public bool OwnsChildren { get; init; }

    /// <summary>Whether it speaks with others by messages.</summary>
    public bool NeedsBroker { get; init; }

    internal IReadOnlyList<string> Line => Prepare is null ? Command : ["sh", "-ec", Prepare + "\nexec \"$@\"", Name, .. Command];
}
