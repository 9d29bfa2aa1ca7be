using System.Buffers;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Catalog;

/// <summary>The enabled services and their enabled endpoints, as tokens carry them.</summary>
/// <param name="endpoints">All endpoints, in the order of the catalog.</param>
internal sealed class ServiceCatalog(IReadOnlyList<ServiceRow> services, IReadOnlyList<EndpointRow> endpoints, EndpointFilters filters)
{
    private static readonly string[] Places =
    [
        "tenant_id", "project_id", "user_id", "public_bind_host", "admin_bind_host", "compute_host", "admin_port", "public_port", "public_endpoint", "admin_endpoint",
    ];

    private readonly ILookup<string, EndpointRow> byService = endpoints.Where(static e => e.Enabled).ToLookup(static e => e.ServiceId);
    private readonly bool sharable = !filters.HasAny && !endpoints.Any(static e => e.Url.Contains(")s", StringComparison.Ordinal));
    private byte[]? shared;

    /// <summary>Whether a URL has a place such as <c>$(project_id)s</c> that nothing ever fills, or one that is not written out.</summary>
    public static bool UnknownPlace(string url)
    {
        var text = url.Replace("$(", "%(", StringComparison.Ordinal);
        for (var i = text.IndexOf('%', StringComparison.Ordinal); i >= 0; i = text.IndexOf('%', i))
        {
            if (i + 1 < text.Length && text[i + 1] == '%')
            {
                i += 2;
                continue;
            }
            var end = text.IndexOf(")s", i, StringComparison.Ordinal);
            if (i + 1 == text.Length || text[i + 1] != '(' || end < 0 || !Places.Contains(text[(i + 2)..end]))
            {
                return true;
            }
            i = end;
        }
        return false;
    }

    /// <summary>
    /// The catalog's JSON array. Places in URLs such as <c>$(project_id)s</c> are filled in; where the scope has no project, the endpoints that need one
    /// are left out, and so is an endpoint with a place that nothing fills. A project that endpoints were given to has those alone.
    /// </summary>
    public byte[] Render(string userId, string? projectId) => sharable ? shared ??= Write(userId, projectId) : Write(userId, projectId);

    private byte[] Write(string userId, string? projectId)
    {
        var chosen = projectId is null ? [] : filters.EndpointsOf(projectId, endpoints);
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            json.WriteStartArray();
            foreach (var service in chosen.Count == 0 && !filters.AllWithoutFilter ? [] : services)
            {
                var own = byService[service.Id].Where(e => chosen.Count == 0 || chosen.Contains(e.Id)).ToList();
                if (chosen.Count > 0 && own.Count == 0)
                {
                    continue;
                }
                json.WriteStartObject();
                json.WriteStartArray("endpoints");
                foreach (var endpoint in own)
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
