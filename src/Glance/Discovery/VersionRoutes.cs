using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation.Http;

namespace SharpStack.Glance.Discovery;

/// <summary>The version documents: <c>/</c> answers 300, <c>/versions</c> 200.</summary>
internal static class VersionRoutes
{
    /// <summary>Newest first; 2.8 and 2.10 to 2.14 belong to features that are not offered here.</summary>
    private static readonly string[] Versions = ["2.15", "2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"];

    public static void Map(ApiRoutes routes)
    {
        routes.Get("/", context => AnswerAsync(context, StatusCodes.Status300MultipleChoices)).Public();
        routes.Get("/versions", context => AnswerAsync(context, StatusCodes.Status200OK)).Public();
    }

    private static Task AnswerAsync(ApiContext context, int status) =>
        context.WriteJsonAsync(status, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("versions");
            for (var i = 0; i < Versions.Length; i++)
            {
                Write(json, Versions[i], i == 0 ? "CURRENT" : "SUPPORTED", context.BaseUrl);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });

    private static void Write(Utf8JsonWriter json, string version, string status, string baseUrl)
    {
        json.WriteStartObject();
        json.WriteString("id", $"v{version}");
        json.WriteString("status", status);
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "self");
        json.WriteString("href", $"{baseUrl}/v2/");
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
