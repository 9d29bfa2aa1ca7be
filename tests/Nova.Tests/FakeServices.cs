using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Nova.Scheduling;

namespace SharpStack.Nova.Tests;

/// <summary>
/// The least of Keystone, Glance, Placement and Neutron that Nova asks for, in memory, where a test sees what is held for whom and can let any call fail. Their own
/// behaviour is tested with them, and all together in the program's tests.
/// </summary>
internal sealed class FakeServices : IServiceModule
{
    private readonly PolicyEnforcer none = new([]);
    private int counter;

    public IReadOnlyList<string> Services { get; } = ["keystone", "glance-api", "placement-api", "neutron-server"];

    public IEnumerable<(string Config, ConfigOption Option)> Options => [];

    public ConcurrentDictionary<string, JsonObject> Images { get; } = new();

    public ConcurrentDictionary<string, JsonObject> Networks { get; } = new();

    public ConcurrentDictionary<string, JsonObject> Ports { get; } = new();

    /// <summary>Floating IPs by any name, as Neutron lists them.</summary>
    public ConcurrentDictionary<string, JsonObject> FloatingIps { get; } = new();

    public ConcurrentDictionary<string, JsonObject> Groups { get; } = new();

    public ConcurrentDictionary<string, JsonObject> Providers { get; } = new();

    /// <summary>What ports of a network ask of Placement, by the network's id.</summary>
    public ConcurrentDictionary<string, JsonObject> ResourceRequests { get; } = new();

    /// <summary>Provider UUID by consumer.</summary>
    public ConcurrentDictionary<string, string> Allocations { get; } = new();

    /// <summary>Called before each request with its method and path; may throw.</summary>
    public Action<string, string> Before { get; set; } = static (_, _) => { };

    public string AddImage(string name = "cirros", string status = "active", long size = 1000, int minRam = 0, int minDisk = 0)
    {
        var id = Guid.NewGuid().ToString();
        Images[id] = new JsonObject
        {
            ["id"] = id, ["name"] = name, ["status"] = status, ["size"] = size, ["min_ram"] = minRam, ["min_disk"] = minDisk,
            ["disk_format"] = "qcow2", ["container_format"] = "bare", ["hw_disk_bus"] = "virtio", ["owner"] = "x",
        };
        return id;
    }

    /// <summary>Whether Neutron has the extension that gives ports names.</summary>
    public bool NamesPorts { get; set; } = true;

    /// <summary>Whether projects without a network get one.</summary>
    public bool AllocatesNetworks { get; set; }

    public string AddNetwork(string name = "demo-network", bool shared = true, bool subnets = true, bool external = false)
    {
        var id = Guid.NewGuid().ToString();
        Networks[id] = new JsonObject
        {
            ["id"] = id, ["name"] = name, ["mtu"] = 1442, ["shared"] = shared, ["router:external"] = external,
            ["subnets"] = subnets ? new JsonArray("subnet-" + name) : [],
        };
        return id;
    }

    public string AddPort(string networkId, string deviceId = "")
    {
        var port = NewPort(new JsonObject { ["network_id"] = networkId, ["device_id"] = deviceId, ["device_owner"] = "" });
        return (string)port["id"]!;
    }

    /// <summary>A provider that another service keeps below a host's.</summary>
    public string AddProvider(string name, string parentId)
    {
        var id = Guid.NewGuid().ToString();
        Providers[id] = new JsonObject { ["uuid"] = id, ["name"] = name, ["parent_provider_uuid"] = parentId };
        return id;
    }

    public void AddGroup(string id, string name) => Groups[id] = new JsonObject { ["id"] = id, ["name"] = name, ["security_group_rules"] = new JsonArray() };

    public IEnumerable<string> PortsOf(string server) => Ports.Values.Where(port => (string?)port["device_id"] == server).Select(port => (string)port["id"]!);

