using System.Net;
using Microsoft.AspNetCore.Http;

namespace SharpStack.Foundation.Http;

/// <summary>
/// What a proxy says of the client that it speaks for: <c>Forwarded</c> (RFC 7239), or <c>X-Forwarded-Proto</c>, <c>-Host</c>, <c>-For</c> and <c>-Prefix</c>. Applied only where
/// <c>[oslo_middleware] enable_proxy_headers_parsing</c> says that a proxy sets them, since every client can send them.
/// </summary>
internal static class ProxyHeaders
{
    public static void Apply(HttpRequest request)
    {
        var headers = request.Headers;
        string? scheme = null, host = null, client = null;
        if (First(headers["Forwarded"]) is { } forwarded)
        {
            foreach (var pair in forwarded.Split(';', StringSplitOptions.TrimEntries))
            {
                var equals = pair.IndexOf('=', StringComparison.Ordinal);
                var value = equals < 0 ? "" : pair[(equals + 1)..].Trim('"');
                switch (equals < 0 ? "" : pair[..equals].ToLowerInvariant())
                {
                    case "proto":
                        scheme = value;
                        break;
                    case "host":
                        host = value;
                        break;
                    case "for":
                        client = value;
                        break;
                }
            }
        }
        else
        {
            (scheme, host, client) = (First(headers["X-Forwarded-Proto"]), First(headers["X-Forwarded-Host"]), First(headers["X-Forwarded-For"]));
        }

        if (scheme is "http" or "https")
        {
            request.Scheme = scheme;
        }

        if (host is { Length: > 0 } && Uri.TryCreate($"http://{host}", UriKind.Absolute, out var authority) && authority.PathAndQuery == "/")
        {
            request.Host = new HostString(host);
        }

        if (client is not null && IPAddress.TryParse(client.Trim('[', ']'), out var address))
        {
            request.HttpContext.Connection.RemoteIpAddress = address;
        }

        if (First(headers["X-Forwarded-Prefix"]) is { } prefix && prefix.StartsWith('/') && prefix.Length > 1)
        {
            request.PathBase = prefix.TrimEnd('/');
        }
    }

    /// <summary>The client's own end of the list that each proxy on the way adds to.</summary>
    private static string? First(Microsoft.Extensions.Primitives.StringValues values) =>
        values.Count == 0 ? null : values[0]!.Split(',', 2, StringSplitOptions.TrimEntries)[0];
}
