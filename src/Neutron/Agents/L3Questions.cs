using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Answers the L3 agents: the routers that are theirs, whole, with a query a table whatever their number; takes what they saw.</summary>
internal sealed class L3Questions(NeutronStore store, RouterPorts routerPorts)
{
    /// <summary>Keepalived's: the same for all, so that nobody takes over from one that serves.</summary>
    private const int VrrpPriority = 50;

    public async Task<L3RoutersAnswer> GetRoutersAsync(L3RoutersRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var bound = await Scheduled(db, request.Host).ToListAsync(cancellationToken);
        var mine = bound.ConvertAll(row => row.RouterId);
        var wanted = request.RouterIds is null ? mine : [.. mine.Intersect(request.RouterIds)];
        var rows = await db.GetTable<RouterRow>().WhereIn(row => row.Id, wanted).OrderBy(row => row.Id).ToListAsync(cancellationToken);
        var routers = rows.Count == 0 ? [] : await LoadAsync(db, rows, bound.ToDictionary(row => row.RouterId), cancellationToken);
        return new L3RoutersAnswer(routers, request.RouterIds is null ? [] : [.. request.RouterIds.Except(routers.Select(router => router.Id))]);
    }

    public async Task<Ack> ReportFloatingIpsAsync(L3FloatingIpReport report, CancellationToken cancellationToken)
    {
        await store.WriteAsync(
            async work =>
            {
                if (!await Scheduled(work.Db, report.Host).AnyAsync(row => row.RouterId == report.RouterId, work.Cancellation))
                {
                    return;
                }

                var seen = report.FloatingIps.Where(ip => ip.Status is FloatingIpLinks.Active or FloatingIpLinks.Down or FloatingIpLinks.Error).ToDictionary(ip => ip.Id, ip => ip.Status);
                // What has moved to another router since is that one's to speak of.
                foreach (var row in await work.Db.GetTable<FloatingIpRow>().Where(row => row.RouterId == report.RouterId).ToListAsync(work.Cancellation))
                {
                    if (seen.TryGetValue(row.Id, out var status) && status != row.Status)
                    {
                        row.Status = status;
                        work.Bump(row);
                        await work.Db.UpdateAsync(row, token: work.Cancellation);
                    }
                }
            },
            cancellationToken);
        return Ack.Ok;
    }

    public async Task<Ack> ReportStatesAsync(L3RouterStateReport report, CancellationToken cancellationToken)
    {
        await store.WriteAsync(
            async work =>
            {
                var bound = (await Scheduled(work.Db, report.Host).ToListAsync(work.Cancellation)).ToDictionary(row => row.RouterId);
                foreach (var (routerId, state) in report.Routers.Where(router => router.State is L3Scheduler.Active or L3Scheduler.Standby or L3Scheduler.Unknown).Select(router => (router.RouterId, router.State)))
                {
                    if (!bound.TryGetValue(routerId, out var row) || row.HaState == state)
                    {
                        continue;
                    }

                    if (state == L3Scheduler.Active)
                    {
                        // The last one that says so is right: who was active before may be dead and cannot say that it is no longer.
                        await work.Db.GetTable<RouterAgentRow>().Where(other => other.RouterId == routerId && other.HaState == L3Scheduler.Active)
                            .Set(other => other.HaState, L3Scheduler.Standby).UpdateAsync(work.Cancellation);
                    }

                    await work.Db.GetTable<RouterAgentRow>().Where(other => other.RouterId == routerId && other.AgentId == row.AgentId).Set(other => other.HaState, state).UpdateAsync(work.Cancellation);
                    await routerPorts.RebindAsync(work, routerId);
                }
            },
            cancellationToken);
        return Ack.Ok;
    }

    private static IQueryable<RouterAgentRow> Scheduled(DataConnection db, string host) =>
        from agent in db.GetTable<AgentRow>()
        where agent.Host == host && agent.AgentType == AgentTypes.L3 && agent.AdminStateUp
        join bound in db.GetTable<RouterAgentRow>() on agent.Id equals bound.AgentId
        select bound;