    public void Register(ModuleContext context)
    {
        Add(context, "keystone", "identity", 5000, routes => routes.Post("/v3/auth/tokens", TokenAsync).Public());
        Add(context, "glance-api", "image", 9292, routes => Get(routes, "/v2/images/{id}", http => Images.GetValueOrDefault(http.Route("id"))));
        Add(context, "neutron-server", "network", 9696, MapNeutron);
        Add(context, "placement-api", "placement", 8778, MapPlacement);
    }

    private void Add(ModuleContext context, string name, string type, int port, Action<ApiRoutes> map) =>
        context.AddApi(new ApiDefinition
        {
            Name = name,
            ServiceType = type,
            DefaultPort = port,
            Errors = new NovaErrors(),
            Policies = _ => none,
            Map = (routes, _) => map(routes),
        });

    private static async Task TokenAsync(ApiContext context)
    {
        context.Http.Response.Headers["X-Subject-Token"] = "service";
        await context.WriteJsonAsync(201, json =>
        {
            json.WriteRawValue($$$"""
                {"token": {"expires_at": "2999-01-01T00:00:00.000000Z", "catalog": [
                    {"type": "image", "endpoints": [{"interface": "internal", "region_id": "r", "url": "http://127.0.0.1:9292"}]},
                    {"type": "network", "endpoints": [{"interface": "internal", "region_id": "r", "url": "http://127.0.0.1:9696"}]},
                    {"type": "placement", "endpoints": [{"interface": "internal", "region_id": "r", "url": "http://127.0.0.1:8778"}]}]}}
                """);
        });
    }

    private void Get(ApiRoutes routes, string pattern, Func<ApiContext, JsonNode?> answer) => On(routes, "GET", pattern, 200, (context, _) => answer(context));

    private void On(ApiRoutes routes, string method, string pattern, int status, Func<ApiContext, JsonNode?, JsonNode?> answer) =>
        routes.Map(method, pattern, async context =>
        {
            Before(method, context.Http.Request.Path.Value!);
            JsonNode? body = null;
            if (context.Http.Request.ContentLength > 0)
            {
                body = JsonNode.Parse((await context.ReadJsonAsync()).GetRawText());
            }

            JsonNode? result;
            lock (Ports)
            {
                result = answer(context, body);
                result = result?.DeepClone();
            }

            if (result is null)
            {
                throw CloudException.NotFound("not found");
            }

            if (result is JsonObject { Count: 0 } && status == 204)
            {
                await context.NoContentAsync();
                return;
            }

            await context.WriteJsonAsync(status, json => result.WriteTo(json));
        }).Public();

