using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Interfaces;

/// <summary>Connects a guest's interfaces with the host's network, so that its agent finds and wires them. Every call may be repeated.</summary>
internal interface IVifPlugger : IAsyncDisposable
{
    /// <summary>Begins to connect to what it needs.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Makes the tap devices and connects them.</summary>
    Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken);

    /// <summary>Disconnects and deletes all of an instance's devices.</summary>
    /// <param name="id">The instance.</param>
    /// <param name="devices">Devices that it is known to have had; there may be more.</param>
    Task UnplugAsync(string id, IReadOnlyCollection<string> devices, CancellationToken cancellationToken);

    /// <summary>Whether frames pass a userspace switch, which needs their checksums filled in.</summary>
    bool NeedsChecksums(PortSpec port);
}
