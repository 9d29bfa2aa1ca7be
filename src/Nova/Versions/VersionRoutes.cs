using System.Text.Json;
using SharpStack.Foundation.Http;

namespace SharpStack.Nova.Versions;

/// <summary>The version documents: <c>/</c> and <c>/v2.1/</c>.</summary>
internal static class VersionRoutes
{
    private static readonly (string Id, string Path, string Status, string Version, string MinVersion, string Updated, string MediaType)[] All =
    [
        ("v2.0", "v2", "SUPPORTED", "", "", "2011-01-21T11:33:21Z", "application/vnd.openstack.compute+json;version=2"),
        ("v2.1", "v2.1", "CURRENT", NovaApi.Versions.Max.ToString(), NovaApi.Versions.Min.ToString(), "2013-07-23T11:33:21Z", "application/vnd.openstack.compute+json;version=2.1"),
    ];

    public static void Map(ApiRoutes routes)
    {
        routes.Get("/", ListAsync).Public();
        routes.Get("/v2", context => ShowAsync(context, 0)).Public();
        routes.Get("/v2.1", context => ShowAsync(context, 1)).Public();
    }

    private static Task ListAsync(ApiContext context) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("versions");
            for (var i = 0; i < All.Length; i++)
            {
                json.WriteStartObject();
                Write(json, context, i, false);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });

    private static Task ShowAsync(ApiContext context, int index) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("version");
            Write(json, context, index, true);
            json.WriteStartArray("media-types");
            json.WriteStartObject();
            json.WriteString("base", "application/json");
            json.WriteString("type", All[index].MediaType);
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        });

    private static void Write(Utf8JsonWriter json, ApiContext context, int index, bool described)
    {
        var (id, path, status, version, minVersion, updated, _) = All[index];
        json.WriteString("id", id);
        json.WriteString("status", status);
        json.WriteString("version", version);
        json.WriteString("min_version", minVersion);
        json.WriteString("updated", updated);
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", $"{context.BaseUrl}/{path}/");
        json.WriteEndObject();
        if (described)
        {
            json.WriteStartObject();
            json.WriteString("rel", "describedby");
            json.WriteString("type", "text/html");
            json.WriteString("href", "http://docs.openstack.org/");
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