    private void MapNeutron(ApiRoutes routes)
    {
        Get(routes, "/v2.0/networks", context => Listed("networks", Networks.Values.Where(network =>
            Matches(context, "id", (string)network["id"]!) && Matches(context, "shared", (bool)network["shared"]! ? "true" : "false"))));
        Get(routes, "/v2.0/auto-allocated-topology/{project}", _ => AllocatesNetworks
            ? new JsonObject { ["auto_allocated_topology"] = new JsonObject { ["id"] = AddNetwork("auto_allocated_network", shared: false) } }
            : throw CloudException.Conflict("Deployment error: No default router:external network."));
        Get(routes, "/v2.0/subnets", context => Listed("subnets", Networks.Values
            .Where(network => Matches(context, "network_id", (string)network["id"]!) && ((JsonArray)network["subnets"]!).Count > 0)
            .Select(network => new JsonObject
            {
                ["id"] = (string)((JsonArray)network["subnets"]!)[0]!, ["network_id"] = (string)network["id"]!, ["cidr"] = "10.0.0.0/24", ["gateway_ip"] = "10.0.0.1",
                ["enable_dhcp"] = true, ["dns_nameservers"] = new JsonArray("10.0.0.2"), ["host_routes"] = new JsonArray(),
            })));
        Get(routes, "/v2.0/extensions/{alias}", context => NamesPorts && context.Route("alias") == "dns-integration" ? new JsonObject { ["extension"] = new JsonObject { ["alias"] = "dns-integration" } } : null);
        Get(routes, "/v2.0/security-groups", _ => Listed("security_groups", Groups.Values));
        Get(routes, "/v2.0/ports", context => Listed("ports", Ports.Values.Where(port =>
            Matches(context, "id", (string?)port["id"]) && Matches(context, "device_id", (string?)port["device_id"]) && Matches(context, "network_id", (string?)port["network_id"])
            && (!context.Query.Has("fixed_ips") || ((JsonArray)port["fixed_ips"]!).Any(address => "ip_address=" + (string)address!["ip_address"]! == context.Query["fixed_ips"])))));
        Get(routes, "/v2.0/floatingips", context => Listed("floatingips", FloatingIps.Values.Where(ip => Matches(context, "port_id", (string?)ip["port_id"]))));
        Get(routes, "/v2.0/ports/{id}", context => Ports.TryGetValue(context.Route("id"), out var port) ? new JsonObject { ["port"] = port.DeepClone() } : null);
        On(routes, "POST", "/v2.0/ports", 201, (_, body) => Listed("ports", ((JsonArray)body!["ports"]!).Select(port => NewPort((JsonObject)port!)).ToList()));
        On(routes, "PUT", "/v2.0/ports/{id}", 200, (context, body) =>
        {
            if (!Ports.TryGetValue(context.Route("id"), out var port))
            {
                return null;
            }

            foreach (var (name, value) in (JsonObject)body!["port"]!)
            {
                port[name] = value?.DeepClone();
            }

            return new JsonObject { ["port"] = port.DeepClone() };
        });
        On(routes, "DELETE", "/v2.0/ports/{id}", 204, (context, _) => Ports.TryRemove(context.Route("id"), out var _) ? new JsonObject() : null);
    }

    private JsonObject NewPort(JsonObject asked)
    {
        var number = Interlocked.Increment(ref counter);
        var network = Networks[(string)asked["network_id"]!];
        var port = new JsonObject
        {
            ["id"] = Guid.NewGuid().ToString(), ["mac_address"] = $"fa:16:3e:00:00:{number:x2}", ["status"] = "DOWN",
            ["fixed_ips"] = new JsonArray(new JsonObject { ["ip_address"] = $"10.0.0.{number + 10}", ["subnet_id"] = (string)((JsonArray)network["subnets"]!)[0]! }),
            ["binding:vif_type"] = "ovs", ["binding:vnic_type"] = "normal",
            ["binding:vif_details"] = new JsonObject { ["port_filter"] = true, ["bridge_name"] = "br-int" },
            ["security_groups"] = new JsonArray("11111111-1111-1111-1111-111111111111"),
            ["binding:profile"] = new JsonObject(), ["resource_request"] = ResourceRequests.GetValueOrDefault((string)network["id"]!)?.DeepClone(),
        };
        foreach (var (name, value) in asked)
        {
            port[name] = name == "fixed_ips"
                ? new JsonArray(new JsonObject { ["ip_address"] = (string)value![0]!["ip_address"]!, ["subnet_id"] = (string)((JsonArray)network["subnets"]!)[0]! })
                : value?.DeepClone();
        }

        Ports[(string)port["id"]!] = port;
        return port;
    }

