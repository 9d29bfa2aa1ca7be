using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.SubnetPools;
using SharpStack.Neutron.Subnets;

namespace SharpStack.Neutron.AutoAllocation;

/// <summary>
/// <c>/v2.0/auto-allocated-topology/{project}</c>: a network of the project's with subnets of the default pools and a router to the default external network,
/// made when it is asked for.
/// </summary>
internal sealed class AutoAllocatedTopologyApi(NeutronStore store, NetworkResource networks, SubnetResource subnets, RouterResource routers, RouterInterfaces interfaces)
{
    private const string DryRun = "dry-run";

    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/auto-allocated-topology/{project}", GetAsync).Policy("get_auto_allocated_topology");
        routes.Delete("/v2.0/auto-allocated-topology/{project}", DeleteAsync).Policy("delete_auto_allocated_topology");
    }

    private async Task GetAsync(ApiContext context)
    {
        var project = ProjectOf(context);
        var fields = context.Query.All("fields");
        if (fields.Contains(DryRun))
        {
            await using var db = store.Read();
            await RequirementsAsync(db, context.Aborted);
            await AnswerAsync(context, "dry-run=pass", project);
            return;
        }

        if (fields.Count > 0)
        {
            throw NeutronErrors.BadRequest("auto_allocate", "Unrecognized field");
        }

        await using (var db = store.Read())
        {
            if (await ExistingAsync(db, project, context.Aborted) is { } present)
            {
                await AnswerAsync(context, present, project);
                return;
            }
        }

        // Who asked at the same moment may have made it since.
        var id = await store.WriteAsync(async work => await ExistingAsync(work.Db, project, work.Cancellation) ?? await BuildAsync(work, project), context.Aborted);
        await AnswerAsync(context, id, project);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var project = ProjectOf(context);
        await store.WriteAsync(
            async work =>
            {
                if (await work.Db.GetTable<AutoAllocatedTopologyRow>().FirstOrDefaultAsync(row => row.ProjectId == project, work.Cancellation) is { } topology)
                {
                    await RemoveAsync(work, project, topology);
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task<string> BuildAsync(Work work, string project)
    {
        var (outside, pools) = await RequirementsAsync(work.Db, work.Cancellation);
        var caller = Elevated(project);
        var network = await networks.CreateOneAsync(work, caller, Body.Of(project, static json => json.WriteString("name", "auto_allocated_network")));
        var router = await routers.CreateOneAsync(work, caller, Body.Of(project, json =>
        {
            json.WriteString("name", "auto_allocated_router");
            json.WriteStartObject("external_gateway_info");
            json.WriteString("network_id", outside);
            json.WriteEndObject();
        }));
        foreach (var pool in pools)
        {
            await interfaces.AddAsync(work, caller, router, await AddSubnetAsync(work, caller, project, network, pool));
        }

        await work.Db.GetTable<AutoAllocatedTopologyRow>().Where(row => row.ProjectId == project).DeleteAsync(work.Cancellation);
        await work.Db.InsertAsync(new AutoAllocatedTopologyRow { ProjectId = project, NetworkId = network, RouterId = router }, token: work.Cancellation);
        return network;
    }

    private async Task<string> AddSubnetAsync(Work work, Caller caller, string project, string network, SubnetPoolRow pool)
    {
        try
        {
            return await subnets.CreateOneAsync(work, caller, Body.Of(project, json =>
            {
                json.WriteString("network_id", network);
                json.WriteString("name", $"auto_allocated_subnet_v{pool.IpVersion}");
                json.WriteNumber("ip_version", pool.IpVersion);
                json.WriteString("subnetpool_id", pool.Id);
            }));
        }
        catch (CloudException failure) when (failure.Kind is ErrorKind.BadRequest or ErrorKind.NotFound or ErrorKind.Conflict || failure.Code == SubnetPoolRules.AllocationErrorName)
        {
            throw Failure("Unable to provide tenant private network");
        }
    }

    /// <summary>Takes away what is still there of it; the network must be empty of the project's ports.</summary>
    private async Task RemoveAsync(Work work, string project, AutoAllocatedTopologyRow topology)
    {
        var caller = Elevated(project);
        var router = await work.Db.GetTable<RouterRow>().Where(row => row.Id == topology.RouterId).ToListAsync(work.Cancellation);
        if (router.Count > 0)
        {
            var own = await work.Db.GetTable<SubnetRow>().Where(row => row.NetworkId == topology.NetworkId).Select(row => row.Id).ToListAsync(work.Cancellation);
            foreach (var subnet in (await RouterPorts.LoadAsync(work.Db, router[0].Id, work.Cancellation)).Where(port => RouterPorts.IsInterface(port.PortType)).SelectMany(port => port.Ips).Select(ip => ip.SubnetId).Intersect(own))
            {
                await interfaces.RemoveAsync(work, caller, router[0].Id, subnet);
            }

            await routers.DeleteAsync(work, caller, (await routers.LoadAsync(work.Db, router, work.Cancellation))[0]);
        }

        var network = await work.Db.GetTable<NetworkRow>().Where(row => row.Id == topology.NetworkId).ToListAsync(work.Cancellation);
        if (network.Count > 0)
        {
            await networks.DeleteAsync(work, caller, (await networks.LoadAsync(work.Db, network, work.Cancellation))[0]);
        }

        await work.Db.GetTable<AutoAllocatedTopologyRow>().Where(row => row.ProjectId == project).DeleteAsync(work.Cancellation);
    }

    /// <summary>The default external network, and the default pools of both IP versions.</summary>
    private static async Task<(string External, List<SubnetPoolRow> Pools)> RequirementsAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var outside = await db.GetTable<NetworkRow>().Where(row => row.External && row.IsDefault).Select(row => row.Id).FirstOrDefaultAsync(cancellationToken) ?? throw Failure("No default router:external network");
        var pools = await db.GetTable<SubnetPoolRow>().Where(row => row.IsDefault).OrderBy(row => row.IpVersion).ToListAsync(cancellationToken);
        return pools.Count == 0 ? throw Failure("No default subnetpools defined") : (outside, pools);
    }

    /// <summary>The network that was made before and was not deleted since.</summary>
    private static Task<string?> ExistingAsync(DataConnection db, string project, CancellationToken cancellationToken) =>
        (from topology in db.GetTable<AutoAllocatedTopologyRow>()
         where topology.ProjectId == project
         join network in db.GetTable<NetworkRow>() on topology.NetworkId equals network.Id
         select (string?)network.Id).FirstOrDefaultAsync(cancellationToken);

    private static string ProjectOf(ApiContext context)
    {
        var sent = context.Route("project");
        var project = sent == "None" ? context.Identity.ProjectId ?? "" : sent;
        context.Enforce(PolicyTarget.Of(("project_id", project), ("tenant_id", project)));
        return project;
    }

    private static Caller Elevated(string project) => new(project, IsAdmin: true, SeesAll: true);

    private static CloudException Failure(string reason) => NeutronErrors.Conflict("AutoAllocationFailure", $"Deployment error: {reason}.");

    private static Task AnswerAsync(ApiContext context, string id, string project) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("auto_allocated_topology");
        json.WriteString("id", id);
        json.WriteString("tenant_id", project);
        json.WriteString("project_id", project);
        json.WriteEndObject();
        json.WriteEndObject();
    });
}
