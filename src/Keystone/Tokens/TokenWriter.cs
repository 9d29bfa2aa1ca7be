using System.Text.Json;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>The answer to issuing and validating: <c>{"token": {…}}</c>.</summary>
internal sealed class TokenWriter(string adminProject, string adminProjectDomain)
{
    public void Write(Utf8JsonWriter json, Token token, bool withCatalog)
    {
        var (authorization, identity) = (token.Authorization, token.Identity);
        json.WriteStartObject();
        json.WriteStartObject("token");
        WriteList(json, "methods", identity.Methods);
        json.WriteStartObject("user");
        WriteReference(json, "domain", authorization.UserDomain);
        json.WriteString("id", authorization.User.Id);
        json.WriteString("name", authorization.User.Name);
        json.WriteString("password_expires_at", authorization.PasswordExpiresAt is { } at ? Timestamps.MicrosNoZone(at) : null);
        json.WriteEndObject();
        WriteList(json, "audit_ids", identity.AuditIds);
        json.WriteString("expires_at", Timestamps.Micros(Timestamps.ToMicroseconds(identity.ExpiresAt)));
        json.WriteString("issued_at", Timestamps.Micros(token.IssuedAtMicroseconds));
        switch (authorization.Kind)
        {
            case PayloadKind.Project:
                var project = authorization.Project!;
                json.WriteStartObject("project");
                if (authorization.Domain is { } domain)
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
                json.WriteBoolean("is_domain", project.IsDomain);
                WriteRoles(json, authorization.Roles);
                if (adminProject.Length > 0 && adminProjectDomain.Length > 0)
                {
                    json.WriteBoolean("is_admin_project", project.Name == adminProject && authorization.Domain?.Name == adminProjectDomain);
                }
                break;
            case PayloadKind.Domain:
                WriteReference(json, "domain", authorization.Domain!);
                WriteRoles(json, authorization.Roles);
                break;
            case PayloadKind.System:
                WriteRoles(json, authorization.Roles);
                json.WriteStartObject("system");
                json.WriteBoolean("all", true);
                json.WriteEndObject();
                break;
        }
        if (withCatalog && authorization.Catalog is { } catalog)
        {
            json.WritePropertyName("catalog");
            json.WriteRawValue(catalog, skipInputValidation: true);
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteReference(Utf8JsonWriter json, string name, ProjectRow row)
    {
        json.WriteStartObject(name);
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteEndObject();
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

    private static void WriteRoles(Utf8JsonWriter json, IReadOnlyList<RoleRow> roles)
    {
        json.WriteStartArray("roles");
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
