using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Receipts;

/// <summary>What says that a user has passed some of the methods that a rule asks for.</summary>
internal sealed record Receipt(string Id, string UserId, AuthMethods Methods, DateTimeOffset IssuedAt, DateTimeOffset ExpiresAt);

/// <summary>More methods are needed: the caller gets a receipt for those that succeeded.</summary>
internal sealed class ReceiptException(Receipt receipt, UserRow user, ProjectRow domain, IReadOnlyList<IReadOnlyList<string>> required)
    : CloudException(ErrorKind.Unauthorized, "Additional authentications steps required.")
{
    public Receipt Receipt => receipt;

    /// <summary>Writes the body that answers instead of an error.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteStartObject("receipt");
        WriteList(json, "methods", AuthMethodMap.Names(receipt.Methods));
        json.WriteStartObject("user");
        json.WriteString("id", user.Id);
        json.WriteString("name", user.Name);
        json.WriteStartObject("domain");
        json.WriteString("id", domain.Id);
        json.WriteString("name", domain.Name);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteString("expires_at", Timestamps.Micros(Timestamps.ToMicroseconds(receipt.ExpiresAt)));
        json.WriteString("issued_at", Timestamps.Micros(Timestamps.ToMicroseconds(receipt.IssuedAt)));
        json.WriteEndObject();
        json.WriteStartArray("required_auth_methods");
        foreach (var rule in required)
        {
            WriteList(json, null, rule);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteList(Utf8JsonWriter json, string? name, IReadOnlyList<string> values)
    {
        if (name is not null)
        {
            json.WritePropertyName(name);
        }
        json.WriteStartArray();
        foreach (var value in values)
        {
            json.WriteStringValue(value);
        }
        json.WriteEndArray();
    }
}

/// <summary>Issues and reads receipts; they are Fernet messages as OpenStack packs them, and stored nowhere.</summary>
internal sealed class ReceiptService(ReceiptKeys keys, AuthMethodMap methods, ServiceConfig config, TimeProvider time)
{
    public const string Header = "Openstack-Auth-Receipt";

    private readonly TimeSpan lifetime = TimeSpan.FromSeconds(config.Get(KeystoneOptions.ReceiptExpiration));

    public Receipt Issue(string userId, AuthMethods passed)
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(time.GetUtcNow().ToUnixTimeSeconds());
        var until = now + lifetime;
        var payload = TokenPayload.PackReceipt(stackalloc byte[512], userId, methods.ToBits(passed), until);
        return new(keys.Repository.Encrypt(payload, now), userId, passed, now, until);
    }

    /// <exception cref="CloudException">The receipt is foreign or has expired (401).</exception>
    public Receipt Read(string id)
    {
        try
        {
            if (keys.Repository.Decrypt(id, out var issuedAt) is { } packed
                && TokenPayload.UnpackReceipt(packed) is var (user, bits, expiresAt) && time.GetUtcNow() < expiresAt)
            {
                return new(id, user, methods.FromBits(bits), issuedAt, expiresAt);
            }
        }
        catch (FormatException)
        {
            // Signed with our keys, but no receipt: a token.
        }
        throw CloudException.Unauthorized();
    }
}

/// <summary>The keys of receipts; those of the tokens, unless a directory of their own is configured.</summary>
internal sealed record ReceiptKeys(KeyRepository Repository);
