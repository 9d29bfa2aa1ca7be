using System.Net.Sockets;
using System.Text.Json.Nodes;
using SharpStack.CommandLine;
using SharpStack.Lab;
using SharpStack.Lab.Definitions;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Demo;

/// <summary>What the demo makes, and how it reaches the cloud.</summary>
internal sealed record DemoSettings
{
    public required DemoPlan Plan { get; init; }

    /// <summary>The password of the user demo.</summary>
    public required string Password { get; init; }

    /// <summary>The file of the private key, which is made where it is missing.</summary>
    public required string KeyFile { get; init; }

    /// <summary>Opens a session as the user demo in the project demo.</summary>
    public required Func<CancellationToken, Task<OpenStackClient>> LogIn { get; init; }

    /// <summary>The guest's qcow2 image; null for an empty disk, which the fake driver never reads.</summary>
    public string? ImageFile { get; init; }

    /// <summary>Where to read what went wrong.</summary>
    public required string Log { get; init; }

    /// <summary>A socket from which the servers of a network are reached; null where they are not, and their console says that they have booted.</summary>
    public required Func<DemoNetwork, Socket?> Reach { get; init; }

    /// <summary>Whether a server is waited for before the next is asked for, as Ansible's modules do: the scheduler then knows of the one when it places the other.</summary>
    public bool OneByOne { get; init; }

    /// <summary>Whether servers are those of the fake driver, which answer nobody.</summary>
    public bool Fake { get; init; }
}

/// <summary>A server that the demo made or found.</summary>
/// <param name="FloatingIp">Null for none.</param>
internal sealed record DemoInstance(string Name, string Network, string NetworkId, string Address, string? FloatingIp = null);

/// <summary>
/// The demo: a project with a user, an image, networks, a flavor, and instances with a key that answer to ping and SSH. All through the public APIs; each step
/// takes what is there already.
/// </summary>
internal sealed class DemoCloud(DemoSettings settings, TimeProvider time, Action<string> say)
{
    private static readonly TimeSpan ActiveBound = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan AnswerBound = TimeSpan.FromMinutes(4);

    /// <param name="admin">The administrator's session.</param>
    public async Task<IReadOnlyList<DemoInstance>> RunAsync(OpenStackClient admin, CancellationToken cancellationToken)
    {
        await EnsureProjectAsync(admin, cancellationToken);
        await EnsureImageAsync(admin, settings.ImageFile, say, cancellationToken);
        await admin.FindOrCreateAsync("compute", "/flavors", "flavors", "m1.nano", () => admin.PostAsync("compute", "/flavors", new JsonObject
        {
            ["flavor"] = new JsonObject { ["name"] = "m1.nano", ["ram"] = settings.Plan.FlavorMemory, ["vcpus"] = 1, ["disk"] = 1 },
        }, cancellationToken), cancellationToken);

        using var demo = await settings.LogIn(cancellationToken);
        await EnsureAccessAsync(demo, cancellationToken);
        var networks = new Dictionary<string, string>();
        foreach (var network in settings.Plan.Networks)
        {
            networks[network.Name] = await EnsureNetworkAsync(network.Type is null ? demo : admin, network, cancellationToken);
        }

        if (settings.Plan.Router is { BeforeServers: true } first)
        {
            await EnsureRouterAsync(demo, first, networks, cancellationToken);
        }

        var servers = await EnsureServersAsync(demo, networks, cancellationToken);
        if (settings.Plan.Router is { BeforeServers: false } last)
        {
            await EnsureRouterAsync(demo, last, networks, cancellationToken);
        }

        return await AwaitServersAsync(demo, servers, networks, cancellationToken);
    }

    /// <summary>Uploads the public image cirros where there is none.</summary>
    public static async Task EnsureImageAsync(OpenStackClient admin, string? imageFile, Action<string> say, CancellationToken cancellationToken)
    {
        var images = await admin.GetAsync("image", "/v2/images?name=cirros&status=active", cancellationToken);
        if (images["images"]!.AsArray().Count > 0)
        {
            return;
        }

        say("image cirros");
        var file = imageFile ?? Path.GetTempFileName();
        try
        {
            if (imageFile is null)
            {
                DemoImage.Write(file);
            }

            var image = await admin.PostAsync("image", "/v2/images", new JsonObject
            {
                ["name"] = "cirros", ["disk_format"] = "qcow2", ["container_format"] = "bare", ["visibility"] = "public",
            }, cancellationToken);
            await admin.UploadAsync($"/v2/images/{image["id"]}/file", file, cancellationToken);
        }
        finally
        {
            if (imageFile is null)
            {
                File.Delete(file);
            }
        }
    }

