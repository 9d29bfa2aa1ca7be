using System.Buffers;
using System.Text.Json;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.ApplicationCredentials;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>The project whose administrators are those of the cloud, where an operator has named one.</summary>
internal sealed class AdminProject(ServiceConfig config)
{
    private readonly string name = config.Get(KeystoneOptions.AdminProjectName);
    private readonly string domain = config.Get(KeystoneOptions.AdminProjectDomainName);

    public bool IsConfigured => name.Length > 0 && domain.Length > 0;

    /// <summary>True for all where none is named.</summary>
    public bool Is(Authorization authorization) => !IsConfigured || (authorization.Project?.Name == name && authorization.Domain?.Name == domain);
}

/// <summary>The answer to issuing and validating: <c>{"token": {…}}</c>.</summary>
internal sealed class TokenWriter(AdminProject adminProject)
{
    public void Write(Utf8JsonWriter json, Token token, bool withCatalog)
    {
        var (authorization, identity) = (token.Authorization, token.Identity);
        json.WriteStartObject();
        json.WriteStartObject("token");
        WriteList(json, "methods", identity.Methods);
        WriteRaw(json, "user", authorization.Pieces.User);
        WriteList(json, "audit_ids", identity.AuditIds);
        json.WriteString("expires_at", Timestamps.Micros(Timestamps.ToMicroseconds(identity.ExpiresAt)));
        json.WriteString("issued_at", Timestamps.Micros(token.IssuedAtMicroseconds));
        switch (authorization.Kind)
        {
            case PayloadKind.Trust:
                WriteTrust(json, authorization.Trust!);
                if (authorization.Pieces.Project is { } trusted)
                {
                    WriteRaw(json, "project", trusted);
                }
                WriteRaw(json, "roles", authorization.Pieces.Roles);
                break;
            case PayloadKind.Project or PayloadKind.ApplicationCredential or PayloadKind.OAuth1:
                WriteRaw(json, "project", authorization.Pieces.Project!);
                json.WriteBoolean("is_domain", authorization.Project!.IsDomain);
                WriteRaw(json, "roles", authorization.Pieces.Roles);
                if (adminProject.IsConfigured)
                {
                    json.WriteBoolean("is_admin_project", adminProject.Is(authorization));
                }
                break;
            case PayloadKind.Domain:
                TokenPieces.WriteReference(json, "domain", authorization.Domain!);
                WriteRaw(json, "roles", authorization.Pieces.Roles);
                break;
            case PayloadKind.System:
                WriteRaw(json, "roles", authorization.Pieces.Roles);
                json.WriteStartObject("system");
                json.WriteBoolean("all", true);
                json.WriteEndObject();
                break;
        }
        if (withCatalog && authorization.Catalog is { } catalog)
        {
            WriteRaw(json, "catalog", catalog);
        }
        if (authorization.ServiceProviders is { } providers)
        {
            WriteRaw(json, "service_providers", providers);
        }
        if (authorization.AccessToken is { } access)
        {
            json.WriteStartObject("OS-OAUTH1");
            json.WriteString("access_token_id", access.Id);
            json.WriteString("consumer_id", access.ConsumerId);
            json.WriteEndObject();
        }
        if (authorization.ApplicationCredential is { } credential)
        {
            json.WriteStartObject("application_credential");
            json.WriteString("id", credential.Id);
            json.WriteString("name", credential.Name);
            json.WriteBoolean("restricted", !credential.Unrestricted);
            if (authorization.AccessRules is { } rules)
            {
                json.WritePropertyName("access_rules");
                ApplicationCredentialWriter.WriteRules(json, rules);
            }
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteTrust(Utf8JsonWriter json, TrustDelegation trust)
    {
        json.WriteStartObject("OS-TRUST:trust");
        json.WriteString("id", trust.Row.Id);
        WriteUser("trustor_user", trust.Trustor);
        WriteUser("trustee_user", trust.Trustee);
        json.WriteBoolean("impersonation", trust.Row.Impersonation);
        json.WriteEndObject();

        void WriteUser(string name, UserRow user)
        {
            json.WriteStartObject(name);
            json.WriteString("id", user.Id);
            json.WriteEndObject();
        }
    }

    private static void WriteRaw(Utf8JsonWriter json, string name, byte[] value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value, skipInputValidation: true);
    }

    private static void WriteList(Utf8JsonWriter json, string name, IReadOnlyList<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
        {
            json.WriteStringValue(value);
        }
        json.WriteEndArray();
    }
}

/// <summary>Parts of a token's answer that are the same for each token of a user and scope, in JSON.</summary>
/// <param name="Project">Null for a token that is not for one.</param>
internal sealed record TokenPieces(byte[] User, byte[]? Project, byte[] Roles)
{
    public static TokenPieces Of(Authorization authorization) => new(
        Render(json => WriteUser(json, authorization)),
        authorization.Project is { } project ? Render(json => WriteProject(json, project, authorization.Domain)) : null,
        Render(json => WriteRoles(json, authorization.Roles)));

    public static void WriteReference(Utf8JsonWriter json, string name, ProjectRow row)
    {
        json.WriteStartObject(name);
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteEndObject();
    }

    private static byte[] Render(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            write(json);
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void WriteUser(Utf8JsonWriter json, Authorization authorization)
    {
        json.WriteStartObject();
        WriteReference(json, "domain", authorization.UserDomain);
        json.WriteString("id", authorization.User.Id);
        json.WriteString("name", authorization.User.Name);
        json.WriteString("password_expires_at", authorization.PasswordExpiresAt is { } at ? Timestamps.MicrosNoZone(at) : null);
        if (authorization.Federation is { } federation)
        {
            WriteFederation(json, federation);
        }
        json.WriteEndObject();
    }

    private static void WriteProject(Utf8JsonWriter json, ProjectRow project, ProjectRow? domain)
    {
        json.WriteStartObject();
        if (domain is not null)
        {
            WriteReference(json, "domain", domain);
        }
        else
        {
            json.WriteNull("domain");
        }
        json.WriteString("id", project.Id);
        json.WriteString("name", project.Name);
        json.WriteEndObject();
    }

    private static void WriteFederation(Utf8JsonWriter json, FederatedIdentity federation)
    {
        json.WriteStartObject("OS-FEDERATION");
        json.WriteStartArray("groups");
        foreach (var group in federation.GroupIds)
        {
            json.WriteStartObject();
            json.WriteString("id", group);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartObject("identity_provider");
        json.WriteString("id", federation.IdentityProviderId);
        json.WriteEndObject();
        json.WriteStartObject("protocol");
        json.WriteString("id", federation.ProtocolId);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteRoles(Utf8JsonWriter json, IReadOnlyList<RoleRow> roles)
    {
        json.WriteStartArray();
        foreach (var role in roles)
        {
            json.WriteStartObject();
            json.WriteString("id", role.Id);
            json.WriteString("name", role.Name);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
