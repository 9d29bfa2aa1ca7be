using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Clients;

/// <summary>The ports of instances in Neutron, with Nova's own credentials. Every call may be repeated.</summary>
internal sealed class NeutronClient(ServiceClients clients, ServiceConfig config)
{
    private const string BindingFailed = "binding_failed";
    private const string Profile = "binding:profile";
    private const string Allocation = "allocation";

    private static readonly ILookup<(string Port, string Ip), string> NoFloatingIps = Array.Empty<string>().ToLookup(_ => ("", ""));

    private readonly ServiceClient neutron = clients.For(config, "neutron", "network");
    private readonly string bridge = config.Get(NovaOptions.IntegrationBridge);
    private bool? namesPorts;

    /// <summary>Makes that the instance has the ports it was asked for, bound to its host.</summary>
    /// <param name="fresh">Nothing was done for this instance before: nothing is looked for.</param>
    /// <exception cref="PortBindingException">This host cannot have a port; another may.</exception>
    public async Task<(IReadOnlyList<Vif> Vifs, IReadOnlyList<string>? Groups)> EnsurePortsAsync(InstanceRow row, bool fresh, CancellationToken cancellationToken)
    {
        var wanted = StoredJson.Networks(row.RequestedNetworks);
        if (wanted.Count == 0)
        {
            return ([], null);
        }

        var subnets = SubnetsAsync(wanted.Select(network => network.NetworkId).Distinct(), cancellationToken);
        var groups = GroupNamesAsync(row.ProjectId, cancellationToken);
        var existing = fresh ? [] : await ListAsync(row.Uuid, cancellationToken);
        var ports = new JsonElement?[wanted.Count];
        var missing = new List<int>();
        for (var i = 0; i < wanted.Count; i++)
        {
            var port = wanted[i].PortId is { } own ? await BindAsync(own, row, wanted[i].Allocation, cancellationToken) : TakeMatching(existing, wanted, wanted[i]);
            if (port is null)
            {
                missing.Add(i);
            }
            else
            {
                ports[i] = port.Value.Text("binding:host_id") == row.Host ? port : await BindAsync(port.Value.Text("id")!, row, null, cancellationToken);
            }
        }

        if (missing.Count > 0)
        {
            var created = await CreateAsync(row, [.. missing.Select(i => wanted[i])], cancellationToken);
            for (var i = 0; i < missing.Count; i++)
            {
                ports[missing[i]] = created[i];
            }
        }

        // A port that Nova makes is there only after its host was chosen.
        var unscheduled = wanted.Zip(ports, (network, port) => (network, port: port!.Value)).FirstOrDefault(pair => pair.network.PortId is null && RequestOf(pair.port) is not null);
        if (unscheduled.network is not null)
        {
            throw CloudException.BadRequest($"Using networks with QoS policy is not supported for instance {row.Uuid}. (Network ID is {unscheduled.network.NetworkId})");
        }

        var floating = await FloatingIpsAsync([.. wanted.Select(network => network.PortId).OfType<string>()], cancellationToken);
        var names = await groups;
        var known = await subnets;
        var vifs = ports.Select((port, i) => VifOf(port!.Value, wanted[i], known, floating)).ToList();
        if (vifs.Find(vif => vif.VifType == BindingFailed) is { } failed)
        {
            throw new PortBindingException($"Binding failed for port {failed.Id}, please check neutron logs for more information.");
        }

        var shown = ports.SelectMany(port => port!.Value.TryGetProperty("security_groups", out var ids) ? ids.EnumerateArray().Select(id => id.GetString()!) : [])
            .Distinct()
            .Select(id => names.GetValueOrDefault(id, id))
            .ToList();
        return (vifs, shown);
    }

