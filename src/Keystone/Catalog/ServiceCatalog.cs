using System.Buffers;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary>The enabled services and their enabled endpoints, as tokens carry them.</summary>
internal sealed class ServiceCatalog(IReadOnlyList<ServiceRow> services, IReadOnlyList<EndpointRow> endpoints)
{
    private readonly ILookup<string, EndpointRow> byService = endpoints.ToLookup(static e => e.ServiceId);
    private readonly bool hasTemplates = endpoints.Any(static e => e.Url.Contains(")s", StringComparison.Ordinal));
    private byte[]? shared;

    /// <summary>
    /// The catalog's JSON array. Places in URLs such as <c>$(project_id)s</c> are filled in; where the scope has no project, the endpoints that need one
    /// are left out, and so is an endpoint with a place that nothing fills.
    /// </summary>
    public byte[] Render(string userId, string? projectId) =>
        hasTemplates ? Write(userId, projectId) : shared ??= Write(userId, projectId);

    private byte[] Write(string userId, string? projectId)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            json.WriteStartArray();
            foreach (var service in services)
            {
                json.WriteStartObject();
                json.WriteStartArray("endpoints");
                foreach (var endpoint in byService[service.Id])
                {
                    if (Fill(endpoint.Url, userId, projectId) is not { } url)
                    {
                        continue;
                    }
                    json.WriteStartObject();
                    json.WriteString("id", endpoint.Id);
                    json.WriteString("interface", endpoint.Interface);
                    json.WriteString("region_id", endpoint.RegionId);
                    json.WriteString("url", url);
                    json.WriteString("region", endpoint.RegionId);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
                json.WriteString("id", service.Id);
                json.WriteString("type", service.Type);
                json.WriteString("name", service.Name ?? "");
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static string? Fill(string url, string userId, string? projectId)
    {
        if (!url.Contains(")s", StringComparison.Ordinal))
        {
            return url;
        }
        var text = new StringBuilder();
        for (var i = 0; i < url.Length; i++)
        {
            if (url[i] is '$' or '%' && i + 1 < url.Length && url[i + 1] == '(' && url.IndexOf(")s", i + 2, StringComparison.Ordinal) is var end and > 0)
            {
                var value = url[(i + 2)..end] switch
                {
                    "project_id" or "tenant_id" => projectId,
                    "user_id" => userId,
                    _ => null,
                };
                if (value is null)
                {
                    return null;
                }
                text.Append(value);
                i = end + 1;
            }
            else
            {
                text.Append(url[i]);
            }
        }
        return text.ToString();
    }
}
