using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Providers;
using SharpStack.Foundation.Reconciling;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Notifications;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.PlacementReports;

/// <summary>
/// <c>placement</c>: keeps what OVS agents report that they can guarantee as providers in Placement, below those of Nova's hypervisors. One agent at a time; of several servers
/// one does it for all. Whether it is done is the agent's <c>resources_synced</c>.
/// </summary>
internal sealed partial class PlacementReporter : IAsyncDisposable
{
    public const string Key = "placement-reports";

    private readonly NeutronStore store;
    private readonly NeutronOptions options;
    private readonly NeutronLeases leases;
    private readonly IMessageBus bus;
    private readonly ILogger log;
    private readonly Lazy<ProviderClient> providers;
    private readonly Reconciler<string> reconciler;

    public PlacementReporter(NeutronStore store, NeutronOptions options, ServiceClients clients, NeutronLeases leases, IMessageBus bus, TimeProvider time, ILogger<PlacementReporter> log)
    {
        this.store = store;
        this.options = options;
        this.leases = leases;
        this.bus = bus;
        this.log = log;
        providers = new(() => new ProviderClient(clients.For(options.Config, "placement", "placement")));
        reconciler = new Reconciler<string>(
            "neutron-placement",
            SyncAsync,
            ListAsync,
            new ReconcilerOptions { Parallelism = 2, LongestRetry = TimeSpan.FromSeconds(30), FullPeriod = TimeSpan.FromMinutes(10) },
            time,
            log);
        leases.PlacementReports.Gained += reconciler.EnqueueAll;
    }

    public void Start()
    {
        if (options.HasPlugin("placement"))
        {
            reconciler.Start();
        }
    }

    /// <summary>An agent reported: where it is new, started, or says something else than before, the server that does this is to look at it.</summary>
    /// <param name="before">What it reported last; null where this is the first time since its start.</param>
    public void Reported(Work work, AgentRow agent, string? before)
    {
        var now = new Agent(agent, true);
        if (options.HasPlugin("placement") && (before is null || (before != agent.Configurations && !AgentResources.AreSame(now, new Agent(agent, before)))) && Concerns(now))
        {
            work.Hint(bus => bus.FanoutAsync(ServerHints.WorkToDo, new WorkHint(Key, agent.Id)));
        }
    }

    /// <summary>Looks at an agent soon, where this server does.</summary>
    public void Look(string agentId)
    {
        if (leases.PlacementReports.Holds(Key))
        {
            reconciler.Enqueue(agentId);
        }
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        if (!leases.PlacementReports.Holds(Key))
        {
            return [];
        }

        await using var db = store.Read();
        var agents = await db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.OpenVSwitch).ToListAsync(cancellationToken);
        return [.. agents.Where(row => Concerns(new Agent(row, true))).Select(row => row.Id)];
    }

    private static bool Concerns(Agent agent) => agent.Row.ResourcesSynced is not null || AgentResources.Of(agent).Count > 0;

    private async Task<ReconcileResult> SyncAsync(string agentId, CancellationToken cancellationToken)
    {
        using var hold = leases.PlacementReports.TryEnter(Key);
        if (hold is null)
        {
            return ReconcileResult.Done;
        }

        AgentRow? row;
        await using (var db = store.Read())
        {
            row = await db.GetTable<AgentRow>().FirstOrDefaultAsync(agent => agent.Id == agentId, cancellationToken);
        }

        if (row is null)
        {
            return ReconcileResult.Done;
        }

        var wanted = AgentResources.Of(new Agent(row, true));
        bool? isSynced = wanted.Count > 0 ? true : null;
        try
        {
            if (row.ResourcesSynced is not null && wanted.All(resources => resources.Hypervisor != row.Host) && !await ClearAsync(row, cancellationToken))
            {
                isSynced = false;
            }

            foreach (var resources in wanted)
            {
                hold.Lease.ThrowIfLost();
                await PublishAsync(resources, cancellationToken);
            }
        }
        catch (CloudException)
        {
            await RememberAsync(hold.Lease, row, false, cancellationToken);
            throw;
        }

        await RememberAsync(hold.Lease, row, isSynced, cancellationToken);
        return ReconcileResult.Done;
    }

    private async Task PublishAsync(HypervisorResources resources, CancellationToken cancellationToken)
    {
        var root = await providers.Value.FindAsync(resources.Hypervisor, cancellationToken) ?? throw CloudException.Unavailable(
            $"Placement has no resource provider {resources.Hypervisor} yet: see that its nova-compute reports (`openstack hypervisor list`), or set [ovs] resource_provider_hypervisors to the hypervisor's name.");
        await PublishAsync(resources.Agent, root, cancellationToken);
        foreach (var bridge in resources.Bridges)
        {
            await PublishAsync(bridge, resources.Agent.Id, cancellationToken);
        }

        foreach (var (id, parent) in await providers.Value.TreeAsync(resources.Agent.Id, cancellationToken))
        {
            if (parent == resources.Agent.Id && resources.Bridges.All(bridge => bridge.Id != id))
            {
                await RemoveAsync(id, cancellationToken);
            }
        }
    }

    private async Task PublishAsync(WantedProvider wanted, string parentId, CancellationToken cancellationToken)
    {
        if (!await providers.Value.ExistsAsync(wanted.Id, cancellationToken))
        {
            await providers.Value.CreateAsync(wanted.Id, wanted.Name, parentId, cancellationToken);
        }

        await providers.Value.PublishTraitsAsync(wanted.Id, _ => wanted.Traits, cancellationToken);
        await providers.Value.PublishInventoriesAsync(wanted.Id, wanted.Inventories, cancellationToken);
    }

    /// <summary>The agent guarantees nothing any more.</summary>
    private async Task<bool> ClearAsync(AgentRow agent, CancellationToken cancellationToken)
    {
        var id = PlacementNames.AgentProvider(agent.Host);
        return !await providers.Value.ExistsAsync(id, cancellationToken) || await RemoveAsync(id, cancellationToken);
    }

    /// <returns>False where servers hold something of it: it stays until they are gone.</returns>
    private async Task<bool> RemoveAsync(string id, CancellationToken cancellationToken)
    {
        try
        {
            await providers.Value.RemoveAsync(id, cancellationToken);
            return true;
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.Conflict)
        {
            LogKept(id);
            return false;
        }
    }

    private Task RememberAsync(Lease lease, AgentRow row, bool? isSynced, CancellationToken cancellationToken) =>
        row.ResourcesSynced == isSynced ? Task.CompletedTask : store.WriteAsync(
            async work =>
            {
                await lease.CheckAsync(work.Db, work.Cancellation);
                await work.Db.GetTable<AgentRow>().Where(agent => agent.Id == row.Id).Set(agent => agent.ResourcesSynced, isSynced).UpdateAsync(work.Cancellation);
            },
            cancellationToken);

    [LoggerMessage(EventId = 6021, Level = LogLevel.Warning, Message = "Resource provider {Id} is not wanted any more, but servers hold some of it: it stays until they are gone")]
    private partial void LogKept(string id);
}