    private void MapPlacement(ApiRoutes routes)
    {
        Get(routes, "/resource_providers/{id}", context => Providers.GetValueOrDefault(context.Route("id")));
        On(routes, "POST", "/resource_providers", 200, (_, body) => Providers.Values.Any(provider => (string)provider["name"]! == (string)body!["name"]!)
            ? throw CloudException.Conflict("Conflicting resource provider name: " + (string)body!["name"]! + " already exists.", "placement.duplicate_name")
            : Providers[(string)body!["uuid"]!] = new JsonObject
        {
            ["uuid"] = (string)body["uuid"]!, ["name"] = (string)body["name"]!, ["inventories"] = new JsonObject(), ["traits"] = new JsonArray(), ["aggregates"] = new JsonArray(),
            ["resource_provider_generation"] = 0,
        });
        Get(routes, "/resource_providers", context => Listed("resource_providers", Providers.Values.Where(provider => Matches(context, "name", (string?)provider["name"]))));
        On(routes, "DELETE", "/resource_providers/{id}", 204, (context, _) => Providers.Values.Any(provider => (string?)provider["parent_provider_uuid"] == context.Route("id"))
            ? throw CloudException.Conflict("Unable to delete parent resource provider: It has child resource providers.", "placement.resource_provider.cannot_delete_parent")
            : Providers.TryRemove(context.Route("id"), out var _) ? new JsonObject() : null);
        foreach (var part in (string[])["inventories", "traits", "aggregates"])
        {
            Get(routes, $"/resource_providers/{{id}}/{part}", context => Providers.GetValueOrDefault(context.Route("id")));
            On(routes, "PUT", $"/resource_providers/{{id}}/{part}", 200, (context, body) =>
            {
                Providers[context.Route("id")][part] = body![part]!.DeepClone();
                return Providers[context.Route("id")];
            });
        }

        Get(routes, "/resource_providers/{id}/allocations", context =>
        {
            var all = new JsonObject();
            foreach (var (consumer, _) in Allocations.Where(pair => pair.Value == context.Route("id")))
            {
                all[consumer] = new JsonObject();
            }

            return new JsonObject { ["allocations"] = all };
        });
        Get(routes, "/allocations/{id}", context => Allocations.TryGetValue(context.Route("id"), out var provider)
            ? new JsonObject { ["allocations"] = new JsonObject { [provider] = new JsonObject() }, ["consumer_generation"] = 1 }
            : new JsonObject { ["allocations"] = new JsonObject() });
        On(routes, "PUT", "/allocations/{id}", 204, (context, body) =>
        {
            if (Allocations.ContainsKey(context.Route("id")) && body!["consumer_generation"] is null)
            {
                throw CloudException.Conflict("consumer generation conflict", "placement.concurrent_update");
            }

            Allocations[context.Route("id")] = ((JsonObject)body!["allocations"]!).First().Key;
            return new JsonObject();
        });
        On(routes, "DELETE", "/allocations/{id}", 204, (context, _) => Allocations.TryRemove(context.Route("id"), out var _) ? new JsonObject() : null);
    }

    private static JsonObject Listed(string name, IEnumerable<JsonObject> items) => new() { [name] = new JsonArray([.. items.Select(item => item.DeepClone())]) };

    private static bool Matches(ApiContext context, string name, string? value) => !context.Query.Has(name) || context.Query.All(name).Contains(value);
}

/// <summary>Takes the first host that Placement knows and that was not ignored.</summary>
internal sealed class FirstHostScheduler(FakeServices services) : IScheduler
{
    public Task<SchedulerChoice> SelectDestinationAsync(RequestSpec spec, CancellationToken cancellationToken)
    {
        var provider = services.Providers.Values.OrderBy(provider => (string)provider["name"]!, StringComparer.Ordinal)
            .FirstOrDefault(provider => !spec.IgnoredHosts.Contains((string)provider["name"]!) && (spec.ForcedHost is null || spec.ForcedHost == (string)provider["name"]!))
            ?? throw new NoValidHostException("No valid host was found. There are 0 hosts left of " + services.Providers.Count + ".");
        var (name, id) = ((string)provider["name"]!, (string)provider["uuid"]!);
        return Task.FromResult(new SchedulerChoice(
            new Destination(name, name, id, new Dictionary<string, IReadOnlyDictionary<string, int>> { [id] = new Dictionary<string, int> { ["VCPU"] = spec.Vcpus, ["MEMORY_MB"] = spec.MemoryMb } })
            {
                Mappings = spec.Ports.SelectMany(port => port.Groups).ToDictionary(group => group.Id, _ => (IReadOnlyList<string>)[id]),
            },
            []));
    }
}
