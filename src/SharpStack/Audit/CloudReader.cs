using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Audit;

/// <summary>Reads from the services, through their APIs, with the credentials of a <c>nova.conf</c>.</summary>
internal sealed class CloudReader(ServiceClients clients, ServiceConfig nova)
{
    private const string ComputeVersion = "compute 2.79";
    private const string PlacementVersion = "placement 1.36";
    private const int PageSize = 1000;
    private const int AtOnce = 8;

    private readonly ServiceClient compute = clients.For(nova, "keystone_authtoken", "compute");
    private readonly ServiceClient placement = clients.For(nova, "placement", "placement");
    private readonly ServiceClient network = clients.For(nova, "neutron", "network");

    public async Task<CloudView> ReadAsync(CancellationToken cancellationToken)
    {
        var providers = ProvidersAsync(cancellationToken);
        var ports = PagesAsync(network, "/v2.0/ports?", "ports", null, PortOf, cancellationToken);
        var servers = PagesAsync(compute, "/servers/detail?all_tenants=1&", "servers", ComputeVersion, ServerOf, cancellationToken);
        var hypervisors = PagesAsync(compute, "/os-hypervisors/detail?", "hypervisors", ComputeVersion, HypervisorOf, cancellationToken);
        var subnets = PagesAsync(network, "/v2.0/subnets?", "subnets", null, SubnetOf, cancellationToken);
        var agents = AgentsAsync(cancellationToken);
        var routers = OrNoneAsync(PagesAsync(network, "/v2.0/routers?", "routers", null, RouterOf, cancellationToken));
        var floatingIps = OrNoneAsync(PagesAsync(network, "/v2.0/floatingips?", "floatingips", null, FloatingIpOf, cancellationToken));
        var trunks = OrNoneAsync(PagesAsync(network, "/v2.0/trunks?", "trunks", null, TrunkOf, cancellationToken));
        await Task.WhenAll(providers, ports, servers, hypervisors, subnets, agents, routers, floatingIps, trunks);
        return new CloudView
        {
            Servers = (await servers).ToDictionary(server => server.Id),
            Hypervisors = await hypervisors,
            Providers = await providers,
            Ports = (await ports).ToDictionary(port => port.Id),
            Subnets = (await subnets).ToDictionary(subnet => subnet.Id),
            Agents = await agents,
            Routers = (await routers).ToDictionary(router => router.Id),
            Trunks = await trunks,
            FloatingIps = [.. (await floatingIps).OfType<FloatingIpInfo>()],
        };
    }

    /// <summary>All of a list, page by page.</summary>
    private static async Task<List<T>> PagesAsync<T>(
        ServiceClient service, string path, string collection, string? version, Func<JsonElement, (string Id, T Item)> read, CancellationToken cancellationToken)
    {
        var all = new List<T>();
        for (var marker = ""; ; )
        {
            using var answer = await service.CallAsync(HttpMethod.Get, string.Create(CultureInfo.InvariantCulture, $"{path}limit={PageSize}{marker}"), null, version, cancellationToken);
            var page = answer!.RootElement.GetProperty(collection).EnumerateArray().Select(read).ToList();
            all.AddRange(page.Select(item => item.Item));
            if (page.Count < PageSize)
            {
                return all;
            }

            marker = $"&marker={page[^1].Id}";
        }
    }

    /// <summary>A Neutron without routers has no paths of theirs.</summary>
    private static async Task<List<T>> OrNoneAsync<T>(Task<List<T>> list)
    {
        try
        {
            return await list;
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.NotFound)
        {
            return [];
        }
    }

