using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage.Leases;

namespace SharpStack.Glance.Storage;

/// <summary>Which glance-api works on what: each import is taken by one, and uploads of one that died are given up.</summary>
internal sealed class GlanceLeases(GlanceDatabase database, HostOptions host, TimeProvider time, ILogger<LeaseKeeper> log, LeaseTimings? timings = null) : IAsyncDisposable
{
    public LeaseKeeper Keeper { get; } = new(() => database.Service, "glance-api", host.HostName, time, log, timings);

    public ValueTask DisposeAsync() => Keeper.DisposeAsync();
}
