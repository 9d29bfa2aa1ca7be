using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Clients;

namespace SharpStack.Nova.Servers;

/// <summary>One entry of a request's <c>networks</c>, as the user sent it.</summary>
internal sealed record NetworkWish(string? NetworkId, string? PortId, string? FixedIp, string? Tag);

/// <summary>Whether a user may use the networks, ports and security groups that they ask for.</summary>
internal sealed class NetworkCheck(UserClients clients, NeutronClient neutron)
{
    private const string Fields = "fields=id&fields=name&fields=mtu&fields=subnets&fields=shared&fields=router:external&fields=provider:physical_network&fields=port_security_enabled";

    /// <param name="wishes">Null for whatever network the project has.</param>
    /// <param name="auto">The user asked for <c>auto</c>: it must be one.</param>
    /// <exception cref="CloudException">What is wrong with them, as Nova says it.</exception>
    public async Task<IReadOnlyList<RequestedNetwork>> CheckAsync(ApiContext context, string token, IReadOnlyList<NetworkWish>? wishes, bool auto, int count)
    {
        if (wishes is null)
        {
            return await AvailableAsync(context, token, auto);
        }

        if (wishes.Count == 0)
        {
            return [];
        }

        var ports = await Task.WhenAll(wishes.Select(wish => wish.PortId is null ? Task.FromResult<PortFacts?>(null) : PortAsync(token, wish.PortId, count, context.Aborted)));
        if (!context.Since(72) && (await neutron.ResourceRequestsAsync([.. wishes.Select(wish => wish.PortId).OfType<string>()], context.Aborted)).Count > 0)
        {
            throw CloudException.BadRequest("Creating servers with ports having resource requests, like a port with a QoS minimum bandwidth policy, is not supported until microversion 2.72.");
        }

        var ids = wishes.Select((wish, index) => ports[index]?.NetworkId ?? wish.NetworkId!).ToList();
        var networks = await NetworksAsync(context, token, string.Concat(ids.Distinct().Select(id => $"&id={id}")));
        var result = new List<RequestedNetwork>();
        for (var i = 0; i < wishes.Count; i++)
        {
            var wish = wishes[i];
            var network = networks.GetValueOrDefault(ids[i]) ?? throw CloudException.BadRequest($"Network {ids[i]} could not be found.");
            if (wish.PortId is null)
            {
                CheckNetwork(context, network);
                if (wish.FixedIp is not null)
                {
                    await CheckAddressAsync(token, network.Id, wish.FixedIp, count, context.Aborted);
                }
            }

            result.Add(Requested(network) with { PortId = wish.PortId, FixedIp = wish.PortId is null ? wish.FixedIp : null, Tag = wish.Tag });
        }

        return result;
    }

    /// <summary>The UUIDs of security groups that were asked for by name or UUID; none for Neutron's default.</summary>
    public async Task<(IReadOnlyList<string> Ids, IReadOnlyList<string> Names)> GroupsAsync(string token, string projectId, IReadOnlyList<string> wanted, CancellationToken cancellationToken)
    {
        if (wanted.Count == 0 || wanted is ["default"])
        {
            return ([], ["default"]);
        }

        using var document = await clients.GetNetworkAsync(token, $"/v2.0/security-groups?fields=id&fields=name&project_id={projectId}", cancellationToken)
            ?? throw CloudException.BadRequest("The network service has no security groups.");
        var groups = document.RootElement.GetProperty("security_groups").EnumerateArray().Select(group => (Id: group.Text("id")!, Name: group.Text("name")!)).ToList();
        var found = new List<(string Id, string Name)>();
        foreach (var name in wanted)
        {
            var matches = groups.Where(group => group.Id == name).ToList() is { Count: > 0 } byId ? byId : groups.Where(group => group.Name == name).ToList();
            found.Add(matches.Count switch
            {
                1 => matches[0],
                0 => throw CloudException.BadRequest($"Security group {name} not found for project {projectId}."),
                _ => throw CloudException.Conflict($"Multiple security groups found matching '{name}'. Use an ID to be more specific."),
            });
        }

        return ([.. found.Select(group => group.Id)], [.. found.Select(group => group.Name)]);
    }

    private sealed record NetworkFacts(string Id, string Name, int Mtu, bool HasSubnets, bool IsShared, bool IsExternal, string? PhysicalNetwork, bool PortSecurity);

    private sealed record PortFacts(string NetworkId);

    private static RequestedNetwork Requested(NetworkFacts network) =>
        new() { NetworkId = network.Id, NetworkName = network.Name, Mtu = network.Mtu, PhysicalNetwork = network.PhysicalNetwork, PortSecurity = network.PortSecurity };

