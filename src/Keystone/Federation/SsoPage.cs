using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace SharpStack.Keystone.Federation;

/// <summary>The page that posts a token from the browser to its dashboard.</summary>
internal static class SsoPage
{
    private const string Script = "document.forms['sso'].submit();";

    private static readonly string ScriptHash = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Script)));

    /// <param name="template">An operator's own page with <c>$host</c> and <c>$token</c>; null for the built-in one.</param>
    public static Task WriteAsync(HttpContext http, string? template, string dashboard, string token)
    {
        var (host, value) = (WebUtility.HtmlEncode(dashboard), WebUtility.HtmlEncode(token));
        var html = template?.Replace("$host", host, StringComparison.Ordinal).Replace("$token", value, StringComparison.Ordinal) ?? $"""
            <!DOCTYPE html>
            <html lang="en">
              <head><meta charset="utf-8"><title>Signing in</title></head>
              <body>
                <form id="sso" name="sso" action="{host}" method="post">
                  <p>Please wait ...</p>
                  <input type="hidden" name="token" id="token" value="{value}">
                  <noscript><button type="submit">Continue</button></noscript>
                </form>
                <script>{Script}</script>
              </body>
            </html>
            """;
        if (template is null)
        {
            http.Response.Headers.ContentSecurityPolicy = $"default-src 'none'; script-src 'sha256-{ScriptHash}'; form-action {new Uri(dashboard).GetLeftPart(UriPartial.Authority)}";
        }
        http.Response.Headers.CacheControl = "no-store";
        http.Response.ContentType = "text/html; charset=utf-8";
        return http.Response.WriteAsync(html, http.RequestAborted);
    }
}
