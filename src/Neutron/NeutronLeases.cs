using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron;

/// <summary>What only one of the servers on one database does at a time.</summary>
internal sealed class NeutronLeases : IAsyncDisposable
{
    public NeutronLeases(NeutronStore store, HostOptions host, TimeProvider time, ILogger<LeaseKeeper> log, LeaseTimings? timings = null)
    {
        Keeper = new LeaseKeeper(() => store.Database, "neutron-server", host.HostName, time, log, timings);
        NovaEvents = Keeper.Share("nova-events");
        DhcpScheduling = Keeper.Share("dhcp-scheduling");
        L3Scheduling = Keeper.Share("l3-scheduling");
        PlacementReports = Keeper.Share("placement-reports");
    }

    public LeaseKeeper Keeper { get; }

    /// <summary>The delivery of events to Nova, in order.</summary>
    public LeaseShare NovaEvents { get; }

    /// <summary>The sweep over networks whose DHCP agents died or came.</summary>
    public LeaseShare DhcpScheduling { get; }

    /// <summary>The sweep over routers whose L3 agents died or came.</summary>
    public LeaseShare L3Scheduling { get; }

    /// <summary>What agents guarantee, told to Placement.</summary>
    public LeaseShare PlacementReports { get; }

    public ValueTask DisposeAsync() => Keeper.DisposeAsync();
}