    private async Task EnsureProjectAsync(OpenStackClient admin, CancellationToken cancellationToken)
    {
        say("demo: project and user demo");
        var project = await admin.FindOrCreateAsync("identity", "/projects?name=demo", "projects", "demo", async () =>
            (await admin.PostAsync("identity", "/projects", new JsonObject
            {
                ["project"] = new JsonObject { ["name"] = "demo", ["domain_id"] = "default", ["description"] = "Sample project" },
            }, cancellationToken))["project"]!, cancellationToken);
        var user = await admin.FindOrCreateAsync("identity", "/users?name=demo", "users", "demo", async () =>
            (await admin.PostAsync("identity", "/users", new JsonObject
            {
                ["user"] = new JsonObject { ["name"] = "demo", ["domain_id"] = "default", ["description"] = "Sample user", ["password"] = settings.Password },
            }, cancellationToken))["user"]!, cancellationToken);
        var roles = await admin.GetAsync("identity", "/roles?name=member", cancellationToken);
        await admin.PutAsync("identity", $"/projects/{project["id"]}/users/{user["id"]}/roles/{roles["roles"]![0]!["id"]}", cancellationToken);
    }

    /// <returns>The network's id.</returns>
    private async Task<string> EnsureNetworkAsync(OpenStackClient owner, DemoNetwork plan, CancellationToken cancellationToken)
    {
        var network = await owner.FindOrCreateAsync("network", $"/v2.0/networks?name={plan.Name}", "networks", plan.Name, async () =>
        {
            say($"demo: network {plan.Name}, {plan.Subnet.Cidr}");
            var body = new JsonObject { ["name"] = plan.Name, ["shared"] = plan.Shared, ["router:external"] = plan.External };
            if (plan.Type is { } type)
            {
                body["provider:network_type"] = type;
                body["provider:physical_network"] = settings.Plan.PhysicalNetwork;
            }
            else
            {
                // What belongs to the provider is not for a project to say.
                body.Remove("shared");
                body.Remove("router:external");
            }

            if (plan.Segment is { } segment)
            {
                body["provider:segmentation_id"] = segment;
            }

            return (await owner.PostAsync("network", "/v2.0/networks", new JsonObject { ["network"] = body }, cancellationToken))["network"]!;
        }, cancellationToken);
        var id = (string)network["id"]!;
        var subnet = plan.Subnet;
        await owner.FindOrCreateAsync("network", $"/v2.0/subnets?network_id={id}", "subnets", subnet.Name, () => owner.PostAsync("network", "/v2.0/subnets", new JsonObject
        {
            ["subnet"] = new JsonObject
            {
                ["name"] = subnet.Name, ["network_id"] = id, ["ip_version"] = 4, ["cidr"] = subnet.Cidr, ["gateway_ip"] = subnet.Gateway,
                ["allocation_pools"] = new JsonArray(new JsonObject { ["start"] = subnet.First, ["end"] = subnet.Last }),
            },
        }, cancellationToken), cancellationToken);
        return id;
    }

    private async Task EnsureRouterAsync(OpenStackClient demo, DemoRouter plan, Dictionary<string, string> networks, CancellationToken cancellationToken)
    {
        var router = await demo.FindOrCreateAsync("network", $"/v2.0/routers?name={plan.Name}", "routers", plan.Name, async () =>
        {
            say($"demo: router {plan.Name}, from {plan.Subnet} to {plan.Gateway}");
            return (await demo.PostAsync("network", "/v2.0/routers", new JsonObject
            {
                ["router"] = new JsonObject { ["name"] = plan.Name, ["external_gateway_info"] = new JsonObject { ["network_id"] = networks[plan.Gateway] } },
            }, cancellationToken))["router"]!;
        }, cancellationToken);
        var subnet = (await demo.GetAsync("network", $"/v2.0/subnets?name={plan.Subnet}", cancellationToken))["subnets"]![0]!["id"]!;
        var ports = (await demo.GetAsync("network", $"/v2.0/ports?device_id={router["id"]}", cancellationToken))["ports"]!.AsArray();
        if (!ports.SelectMany(port => port!["fixed_ips"]!.AsArray()).Any(address => (string)address!["subnet_id"]! == (string)subnet!))
        {
            await demo.PutAsync("network", $"/v2.0/routers/{router["id"]}/add_router_interface", new JsonObject { ["subnet_id"] = (string)subnet! }, cancellationToken);
        }
    }

