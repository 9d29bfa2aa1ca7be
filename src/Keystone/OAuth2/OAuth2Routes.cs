using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.OAuth2;

/// <summary>A refusal in the words of RFC 6749, section 5.2.</summary>
internal sealed class OAuth2Exception(ErrorKind kind, string error, string description) : CloudException(kind, description)
{
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("error", error);
        json.WriteString("error_description", Message);
        json.WriteEndObject();
    }
}

/// <summary>Access tokens by client credentials (RFC 6749, section 4.4): the client is an application credential, its token one of Keystone's.</summary>
internal sealed class OAuth2Routes(Authenticator authenticator, ServiceConfig config)
{
    private const int LongestForm = 4096;
    private const string Basic = "Basic ";

    private readonly int lifetime = config.Get(KeystoneOptions.TokenExpiration);

    public void Map(ApiRoutes routes)
    {
        const string token = "/v3/OS-OAUTH2/token";
        // Proven by the secret of the client.
        routes.Post(token, IssueAsync).Public();
        foreach (var method in (string[])["GET", "HEAD", "PUT", "PATCH", "DELETE"])
        {
            routes.Map(method, token, static _ => throw Other(ErrorKind.MethodNotAllowed, "The method is not allowed for the requested URL.")).Public();
        }
    }

    private static OAuth2Exception InvalidClient(string description) => new(ErrorKind.Unauthorized, "invalid_client", description);

    private static OAuth2Exception Other(ErrorKind kind, string description) => new(kind, "other_error", description);

    private static (string Id, string Secret) ReadClient(HttpRequest request)
    {
        if (request.Headers.Authorization is not [{ Length: > 0 } header])
        {
            throw InvalidClient("OAuth2.0 client authorization is required.");
        }
        if (!header.StartsWith(Basic, StringComparison.OrdinalIgnoreCase))
        {
            throw InvalidClient($"OAuth2.0 client authorization type {header.Split(' ')[0].ToLowerInvariant()} is not supported.");
        }
        Span<byte> bytes = new byte[header.Length];
        var text = Convert.TryFromBase64String(header[Basic.Length..].Trim(), bytes, out var length) ? Encoding.UTF8.GetString(bytes[..length]) : "";
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        return colon > 0 && colon < text.Length - 1
            ? (text[..colon], text[(colon + 1)..])
            : throw InvalidClient("OAuth2.0 client authorization is invalid.");
    }

    private static async Task<string?> ReadGrantTypeAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) != true)
        {
            return null;
        }
        try
        {
            var reader = new FormPipeReader(request.BodyReader) { ValueLengthLimit = LongestForm, KeyLengthLimit = LongestForm, ValueCountLimit = 16 };
            return (await reader.ReadFormAsync(cancellationToken)).TryGetValue("grant_type", out var values) ? values[^1] : null;
        }
        catch (InvalidDataException failure)
        {
            throw new OAuth2Exception(ErrorKind.BadRequest, "invalid_request", failure.Message);
        }
    }

    private async Task IssueAsync(ApiContext context)
    {
        var request = context.Http.Request;
        var (id, secret) = ReadClient(request);
        var grant = await ReadGrantTypeAsync(request, context.Aborted)
            ?? throw new OAuth2Exception(ErrorKind.BadRequest, "invalid_request", "The parameter grant_type is required.");
        if (grant != "client_credentials")
        {
            throw new OAuth2Exception(ErrorKind.BadRequest, "unsupported_grant_type", $"The parameter grant_type {grant} is not supported.");
        }
        Token token;
        try
        {
            token = await authenticator.AuthenticateAsync(new(AuthOf(id, secret), request, context.BaseUrl + request.Path), context.Aborted);
        }
        catch (CloudException failure)
        {
            throw failure.Kind switch
            {
                ErrorKind.Unauthorized => InvalidClient(failure.Message),
                ErrorKind.BadRequest => new OAuth2Exception(ErrorKind.BadRequest, "invalid_request", failure.Message),
                _ => Other(failure.Kind, "An unknown error occurred and failed to get an OAuth2.0 access token."),
            };
        }
        context.Http.Response.Headers.CacheControl = "no-store";
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteString("access_token", token.Id);
            json.WriteString("token_type", "Bearer");
            json.WriteNumber("expires_in", lifetime);
            json.WriteEndObject();
        });
    }

    private static JsonElement AuthOf(string id, string secret)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("identity");
            json.WriteStartArray("methods");
            json.WriteStringValue("application_credential");
            json.WriteEndArray();
            json.WriteStartObject("application_credential");
            json.WriteString("id", id);
            json.WriteString("secret", secret);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();
        }
        using var document = JsonDocument.Parse(buffer.ToArray());
        return document.RootElement.Clone();
    }
}
