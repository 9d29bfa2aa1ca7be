using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>The extra routes of a router: kept as a list, changed whole or piece by piece.</summary>
internal static class ExtraRoutes
{
    public static List<(string Destination, string Nexthop)> Read(string text) =>
        JsonText.Pairs(text, "destination", "nexthop").ConvertAll(route => (route.First, route.Second));

    public static List<(string Destination, string Nexthop)> Read(JsonElement sent) => sent.ValueKind != JsonValueKind.Array ? [] :
        [.. sent.EnumerateArray().Select(route => (Cidr.Parse(route.GetProperty("destination").GetString()!).ToString(), Addresses.Canonical(route.GetProperty("nexthop").GetString()!)))];

    public static string Write(IEnumerable<(string Destination, string Nexthop)> routes) => JsonText.OfPairs("destination", "nexthop", routes);

    /// <summary>Refuses routes whose next hop is on no network of the router, or the router itself.</summary>
    public static async Task CheckAsync(Work work, NeutronOptions options, RouterRow router, List<(string Destination, string Nexthop)> routes)
    {
        if (routes.Count > options.MaxRoutes)
        {
            throw CloudException.BadRequest($"Unable to complete operation for {router.Id}. The number of routes exceeds the maximum {options.MaxRoutes}.", "RoutesExhausted");
        }

        if (routes.Count == 0)
        {
            return;
        }

        var ports = await RouterPorts.LoadAsync(work.Db, router.Id, work.Cancellation);
        var own = ports.SelectMany(port => port.Ips).Select(ip => ip.IpAddress).ToHashSet(StringComparer.Ordinal);
        var subnetIds = ports.SelectMany(port => port.Ips).Select(ip => ip.SubnetId).Distinct().ToList();
        var outside = ports.Find(port => port.Port.Id == router.GatewayPortId)?.Port.NetworkId;
        var cidrs = await work.Db.GetTable<SubnetRow>().Where(subnet => subnetIds.Contains(subnet.Id) || subnet.NetworkId == outside).Select(subnet => subnet.Cidr).ToListAsync(work.Cancellation);
        var reachable = cidrs.ConvertAll(Cidr.Parse);
        foreach (var (_, nexthop) in routes)
        {
            var (address, version) = Addresses.Read(nexthop);
            if (!reachable.Exists(cidr => cidr.Version == version && cidr.Contains(address)))
            {
                throw RouterErrors.InvalidRoutes(Shown(routes), "the nexthop is not connected with router");
            }

            if (own.Contains(nexthop))
            {
                throw RouterErrors.InvalidRoutes(Shown(routes), "the nexthop is used by router");
            }
        }
    }

    private static string Shown(List<(string Destination, string Nexthop)> routes) =>
        $"[{string.Join(", ", routes.Select(route => $"{{'destination': '{route.Destination}', 'nexthop': '{route.Nexthop}'}}"))}]";
}