    private static async Task<List<L3Router>> LoadAsync(DataConnection db, List<RouterRow> rows, Dictionary<string, RouterAgentRow> bound, CancellationToken cancellationToken)
    {
        var ids = rows.ConvertAll(row => row.Id);
        var owned = await (from own in db.GetTable<RouterPortRow>().WhereIn(row => row.RouterId, ids)
                           join port in db.GetTable<PortRow>() on own.PortId equals port.Id
                           orderby port.Id
                           select new { own.RouterId, own.PortType, Port = port }).ToListAsync(cancellationToken);
        var networkIds = owned.Select(own => own.Port.NetworkId).Distinct().ToList();
        var subnets = await db.GetTable<SubnetRow>().WhereIn(row => row.NetworkId, networkIds).OrderBy(row => row.CreatedAt).ThenBy(row => row.Id).ToListAsync(cancellationToken);
        var pools = subnets.Select(row => row.SubnetPoolId).OfType<string>().Distinct().ToList();
        var parts = new Parts(
            await db.GetTable<NetworkRow>().WhereIn(row => row.Id, networkIds).ToDictionaryAsync(row => row.Id, cancellationToken),
            subnets.ToLookup(row => row.NetworkId),
            pools.Count == 0 ? [] : await db.GetTable<SubnetPoolRow>().WhereIn(row => row.Id, pools).Where(row => row.AddressScopeId != null).ToDictionaryAsync(row => row.Id, row => row.AddressScopeId!, cancellationToken),
            (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, owned.ConvertAll(own => own.Port.Id)).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId));
        var floating = (await db.GetTable<FloatingIpRow>().WhereIn(row => row.RouterId, ids.ConvertAll(id => (string?)id)).OrderBy(row => row.FloatingIpAddress).ToListAsync(cancellationToken)).ToLookup(row => row.RouterId!);
        var floatingIds = floating.SelectMany(group => group).Select(row => row.Id).ToList();
        var forwardings = (floatingIds.Count == 0 ? [] : await db.GetTable<PortForwardingRow>().WhereIn(row => row.FloatingIpId, floatingIds).OrderBy(row => row.Id).ToListAsync(cancellationToken))
            .ToLookup(row => row.FloatingIpId);
        var helpers = (await db.GetTable<ConntrackHelperRow>().WhereIn(row => row.RouterId, ids).OrderBy(row => row.Id).ToListAsync(cancellationToken)).ToLookup(row => row.RouterId);
        var virtualIds = await db.GetTable<HaVirtualRouterRow>().WhereIn(row => row.RouterId, ids).ToDictionaryAsync(row => row.RouterId, row => row.VirtualRouterId, cancellationToken);
        var outside = floating.SelectMany(group => group).Select(row => row.FloatingNetworkId).Distinct().ToList();
        var ofNetworks = outside.Count == 0 ? [] : await db.GetTable<NetworkRow>().WhereIn(row => row.Id, outside).ToDictionaryAsync(row => row.Id, row => row.QosPolicyId, cancellationToken);
        var rules = await QosAttachments.RulesAsync(db, rows.Select(row => row.GatewayQosPolicyId).Concat(floating.SelectMany(group => group).Select(PolicyOf)), cancellationToken);
        var byRouter = owned.ToLookup(own => own.RouterId);

        // An HA router whose port on the HA network is not there yet is not told of: its hint is on the way.
        return [.. from row in rows
                   let haPort = byRouter[row.Id].FirstOrDefault(own => own.Port.Id == bound[row.Id].HaPortId)?.Port
                   where !row.IsHa || (haPort is not null && virtualIds.ContainsKey(row.Id))
                   let gateway = byRouter[row.Id].FirstOrDefault(own => own.Port.Id == row.GatewayPortId)?.Port
                   select new L3Router(
                       row.Id,
                       row.Name,
                       row.ProjectId,
                       row.AdminStateUp,
                       row.Revision,
                       row.IsHa ? new L3HighAvailability(virtualIds[row.Id], VrrpPriority, parts.PortOf(haPort!), $"169.254.0.{virtualIds[row.Id]}/24") : null,
                       gateway is null ? null : new L3Gateway(parts.PortOf(gateway), row.EnableSnat, QosAttachments.LimitsOf(rules[row.GatewayQosPolicyId ?? ""])),
                       [.. byRouter[row.Id].Where(own => RouterPorts.IsInterface(own.PortType)).Select(own => parts.PortOf(own.Port)).Where(port => port.FixedIps.Count > 0)],
                       [.. floating[row.Id].Select(ip => new L3FloatingIp(ip.Id, ip.FloatingIpAddress, ip.FixedIpAddress, ip.Status, [.. forwardings[ip.Id].Select(ForwardingOf)], QosAttachments.LimitsOf(rules[PolicyOf(ip) ?? ""])))],
                       ExtraRoutes.Read(row.Routes).ConvertAll(route => new HostRoute(route.Destination, route.Nexthop)),
                       [.. helpers[row.Id].Select(helper => new L3ConntrackHelper(helper.Protocol, helper.Port, helper.Helper))])];

        string? PolicyOf(FloatingIpRow row) => row.QosPolicyId ?? ofNetworks.GetValueOrDefault(row.FloatingNetworkId);
    }

    private static L3PortForwarding ForwardingOf(PortForwardingRow row) =>
        new(row.Id, row.Protocol, row.ExternalFirst, row.ExternalLast, row.InternalIpAddress, row.InternalFirst, row.InternalLast);

    /// <summary>What ports are told with.</summary>
    /// <param name="Scopes">The address scopes of subnet pools, by pool.</param>
    private sealed record Parts(Dictionary<string, NetworkRow> Networks, ILookup<string, SubnetRow> Subnets, Dictionary<string, string> Scopes, ILookup<string, IpAllocationRow> Ips)
    {
        public L3Port PortOf(PortRow row)
        {
            var subnets = Subnets[row.NetworkId].ToList();
            var ips = Ips[row.Id].Where(ip => subnets.Exists(subnet => subnet.Id == ip.SubnetId)).ToList();
            return new L3Port(
                row.Id,
                row.NetworkId,
                row.MacAddress,
                row.AdminStateUp,
                Networks.GetValueOrDefault(row.NetworkId)?.Mtu ?? 0,
                ips.ConvertAll(ip => new L3Address(ip.IpAddress, ip.SubnetId, Cidr.Parse(subnets.First(subnet => subnet.Id == ip.SubnetId).Cidr).PrefixLength)),
                [.. subnets.Where(subnet => ips.Exists(ip => ip.SubnetId == subnet.Id)).Select(SubnetOf)],
                [.. subnets.Where(subnet => !ips.Exists(ip => ip.SubnetId == subnet.Id)).Select(SubnetOf)]);
        }

        private L3Subnet SubnetOf(SubnetRow row) => new(
            row.Id, row.Cidr, row.IpVersion, row.GatewayIp, row.Ipv6RaMode, row.Ipv6AddressMode, JsonText.Texts(row.DnsNameservers), row.SubnetPoolId is { } pool ? Scopes.GetValueOrDefault(pool) : null);
    }
}
