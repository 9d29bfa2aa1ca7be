using System.Text.Json;
using SharpStack.Foundation.Http;

namespace SharpStack.Neutron.Extensions;

/// <summary><c>/</c> and <c>/v2.0</c>.</summary>
internal static class VersionApi
{
    private static readonly (string Singular, string Plural)[] Resources =
        [("network", "networks"), ("subnet", "subnets"), ("port", "ports"), ("security_group", "security-groups"), ("security_group_rule", "security-group-rules"), ("default_security_group_rule", "default-security-group-rules"), ("subnetpool", "subnetpools"), ("address_scope", "address-scopes"), ("rbac_policy", "rbac-policies"), ("segment", "segments"), ("network_segment_range", "network_segment_ranges"), ("address_group", "address-groups"), ("router", "routers"), ("floatingip", "floatingips"), ("floatingip_pool", "floatingip_pools"), ("policy", "qos/policies"), ("agent", "agents"), ("quota", "quotas"), ("extension", "extensions")];

    public static void Map(ApiRoutes routes)
    {
        routes.Get("/", context => context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("versions");
            json.WriteStartObject();
            json.WriteString("id", "v2.0");
            json.WriteString("status", "CURRENT");
            json.WriteStartArray("links");
            WriteLink(json, context.BaseUrl + "/v2.0/");
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        })).Public();
        routes.Get("/v2.0", context => context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("resources");
            foreach (var (singular, plural) in Resources)
            {
                json.WriteStartObject();
                json.WriteString("name", singular);
                json.WriteString("collection", plural);
                json.WriteStartArray("links");
                WriteLink(json, $"{context.BaseUrl}/v2.0/{plural}");
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        })).ForEveryToken();
    }

    private static void WriteLink(Utf8JsonWriter json, string href)
    {
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", href);
        json.WriteEndObject();
    }
}
