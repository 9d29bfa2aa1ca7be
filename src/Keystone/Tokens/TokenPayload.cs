using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using SharpStack.Keystone.Authentication;

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

/// <summary>What a token is for: a kind, the project or the domain, and for delegated tokens what they were delegated by.</summary>
/// <param name="Id">The id of the project or the domain; <c>all</c> for the system; null where unscoped.</param>
/// <param name="DelegationId">The trust's, the application credential's or the OAuth access token's id, for those kinds.</param>
internal readonly record struct TokenScope(PayloadKind Kind, string? Id = null, string? DelegationId = null, FederatedIdentity? Federation = null)
{
    public static TokenScope Unscoped { get; } = new(PayloadKind.Unscoped);

    public static TokenScope System { get; } = new(PayloadKind.System, "all");

    public static TokenScope Project(string id) => new(PayloadKind.Project, id);

    public static TokenScope Domain(string id) => new(PayloadKind.Domain, id);

    /// <summary>The kind without regard to where the user comes from.</summary>
    public PayloadKind BaseKind => Kind switch
    {
        PayloadKind.FederatedUnscoped => PayloadKind.Unscoped,
        PayloadKind.FederatedProject => PayloadKind.Project,
        PayloadKind.FederatedDomain => PayloadKind.Domain,
        _ => Kind,
    };

    /// <summary>The same for a federated user; a token for the system does not say where its user comes from.</summary>
    public TokenScope Of(FederatedIdentity? federation) => federation is null ? this : Kind switch
    {
        PayloadKind.Unscoped => this with { Kind = PayloadKind.FederatedUnscoped, Federation = federation },
        PayloadKind.Project => this with { Kind = PayloadKind.FederatedProject, Federation = federation },
        PayloadKind.Domain => this with { Kind = PayloadKind.FederatedDomain, Federation = federation },
        _ => this,
    };
}

/// <summary>Where a federated user comes from, and the groups that the mapping gave.</summary>
internal sealed record FederatedIdentity(string IdentityProviderId, string ProtocolId, IReadOnlyList<string> GroupIds)
{
    public bool Equals(FederatedIdentity? other) =>
        other is not null && IdentityProviderId == other.IdentityProviderId && ProtocolId == other.ProtocolId && GroupIds.SequenceEqual(other.GroupIds);

    public override int GetHashCode() => HashCode.Combine(IdentityProviderId, ProtocolId, GroupIds.Count);
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
    /// <summary>A payload with the groups of a federated user is longer than others; the header of a request bounds it anyway.</summary>
    public const int Longest = 4096;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    /// <summary>The trust's, the application credential's or the access token's id, for those kinds.</summary>
    public string? DelegationId { get; init; }

    /// <summary>For the federated kinds.</summary>
    public FederatedIdentity? Federation { get; init; }

    public TokenScope Scope => new(Kind, ScopeId, DelegationId, Federation);

    public string AuditChainId => AuditIds[^1];