    /// <returns>The address.</returns>
    private async Task<string> EnsureFloatingIpAsync(OpenStackClient demo, string name, string serverId, string networkId, CancellationToken cancellationToken)
    {
        var port = (string)(await demo.GetAsync("network", $"/v2.0/ports?device_id={serverId}", cancellationToken))["ports"]![0]!["id"]!;
        var known = (await demo.GetAsync("network", $"/v2.0/floatingips?port_id={port}", cancellationToken))["floatingips"]!.AsArray();
        var floating = known.Count > 0 ? known[0]! : (await demo.PostAsync("network", "/v2.0/floatingips", new JsonObject
        {
            ["floatingip"] = new JsonObject { ["floating_network_id"] = networkId, ["port_id"] = port },
        }, cancellationToken))["floatingip"]!;
        var address = (string)floating["floating_ip_address"]!;
        say($"demo: {name} has the floating IP {address}");
        return address;
    }

    private async Task EnsureAccessAsync(OpenStackClient demo, CancellationToken cancellationToken)
    {
        var groups = await demo.GetAsync("network", $"/v2.0/security-groups?name=default&project_id={demo.ProjectId}", cancellationToken);
        var group = groups["security_groups"]![0]!;
        var rules = group["security_group_rules"]!.AsArray();
        foreach (var (protocol, port) in new (string, int?)[] { ("icmp", null), ("tcp", 22) })
        {
            if (rules.Any(rule => (string)rule!["direction"]! == "ingress" && (string?)rule["protocol"] == protocol))
            {
                continue;
            }

            await demo.PostAsync("network", "/v2.0/security-group-rules", new JsonObject
            {
                ["security_group_rule"] = new JsonObject
                {
                    ["security_group_id"] = (string)group["id"]!, ["direction"] = "ingress", ["ethertype"] = "IPv4", ["protocol"] = protocol,
                    ["port_range_min"] = port, ["port_range_max"] = port, ["remote_ip_prefix"] = "0.0.0.0/0",
                },
            }, cancellationToken);
        }

        var publicKey = DemoKey.Ensure(settings.KeyFile);
        var pairs = await demo.GetAsync("compute", "/os-keypairs", cancellationToken);
        if (!pairs["keypairs"]!.AsArray().Any(pair => (string)pair!["keypair"]!["name"]! == "demo-key"))
        {
            await demo.PostAsync("compute", "/os-keypairs", new JsonObject
            {
                ["keypair"] = new JsonObject { ["name"] = "demo-key", ["type"] = "ssh", ["public_key"] = publicKey },
            }, cancellationToken);
        }
    }

    private async Task<IReadOnlyList<(DemoServer Plan, string Id)>> EnsureServersAsync(OpenStackClient demo, Dictionary<string, string> networks, CancellationToken cancellationToken)
    {
        var images = await demo.GetAsync("image", "/v2/images?name=cirros&status=active", cancellationToken);
        var flavors = await demo.GetAsync("compute", "/flavors", cancellationToken);
        var flavor = flavors["flavors"]!.AsArray().Single(item => (string)item!["name"]! == "m1.nano")!["id"]!;
        var servers = await demo.GetAsync("compute", "/servers", cancellationToken);
        var ids = new List<(DemoServer Plan, string Id)>();
        foreach (var plan in settings.Plan.Servers)
        {
            var server = servers["servers"]!.AsArray().FirstOrDefault(item => (string)item!["name"]! == plan.Name);
            if (server is null)
            {
                say($"demo: server {plan.Name}");
                server = (await demo.PostAsync("compute", "/servers", new JsonObject
                {
                    ["server"] = new JsonObject
                    {
                        ["name"] = plan.Name, ["imageRef"] = (string)images["images"]![0]!["id"]!, ["flavorRef"] = (string)flavor!,
                        ["networks"] = new JsonArray(new JsonObject { ["uuid"] = networks[plan.Network] }), ["key_name"] = "demo-key",
                        ["security_groups"] = new JsonArray(new JsonObject { ["name"] = "default" }),
                    },
                }, cancellationToken))["server"]!;
            }

            ids.Add((plan, (string)server["id"]!));
            if (settings.OneByOne)
            {
                await ActiveAddressAsync(demo, plan.Name, ids[^1].Id, cancellationToken);
            }
        }

        return ids;
    }

