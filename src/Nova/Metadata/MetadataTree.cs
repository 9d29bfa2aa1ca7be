using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Metadata;

/// <summary>A leaf: its text, or bytes that need not be text.</summary>
internal sealed record MetadataLeaf(string Text, string ContentType = "text/plain")
{
    public byte[]? Binary { get; init; }
}

/// <summary>The metadata of one instance: OpenStack's files, and the tree of values that EC2 began.</summary>
internal sealed class MetadataTree(InstanceRow row, string? userData, string domain, string defaultZone)
{
    private const string Json = "application/json";

    private static readonly string[] OpenStackVersions =
        ["2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14"];

    private static readonly string[] Ec2Versions =
        ["1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04"];

    private readonly IReadOnlyList<Vif> vifs = StoredJson.Vifs(row.NetworkInfo);

    private string Hostname => domain.Length > 0 ? $"{row.Hostname}.{domain}" : row.Hostname;

    private string FloatingIp => vifs.SelectMany(vif => vif.Addresses).SelectMany(address => address.FloatingIps ?? []).FirstOrDefault() ?? "";

    private string FixedIp => vifs.SelectMany(vif => vif.Addresses).FirstOrDefault(address => address.Version == 4)?.Ip ?? "";

    /// <param name="tree">Null for what no instance is needed for.</param>
    public static MetadataLeaf? Find(MetadataTree? tree, string[] path) => path switch
    {
        [] => new MetadataLeaf(string.Join('\n', Ec2Versions.Append("latest"))),
        ["openstack"] => new MetadataLeaf(string.Join('\n', OpenStackVersions.Append("latest"))),
        ["openstack", var version, .. var rest] => version == "latest" || OpenStackVersions.Contains(version) ? tree!.OpenStack(version, rest) : null,
        [var version, .. var rest] => version == "latest" || Ec2Versions.Contains(version) ? tree!.Ec2(rest) : null,
    };

    private MetadataLeaf? OpenStack(string version, string[] path)
    {
        bool Since(string first) => version == "latest" || string.CompareOrdinal(version, first) >= 0;
        switch (path)
        {
            case []:
                var files = new List<string> { "meta_data.json" };
                AddSince("2013-04-04", userData is not null, "user_data");
                AddSince("2013-04-04", true, "password");
                AddSince("2013-10-17", true, "vendor_data.json");
                AddSince("2015-10-15", true, "network_data.json");
                AddSince("2016-10-06", true, "vendor_data2.json");
                return new MetadataLeaf(string.Join('\n', files));

                void AddSince(string first, bool there, string name)
                {
                    if (there && Since(first))
                    {
                        files.Add(name);
                    }
                }

            case ["meta_data.json"]:
                return new MetadataLeaf(Written(json => WriteMetadata(json, Since)), Json);
            case ["user_data"] when userData is not null:
                return UserData();
            case ["password"] when Since("2013-04-04"):
                return new MetadataLeaf("");
            case ["vendor_data.json"] when Since("2013-10-17"):
            case ["vendor_data2.json"] when Since("2016-10-06"):
                return new MetadataLeaf("{}", Json);
            case ["network_data.json"] when Since("2015-10-15"):
                return new MetadataLeaf(Written(WriteNetwork), Json);
            default:
                return null;
        }
    }

