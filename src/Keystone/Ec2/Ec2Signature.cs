using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Ec2;

/// <summary>A request that was signed with an EC2 key, as a service that received it describes it.</summary>
/// <param name="Parameters">Of the query, or of a form.</param>
/// <param name="Headers">By name without regard to case.</param>
/// <param name="BodyHash">The SHA-256 of the body in hexadecimal digits; for version 4.</param>
internal sealed record SignedRequest(
    string Verb, string Host, string Path, IReadOnlyDictionary<string, string> Parameters, IReadOnlyDictionary<string, string> Headers, string BodyHash)
{
    /// <exception cref="CloudException">A part is missing or of another type (400).</exception>
    public static SignedRequest Read(JsonElement credentials) => new(
        credentials.Text("verb") ?? "",
        credentials.Text("host") ?? "",
        credentials.Text("path") ?? "",
        Texts(credentials, "params", StringComparer.Ordinal),
        Texts(credentials, "headers", StringComparer.OrdinalIgnoreCase),
        credentials.Text("body_hash") ?? "");

    private static Dictionary<string, string> Texts(JsonElement parent, string name, StringComparer comparer)
    {
        var texts = new Dictionary<string, string>(comparer);
        if (!parent.TryGetProperty(name, out var members) || members.ValueKind == JsonValueKind.Null)
        {
            return texts;
        }
        if (members.ValueKind != JsonValueKind.Object)
        {
            throw Fail.Expected(name, "credentials");
        }
        foreach (var member in members.EnumerateObject())
        {
            texts[member.Name] = member.Value.ValueKind switch
            {
                JsonValueKind.String => member.Value.GetString()!,
                JsonValueKind.Number => member.Value.GetRawText(),
                // As Python prints what the reference implementation signs.
                JsonValueKind.True => "True",
                JsonValueKind.False => "False",
                JsonValueKind.Null => "None",
                _ => throw Fail.Expected(member.Name, name),
            };
        }
        return texts;
    }
}

/// <summary>Signatures of Amazon's versions 0, 1, 2 and 4, the last in the <c>Authorization</c> header or in the query.</summary>
internal static partial class Ec2Signature
{
    private const string Version4 = "AWS4-HMAC-SHA256";

    /// <summary>Whether the signature is the request's, with or without the port in the host name, as clients differ in that.</summary>
    public static bool Matches(string secret, string signature, SignedRequest request)
    {
        if (Equal(signature, Generate(secret, request)))
        {
            return true;
        }
        var colon = request.Host.LastIndexOf(':');
        return colon > 0 && Equal(signature, Generate(secret, request with { Host = request.Host[..colon] }));
    }

    /// <summary>The signature of S3: version 4 for its string to sign, otherwise the older one by SHA-1.</summary>
    /// <param name="signed">The string that was signed.</param>
    /// <returns>False also for a version 4 of another service.</returns>
    public static bool MatchesS3(string secret, string signature, byte[] signed)
    {
        if (!signed.AsSpan().StartsWith("AWS4"u8))
        {
            return Equal(signature, Convert.ToBase64String(Sha1(Encoding.UTF8.GetBytes(secret), signed)));
        }
        if (Encoding.UTF8.GetString(signed).Split('\n') is not [Version4, _, var scope, _]
            || scope.Split('/') is not [var date, var region, "s3" or "iam" or "sts", "aws4_request"])
        {
            return false;
        }
        var service = scope.Split('/')[2];
        return Equal(signature, Convert.ToHexStringLower(HMACSHA256.HashData(SigningKey(secret, date, region, service), signed)));
    }

