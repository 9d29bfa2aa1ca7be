using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.FloatingIps;

/// <summary><c>/v2.0/floatingip_pools</c>: the IPv4 subnets that floating IPs come from.</summary>
internal sealed class FloatingIpPools(NeutronStore store)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/floatingip_pools", ListAsync).Policy("get_floatingip_pool");
        routes.Get("/v2.0/floatingip-pools", ListAsync).Policy("get_floatingip_pool");
    }

    private async Task ListAsync(ApiContext context)
    {
        var caller = NeutronApi.CallerOf(context);
        await using var db = store.Read();
        var external = Sharing.VisibleTo(db.GetTable<NetworkRow>(), db, caller).Where(network => network.External).Select(network => network.Id);
        var rows = db.GetTable<SubnetRow>().Where(subnet => subnet.IpVersion == 4 && external.Contains(subnet.NetworkId));
        foreach (var name in context.Query.Names)
        {
            var values = context.Query.All(name).Select(value => value ?? "").ToList();
            rows = name switch
            {
                "subnet_id" => rows.WhereIn(row => row.Id, values),
                "subnet_name" => rows.WhereIn(row => row.Name, values),
                "network_id" => rows.WhereIn(row => row.NetworkId, values),
                "cidr" => rows.WhereIn(row => row.Cidr, values),
                "project_id" or "tenant_id" => rows.WhereIn(row => row.ProjectId, values),
                "fields" => rows,
                _ => throw NeutronErrors.BadRequest($"['{name}'] is invalid attribute for filtering"),
            };
        }

        var found = await rows.OrderBy(row => row.Id).ToListAsync(context.Aborted);

        // Each with the asker's project, as Neutron has it: who may ask at all may see all external networks.
        context.Enforce(context.OwnTarget());
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("floatingip_pools");
            foreach (var row in found)
            {
                json.WriteStartObject();
                json.WriteString("subnet_id", row.Id);
                json.WriteString("subnet_name", row.Name);
                json.WriteString("network_id", row.NetworkId);
                json.WriteString("cidr", row.Cidr);
                json.WriteString("project_id", row.ProjectId);
                json.WriteString("tenant_id", row.ProjectId);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}
