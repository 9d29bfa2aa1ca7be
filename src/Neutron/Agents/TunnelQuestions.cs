using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Tells the OVS agents where to tunnel to, and what is there.</summary>
internal sealed class TunnelQuestions(NeutronStore store, NeutronOptions options)
{
    public async Task<TunnelsAnswer> GetTunnelsAsync(TunnelsRequest request, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        var rows = await db.GetTable<AgentRow>()
            .Where(row => row.AgentType == AgentTypes.OpenVSwitch && row.Host != request.Host)
            .OrderBy(row => row.Host)
            .ToListAsync(cancellationToken);
        return new TunnelsAnswer([.. rows.Select(EndpointOf).OfType<TunnelEndpoint>()]);
    }

    public async Task<ForwardingAnswer> GetForwardingAsync(ForwardingRequest request, CancellationToken cancellationToken)
    {
        if (!options.MechanismDrivers.Contains(L2PopulationMechanismDriver.DriverName))
        {
            return new ForwardingAnswer(false, []);
        }

        await using var db = store.Read();
        var ids = request.NetworkIds.ToList();
        var types = (await db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, ids).OrderBy(row => row.SegmentIndex).ToListAsync(cancellationToken))
            .ToLookup(row => row.NetworkId, row => row.NetworkType);
        var ports = await (from port in db.GetTable<PortRow>().WhereIn(row => row.NetworkId, ids)
                           where port.Status == PortOperations.Active && port.Host != request.Host
                           from ip in db.GetTable<IpAllocationRow>().LeftJoin(allocation => allocation.PortId == port.Id)
                           select new { port.Id, port.NetworkId, port.Host, port.MacAddress, IpAddress = (string?)ip.IpAddress }).ToListAsync(cancellationToken);

        // Any host of an HA router may be the active one from one moment to the next: packets for it are flooded to all of them.
        var replicated = await RouterPorts.ReplicatedAsync(db, ids, cancellationToken);
        var places = ports.Where(port => !replicated.Exists(other => other.PortId == port.Id))
            .Select(port => (port.NetworkId, port.Host, Pair: (AddressPair?)new AddressPair(port.MacAddress, port.IpAddress ?? "")))
            .Concat(replicated.Where(port => port.Host != request.Host).Select(port => (port.NetworkId, port.Host, Pair: (AddressPair?)null))).ToList();
        var hosts = places.Select(place => place.Host).Distinct().ToList();
        var endpoints = (await db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.OpenVSwitch).WhereIn(row => row.Host, hosts).ToListAsync(cancellationToken))
            .Select(EndpointOf).OfType<TunnelEndpoint>().ToDictionary(endpoint => endpoint.Host, StringComparer.Ordinal);
        var byNetwork = places.ToLookup(place => place.NetworkId);
        return new ForwardingAnswer(true, [.. ids.Select(network => new NetworkForwarding(
            network,
            [.. from place in byNetwork[network]
                let endpoint = endpoints.GetValueOrDefault(place.Host)
                where endpoint is not null && types[network].Any(endpoint.Types.Contains)
                group place.Pair by endpoint.Address into there
                orderby there.Key
                select new RemoteHost(there.Key, [.. there.OfType<AddressPair>().OrderBy(pair => pair.MacAddress, StringComparer.Ordinal).ThenBy(pair => pair.IpAddress, StringComparer.Ordinal)])]))]);
    }

    /// <summary>Where tunnels to an agent's host end; null where it has none.</summary>
    public static TunnelEndpoint? EndpointOf(AgentRow row)
    {
        var agent = new Agent(row, isAlive: false);
        var types = agent.Texts("tunnel_types").Order(StringComparer.Ordinal).ToList();
        return agent.Text("tunneling_ip") is { Length: > 0 } address && types.Count > 0 ? new TunnelEndpoint(row.Host, address, types) : null;
    }

    /// <summary>Has the other agents ask anew where an agent's tunnel end came, moved or went.</summary>
    public static void TellChange(Work work, TunnelEndpoint? before, TunnelEndpoint? after)
    {
        if ((before?.Address, string.Join(' ', before?.Types ?? [])) != (after?.Address, string.Join(' ', after?.Types ?? [])))
        {
            work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.TunnelsChanged, new TunnelsHint((after ?? before)!.Host)));
        }
    }
}