    /// <summary>Takes the instance's ports from it: those that Nova created are deleted, the user's own stay.</summary>
    public async Task ReleasePortsAsync(InstanceRow row, CancellationToken cancellationToken)
    {
        var own = StoredJson.Networks(row.RequestedNetworks).Select(network => network.PortId).OfType<string>()
            .Concat(StoredJson.Vifs(row.NetworkInfo).Where(vif => vif.Preexisting).Select(vif => vif.Id)).ToHashSet();
        foreach (var port in await ListAsync(row.Uuid, cancellationToken))
        {
            var id = port.Text("id")!;
            await ReleasePortAsync(port, own.Contains(id), cancellationToken);
        }
    }

    /// <summary>What ports ask of Placement; those that ask for nothing are left out.</summary>
    public async Task<IReadOnlyList<PortRequest>> ResourceRequestsAsync(IReadOnlyList<string> portIds, CancellationToken cancellationToken)
    {
        if (portIds.Count == 0)
        {
            return [];
        }

        using var document = await neutron.CallAsync(
            HttpMethod.Get, $"/v2.0/ports?{string.Join('&', portIds.Select(id => $"id={id}"))}&fields=id&fields=resource_request", null, null, cancellationToken);
        return [.. document!.RootElement.GetProperty("ports").EnumerateArray().Select(RequestOf).OfType<PortRequest>()];
    }

    private async Task ReleasePortAsync(JsonElement port, bool keep, CancellationToken cancellationToken)
    {
        var id = port.Text("id")!;
        var hasName = keep && await NamesPortsAsync(cancellationToken);
        using var response = keep
            ? await neutron.SendAsync(HttpMethod.Put, $"/v2.0/ports/{id}", json => WriteUnbound(json, port, hasName), null, cancellationToken)
            : await neutron.SendAsync(HttpMethod.Delete, $"/v2.0/ports/{id}", null, null, cancellationToken);
        if (!response.IsSuccessStatusCode && response.StatusCode != System.Net.HttpStatusCode.NotFound)
        {
            throw CloudException.Unavailable($"Neutron answered {(int)response.StatusCode} when port {id} was {(keep ? "unbound" : "deleted")}.");
        }
    }

    /// <summary>Security groups of a project, names by UUID.</summary>
    public async Task<Dictionary<string, string>> GroupNamesAsync(string projectId, CancellationToken cancellationToken)
    {
        using var document = await neutron.CallAsync(HttpMethod.Get, $"/v2.0/security-groups?fields=id&fields=name&project_id={projectId}", null, null, cancellationToken);
        return document!.RootElement.GetProperty("security_groups").EnumerateArray().ToDictionary(group => group.Text("id")!, group => group.Text("name") ?? "");
    }

    /// <summary>The ports of an instance, copied out of the answer.</summary>
    public async Task<List<JsonElement>> ListAsync(string instanceId, CancellationToken cancellationToken)
    {
        using var document = await neutron.CallAsync(HttpMethod.Get, $"/v2.0/ports?device_id={instanceId}", null, null, cancellationToken);
        return [.. document!.RootElement.GetProperty("ports").EnumerateArray().Select(port => port.Clone())];
    }

    /// <summary>Device ids of all ports that belong to instances, with their ports.</summary>
    public async Task<ILookup<string, string>> AllInstancePortsAsync(CancellationToken cancellationToken)
    {
        using var document = await neutron.CallAsync(HttpMethod.Get, "/v2.0/ports?fields=id&fields=device_id&fields=device_owner", null, null, cancellationToken);
        return document!.RootElement.GetProperty("ports").EnumerateArray()
            .Where(port => port.Text("device_owner")?.StartsWith("compute:", StringComparison.Ordinal) == true)
            .ToLookup(port => port.Text("device_id") ?? "", port => port.Text("id")!);
    }

    /// <summary>A port's addresses now, with the floating IPs that lead to them; null where the port is gone.</summary>
    public async Task<IReadOnlyList<VifAddress>?> AddressesAsync(string portId, CancellationToken cancellationToken)
    {
        using var response = await neutron.SendAsync(HttpMethod.Get, $"/v2.0/ports/{portId}", null, null, cancellationToken);
        if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return null;
        }

