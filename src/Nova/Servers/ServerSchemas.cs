using System.Text.RegularExpressions;
using SharpStack.Foundation.Http;

namespace SharpStack.Nova.Servers;

/// <summary>What requests about servers may say, by microversion.</summary>
internal static partial class ServerSchemas
{
    private static readonly JsonSchema Text = JsonSchema.String();
    private static readonly JsonSchema DiskConfig = JsonSchema.OneOfTexts("AUTO", "MANUAL");
    private static readonly JsonSchema AccessV4 = JsonSchema.AnyOf(JsonSchema.String(format: "ipv4"), JsonSchema.String(0, 0));
    private static readonly JsonSchema AccessV6 = JsonSchema.AnyOf(JsonSchema.String(format: "ipv6"), JsonSchema.String(0, 0));
    private static readonly JsonSchema Address = JsonSchema.AnyOf(JsonSchema.String(format: "ipv4"), JsonSchema.String(format: "ipv6"));
    private static readonly JsonSchema Hints = JsonSchema.Object(true, ("group", JsonSchema.Uuid));

    public static NovaRoute WithCreateSchemas(this NovaRoute route)
    {
        int[] changes = [1, 19, 32, 37, 42, 52, 57, 63, 67, 74, 90, 94];
        for (var i = 0; i < changes.Length; i++)
        {
            route.Body(Create(changes[i]), $"2.{changes[i]}", i + 1 < changes.Length ? $"2.{changes[i + 1] - 1}" : null);
        }

        return route;
    }

    public static NovaRoute WithUpdateSchemas(this NovaRoute route) =>
        route.Body(Update(1), null, "2.18").Body(Update(19), "2.19", "2.89").Body(Update(90), "2.90");

    private static JsonSchema Create(int version)
    {
        var network = new List<(string, JsonSchema)>
        {
            ("fixed_ip", Address),
            ("port", JsonSchema.Uuid.OrNull()),
            ("uuid", version >= 37 ? JsonSchema.Uuid : Text),
        };
        if (version is (>= 32 and < 37) or >= 42)
        {
            network.Add(("tag", Schemas.Tag));
        }

        var networks = JsonSchema.Array(JsonSchema.Object(false, [.. network]));
        var server = new List<(string, JsonSchema)>
        {
            ("name!", Schemas.Name),
            ("flavorRef!", new JsonSchema { Types = ["string", "integer"], MinLength = 1 }),
            ("imageRef", JsonSchema.AnyOf(JsonSchema.Uuid, JsonSchema.String(0, 0))),
            ("adminPass", Text),
            ("metadata", Schemas.Metadata),
            (version >= 37 ? "networks!" : "networks", version >= 37 ? JsonSchema.AnyOf(networks, JsonSchema.OneOfTexts("none", "auto")) : networks),
            ("OS-DCF:diskConfig", DiskConfig),
            ("accessIPv4", AccessV4),
            ("accessIPv6", AccessV6),
            ("availability_zone", Schemas.Name),
            ("block_device_mapping", JsonSchema.Array(JsonSchema.Object(true))),
            ("block_device_mapping_v2", JsonSchema.Array(JsonSchema.Object(true))),
            ("config_drive", Schemas.Boolean),
            ("key_name", Schemas.Name),
            ("min_count", Schemas.PositiveInteger),
            ("max_count", Schemas.PositiveInteger),
            ("return_reservation_id", Schemas.Boolean),
            ("security_groups", JsonSchema.Array(JsonSchema.Object(false, ("name", Schemas.Name)))),
            ("user_data", JsonSchema.String(0, 65_535, format: "base64")),
        };
        if (version < 57)
        {
            server.Add(("personality", JsonSchema.Array(JsonSchema.Object(false, ("path!", Text), ("contents!", Text)))));
        }

        AddSince(19, "description", Schemas.Description);
        AddSince(52, "tags", JsonSchema.Array(Schemas.Tag, max: 50));
        AddSince(63, "trusted_image_certificates", JsonSchema.Array(JsonSchema.String(1, 255), 1, 50, true).OrNull());
        AddSince(74, "host", Schemas.Fqdn);
        AddSince(74, "hypervisor_hostname", Schemas.Fqdn);
        AddSince(90, "hostname", version >= 94 ? Schemas.Fqdn with { MinLength = 2 } : Schemas.Hostname);
        return JsonSchema.Object(false, ("server!", JsonSchema.Object(false, [.. server])), ("os:scheduler_hints", Hints), ("OS-SCH-HNT:scheduler_hints", Hints));

        void AddSince(int first, string name, JsonSchema schema)
        {
            if (version >= first)
            {
                server.Add((name, schema));
            }
        }
    }

    private static JsonSchema Update(int version)
    {
        var server = new List<(string, JsonSchema)>
        {
            ("name", Schemas.Name), ("OS-DCF:diskConfig", DiskConfig), ("accessIPv4", AccessV4), ("accessIPv6", AccessV6),
        };
        if (version >= 19)
        {
            server.Add(("description", Schemas.Description));
        }

        if (version >= 90)
        {
            server.Add(("hostname", Schemas.Hostname));
        }

        return JsonSchema.Envelope("server", JsonSchema.Object(false, [.. server]));
    }

    /// <summary>A host name made of a display name, as guests can have it.</summary>
    public static string HostnameFrom(string name, string uuid)
    {
        var clean = NotInHostname().Replace(Separator().Replace(name, "-"), "").ToLowerInvariant().Trim('.', '-');
        clean = clean.Length > 63 ? clean[..63].TrimEnd('-', '.') : clean;
        return clean.Length > 0 ? clean : $"server-{uuid}";
    }

    [GeneratedRegex("[ _.]")]
    private static partial Regex Separator();

    [GeneratedRegex("[^a-zA-Z0-9-]+")]
    private static partial Regex NotInHostname();
}
