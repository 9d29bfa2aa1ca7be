using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.AddressGroups;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron.Agents;

/// <summary>Answers the OVS agents and the metadata agents, with a query a table whatever the number of ports.</summary>
internal sealed class AgentQuestions(NeutronStore store, PortOperations operations)
{
    public async Task<DevicesAnswer> GetDevicesAsync(DevicesRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var wanted = request.PortIds?.ToList();
        var replicated = RouterPorts.ReplicatedOn(db, request.Host);
        var rows = await db.GetTable<PortRow>()
            .Where(port => (port.Host == request.Host || replicated.Contains(port.Id)) && port.VifType != PortOperations.Unbound && port.VifType != PortOperations.BindingFailed && (wanted == null || wanted.Contains(port.Id)))
            .ToListAsync(cancellationToken);
        var devices = rows.Count == 0 ? [] : await LoadAsync(db, rows, cancellationToken);
        return new DevicesAnswer(devices, wanted is null ? [] : [.. wanted.Except(rows.Select(row => row.Id))]);
    }

    public async Task<SecurityGroupsAnswer> GetSecurityGroupsAsync(SecurityGroupsRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var ids = request.SecurityGroupIds.ToList();
        var groups = await db.GetTable<SecurityGroupRow>().WhereIn(row => row.Id, ids).ToListAsync(cancellationToken);
        var rules = (await db.GetTable<SecurityGroupRuleRow>().WhereIn(row => row.SecurityGroupId, ids).OrderBy(row => row.Id).ToListAsync(cancellationToken)).ToLookup(row => row.SecurityGroupId);
        var lists = await AddressesAsync(db, [.. rules.SelectMany(group => group)], cancellationToken);
        var remotes = rules.SelectMany(group => group).Select(rule => rule.RemoteGroupId).OfType<string>().Distinct().ToList();
        var addresses = await (from bound in db.GetTable<PortSecurityGroupRow>()
                               where remotes.Contains(bound.SecurityGroupId)
                               join port in db.GetTable<PortRow>() on bound.PortId equals port.Id
                               join ip in db.GetTable<IpAllocationRow>() on port.Id equals ip.PortId
                               select new { bound.SecurityGroupId, port.MacAddress, ip.IpAddress }).ToListAsync(cancellationToken);
        var pairs = await (from bound in db.GetTable<PortSecurityGroupRow>()
                           where remotes.Contains(bound.SecurityGroupId)
                           join port in db.GetTable<PortRow>() on bound.PortId equals port.Id
                           where port.AllowedAddressPairs != "[]"
                           select new { bound.SecurityGroupId, port.AllowedAddressPairs }).ToListAsync(cancellationToken);
        var members = addresses.Select(row => (row.SecurityGroupId, Pair: new AddressPair(row.MacAddress, row.IpAddress)))
            .Concat(pairs.SelectMany(row => PairsOf(row.AllowedAddressPairs).Select(pair => (row.SecurityGroupId, Pair: pair))))
            .Concat(lists.SelectMany(list => list.Value.Select(address => (SecurityGroupId: list.Key, Pair: new AddressPair("", address)))))
            .ToLookup(row => row.SecurityGroupId, row => row.Pair);
        return new SecurityGroupsAnswer(
            [.. groups.Select(group => new SecurityGroupDetails(group.Id, group.Stateful, group.Revision, [.. rules[group.Id].Select(RuleOf)]))],
            remotes.Concat(lists.Keys).ToDictionary(id => id, id => (IReadOnlyList<AddressPair>)[.. members[id].Distinct().OrderBy(pair => pair.IpAddress, StringComparer.Ordinal).ThenBy(pair => pair.MacAddress, StringComparer.Ordinal)]));
    }

    public Task<DeviceStatusAnswer> ReportDevicesAsync(DeviceStatusReport report, CancellationToken cancellationToken) =>
        store.WriteAsync(
            async work =>
            {
                var ids = report.Up.Concat(report.Down).Select(device => device.PortId).ToList();
                var ports = await work.Db.GetTable<PortRow>().WhereIn(port => port.Id, ids).ToDictionaryAsync(port => port.Id, work.Cancellation);
                var replicated = ports.Values.All(port => port.Host == report.Host) ? [] : await RouterPorts.ReplicatedOn(work.Db, report.Host).Where(id => ids.Contains(id)).ToListAsync(work.Cancellation);
                var lookAgain = new List<string>();
                foreach (var device in report.Up)
                {
                    // Of a port of an HA router the host that it is bound to speaks.
                    if (replicated.Contains(device.PortId) && ports[device.PortId].Host != report.Host)
                    {
                        continue;
                    }

                    // A port that moved away since is no longer this agent's to speak for.
                    if (!ports.TryGetValue(device.PortId, out var port) || port.Host != report.Host || !PortOperations.IsBound(port))
                    {
                        lookAgain.Add(device.PortId);
                    }
                    else if (port.AdminStateUp)
                    {
                        await operations.ProvisionedAsync(work, port, byDhcp: false);
                    }
                    else
                    {
                        await operations.UnprovisionedAsync(work, port);
                    }
                }

                foreach (var device in report.Down)
                {
                    if (ports.TryGetValue(device.PortId, out var port) && port.Host == report.Host)
                    {
                        await operations.UnprovisionedAsync(work, port);
                    }
                }

                return new DeviceStatusAnswer(lookAgain);
            },
            cancellationToken);

