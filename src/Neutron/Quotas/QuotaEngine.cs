using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron.Quotas;

/// <summary>Limits of projects, checked by counting in the transaction that creates.</summary>
internal sealed class QuotaEngine(NeutronOptions options)
{
    /// <summary>Refuses what would take a project over its limit.</summary>
    public async Task CheckAsync(Work work, string projectId, string resource, int more)
    {
        var own = await work.Db.GetTable<QuotaRow>().Where(row => row.ProjectId == projectId && row.Resource == resource).Select(row => (int?)row.Limit).FirstOrDefaultAsync(work.Cancellation);
        var limit = own ?? options.DefaultQuotas.First(quota => quota.Resource == resource).Limit;
        if (limit >= 0 && await CountAsync(work.Db, projectId, resource, work.Cancellation) + more > limit)
        {
            throw NeutronErrors.Conflict("OverQuota", $"Quota exceeded for resources: ['{resource}'].");
        }
    }

    /// <summary>The same for a request that creates one resource a body, which may be of several projects.</summary>
    public async Task CheckAsync(Work work, IReadOnlyList<Body> bodies, string resource)
    {
        foreach (var project in bodies.GroupBy(body => body.ProjectId))
        {
            await CheckAsync(work, project.Key, resource, project.Count());
        }
    }

    /// <summary>A project's limits, its own ones before the defaults.</summary>
    public async Task<List<(string Resource, int Limit)>> LimitsAsync(DataConnection db, string projectId, CancellationToken cancellationToken)
    {
        var own = await db.GetTable<QuotaRow>().Where(row => row.ProjectId == projectId).ToDictionaryAsync(row => row.Resource, row => row.Limit, cancellationToken);
        return [.. options.DefaultQuotas.Select(quota => (quota.Resource, own.GetValueOrDefault(quota.Resource, quota.Limit)))];
    }

    public static Task<int> CountAsync(DataConnection db, string projectId, string resource, CancellationToken cancellationToken) => resource switch
    {
        "network" => CountRowsAsync<NetworkRow>(db, projectId, cancellationToken),
        "subnet" => CountRowsAsync<SubnetRow>(db, projectId, cancellationToken),
        "port" => CountRowsAsync<PortRow>(db, projectId, cancellationToken),
        "subnetpool" => CountRowsAsync<SubnetPoolRow>(db, projectId, cancellationToken),
        "rbac_policy" => CountRowsAsync<RbacPolicyRow>(db, projectId, cancellationToken),
        "security_group" => CountRowsAsync<SecurityGroupRow>(db, projectId, cancellationToken),
        "security_group_rule" => CountRowsAsync<SecurityGroupRuleRow>(db, projectId, cancellationToken),
        "router" => CountRowsAsync<RouterRow>(db, projectId, cancellationToken),
        "floatingip" => CountRowsAsync<FloatingIpRow>(db, projectId, cancellationToken),
        "trunk" => CountRowsAsync<TrunkRow>(db, projectId, cancellationToken),
        _ => throw NeutronErrors.NotFound("QuotaResourceUnknown", $"Unknown quota resources ['{resource}']."),
    };

    private static Task<int> CountRowsAsync<TRow>(DataConnection db, string projectId, CancellationToken cancellationToken)
        where TRow : ResourceRow =>
        db.GetTable<TRow>().CountAsync(row => row.ProjectId == projectId, cancellationToken);
}