        if (!response.IsSuccessStatusCode)
        {
            throw CloudException.Unavailable($"Neutron answered {(int)response.StatusCode} when it was asked for port {portId}.");
        }

        using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
        return AddressesOf(document.RootElement.GetProperty("port"), await FloatingIpsAsync([portId], cancellationToken));
    }

    /// <summary>Sets a port's security groups.</summary>
    public async Task SetGroupsAsync(string portId, IEnumerable<string> groups, CancellationToken cancellationToken)
    {
        using var answer = await neutron.CallAsync(
            HttpMethod.Put,
            $"/v2.0/ports/{portId}",
            json =>
            {
                json.WriteStartObject();
                json.WriteStartObject("port");
                json.WriteStartArray("security_groups");
                foreach (var group in groups)
                {
                    json.WriteStringValue(group);
                }

                json.WriteEndArray();
                json.WriteEndObject();
                json.WriteEndObject();
            },
            null,
            cancellationToken);
    }

    /// <summary>The floating IPs of ports, by port and fixed address; none where Neutron has no routers.</summary>
    private async Task<ILookup<(string Port, string Ip), string>> FloatingIpsAsync(IReadOnlyList<string> portIds, CancellationToken cancellationToken)
    {
        if (portIds.Count == 0)
        {
            return NoFloatingIps;
        }

        using var response = await neutron.SendAsync(HttpMethod.Get, "/v2.0/floatingips?" + string.Join('&', portIds.Select(id => $"port_id={id}")), null, null, cancellationToken);
        if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return NoFloatingIps;
        }

        if (!response.IsSuccessStatusCode)
        {
            throw CloudException.Unavailable($"Neutron answered {(int)response.StatusCode} when it was asked for floating IPs.");
        }

        using var document = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync(cancellationToken));
        return document.RootElement.GetProperty("floatingips").EnumerateArray()
            .Select(ip => (Port: ip.Text("port_id") ?? "", Fixed: ip.Text("fixed_ip_address") ?? "", Floating: ip.Text("floating_ip_address")!))
            .ToLookup(ip => (ip.Port, ip.Fixed), ip => ip.Floating);
    }

    /// <param name="allocation">What was claimed for it; null for nothing.</param>
    private async Task<JsonElement> BindAsync(string portId, InstanceRow row, IReadOnlyDictionary<string, string>? allocation, CancellationToken cancellationToken)
    {
        JsonElement profile = default;
        if (allocation is not null)
        {
            using var now = await neutron.CallAsync(HttpMethod.Get, $"/v2.0/ports/{portId}", null, null, cancellationToken);
            profile = now!.RootElement.GetProperty("port").GetProperty(Profile).Clone();
        }

        var hasName = await NamesPortsAsync(cancellationToken);
        using var document = await neutron.CallAsync(
            HttpMethod.Put,
            $"/v2.0/ports/{portId}",
            json =>
            {
                json.WriteStartObject();
                json.WriteStartObject("port");
                WriteOwner(json, row, hasName);
                if (allocation is not null)
                {
                    WriteProfile(json, profile, allocation);
                }

                json.WriteEndObject();
                json.WriteEndObject();
            },
            null,
            cancellationToken);
        return document!.RootElement.GetProperty("port").Clone();
    }

    private async Task<List<JsonElement>> CreateAsync(InstanceRow row, IReadOnlyList<RequestedNetwork> networks, CancellationToken cancellationToken)
    {
        var groups = StoredJson.Texts(row.RequestedGroups);
        var hasName = await NamesPortsAsync(cancellationToken);
        using var document = await neutron.CallAsync(
            HttpMethod.Post,
            "/v2.0/ports",
            json =>
            {
                json.WriteStartObject();
                json.WriteStartArray("ports");
                foreach (var network in networks)
                {
                    json.WriteStartObject();
                    json.WriteString("network_id", network.NetworkId);
                    json.WriteString("project_id", row.ProjectId);
                    json.WriteBoolean("admin_state_up", true);
                    WriteOwner(json, row, hasName);
                    if (network.FixedIp is not null)
                    {
                        json.WriteStartArray("fixed_ips");
                        json.WriteStartObject();
                        json.WriteString("ip_address", network.FixedIp);
                        json.WriteEndObject();
                        json.WriteEndArray();
                    }

                    if (groups.Count > 0 && network.PortSecurity)
                    {
                        json.WriteStartArray("security_groups");
                        foreach (var group in groups)
                        {
                            json.WriteStringValue(group);
                        }

                        json.WriteEndArray();
                    }

                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            },
            null,
            cancellationToken);
        return [.. document!.RootElement.GetProperty("ports").EnumerateArray().Select(port => port.Clone())];
    }

    private async Task<Dictionary<string, List<JsonElement>>> SubnetsAsync(IEnumerable<string> networks, CancellationToken cancellationToken)
    {
        using var document = await neutron.CallAsync(
            HttpMethod.Get, "/v2.0/subnets?" + string.Join('&', networks.Select(id => $"network_id={id}")), null, null, cancellationToken);
        return document!.RootElement.GetProperty("subnets").EnumerateArray()
            .Select(subnet => subnet.Clone())
            .GroupBy(subnet => subnet.Text("network_id")!)
            .ToDictionary(group => group.Key, group => group.ToList());
    }

    /// <summary>An instance's port that fits a wish and was not taken yet; a port that Nova created for the wish before it forgot.</summary>
    private static JsonElement? TakeMatching(List<JsonElement> existing, IReadOnlyList<RequestedNetwork> wanted, RequestedNetwork wish)
    {
        var index = existing.FindIndex(port =>
            port.Text("network_id") == wish.NetworkId
            && !wanted.Any(other => other.PortId == port.Text("id"))
            && (wish.FixedIp is null || AddressesOf(port).Exists(address => address.Ip == wish.FixedIp)));
        if (index < 0)
        {
            return null;
        }

        var found = existing[index];
        existing.RemoveAt(index);
        return found;
    }

    private static List<VifAddress> AddressesOf(JsonElement port, ILookup<(string Port, string Ip), string>? floating = null) =>
        [.. port.GetProperty("fixed_ips").EnumerateArray().Select(address => new VifAddress(address.Text("ip_address")!, address.Text("subnet_id")!)
        {
            FloatingIps = floating?[(port.Text("id")!, address.Text("ip_address")!)].ToList() is { Count: > 0 } ips ? ips : null,
        })];

    private Vif VifOf(JsonElement port, RequestedNetwork network, Dictionary<string, List<JsonElement>> subnets, ILookup<(string Port, string Ip), string> floating)
    {
        var addresses = AddressesOf(port, floating);
        var details = port.TryGetProperty("binding:vif_details", out var given) && given.ValueKind == JsonValueKind.Object
            ? given.EnumerateObject()
                .Where(detail => detail.Value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.Null))
                .ToDictionary(detail => detail.Name, detail => detail.Value.ToString())
            : [];
        var type = port.Text("binding:vif_type") ?? "unbound";
        return new Vif
        {
            Id = port.Text("id")!,
            NetworkId = network.NetworkId,
            NetworkName = network.NetworkName,
            Mac = port.Text("mac_address")!,
            Mtu = network.Mtu,
            Addresses = addresses,
            Subnets =
            [
                .. subnets.GetValueOrDefault(network.NetworkId, [])
                    .Where(subnet => addresses.Exists(address => address.SubnetId == subnet.Text("id")))
                    .Select(SubnetOf),
            ],
            VifType = type,
            VnicType = port.Text("binding:vnic_type") ?? "normal",
            Bridge = details.GetValueOrDefault("bridge_name") ?? (type == "ovs" ? bridge : null),
            Details = details,
            Preexisting = network.PortId is not null,
            Plugged = port.Text("status") == "ACTIVE",
            Tag = network.Tag,
        };
    }

    private static VifSubnet SubnetOf(JsonElement subnet) =>
        new(subnet.Text("id")!, subnet.Text("cidr")!, subnet.Text("gateway_ip"), subnet.TryGetProperty("enable_dhcp", out var dhcp) && dhcp.ValueKind == JsonValueKind.True)
        {
            Dns = subnet.TryGetProperty("dns_nameservers", out var servers) ? [.. servers.EnumerateArray().Select(server => server.GetString()!)] : [],
            Routes = subnet.TryGetProperty("host_routes", out var routes)
                ? [.. routes.EnumerateArray().Select(route => new VifRoute(route.Text("destination")!, route.Text("nexthop")!))] : [],
        };

    /// <summary>Whether Neutron gives ports names (its extension <c>dns-integration</c>): then a server is found by its host name.</summary>
    private async ValueTask<bool> NamesPortsAsync(CancellationToken cancellationToken)
    {
        if (namesPorts is { } known)
        {
            return known;
        }

        using var response = await neutron.SendAsync(HttpMethod.Get, "/v2.0/extensions/dns-integration", null, null, cancellationToken);
        return response.IsSuccessStatusCode ? (namesPorts = true).Value
            : response.StatusCode == System.Net.HttpStatusCode.NotFound ? (namesPorts = false).Value
            : throw CloudException.Unavailable($"Neutron answered {(int)response.StatusCode} when it was asked whether it names ports.");
    }

    private static void WriteOwner(Utf8JsonWriter json, InstanceRow row, bool hasName)
    {
        json.WriteString("device_id", row.Uuid);
        json.WriteString("device_owner", string.Create(CultureInfo.InvariantCulture, $"compute:{row.AvailabilityZone}"));
        json.WriteString("binding:host_id", row.Host);
        if (hasName)
        {
            // The domain is Neutron's to say.
            json.WriteString("dns_name", row.Hostname.Split('.')[0]);
        }
    }

    private static PortRequest? RequestOf(JsonElement port) =>
        !port.TryGetProperty("resource_request", out var request) || request.ValueKind != JsonValueKind.Object || !request.TryGetProperty("request_groups", out var groups) || groups.GetArrayLength() == 0
            ? null
            : new PortRequest(
                port.Text("id")!,
                [.. groups.EnumerateArray().Select(group => new PortRequestGroup(
                    group.Text("id")!,
                    group.GetProperty("resources").EnumerateObject().ToDictionary(resource => resource.Name, resource => resource.Value.GetInt32()),
                    group.TryGetProperty("required", out var required) ? [.. required.EnumerateArray().Select(trait => trait.GetString()!)] : []))],
                request.TryGetProperty("same_subtree", out var subtree) ? [.. subtree.EnumerateArray().Select(id => id.GetString()!)] : []);

    /// <summary>A port's profile with another allocation; null for none.</summary>
    private static void WriteProfile(Utf8JsonWriter json, JsonElement profile, IReadOnlyDictionary<string, string>? allocation)
    {
        json.WriteStartObject(Profile);
        foreach (var member in profile.EnumerateObject().Where(member => member.Name != Allocation))
        {
            member.WriteTo(json);
        }

        if (allocation is not null)
        {
            json.WriteStartObject(Allocation);
            foreach (var (group, provider) in allocation)
            {
                json.WriteString(group, provider);
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static void WriteUnbound(Utf8JsonWriter json, JsonElement port, bool hasName)
    {
        json.WriteStartObject();
        json.WriteStartObject("port");
        json.WriteString("device_id", "");
        json.WriteString("device_owner", "");
        json.WriteNull("binding:host_id");
        if (hasName)
        {
            json.WriteString("dns_name", "");
        }

        if (port.TryGetProperty(Profile, out var profile) && profile.ValueKind == JsonValueKind.Object && profile.TryGetProperty(Allocation, out _))
        {
            WriteProfile(json, profile, null);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }
}

/// <summary>A port cannot be bound to the chosen host.</summary>
internal sealed class PortBindingException(string message) : CloudException(ErrorKind.Conflict, message, "PortBindingFailed");
