using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Conductor;

/// <summary>How the conductors on one database share their work.</summary>
internal sealed class ConductorLeases : IAsyncDisposable
{
    /// <summary>Far more than there are conductors, so that they share evenly.</summary>
    private const int Parts = 64;

    public ConductorLeases(NovaStore store, HostOptions host, TimeProvider time, ILogger<LeaseKeeper> log, LeaseTimings? timings = null)
    {
        Keeper = new LeaseKeeper(() => store.Database, "nova-conductor", host.HostName, time, log, timings);
        Instances = Keeper.Share("instances", Parts);
        Janitor = Keeper.Share("janitor");
    }

    public LeaseKeeper Keeper { get; }

    /// <summary>Instances by their UUIDs.</summary>
    public LeaseShare Instances { get; }

    public LeaseShare Janitor { get; }

    public ValueTask DisposeAsync() => Keeper.DisposeAsync();
}