    private async Task<IReadOnlyList<DemoInstance>> AwaitServersAsync(
        OpenStackClient demo, IReadOnlyList<(DemoServer Plan, string Id)> ids, Dictionary<string, string> networks, CancellationToken cancellationToken)
    {
        var instances = new List<DemoInstance>();
        foreach (var (plan, id) in ids)
        {
            var address = await ActiveAddressAsync(demo, plan.Name, id, cancellationToken);
            say($"demo: {plan.Name} is active at {address}");
            var floating = plan.FloatingFrom is { } network ? await EnsureFloatingIpAsync(demo, plan.Name, id, networks[network], cancellationToken) : null;
            instances.Add(new DemoInstance(plan.Name, plan.Network, networks[plan.Network], address, floating));
        }

        if (!settings.Fake)
        {
            foreach (var (instance, (plan, id)) in instances.Zip(ids))
            {
                await AwaitAnswerAsync(demo, instance, id, settings.Plan.Networks.Single(network => network.Name == (plan.FloatingFrom ?? plan.Network)), cancellationToken);
            }
        }

        return instances;
    }

    private async Task<string> ActiveAddressAsync(OpenStackClient demo, string name, string id, CancellationToken cancellationToken)
    {
        JsonNode server = new JsonObject();
        var settled = await Wait.UntilAsync(
            async () =>
            {
                server = (await demo.GetAsync("compute", $"/servers/{id}", cancellationToken))["server"]!;
                return (string)server["status"]! is "ACTIVE" or "ERROR" or "SHUTOFF";
            },
            ActiveBound,
            time,
            cancellationToken);
        return (string?)server["status"] switch
        {
            "ACTIVE" => (string)server["addresses"]!.AsObject().Single().Value![0]!["addr"]!,
            "SHUTOFF" => throw new CommandException($"{name} is stopped: start it with 'openstack server start {name}' as demo"),
            _ when settled => throw new CommandException($"{name} is in ERROR: {server["fault"]?["message"] ?? "no reason given"}"),
            var status => throw new CommandException($"{name} is still {status}: see {settings.Log}"),
        };
    }

    private async Task AwaitAnswerAsync(OpenStackClient demo, DemoInstance instance, string id, DemoNetwork network, CancellationToken cancellationToken)
    {
        using var probe = settings.Reach(network);
        var (what, answers) = probe is not null
            ? ("answers SSH", (Func<Task<bool>>)(() => AnswersSshAsync(network, instance.FloatingIp ?? instance.Address, cancellationToken)))
            : ("has booted", () => HasBootedAsync(demo, id, cancellationToken));
        if (!await Wait.UntilAsync(answers, AnswerBound, time, cancellationToken))
        {
            throw new CommandException($"{instance.Name} at {instance.FloatingIp ?? instance.Address}: it never {what}; see 'openstack console log show {instance.Name}' as demo, and {settings.Log}");
        }

        say($"demo: {instance.Name} {what}");
    }

    private static async Task<bool> HasBootedAsync(OpenStackClient demo, string id, CancellationToken cancellationToken)
    {
        var console = await demo.PostAsync("compute", $"/servers/{id}/action", new JsonObject { ["os-getConsoleOutput"] = new JsonObject { ["length"] = null } }, cancellationToken);
        return ((string?)console["output"] ?? "").Contains("login:", StringComparison.Ordinal);
    }

    /// <summary>Whether an SSH server introduces itself.</summary>
    private async Task<bool> AnswersSshAsync(DemoNetwork network, string address, CancellationToken cancellationToken)
    {
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bounded.CancelAfter(TimeSpan.FromSeconds(3));
        try
        {
            using var socket = settings.Reach(network)!;
            await socket.ConnectAsync(address, 22, bounded.Token);
            await using var stream = new NetworkStream(socket);
            var banner = new byte[4];
            await stream.ReadExactlyAsync(banner, bounded.Token);
            return banner.AsSpan().SequenceEqual("SSH-"u8);
        }
        catch (Exception failure) when (failure is IOException or SocketException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }
}
