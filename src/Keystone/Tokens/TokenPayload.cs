using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Keystone.Tokens;

/// <summary>How a token is scoped; the numbers are OpenStack's payload versions.</summary>
internal enum PayloadKind
{
    Unscoped = 0,
    Domain = 1,
    Project = 2,
    Trust = 3,
    FederatedUnscoped = 4,
    FederatedProject = 5,
    FederatedDomain = 6,
    OAuth1 = 7,
    System = 8,
    ApplicationCredential = 9,
}

/// <summary>
/// What a token holds, byte for byte as OpenStack packs it: ids that are UUIDs as sixteen bytes, methods as a bit mask, the expiry in seconds as a
/// float, audit ids as sixteen bytes each.
/// </summary>
/// <param name="ScopeId">The id of the project or the domain; <c>all</c> for the system; null for an unscoped token.</param>
/// <param name="AuditIds">The token's own, and the one of the token that began the chain.</param>
internal sealed record TokenPayload(
    PayloadKind Kind, string UserId, AuthMethods Methods, string? ScopeId, DateTimeOffset ExpiresAt, IReadOnlyList<string> AuditIds)
{
    private const int Longest = 1024;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    /// <summary>The trust's, the application credential's or the access token's id, for those kinds.</summary>
    public string? DelegationId { get; init; }

    public string AuditChainId => AuditIds[^1];

    public static string NewAuditId()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return Base64Url.EncodeToString(bytes);
    }

    /// <summary>Packs into <paramref name="buffer"/> (a kibibyte is enough) and gives the part that was written.</summary>
    public ReadOnlySpan<byte> Pack(Span<byte> buffer)
    {
        var writer = new MessagePackWriter(buffer);
        writer.WriteArray(Kind switch
        {
            PayloadKind.Unscoped => 5,
            PayloadKind.Trust or PayloadKind.OAuth1 or PayloadKind.ApplicationCredential => 7,
            _ => 6,
        });
        writer.Write((int)Kind);
        WriteId(ref writer, UserId);
        writer.Write((int)Methods);
        switch (Kind)
        {
            case PayloadKind.Unscoped:
                break;
            case PayloadKind.System:
                writer.Write(ScopeId!);
                break;
            case PayloadKind.Domain when TryUuid(ScopeId!, out var domain):
                writer.Write(domain);
                break;
            case PayloadKind.Domain:
                writer.Write(ScopeId!);
                break;
            default:
                WriteId(ref writer, ScopeId!);
                break;
        }
        if (Kind == PayloadKind.OAuth1)
        {
            WriteId(ref writer, DelegationId!);
        }
        writer.Write((ExpiresAt - DateTimeOffset.UnixEpoch).TotalSeconds);
        writer.WriteArray(AuditIds.Count);
        Span<byte> audit = stackalloc byte[16];
        foreach (var id in AuditIds)
        {
            Base64Url.DecodeFromChars(id, audit);
            writer.Write(audit);
        }
        switch (Kind)
        {
            case PayloadKind.Trust:
                writer.Write(Uuid(DelegationId!));
                break;
            case PayloadKind.ApplicationCredential:
                WriteId(ref writer, DelegationId!);
                break;
        }
        return buffer[..writer.Length];
    }

    /// <exception cref="FormatException">The payload is none, or of a kind that this release does not know.</exception>
    public static TokenPayload Unpack(ReadOnlySpan<byte> packed)
    {
        if (packed.Length > Longest)
        {
            throw new FormatException("the payload is too long");
        }
        var reader = new MessagePackReader(packed);
        reader.ReadArray();
        var kind = (PayloadKind)reader.ReadInteger();
        if (kind is not (PayloadKind.Unscoped or PayloadKind.Domain or PayloadKind.Project or PayloadKind.Trust or PayloadKind.OAuth1
            or PayloadKind.System or PayloadKind.ApplicationCredential))
        {
            throw new FormatException($"This is not a recognized Fernet payload version: {(int)kind}");
        }
        var user = ReadId(ref reader);
        var methods = (AuthMethods)reader.ReadInteger();
        var scope = kind switch
        {
            PayloadKind.Unscoped => null,
            PayloadKind.System => Encoding.UTF8.GetString(reader.ReadBytes()),
            PayloadKind.Domain => ReadBareId(ref reader),
            _ => ReadId(ref reader),
        };
        var delegation = kind == PayloadKind.OAuth1 ? ReadId(ref reader) : null;
        var seconds = reader.ReadNumber();
        if (!(seconds is >= 0 and < 253_402_300_799))
        {
            throw new FormatException("the expiry is no time");
        }
        var count = reader.ReadArray();
        if (count is < 1 or > 2)
        {
            throw new FormatException("a token has one or two audit ids");
        }
        var audits = new string[count];
        for (var i = 0; i < count; i++)
        {
            audits[i] = Base64Url.EncodeToString(reader.ReadBytes());
        }
        delegation = kind switch
        {
            PayloadKind.Trust => ReadBareId(ref reader),
            PayloadKind.ApplicationCredential => ReadId(ref reader),
            _ => delegation,
        };
        return new(kind, user, methods, scope, DateTimeOffset.UnixEpoch.AddTicks((long)Math.Round(seconds * TimeSpan.TicksPerSecond)), audits)
        {
            DelegationId = delegation,
        };
    }

    private static void WriteId(ref MessagePackWriter writer, string id)
    {
        writer.WriteArray(2);
        var isUuid = TryUuid(id, out var bytes);
        writer.Write(isUuid);
        if (isUuid)
        {
            writer.Write(bytes);
        }
        else
        {
            writer.Write(id);
        }
    }

    private static string ReadId(ref MessagePackReader reader)
    {
        if (reader.ReadArray() != 2)
        {
            throw new FormatException("an id is a pair");
        }
        var isUuid = reader.ReadBoolean();
        var bytes = reader.ReadBytes();
        return isUuid ? Hex(bytes) : Encoding.UTF8.GetString(bytes);
    }

    private static string ReadBareId(ref MessagePackReader reader)
    {
        var bytes = reader.ReadBytes();
        return bytes.Length == 16 ? Hex(bytes) : Encoding.UTF8.GetString(bytes);
    }

    private static string Hex(ReadOnlySpan<byte> bytes) =>
        bytes.Length == 16 ? Convert.ToHexStringLower(bytes) : throw new FormatException("a UUID has sixteen bytes");

    private static byte[] Uuid(string id) => TryUuid(id, out var bytes) ? bytes : throw new FormatException($"{id} is no UUID");

    /// <summary>Only the form that comes back the same: thirty-two lower-case digits.</summary>
    private static bool TryUuid(string id, out byte[] bytes)
    {
        if (id.Length == 32 && !id.AsSpan().ContainsAnyExcept(HexDigits))
        {
            bytes = Convert.FromHexString(id);
            return true;
        }
        bytes = [];
        return false;
    }
}

/// <summary>Authentication methods; the bits are those of OpenStack's default <c>[auth] methods</c>.</summary>
[Flags]
internal enum AuthMethods
{
    None = 0,
    External = 1,
    Password = 2,
    Token = 4,
    OAuth1 = 8,
    Mapped = 16,
    ApplicationCredential = 32,
}

internal static class AuthMethodNames
{
    /// <summary>Latest first, as OpenStack lists them.</summary>
    public static IReadOnlyList<string> Names(this AuthMethods methods)
    {
        var names = new List<string>(2);
        Add(AuthMethods.ApplicationCredential, "application_credential");
        Add(AuthMethods.Mapped, "mapped");
        Add(AuthMethods.OAuth1, "oauth1");
        Add(AuthMethods.Token, "token");
        Add(AuthMethods.Password, "password");
        Add(AuthMethods.External, "external");
        return names;

        void Add(AuthMethods method, string name)
        {
            if ((methods & method) != 0)
            {
                names.Add(name);
            }
        }
    }
}