    private void WriteMetadata(Utf8JsonWriter json, Func<string, bool> since)
    {
        json.WriteStartObject();
        json.WriteString("uuid", row.Uuid);
        if (row.Metadata.Length > 2)
        {
            json.WritePropertyName("meta");
            json.WriteRawValue(row.Metadata, skipInputValidation: true);
        }

        if (row.KeyName is not null)
        {
            json.WriteStartObject("public_keys");
            json.WriteString(row.KeyName, row.KeyData);
            json.WriteEndObject();
            json.WriteStartArray("keys");
            json.WriteStartObject();
            json.WriteString("name", row.KeyName);
            json.WriteString("type", row.KeyType);
            json.WriteString("data", row.KeyData);
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteString("hostname", Hostname);
        json.WriteString("name", row.Name);
        json.WriteNumber("launch_index", row.LaunchIndex);
        json.WriteString("availability_zone", row.AvailabilityZone ?? defaultZone);
        if (since("2013-10-17"))
        {
            json.WriteString("random_seed", Convert.ToBase64String(RandomNumberGenerator.GetBytes(512)));
        }

        if (since("2015-10-15"))
        {
            json.WriteString("project_id", row.ProjectId);
        }

        if (since("2016-06-30"))
        {
            WriteDevices(json);
        }

        if (since("2020-10-14"))
        {
            json.WriteStartArray("dedicated_cpus");
            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    /// <summary>Interfaces that the user gave a tag.</summary>
    private void WriteDevices(Utf8JsonWriter json)
    {
        json.WriteStartArray("devices");
        foreach (var vif in vifs.Where(vif => vif.Tag is not null))
        {
            json.WriteStartObject();
            json.WriteString("type", "nic");
            json.WriteString("bus", "none");
            json.WriteString("address", "none");
            json.WriteString("mac", vif.Mac);
            json.WriteStartArray("tags");
            json.WriteStringValue(vif.Tag);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private void WriteNetwork(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteStartArray("links");
        foreach (var vif in vifs)
        {
            json.WriteStartObject();
            json.WriteString("id", vif.DeviceName);
            json.WriteString("vif_id", vif.Id);
            json.WriteString("type", vif.VifType is "ovs" or "bridge" or "tap" ? vif.VifType : "phy");
            json.WriteNumber("mtu", vif.Mtu);
            json.WriteString("ethernet_mac_address", vif.Mac);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("networks");
        var number = 0;
        var servers = new List<string>();
        foreach (var vif in vifs)
        {
            foreach (var address in vif.Addresses)
            {
                if (vif.Subnets.FirstOrDefault(subnet => subnet.Id == address.SubnetId) is { } subnet)
                {
                    WriteNetwork(json, vif, address, subnet, number++);
                    servers.AddRange(subnet.Dns);
                }
            }
        }

        json.WriteEndArray();
        WriteServices(json, servers.Distinct());
        json.WriteEndObject();
    }

    private static void WriteNetwork(Utf8JsonWriter json, Vif vif, VifAddress address, VifSubnet subnet, int number)
    {
        json.WriteStartObject();
        json.WriteString("id", $"network{number}");
        json.WriteString("type", $"ipv{address.Version}{(subnet.Dhcp ? "_dhcp" : "")}");
        json.WriteString("link", vif.DeviceName);
        json.WriteString("network_id", vif.NetworkId);
        if (!subnet.Dhcp)
        {
            json.WriteString("ip_address", address.Ip);
            json.WriteString("netmask", Netmask(subnet.Cidr));
            json.WriteStartArray("routes");
            if (subnet.Gateway is not null)
            {
                WriteRoute(json, address.Version == 4 ? "0.0.0.0/0" : "::/0", subnet.Gateway);
            }

            foreach (var route in subnet.Routes)
            {
                WriteRoute(json, route.Destination, route.NextHop);
            }

            json.WriteEndArray();
            WriteServices(json, subnet.Dns);
        }

        json.WriteEndObject();
    }

    private static void WriteRoute(Utf8JsonWriter json, string destination, string gateway)
    {
        json.WriteStartObject();
        json.WriteString("network", destination[..destination.IndexOf('/', StringComparison.Ordinal)]);
        json.WriteString("netmask", Netmask(destination));
        json.WriteString("gateway", gateway);
        json.WriteEndObject();
    }

    private static void WriteServices(Utf8JsonWriter json, IEnumerable<string> servers)
    {
        json.WriteStartArray("services");
        foreach (var server in servers)
        {
            json.WriteStartObject();
            json.WriteString("type", "dns");
            json.WriteString("address", server);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static string Netmask(string cidr)
    {
        var network = IPNetwork.Parse(cidr);
        var bytes = new byte[network.BaseAddress.GetAddressBytes().Length];
        for (var bit = 0; bit < network.PrefixLength; bit++)
        {
            bytes[bit / 8] |= (byte)(0x80 >> (bit % 8));
        }

        return new IPAddress(bytes).ToString();
    }

    private MetadataLeaf? Ec2(string[] path) => path switch
    {
        [] => new MetadataLeaf(userData is null ? "meta-data/" : "meta-data/\nuser-data"),
        ["user-data"] => userData is null ? null : UserData(),
        ["meta-data", .. var rest] => Ec2Value(rest),
        _ => null,
    };

    private MetadataLeaf? Ec2Value(string[] path)
    {
        var key = row.KeyName;
        string? text = path switch
        {
            [] => string.Join('\n', ((string?[])
            [
                "ami-id", "ami-launch-index", "ami-manifest-path", "block-device-mapping/", "hostname", "instance-action", "instance-id", "instance-type", "local-hostname",
                "local-ipv4", "placement/", "public-hostname", "public-ipv4", key is null ? null : "public-keys/", "reservation-id", "security-groups",
            ]).OfType<string>()),
            ["ami-id"] => $"ami-{row.Id:x8}",
            ["ami-launch-index"] => $"{row.LaunchIndex}",
            ["ami-manifest-path"] => "",
            ["block-device-mapping"] => "ami\nroot",
            ["block-device-mapping", "ami"] => "vda",
            ["block-device-mapping", "root"] => "/dev/vda",
            ["hostname"] or ["local-hostname"] or ["public-hostname"] => Hostname,
            ["instance-action"] => "none",
            ["instance-id"] => $"i-{row.Id:x8}",
            ["instance-type"] => row.FlavorName,
            ["local-ipv4"] => FixedIp,
            ["placement"] => "availability-zone",
            ["placement", "availability-zone"] => row.AvailabilityZone ?? defaultZone,
            ["public-ipv4"] => FloatingIp,
            ["public-keys"] when key is not null => $"0={key}",
            ["public-keys", "0"] when key is not null => "openssh-key",
            ["public-keys", "0", "openssh-key"] when key is not null => row.KeyData,
            ["reservation-id"] => row.ReservationId,
            ["security-groups"] => SecurityGroups(),
            _ => null,
        };
        return text is null ? null : new MetadataLeaf(text);
    }

    private string SecurityGroups()
    {
        using var document = JsonDocument.Parse(row.SecurityGroups);
        return string.Join('\n', document.RootElement.EnumerateArray().Select(group => group.GetProperty("name").GetString()));
    }

    private MetadataLeaf UserData() => new("", "application/octet-stream") { Binary = Convert.FromBase64String(userData!) };

    private static string Written(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            write(json);
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}