    public static string NewAuditId()
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        return Base64Url.EncodeToString(bytes);
    }

    /// <summary>Packs into <paramref name="buffer"/> (<see cref="Longest"/> bytes are enough) and gives the part that was written.</summary>
    /// <param name="methods">The bits of the methods; null for those of the default <c>[auth] methods</c>.</param>
    public ReadOnlySpan<byte> Pack(Span<byte> buffer, AuthMethodMap? methods = null)
    {
        var writer = new MessagePackWriter(buffer);
        writer.WriteArray(Kind switch
        {
            PayloadKind.Unscoped => 5,
            PayloadKind.Trust or PayloadKind.OAuth1 or PayloadKind.ApplicationCredential => 7,
            PayloadKind.FederatedUnscoped => 8,
            PayloadKind.FederatedProject or PayloadKind.FederatedDomain => 9,
            _ => 6,
        });
        writer.Write((int)Kind);
        WriteId(ref writer, UserId);
        writer.Write((methods ?? AuthMethodMap.Default).ToBits(Methods));
        switch (Kind)
        {
            case PayloadKind.Unscoped or PayloadKind.FederatedUnscoped:
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
                WriteId(ref writer, ScopeId);
                break;
        }
        if (Federation is { } federation)
        {
            writer.WriteArray(federation.GroupIds.Count);
            foreach (var group in federation.GroupIds)
            {
                WriteId(ref writer, group);
            }
            WriteId(ref writer, federation.IdentityProviderId);
            writer.Write(federation.ProtocolId);
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

    /// <param name="methods">The bits of the methods; null for those of the default <c>[auth] methods</c>.</param>
    /// <exception cref="FormatException">The payload is none, or of a kind that this release does not know.</exception>
    public static TokenPayload Unpack(ReadOnlySpan<byte> packed, AuthMethodMap? methods = null)
    {
        if (packed.Length > Longest)
        {
            throw new FormatException("the payload is too long");
        }
        var reader = new MessagePackReader(packed);
        reader.ReadArray();
        var version = reader.ReadInteger();
        if (version is < (long)PayloadKind.Unscoped or > (long)PayloadKind.ApplicationCredential)
        {
            throw new FormatException($"This is not a recognized Fernet payload version: {version}");
        }
        var kind = (PayloadKind)version;
        var user = ReadId(ref reader) ?? throw new FormatException("a token has a user");
        var used = (methods ?? AuthMethodMap.Default).FromBits(reader.ReadInteger());
        var scope = kind switch
        {
            PayloadKind.Unscoped or PayloadKind.FederatedUnscoped => null,
            PayloadKind.System => Encoding.UTF8.GetString(reader.ReadBytes()),
            PayloadKind.Domain => ReadBareId(ref reader),
            _ => ReadId(ref reader),
        };
        var federation = kind is PayloadKind.FederatedUnscoped or PayloadKind.FederatedProject or PayloadKind.FederatedDomain ? ReadFederation(ref reader) : null;
        var delegation = kind == PayloadKind.OAuth1 ? ReadId(ref reader) : null;
        var expiresAt = ReadTime(ref reader);
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
        return new(kind, user, used, scope, expiresAt, audits)
        {
            DelegationId = delegation,
            Federation = federation,
        };
    }

    /// <summary>Packs a receipt: the user, the bits of the methods passed, the expiry.</summary>
    public static ReadOnlySpan<byte> PackReceipt(Span<byte> buffer, string userId, long methods, DateTimeOffset expiresAt)
    {
        var writer = new MessagePackWriter(buffer);
        writer.WriteArray(3);
        WriteId(ref writer, userId);
        writer.Write(methods);
        writer.Write((expiresAt - DateTimeOffset.UnixEpoch).TotalSeconds);
        return buffer[..writer.Length];
    }

    /// <exception cref="FormatException">The payload is no receipt.</exception>
    public static (string UserId, long Methods, DateTimeOffset ExpiresAt) UnpackReceipt(ReadOnlySpan<byte> packed)
    {
        var reader = new MessagePackReader(packed);
        return reader.ReadArray() == 3
            ? (ReadId(ref reader) ?? throw new FormatException("a receipt has a user"), reader.ReadInteger(), ReadTime(ref reader))
            : throw new FormatException("a receipt has three parts");
    }

    private static DateTimeOffset ReadTime(ref MessagePackReader reader) => reader.ReadNumber() is >= 0 and < 253_402_300_799 and var seconds
        ? DateTimeOffset.UnixEpoch.AddTicks((long)Math.Round(seconds * TimeSpan.TicksPerSecond))
        : throw new FormatException("the expiry is no time");

    private static FederatedIdentity ReadFederation(ref MessagePackReader reader)
    {
        var groups = new List<string>();
        for (var left = reader.ReadArray(); left > 0; left--)
        {
            groups.Add(ReadId(ref reader) ?? throw new FormatException("a group has an id"));
        }
        var provider = ReadId(ref reader) ?? throw new FormatException("an identity provider has an id");
        return new(provider, Encoding.UTF8.GetString(reader.ReadBytes()), groups);
    }

    private static void WriteId(ref MessagePackWriter writer, string? id)
    {
        writer.WriteArray(2);
        if (id is null)
        {
            writer.Write(false);
            writer.WriteNil();
            return;
        }
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

    private static string? ReadId(ref MessagePackReader reader)
    {
        if (reader.ReadArray() != 2)
        {
            throw new FormatException("an id is a pair");
        }
        var isUuid = reader.ReadBoolean();
        if (!isUuid && reader.TryReadNil())
        {
            return null;
        }
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
