using System.Text.Json;
using System.Text.Json.Serialization;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Servers;

/// <summary>One interface that the user asked for: a network, with an address or without, or a port of theirs.</summary>
internal sealed record RequestedNetwork
{
    /// <summary>UUID; known for ports too after the request was checked.</summary>
    public required string NetworkId { get; init; }

    public string NetworkName { get; init; } = "";

    public int Mtu { get; init; } = 1500;

    /// <summary>The user's own port; null where Nova creates one.</summary>
    public string? PortId { get; init; }

    public string? FixedIp { get; init; }

    public string? Tag { get; init; }

    public string? PhysicalNetwork { get; init; }

    /// <summary>The provider (UUID) that was claimed at the host chosen for each group of the port's resource request; null for a port that asks for nothing.</summary>
    public IReadOnlyDictionary<string, string>? Allocation { get; init; }

    /// <summary>False for ports without port security or networks whose ports get no groups.</summary>
    public bool PortSecurity { get; init; } = true;
}

/// <summary>One interface of an instance: its port as Neutron had it, and what guests are told of its network.</summary>
internal sealed record Vif
{
    /// <summary>UUID of the port.</summary>
    public required string Id { get; init; }

    public required string NetworkId { get; init; }

    public string NetworkName { get; init; } = "";

    public required string Mac { get; init; }

    public int Mtu { get; init; } = 1500;

    public IReadOnlyList<VifAddress> Addresses { get; init; } = [];

    public IReadOnlyList<VifSubnet> Subnets { get; init; } = [];

    public string VifType { get; init; } = "unbound";

    public string VnicType { get; init; } = "normal";

    public string? Bridge { get; init; }

    public IReadOnlyDictionary<string, string> Details { get; init; } = new Dictionary<string, string>();

    /// <summary>The user's own port: it outlives the instance.</summary>
    public bool Preexisting { get; init; }

    /// <summary>Neutron said that it is plugged.</summary>
    public bool Plugged { get; init; }

    public string? Tag { get; init; }

    [JsonIgnore]
    public string DeviceName => "tap" + Id[..11];
}

internal sealed record VifAddress(string Ip, string SubnetId)
{
    /// <summary>The floating IPs that lead here; null for none.</summary>
    public IReadOnlyList<string>? FloatingIps { get; init; }

    [JsonIgnore]
    public int Version => Ip.Contains(':', StringComparison.Ordinal) ? 6 : 4;
}

/// <summary>What <c>network_data.json</c> says of a subnet.</summary>
internal sealed record VifSubnet(string Id, string Cidr, string? Gateway, bool Dhcp)
{
    public IReadOnlyList<string> Dns { get; init; } = [];

    public IReadOnlyList<VifRoute> Routes { get; init; } = [];
}

internal sealed record VifRoute(string Destination, string NextHop);

/// <summary>The JSON texts in Nova's rows.</summary>
internal static class StoredJson
{
    public static IReadOnlyList<Vif> Vifs(string text) => text.Length <= 2 ? [] : JsonSerializer.Deserialize(text, NovaJson.Default.ListVif)!;

    public static string Text(IEnumerable<Vif> vifs) => JsonSerializer.Serialize([.. vifs], NovaJson.Default.ListVif);

    public static IReadOnlyList<RequestedNetwork> Networks(string text) => JsonSerializer.Deserialize(text, NovaJson.Default.ListRequestedNetwork)!;

    public static string Text(IEnumerable<RequestedNetwork> networks) => JsonSerializer.Serialize([.. networks], NovaJson.Default.ListRequestedNetwork);

    public static IReadOnlyList<string> Texts(string text) => text.Length <= 2 ? [] : JsonSerializer.Deserialize(text, NovaJson.Default.ListString)!;

    public static string Text(IEnumerable<string> texts) => JsonSerializer.Serialize([.. texts], NovaJson.Default.ListString);

    public static Dictionary<string, string> Map(string text) => text.Length <= 2 ? [] : JsonSerializer.Deserialize(text, NovaJson.Default.DictionaryStringString)!;

    public static string Text(Dictionary<string, string> map) => JsonSerializer.Serialize(map, NovaJson.Default.DictionaryStringString);

    public static Dictionary<string, IReadOnlyList<string>> Hints(string text) => JsonSerializer.Deserialize(text, NovaJson.Default.DictionaryStringIReadOnlyListString)!;

    public static string Text(Dictionary<string, IReadOnlyList<string>> hints) => JsonSerializer.Serialize(hints, NovaJson.Default.DictionaryStringIReadOnlyListString);

    public static ImageSpec? Image(string? text) => text is null ? null : JsonSerializer.Deserialize(text, NovaJson.Default.ImageSpec);

    public static string Text(ImageSpec image) => JsonSerializer.Serialize(image, NovaJson.Default.ImageSpec);

    public static List<InventoryReport> Inventories(string text) => JsonSerializer.Deserialize(text, NovaJson.Default.ListInventoryReport)!;

    public static string Text(IEnumerable<InventoryReport> inventories) => JsonSerializer.Serialize([.. inventories], NovaJson.Default.ListInventoryReport);

    /// <summary>The addresses as servers show them, by network in the order of the interfaces.</summary>
    public static string Addresses(IReadOnlyList<Vif> vifs)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            foreach (var network in vifs.GroupBy(vif => vif.NetworkName))
            {
                json.WriteStartArray(network.Key);
                foreach (var vif in network)
                {
                    foreach (var address in vif.Addresses)
                    {
                        Write(address.Ip, address.Version, "fixed", vif.Mac);
                        foreach (var floating in address.FloatingIps ?? [])
                        {
                            Write(floating, 4, "floating", vif.Mac);
                        }
                    }
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();

            void Write(string ip, int version, string type, string mac)
            {
                json.WriteStartObject();
                json.WriteNumber("version", version);
                json.WriteString("addr", ip);
                json.WriteString("OS-EXT-IPS:type", type);
                json.WriteString("OS-EXT-IPS-MAC:mac_addr", mac);
                json.WriteEndObject();
            }
        }

        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>The security groups as servers show them.</summary>
    public static string Groups(IEnumerable<string> names)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartArray();
            foreach (var name in names)
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(List<Vif>))]
[JsonSerializable(typeof(List<RequestedNetwork>))]
[JsonSerializable(typeof(List<string>))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(Dictionary<string, IReadOnlyList<string>>))]
[JsonSerializable(typeof(ImageSpec))]
[JsonSerializable(typeof(List<InventoryReport>))]
[JsonSerializable(typeof(InstanceHint))]
[JsonSerializable(typeof(HostQuery))]
[JsonSerializable(typeof(SharpStack.Foundation.Bus.Ack))]
[JsonSerializable(typeof(SharpStack.Nova.Scheduling.RequestSpec))]
[JsonSerializable(typeof(SharpStack.Nova.Scheduling.SchedulerAnswer))]
internal sealed partial class NovaJson : JsonSerializerContext;