    private async Task<IReadOnlyList<ProviderView>> ProvidersAsync(CancellationToken cancellationToken)
    {
        using var answer = await placement.CallAsync(HttpMethod.Get, "/resource_providers?required=COMPUTE_NODE", null, PlacementVersion, cancellationToken);
        var found = answer!.RootElement.GetProperty("resource_providers").EnumerateArray()
            .Select(provider => (Id: Text(provider, "uuid")!, Name: Text(provider, "name")!, Root: Text(provider, "root_provider_uuid")!)).ToList();
        var providers = new ProviderView[found.Count];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, found.Count),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
            async (index, cancellation) =>
            {
                var (id, name, root) = found[index];
                using var held = await placement.CallAsync(HttpMethod.Get, $"/resource_providers/{id}/allocations", null, PlacementVersion, cancellation);
                providers[index] = new ProviderView(id, name, root, held!.RootElement.GetProperty("allocations").EnumerateObject().ToDictionary(
                    consumer => consumer.Name,
                    consumer => (IReadOnlyDictionary<string, long>)consumer.Value.GetProperty("resources").EnumerateObject().ToDictionary(resource => resource.Name, resource => resource.Value.GetInt64())));
            });
        return providers;
    }

    private async Task<IReadOnlyList<AgentView>> AgentsAsync(CancellationToken cancellationToken)
    {
        using var answer = await network.CallAsync(HttpMethod.Get, "/v2.0/agents", null, null, cancellationToken);
        var agents = new List<AgentView>();
        foreach (var agent in answer!.RootElement.GetProperty("agents").EnumerateArray())
        {
            var (id, type) = (Text(agent, "id")!, Text(agent, "agent_type")!);
            agents.Add(new AgentView(id, type, Text(agent, "host")!, agent.GetProperty("alive").GetBoolean(), type == AgentTypes.Dhcp ? await ServedAsync(id, "dhcp-networks", "networks") : [])
            {
                Routers = type == AgentTypes.L3 ? await OrNoneAsync(ServedAsync(id, "l3-routers", "routers")) : [],
            });
        }

        return agents;

        async Task<List<string>> ServedAsync(string id, string path, string collection)
        {
            using var served = await network.CallAsync(HttpMethod.Get, $"/v2.0/agents/{id}/{path}", null, null, cancellationToken);
            return [.. served!.RootElement.GetProperty(collection).EnumerateArray().Select(item => Text(item, "id")!)];
        }
    }

    private static (string, RouterInfo) RouterOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        var hasGateway = json.TryGetProperty("external_gateway_info", out var gateway) && gateway.ValueKind == JsonValueKind.Object;
        return (id, new RouterInfo(
            id,
            json.GetProperty("admin_state_up").GetBoolean(),
            json.TryGetProperty("ha", out var ha) && ha.ValueKind == JsonValueKind.True,
            hasGateway,
            hasGateway && gateway.TryGetProperty("enable_snat", out var snat) && snat.ValueKind == JsonValueKind.True));
    }

    private static (string, TrunkInfo) TrunkOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        return (id, new TrunkInfo(
            id, Text(json, "port_id")!, [.. json.GetProperty("sub_ports").EnumerateArray().Select(sub => new TrunkSubPortView(Text(sub, "port_id")!, sub.GetProperty("segmentation_id").GetInt32()))]));
    }

    private static (string, FloatingIpInfo?) FloatingIpOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        return (id, Text(json, "router_id") is { } router ? new FloatingIpInfo(id, router, Text(json, "floating_ip_address")!, Text(json, "fixed_ip_address"), Text(json, "status") ?? "") : null);
    }

    private static (string, ServerView) ServerOf(JsonElement json)
    {
        var flavor = json.GetProperty("flavor");
        // A flavor's extra specs may take more, less or other resources.
        var isPlain = !flavor.TryGetProperty("extra_specs", out var specs) || !specs.EnumerateObject().Any(spec => spec.Name.Contains("resources", StringComparison.Ordinal) || spec.Name.Contains("cpu_policy", StringComparison.Ordinal));
        var id = Text(json, "id")!;
        return (id, new ServerView(
            id,
            Text(json, "status")!,
            Text(json, "OS-EXT-STS:task_state"),
            json.GetProperty("OS-EXT-STS:power_state").GetInt32(),
            Text(json, "OS-EXT-SRV-ATTR:host"),
            isPlain ? new Dictionary<string, long> { ["VCPU"] = flavor.GetProperty("vcpus").GetInt64(), ["MEMORY_MB"] = flavor.GetProperty("ram").GetInt64() } : [],
            [.. json.GetProperty("addresses").EnumerateObject().SelectMany(network => network.Value.EnumerateArray())
                .Where(address => Text(address, "OS-EXT-IPS:type") != "floating").Select(address => Text(address, "addr")!)]));
    }

    private static (string, HypervisorView) HypervisorOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        return (id, new HypervisorView(id, Text(json, "hypervisor_hostname")!, Text(json.GetProperty("service"), "host")!, Text(json, "state") == "up"));
    }

    private static (string, PortView) PortOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        return (id, new PortView(
            id,
            Text(json, "network_id")!,
            Text(json, "device_owner") ?? "",
            Text(json, "device_id") ?? "",
            Text(json, "mac_address")!,
            Text(json, "status") ?? "",
            Text(json, "binding:host_id"),
            Text(json, "binding:vif_type"),
            [.. json.GetProperty("fixed_ips").EnumerateArray().Select(address => (Text(address, "subnet_id")!, Text(address, "ip_address")!))]));
    }

    private static (string, SubnetInfo) SubnetOf(JsonElement json)
    {
        var id = Text(json, "id")!;
        return (id, new SubnetInfo(id, Text(json, "network_id")!, json.GetProperty("ip_version").GetInt32(), json.GetProperty("enable_dhcp").GetBoolean()));
    }

    /// <summary>A member that is text and not empty.</summary>
    private static string? Text(JsonElement json, string name) =>
        json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String && value.GetString() is { Length: > 0 } text ? text : null;
}