    private async Task<IReadOnlyList<RequestedNetwork>> AvailableAsync(ApiContext context, string token, bool auto)
    {
        var own = NetworksAsync(context, token, $"&project_id={context.ProjectId()}&shared=false");
        var shared = NetworksAsync(context, token, "&shared=true");
        var networks = (await own).Values.Concat((await shared).Values).DistinctBy(network => network.Id).ToList();
        switch (networks.Count)
        {
            case > 1:
                throw CloudException.Conflict("More than one possible network found. Specify network ID(s) to select which one(s) to connect to.");
            case 1:
                CheckNetwork(context, networks[0]);
                return [Requested(networks[0])];
            default:
                return auto ? [Requested(await AllocatedAsync(context, token))] : [];
        }
    }

    /// <summary>The network that Neutron makes for projects that have none.</summary>
    private async Task<NetworkFacts> AllocatedAsync(ApiContext context, string token)
    {
        var project = context.ProjectId();
        try
        {
            using var document = await clients.GetNetworkAsync(token, $"/v2.0/auto-allocated-topology/{project}", context.Aborted);
            if (document?.RootElement.GetProperty("auto_allocated_topology").Text("id") is { } id && (await NetworksAsync(context, token, $"&id={id}")).GetValueOrDefault(id) is { } network)
            {
                return network;
            }
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.Conflict)
        {
            // The cloud has no default external network, or no pool: only its administrator can help.
        }

        throw CloudException.BadRequest($"Unable to automatically allocate a network for project {project}");
    }

    private static void CheckNetwork(ApiContext context, NetworkFacts network)
    {
        if (!network.HasSubnets)
        {
            throw CloudException.BadRequest($"Network {network.Id} requires a subnet in order to boot instances on.");
        }

        if (network.IsExternal && !network.IsShared && !context.Can("network:attach_external_network"))
        {
            throw CloudException.Forbidden($"It is not allowed to create an interface on external network {network.Id}");
        }
    }

    private async Task<Dictionary<string, NetworkFacts>> NetworksAsync(ApiContext context, string token, string filter)
    {
        using var document = await clients.GetNetworkAsync(token, $"/v2.0/networks?{Fields}{filter}", context.Aborted)
            ?? throw CloudException.Unavailable("The network service has no networks resource: check the endpoint of type 'network' in the catalog.");
        return document.RootElement.GetProperty("networks").EnumerateArray()
            .Select(network => new NetworkFacts(
                network.Text("id")!,
                network.Text("name") ?? "",
                network.TryGetProperty("mtu", out var mtu) && mtu.ValueKind == JsonValueKind.Number ? mtu.GetInt32() : 1500,
                network.TryGetProperty("subnets", out var subnets) && subnets.GetArrayLength() > 0,
                network.TryGetProperty("shared", out var shared) && shared.ValueKind == JsonValueKind.True,
                network.TryGetProperty("router:external", out var external) && external.ValueKind == JsonValueKind.True,
                network.Text("provider:physical_network"),
                !network.TryGetProperty("port_security_enabled", out var secured) || secured.ValueKind != JsonValueKind.False))
            .ToDictionary(network => network.Id);
    }

    private async Task<PortFacts?> PortAsync(string token, string portId, int count, CancellationToken cancellationToken)
    {
        using var document = await clients.GetNetworkAsync(token, $"/v2.0/ports/{portId}", cancellationToken) ?? throw CloudException.BadRequest($"Port id {portId} could not be found.");
        var port = document.RootElement.GetProperty("port");
        if (count > 1)
        {
            throw CloudException.BadRequest(
                "Failed to launch instances: Unable to launch multiple instances with a single configured port ID. Please launch your instance one by one with different ports.");
        }

        if (port.Text("device_id") is { Length: > 0 })
        {
            throw CloudException.Conflict($"Port {portId} is still in use.");
        }

        if (port.GetProperty("fixed_ips").GetArrayLength() == 0 && port.Text("ip_allocation") is null or "immediate")
        {
            throw CloudException.BadRequest($"Port {portId} requires a FixedIP in order to be used.");
        }

        return new PortFacts(port.Text("network_id")!);
    }

    private async Task CheckAddressAsync(string token, string networkId, string address, int count, CancellationToken cancellationToken)
    {
        if (count > 1)
        {
            throw CloudException.BadRequest("Failed to launch instances: max_count cannot be greater than 1 if an specific fixed IP is specified.");
        }

        using var document = await clients.GetNetworkAsync(token, $"/v2.0/ports?network_id={networkId}&fixed_ips=ip_address%3D{Uri.EscapeDataString(address)}&fields=device_id", cancellationToken);
        if (document?.RootElement.GetProperty("ports").EnumerateArray().FirstOrDefault() is { ValueKind: JsonValueKind.Object } port)
        {
            throw CloudException.BadRequest($"Fixed IP address {address} is already in use on instance {port.Text("device_id")}.");
        }
    }
}