    public async Task<MetadataInstanceAnswer> FindInstanceAsync(MetadataInstanceRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        if ((request.NetworkId ?? request.RouterId) is null || !Checks.IsIp(request.FixedIp))
        {
            return new MetadataInstanceAnswer(null, null, null);
        }

        var address = Addresses.Canonical(request.FixedIp);
        var networks = request.NetworkId is { } network ? [network] : await RouterPorts.InnerNetworksAsync(db, request.RouterId!, cancellationToken);
        // An address that an instance gave itself on its link has the port's MAC address in it, and no packet with another leaves the instance.
        var mac = Addresses.MacOfLinkLocal(address);
        var owners = mac is not null
            ? await db.GetTable<PortRow>().Where(port => networks.Contains(port.NetworkId) && port.MacAddress == mac).ToListAsync(cancellationToken)
            : await (from ip in db.GetTable<IpAllocationRow>()
                     where networks.Contains(ip.NetworkId) && ip.IpAddress == address
                     join port in db.GetTable<PortRow>() on ip.PortId equals port.Id
                     select port).ToListAsync(cancellationToken);
        var found = owners.Count == 1 ? owners[0] : null;
        return found is null || found.DeviceId.Length == 0 || PortOperations.IsTrusted(found.DeviceOwner)
            ? new MetadataInstanceAnswer(null, null, null) : new MetadataInstanceAnswer(found.DeviceId, found.ProjectId, found.Id);
    }

    private static async Task<List<DeviceDetails>> LoadAsync(DataConnection db, List<PortRow> rows, CancellationToken cancellationToken)
    {
        var ids = rows.ConvertAll(row => row.Id);
        var networkIds = rows.Select(row => row.NetworkId).Distinct().ToList();
        var networks = await db.GetTable<NetworkRow>().WhereIn(row => row.Id, networkIds).ToDictionaryAsync(row => row.Id, cancellationToken);
        var segments = (await db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, networkIds).OrderBy(row => row.SegmentIndex).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId);
        var subnets = await db.GetTable<SubnetRow>().WhereIn(row => row.NetworkId, networkIds).ToDictionaryAsync(row => row.Id, cancellationToken);
        var addresses = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, ids).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        var groups = (await db.GetTable<PortSecurityGroupRow>().WhereIn(row => row.PortId, ids).OrderBy(row => row.SecurityGroupId).ToListAsync(cancellationToken)).ToLookup(row => row.PortId, row => row.SecurityGroupId);

        var rules = await QosAttachments.RulesAsync(db, rows.Where(row => networks.ContainsKey(row.NetworkId)).Select(row => QosAttachments.EffectiveOf(row, networks[row.NetworkId])), cancellationToken);

        var trunks = await TrunkDetails.LoadAsync(db, ids, cancellationToken);

        // What was deleted between two of these queries is left out; its hint is on the way.
        return [.. from row in rows
                   where networks.ContainsKey(row.NetworkId)
                   let segment = segments[row.NetworkId].FirstOrDefault(place => place.Id == row.BoundSegmentId) ?? segments[row.NetworkId].FirstOrDefault()
                   where segment is not null
                   select new DeviceDetails(
                       row.Id,
                       row.NetworkId,
                       row.ProjectId,
                       segment.NetworkType,
                       segment.PhysicalNetwork,
                       segment.SegmentationId,
                       networks[row.NetworkId].Mtu,
                       row.MacAddress,
                       [.. addresses[row.Id].Where(ip => subnets.ContainsKey(ip.SubnetId)).Select(ip => new DeviceAddress(ip.IpAddress, ip.SubnetId, subnets[ip.SubnetId].Cidr, subnets[ip.SubnetId].GatewayIp))],
                       PairsOf(row.AllowedAddressPairs),
                       row.AdminStateUp,
                       row.Status,
                       row.DeviceOwner,
                       row.DeviceId,
                       row.PortSecurityEnabled,
                       [.. groups[row.Id]],
                       row.Revision,
                       QosAttachments.DeviceOf(rules[QosAttachments.EffectiveOf(row, networks[row.NetworkId]) ?? ""]),
                       trunks.GetValueOrDefault(row.Id)?.ToDevice())];
    }

    /// <summary>The addresses of the address groups that rules name.</summary>
    private static async Task<Dictionary<string, List<string>>> AddressesAsync(DataConnection db, List<SecurityGroupRuleRow> rules, CancellationToken cancellationToken)
    {
        var ids = rules.Select(rule => rule.RemoteAddressGroupId).OfType<string>().Distinct().ToList();
        return ids.Count == 0 ? [] : (await db.GetTable<AddressGroupRow>().WhereIn(row => row.Id, ids).ToListAsync(cancellationToken)).ToDictionary(row => row.Id, row => JsonText.Texts(row.Addresses));
    }

    private static SecurityGroupRuleDetails RuleOf(SecurityGroupRuleRow row) =>
        new(
            row.Id,
            row.Direction,
            row.Ethertype,
            IpProtocols.NumberOf(row.Protocol),
            row.PortRangeMin,
            row.PortRangeMax,
            row.RemoteIpPrefix is { } prefix && Cidr.Parse(prefix) is { PrefixLength: > 0 } cidr ? cidr.ToString() : null,
            row.RemoteGroupId,
            row.RemoteAddressGroupId);

    private static List<AddressPair> PairsOf(string text) => JsonText.Pairs(text, "mac_address", "ip_address").ConvertAll(pair => new AddressPair(pair.First, pair.Second));
}
