using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using SharpStack.Foundation;

namespace SharpStack.Keystone.OAuth1;

/// <summary>The OAuth 1.0a parameters of a request (RFC 5849), from its <c>Authorization</c> header, and the check of its signature.</summary>
internal sealed class OAuthSignature
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(10);

    private readonly List<(string Name, string Value)> parameters;
    private readonly string method;
    private readonly string url;

    private OAuthSignature(List<(string Name, string Value)> parameters, string method, string url)
    {
        this.parameters = parameters;
        this.method = method;
        this.url = url;
    }

    public string? ConsumerKey => this["oauth_consumer_key"];

    public string? Token => this["oauth_token"];

    public string? Verifier => this["oauth_verifier"];

    private string? this[string name] => parameters.Find(p => p.Name == name) is { Value.Length: > 0 } found ? found.Value : null;

    /// <param name="url">As the client asked it, with its query: it is part of what is signed.</param>
    /// <exception cref="CloudException">The header is missing or malformed (400).</exception>
    public static OAuthSignature Read(HttpRequest request, string url)
    {
        const string scheme = "OAuth ";
        if (request.Headers.Authorization is not [{ } header] || !header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
        {
            throw CloudException.BadRequest("No Authorization headers found, cannot proceed with OAuth related calls. If running under HTTPd or Apache, ensure WSGIPassAuthorization is set to On.");
        }
        var parameters = new List<(string, string)>();
        foreach (var part in header[scheme.Length..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                throw CloudException.BadRequest("Malformed authorization header");
            }
            parameters.Add((Uri.UnescapeDataString(part[..equals]), Uri.UnescapeDataString(part[(equals + 1)..].Trim('"'))));
        }
        return parameters.GroupBy(static p => p.Item1).Any(static g => g.Count() > 1)
            ? throw CloudException.BadRequest("Duplicate OAuth1 entries.")
            : new(parameters, request.Method, url);
    }

    public string Require(string name) => this[name] ?? throw Fail.Expected(name, "request");

    /// <summary>Whether the request was signed with the secrets of the consumer and of the token, not long ago.</summary>
    /// <exception cref="CloudException">It is not signed in a way that is understood (400).</exception>
    public bool IsValid(string consumerSecret, string tokenSecret, DateTimeOffset now)
    {
        var signature = Require("oauth_signature");
        Require("oauth_nonce");
        if (this["oauth_version"] is { } version && version != "1.0")
        {
            throw CloudException.BadRequest("Invalid OAuth version.");
        }
        if (!long.TryParse(Require("oauth_timestamp"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) || seconds > 253_402_300_799)
        {
            throw CloudException.BadRequest("Invalid timestamp size");
        }
        if ((now - DateTimeOffset.FromUnixTimeSeconds(seconds)).Duration() > Lifetime)
        {
            throw CloudException.BadRequest("Timestamp given is invalid, differ from allowed by over 600 seconds.");
        }
        var key = Encoding.UTF8.GetBytes($"{Uri.EscapeDataString(consumerSecret)}&{Uri.EscapeDataString(tokenSecret)}");
        var text = Encoding.UTF8.GetBytes(BaseString());
        var right = Require("oauth_signature_method") switch
        {
#pragma warning disable CA5350 // What OAuth 1.0a signs with.
            "HMAC-SHA1" => HMACSHA1.HashData(key, text),
#pragma warning restore CA5350
            "HMAC-SHA256" => HMACSHA256.HashData(key, text),
            "HMAC-SHA512" => HMACSHA512.HashData(key, text),
            _ => throw CloudException.BadRequest("Invalid signature method: use HMAC-SHA1."),
        };
        return CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(Convert.ToBase64String(right)), Encoding.UTF8.GetBytes(signature));
    }

    private string BaseString()
    {
        var query = url.IndexOf('?', StringComparison.Ordinal);
        var all = parameters.Where(static p => p.Name is not ("oauth_signature" or "realm"));
        if (query >= 0)
        {
            all = all.Concat(QueryHelpers.ParseQuery(url[query..]).SelectMany(static p => p.Value.Select(value => (p.Key, value ?? ""))));
        }
        var normalized = string.Join(
            '&',
            all.Select(static p => (Name: Uri.EscapeDataString(p.Name), Value: Uri.EscapeDataString(p.Value)))
                .OrderBy(static p => p.Name, StringComparer.Ordinal).ThenBy(static p => p.Value, StringComparer.Ordinal)
                .Select(static p => $"{p.Name}={p.Value}"));
        var bare = new Uri(query < 0 ? url : url[..query]);
        var port = bare.IsDefaultPort ? "" : $":{bare.Port}";
        return $"{method.ToUpperInvariant()}&{Uri.EscapeDataString($"{bare.Scheme}://{bare.Host.ToLowerInvariant()}{port}{bare.AbsolutePath}")}&{Uri.EscapeDataString(normalized)}";
    }
}