    public static string? Generate(string secret, SignedRequest request)
    {
        var key = Encoding.UTF8.GetBytes(secret);
        var parameters = request.Parameters;
        switch (parameters.GetValueOrDefault("SignatureVersion"))
        {
            case "0":
                return Base64(Sha1(key, Encoding.UTF8.GetBytes(parameters.GetValueOrDefault("Action") + parameters.GetValueOrDefault("Timestamp"))));
            case "1":
                var text = new StringBuilder();
                foreach (var (name, value) in parameters.OrderBy(static p => p.Key.ToLowerInvariant(), StringComparer.Ordinal))
                {
                    text.Append(name).Append(value);
                }
                return Base64(Sha1(key, Encoding.UTF8.GetBytes(text.ToString())));
            case "2":
                var all = new Dictionary<string, string>(parameters, StringComparer.Ordinal) { ["SignatureMethod"] = "HmacSHA256" };
                return Base64(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{request.Verb}\n{request.Host}\n{request.Path}\n{Query(all)}")));
            default:
                return IsVersion4(request) ? Generate4(secret, request) : null;
        }

        static string Base64(byte[] bytes) => Convert.ToBase64String(bytes);
    }

    private static bool IsVersion4(SignedRequest request) =>
        request.Headers.TryGetValue("Authorization", out var authorization)
            ? authorization.StartsWith(Version4, StringComparison.Ordinal)
            : request.Parameters.GetValueOrDefault("X-Amz-Algorithm") == Version4;

    private static string? Generate4(string secret, SignedRequest request)
    {
        var date = request.Headers.TryGetValue("X-Amz-Date", out var header) ? header : request.Parameters.GetValueOrDefault("X-Amz-Date");
        if (Parameter("Credential")?.Split('/') is not [_, var day, var region, var service, ..] credential
            || Parameter("SignedHeaders") is not { } signedHeaders || date is null || !date.StartsWith(day, StringComparison.Ordinal))
        {
            return null;
        }
        // Boto before 2.9.3 signed the host without its port.
        var stripsPort = request.Headers.TryGetValue("User-Agent", out var agent) && OldBoto().IsMatch(agent);
        var headers = new StringBuilder();
        foreach (var name in signedHeaders.Split(';'))
        {
            if (request.Headers.TryGetValue(name, out var value))
            {
                value = value.Trim();
                headers.Append(name).Append(':').Append(name == "host" && stripsPort ? value.Split(':')[0] : value).Append('\n');
            }
        }
        if (headers.Length == 0)
        {
            headers.Append('\n');
        }
        var isPost = request.Verb.Equals("POST", StringComparison.OrdinalIgnoreCase);
        var canonical = string.Join(
            '\n', request.Verb.ToUpperInvariant(), request.Path, isPost ? "" : Query(request.Parameters), headers.ToString(), signedHeaders, request.BodyHash);
        var toSign = string.Join(
            '\n', Version4, date, string.Join('/', credential.Skip(1)), Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(canonical))));
        return Convert.ToHexStringLower(HMACSHA256.HashData(SigningKey(secret, day, region, service), Encoding.UTF8.GetBytes(toSign)));

        // From the Authorization header where there is one, from the query otherwise.
        string? Parameter(string name)
        {
            if (!request.Headers.TryGetValue("Authorization", out var authorization))
            {
                return request.Parameters.GetValueOrDefault("X-Amz-" + name);
            }
            var start = authorization.IndexOf(name + "=", StringComparison.Ordinal);
            return start < 0 ? null : authorization[(start + name.Length + 1)..].Split(',')[0];
        }
    }

    private static byte[] SigningKey(string secret, string date, string region, string service)
    {
        var key = Encoding.UTF8.GetBytes("AWS4" + secret);
        foreach (var part in (string[])[date, region, service, "aws4_request"])
        {
            key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(part));
        }
        return key;
    }

    private static byte[] Sha1(byte[] key, byte[] data)
    {
#pragma warning disable CA5350 // Versions 0 and 1 are what they are.
        return HMACSHA1.HashData(key, data);
#pragma warning restore CA5350
    }

    /// <summary>Sorted by the bytes of the names, escaped as RFC 3986 says.</summary>
    private static string Query(IReadOnlyDictionary<string, string> parameters) => string.Join(
        '&', parameters.OrderBy(static p => p.Key, StringComparer.Ordinal).Select(static p => $"{Uri.EscapeDataString(p.Key)}={Uri.EscapeDataString(p.Value)}"));

    private static bool Equal(string given, string? right) =>
        right is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), Encoding.UTF8.GetBytes(right));

    [GeneratedRegex(@"^Boto/2\.[0-9]\.[0-2]")]
    private static partial Regex OldBoto();
}
