using System.Threading.Channels;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Drivers;

/// <summary>What is of an instance on this host.</summary>
/// <param name="Exists">Anything at all: domain, disks or interfaces.</param>
public readonly record struct GuestState(bool Exists, PowerState Power)
{
    public static readonly GuestState None = new(false, PowerState.NoState);

    public bool IsOn => Power is PowerState.Running or PowerState.Paused or PowerState.Suspended;
}

/// <summary>
/// What runs the guests of a host; registered under the name that <c>compute_driver</c> gives. Every step may be repeated, also after it was
/// cut short by a crash: it looks at what is there and does the rest. A step that can never succeed here throws <see cref="ComputeException"/>,
/// any other exception is worth another try.
/// </summary>
public interface IComputeDriver : IAsyncDisposable
{
    /// <summary>Nothing real happens: there is no wiring to wait for and no progress worth reporting.</summary>
    bool IsSimulated { get; }

    /// <summary>Instances whose guest changed by itself; null stands for "look at all of them".</summary>
    ChannelReader<string?> Changes { get; }

    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>What the host is and has. Inventories are added by the caller.</summary>
    Task<HypervisorReport> DescribeHostAsync(CancellationToken cancellationToken);

    /// <summary>Ids of all instances of which anything is on this host.</summary>
    Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken);

    Task<GuestState> InspectAsync(string id, CancellationToken cancellationToken);

    /// <summary>Makes the disks, fetching the image where it is not cached.</summary>
    Task PrepareAsync(InstanceSpec instance, CancellationToken cancellationToken);

    /// <summary>Makes the interfaces, so that the network's agent can see and wire them.</summary>
    Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken);

    /// <summary>Makes the guest run as specified; one that is on already is left alone.</summary>
    Task PowerOnAsync(InstanceSpec instance, CancellationToken cancellationToken);

    /// <summary>Asks the guest to shut itself down; returns at once.</summary>
    Task RequestShutdownAsync(string id, CancellationToken cancellationToken);

    /// <summary>Cuts the guest's power.</summary>
    Task PowerOffAsync(string id, CancellationToken cancellationToken);

    /// <summary>Removes everything of the instance: guest, interfaces and, last, files.</summary>
    Task RemoveAsync(string id, CancellationToken cancellationToken);

    /// <summary>The end of what the guest wrote to its serial console; null where there is no guest.</summary>
    /// <param name="id">The instance.</param>
    /// <param name="lines">How many lines; null for all that is kept.</param>
    Task<string?> ReadConsoleAsync(string id, int? lines, CancellationToken cancellationToken);

    /// <summary>What a guest has used; null where there is none that runs.</summary>
    Task<GuestDiagnostics?> DiagnoseAsync(string id, CancellationToken cancellationToken);

    /// <summary>Fetches an image ahead of need, where the driver keeps any.</summary>
    Task CacheImageAsync(ImageSpec image, CancellationToken cancellationToken);

    /// <summary>Gives back what no instance uses: cached images, over-long logs.</summary>
    Task CleanAsync(CancellationToken cancellationToken);
}
