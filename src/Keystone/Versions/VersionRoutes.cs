using System.Text.Json;
using SharpStack.Foundation.Http;

namespace SharpStack.Keystone.Versions;

/// <summary>The version documents: <c>/</c> (300, a choice of one) and <c>/v3</c>.</summary>
internal sealed class VersionRoutes(Answers answers)
{
    public void Map(ApiRoutes routes)
    {
        routes.Get("/", ListAsync).Public();
        routes.Head("/", ListAsync).Public();
        routes.Get("/v3", ShowAsync).Public();
        routes.Head("/v3", ShowAsync).Public();
    }

    private static void Write(Utf8JsonWriter json, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", "v3.14");
        json.WriteString("status", "stable");
        json.WriteString("updated", "2020-04-07T00:00:00Z");
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", root + "/");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteStartArray("media-types");
        json.WriteStartObject();
        json.WriteString("base", "application/json");
        json.WriteString("type", "application/vnd.openstack.identity-v3+json");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private Task ListAsync(ApiContext context)
    {
        var root = answers.Root(context);
        context.Http.Response.Headers.Location = root + "/";
        return context.WriteJsonAsync(300, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("versions");
            json.WriteStartArray("values");
            Write(json, root);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private Task ShowAsync(ApiContext context) => context.WriteJsonAsync(200, json =>
    {
        json.WriteStartObject();
        json.WritePropertyName("version");
        Write(json, answers.Root(context));
        json.WriteEndObject();
    });
}
