using System.Net.Sockets;
using System.Text.Json.Nodes;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Machine;

namespace SharpStack.Demo;

/// <summary>
/// The demo: a project with a user, an image, a flat network that this host is on, a flavor, and two instances with a key that answer to ping and SSH.
/// All through the public APIs; each step takes what is there already.
/// </summary>
internal sealed class DemoCloud(CloudLayout layout, CloudSettings settings, TimeProvider time, Action<string> say)
{
    private static readonly TimeSpan ActiveBound = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan SshBound = TimeSpan.FromMinutes(4);

    /// <param name="admin">The administrator's session.</param>
    /// <param name="imageFile">The guest's qcow2 image; null with the fake driver.</param>
    /// <returns>The instances' names and addresses.</returns>
    public async Task<IReadOnlyList<(string Name, string Address)>> RunAsync(OpenStackClient admin, string? imageFile, CancellationToken cancellationToken)
    {
        await EnsureProjectAsync(admin, cancellationToken);
        await EnsureImageAsync(admin, imageFile, cancellationToken);
        var network = await EnsureNetworkAsync(admin, cancellationToken);
        await admin.FindOrCreateAsync("compute", "/flavors", "flavors", "m1.nano", () => admin.PostAsync("compute", "/flavors", new JsonObject
        {
            ["flavor"] = new JsonObject { ["name"] = "m1.nano", ["ram"] = 512, ["vcpus"] = 1, ["disk"] = 1 },
        }, cancellationToken), cancellationToken);

        using var demo = await OpenStackClient.LogInAsync(settings.AuthUrl, "demo", settings.Secrets.Demo, "demo", cancellationToken);
        await EnsureAccessAsync(demo, cancellationToken);
        return await EnsureServersAsync(demo, network, cancellationToken);
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
                ["user"] = new JsonObject { ["name"] = "demo", ["domain_id"] = "default", ["description"] = "Sample user", ["password"] = settings.Secrets.Demo },
            }, cancellationToken))["user"]!, cancellationToken);
        var roles = await admin.GetAsync("identity", "/roles?name=member", cancellationToken);
        await admin.PutAsync("identity", $"/projects/{project["id"]}/users/{user["id"]}/roles/{roles["roles"]![0]!["id"]}", cancellationToken);
    }

    private async Task EnsureImageAsync(OpenStackClient admin, string? imageFile, CancellationToken cancellationToken)
    {
        var images = await admin.GetAsync("image", "/v2/images?name=cirros&status=active", cancellationToken);
        if (images["images"]!.AsArray().Count > 0)
        {
            return;
        }

        say("demo: image cirros");
        var file = imageFile ?? Path.Combine(layout.Run, "demo.qcow2");
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

    private async Task<string> EnsureNetworkAsync(OpenStackClient admin, CancellationToken cancellationToken)
    {
        var flat = settings.Flat;
        var network = await admin.FindOrCreateAsync("network", "/v2.0/networks?name=demo-network", "networks", "demo-network", async () =>
        {
            say($"demo: network demo-network, {flat.Cidr}");
            return (await admin.PostAsync("network", "/v2.0/networks", new JsonObject
            {
                ["network"] = new JsonObject
                {
                    ["name"] = "demo-network", ["shared"] = true, ["router:external"] = true,
                    ["provider:network_type"] = "flat", ["provider:physical_network"] = CloudConfiguration.PhysicalNetwork,
                },
            }, cancellationToken))["network"]!;
        }, cancellationToken);
        var id = (string)network["id"]!;
        await admin.FindOrCreateAsync("network", $"/v2.0/subnets?network_id={id}", "subnets", "demo-subnet", () => admin.PostAsync("network", "/v2.0/subnets", new JsonObject
        {
            ["subnet"] = new JsonObject
            {
                ["name"] = "demo-subnet", ["network_id"] = id, ["ip_version"] = 4, ["cidr"] = flat.Cidr, ["gateway_ip"] = flat.Gateway,
                ["allocation_pools"] = new JsonArray(new JsonObject { ["start"] = flat.First, ["end"] = flat.Last }),
            },
        }, cancellationToken), cancellationToken);
        return id;
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

        var publicKey = DemoKey.Ensure(layout);
        var pairs = await demo.GetAsync("compute", "/os-keypairs", cancellationToken);
        if (!pairs["keypairs"]!.AsArray().Any(pair => (string)pair!["keypair"]!["name"]! == "demo-key"))
        {
            await demo.PostAsync("compute", "/os-keypairs", new JsonObject
            {
                ["keypair"] = new JsonObject { ["name"] = "demo-key", ["type"] = "ssh", ["public_key"] = publicKey },
            }, cancellationToken);
        }
    }

    private async Task<IReadOnlyList<(string Name, string Address)>> EnsureServersAsync(OpenStackClient demo, string network, CancellationToken cancellationToken)
    {
        var images = await demo.GetAsync("image", "/v2/images?name=cirros&status=active", cancellationToken);
        var flavors = await demo.GetAsync("compute", "/flavors", cancellationToken);
        var flavor = flavors["flavors"]!.AsArray().Single(item => (string)item!["name"]! == "m1.nano")!["id"]!;
        var servers = await demo.GetAsync("compute", "/servers", cancellationToken);
        var ids = new List<(string Name, string Id)>();
        foreach (var name in new[] { "demo-instance-1", "demo-instance-2" })
        {
            var server = servers["servers"]!.AsArray().FirstOrDefault(item => (string)item!["name"]! == name);
            if (server is null)
            {
                say($"demo: server {name}");
                server = (await demo.PostAsync("compute", "/servers", new JsonObject
                {
                    ["server"] = new JsonObject
                    {
                        ["name"] = name, ["imageRef"] = (string)images["images"]![0]!["id"]!, ["flavorRef"] = (string)flavor!,
                        ["networks"] = new JsonArray(new JsonObject { ["uuid"] = network }), ["key_name"] = "demo-key",
                        ["security_groups"] = new JsonArray(new JsonObject { ["name"] = "default" }),
                    },
                }, cancellationToken))["server"]!;
            }

            ids.Add((name, (string)server["id"]!));
        }

        var addresses = new List<(string Name, string Address)>();
        foreach (var (name, id) in ids)
        {
            var address = await ActiveAddressAsync(demo, name, id, cancellationToken);
            say($"demo: {name} is active at {address}");
            addresses.Add((name, address));
        }

        if (!settings.Fake)
        {
            foreach (var (name, address) in addresses)
            {
                if (!await Wait.UntilAsync(() => AnswersSshAsync(address, cancellationToken), SshBound, time, cancellationToken))
                {
                    throw new CommandException($"{name} does not answer SSH at {address}: see 'openstack console log show {name}' as demo, and {layout.Log}");
                }

                say($"demo: {name} answers SSH");
            }
        }

        return addresses;
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
            var status => throw new CommandException($"{name} is still {status}: see {layout.Log}"),
        };
    }

    /// <summary>Whether an SSH server introduces itself.</summary>
    private static async Task<bool> AnswersSshAsync(string address, CancellationToken cancellationToken)
    {
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        bounded.CancelAfter(TimeSpan.FromSeconds(3));
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(address, 22, bounded.Token);
            var banner = new byte[4];
            await client.GetStream().ReadExactlyAsync(banner, bounded.Token);
            return banner.AsSpan().SequenceEqual("SSH-"u8);
        }
        catch (Exception failure) when (failure is IOException or SocketException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return false;
        }
    }
}
