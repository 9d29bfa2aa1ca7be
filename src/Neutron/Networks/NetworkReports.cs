using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Http;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Subnets;

namespace SharpStack.Neutron.Networks;

/// <summary><c>/v2.0/network-ip-availabilities</c> and <c>/v2.0/availability_zones</c>.</summary>
internal sealed class NetworkReports(NeutronStore store, AgentDirectory agents)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/network-ip-availabilities", ListAvailabilityAsync).Policy("get_network_ip_availability");
        routes.Get("/v2.0/network-ip-availabilities/{id}", ShowAvailabilityAsync).Policy("get_network_ip_availability");
        routes.Get("/v2.0/availability_zones", ListZonesAsync).Policy("get_availability_zone");
    }

    private async Task ListAvailabilityAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        var rows = db.GetTable<NetworkRow>().AsQueryable();
        foreach (var name in context.Query.Names)
        {
            var values = context.Query.All(name).Select(value => value ?? "").ToList();
            rows = name switch
            {
                "network_id" => rows.WhereIn(row => row.Id, values),
                "network_name" => rows.WhereIn(row => row.Name, values),
                "project_id" or "tenant_id" => rows.WhereIn(row => row.ProjectId, values),
                "ip_version" or "fields" => rows,
                _ => throw NeutronErrors.BadRequest($"['{name}'] is invalid attribute for filtering"),
            };
        }

        var version = context.Query["ip_version"] is { } text ? Checks.ToNumbers("ip_version", [text])[0] : 0;
        var networks = await rows.OrderBy(row => row.Id).ToListAsync(context.Aborted);
        var usages = await UsagesAsync(db, networks, version, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("network_ip_availabilities");
            networks.ForEach(network => Write(json, network, usages[network.Id]));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ShowAvailabilityAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await using var db = store.Read();
        var network = await db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == id, context.Aborted) ?? throw NeutronErrors.NetworkNotFound(id);
        var usages = await UsagesAsync(db, [network], 0, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("network_ip_availability");
            Write(json, network, usages[id]);
            json.WriteEndObject();
        });
    }

    private async Task ListZonesAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        var rows = await db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.Dhcp || row.AgentType == AgentTypes.L3).ToListAsync(context.Aborted);
        var zones = rows.GroupBy(row => (Name: row.AvailabilityZone, Resource: row.AgentType == AgentTypes.L3 ? "router" : "network"))
            .Select(group => (group.Key.Name, group.Key.Resource, State: group.Any(row => row.AdminStateUp && agents.IsAlive(row)) ? "available" : "unavailable"))
            .Where(zone => Matches(context.Query, "name", zone.Name) && Matches(context.Query, "resource", zone.Resource) && Matches(context.Query, "state", zone.State)).ToList();
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("availability_zones");
            foreach (var (name, resource, state) in zones)
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteString("resource", resource);
                json.WriteString("state", state);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static bool Matches(QueryValues query, string name, string value) => !query.Has(name) || query.All(name).Contains(value);

    private static async Task<ILookup<string, (SubnetRow Subnet, int Used)>> UsagesAsync(DataConnection db, List<NetworkRow> networks, int version, CancellationToken cancellationToken)
    {
        var ids = networks.ConvertAll(row => row.Id);
        var subnets = await db.GetTable<SubnetRow>().Where(row => ids.Contains(row.NetworkId) && (version == 0 || row.IpVersion == version)).OrderBy(row => row.Id).ToListAsync(cancellationToken);
        var counts = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.NetworkId, ids).GroupBy(ip => ip.SubnetId).Select(group => new { group.Key, Count = group.Count() }).ToListAsync(cancellationToken))
            .ToDictionary(row => row.Key, row => row.Count);
        return subnets.ToLookup(row => row.NetworkId, row => (row, counts.GetValueOrDefault(row.Id)));
    }

    private static void Write(Utf8JsonWriter json, NetworkRow network, IEnumerable<(SubnetRow Subnet, int Used)> subnets)
    {
        UInt128 total = 0;
        var used = 0;
        json.WriteStartObject();
        json.WriteString("network_id", network.Id);
        json.WriteString("network_name", network.Name);
        json.WriteString("project_id", network.ProjectId);
        json.WriteString("tenant_id", network.ProjectId);
        json.WriteStartArray("subnet_ip_availability");
        foreach (var (subnet, count) in subnets)
        {
            UInt128 size = 0;
            SubnetRules.PoolsOf(subnet).ForEach(pool => size += pool.Size);
            total += size;
            used += count;
            json.WriteStartObject();
            json.WriteString("subnet_id", subnet.Id);
            json.WriteString("subnet_name", subnet.Name);
            json.WriteString("cidr", subnet.Cidr);
            json.WriteNumber("ip_version", subnet.IpVersion);
            WriteNumber(json, "total_ips", size);
            json.WriteNumber("used_ips", count);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        WriteNumber(json, "total_ips", total);
        json.WriteNumber("used_ips", used);
        json.WriteEndObject();
    }

    /// <summary>IPv6 counts are larger than any number type of the writer.</summary>
    private static void WriteNumber(Utf8JsonWriter json, string name, UInt128 number)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(number.ToString(CultureInfo.InvariantCulture), skipInputValidation: true);
    }
}
