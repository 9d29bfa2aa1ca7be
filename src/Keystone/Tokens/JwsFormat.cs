using System.Buffers;
using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Authentication;

namespace SharpStack.Keystone.Tokens;

/// <summary>
/// <c>jws</c>: JSON Web Signatures by ES256, in the clear, with OpenStack's claims. <c>private.pem</c> signs; any key in the directory of the public ones is
/// trusted, so nodes need not share private keys.
/// </summary>
internal sealed class JwsFormat(JwsKeys keys) : ITokenFormat
{
    private const int SignatureLength = 64;

    // {"typ":"JWT","alg":"ES256"}, always.
    private static readonly byte[] Header = Encoding.ASCII.GetBytes(Base64Url.EncodeToString("""{"typ":"JWT","alg":"ES256"}"""u8) + ".");

    public string Seal(TokenPayload payload, DateTimeOffset issuedAt)
    {
        var claims = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(claims, ApiContext.JsonOptions))
        {
            Write(json, payload, issuedAt);
        }
        var signed = new byte[Header.Length + Base64Url.GetEncodedLength(claims.WrittenCount)];
        Header.CopyTo(signed, 0);
        Base64Url.EncodeToUtf8(claims.WrittenSpan, signed.AsSpan(Header.Length));
        return $"{Encoding.ASCII.GetString(signed)}.{Base64Url.EncodeToString(keys.Sign(signed))}";
    }

    public TokenPayload? Open(string token, out DateTimeOffset issuedAt)
    {
        issuedAt = default;
        var first = token.IndexOf('.', StringComparison.Ordinal);
        var last = token.LastIndexOf('.');
        if (first <= 0 || last <= first + 1
            || Decode(token.AsSpan(0, first)) is not { } header || Decode(token.AsSpan(first + 1, last - first - 1)) is not { } claims
            || Decode(token.AsSpan(last + 1)) is not { Length: SignatureLength } signature
            || !IsOurs(header) || !keys.Verify(Encoding.ASCII.GetBytes(token, 0, last), signature))
        {
            return null;
        }
        try
        {
            using var document = JsonDocument.Parse(claims);
            return Read(document.RootElement, out issuedAt);
        }
        catch (Exception failure) when (failure is JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            return null;
        }
    }

    /// <summary>The algorithm is ours to choose, never the sender's.</summary>
    private static bool IsOurs(byte[] header)
    {
        try
        {
            using var document = JsonDocument.Parse(header);
            return document.RootElement.Text("alg") == "ES256";
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static byte[]? Decode(ReadOnlySpan<char> text) => Base64Url.IsValid(text) ? Base64Url.DecodeFromChars(text) : null;

    private static void Write(Utf8JsonWriter json, TokenPayload payload, DateTimeOffset issuedAt)
    {
        json.WriteStartObject();
        json.WriteString("sub", payload.UserId);
        json.WriteNumber("iat", issuedAt.ToUnixTimeSeconds());
        json.WriteNumber("exp", payload.ExpiresAt.ToUnixTimeSeconds());
        WriteList("openstack_methods", AuthMethodMap.Names(payload.Methods));
        WriteList("openstack_audit_ids", payload.AuditIds);
        var scope = payload.Kind switch
        {
            PayloadKind.System => "openstack_system",
            PayloadKind.Domain or PayloadKind.FederatedDomain => "openstack_domain_id",
            _ => "openstack_project_id",
        };
        if (payload.ScopeId is { } id)
        {
            json.WriteString(scope, id);
        }
        if (payload.Federation is { } federation)
        {
            json.WriteStartArray("openstack_group_ids");
            foreach (var group in federation.GroupIds)
            {
                json.WriteStartObject();
                json.WriteString("id", group);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteString("openstack_idp_id", federation.IdentityProviderId);
            json.WriteString("openstack_protocol_id", federation.ProtocolId);
        }
        if (payload.DelegationId is { } delegation)
        {
            json.WriteString(
                payload.Kind switch
                {
                    PayloadKind.Trust => "openstack_trust_id",
                    PayloadKind.OAuth1 => "openstack_access_token_id",
                    _ => "openstack_app_cred_id",
                },
                delegation);
        }
        json.WriteEndObject();

        void WriteList(string name, IReadOnlyList<string> values)
        {
            json.WriteStartArray(name);
            foreach (var value in values)
            {
                json.WriteStringValue(value);
            }
            json.WriteEndArray();
        }
    }

    private static TokenPayload Read(JsonElement claims, out DateTimeOffset issuedAt)
    {
        issuedAt = Time("iat");
        var federation = claims.TryGetProperty("openstack_group_ids", out var groups)
            ? new FederatedIdentity(
                claims.Text("openstack_idp_id") ?? throw new FormatException("a federated token names its provider"),
                claims.Text("openstack_protocol_id") ?? throw new FormatException("a federated token names its protocol"),
                [.. groups.EnumerateArray().Select(static group => group.GetProperty("id").GetString()!)])
            : null;
        var (project, domain) = (claims.Text("openstack_project_id"), claims.Text("openstack_domain_id"));
        // In the order in which OpenStack asks what a token is.
        var held = claims.Text("openstack_access_token_id") is { } access ? new TokenScope(PayloadKind.OAuth1, project, access)
            : claims.Text("openstack_trust_id") is { } trust ? new(PayloadKind.Trust, project, trust)
            : federation is not null ? new(project is not null ? PayloadKind.FederatedProject : domain is not null ? PayloadKind.FederatedDomain : PayloadKind.FederatedUnscoped, project ?? domain)
            : claims.Text("openstack_app_cred_id") is { } credential ? new(PayloadKind.ApplicationCredential, project, credential)
            : project is not null ? TokenScope.Project(project)
            : domain is not null ? TokenScope.Domain(domain)
            : claims.Text("openstack_system") is { } system ? new(PayloadKind.System, system)
            : TokenScope.Unscoped;
        return new(
            held.Kind,
            claims.Text("sub") ?? throw new FormatException("a token has a user"),
            AuthMethodMap.Of(Texts("openstack_methods")),
            held.Id,
            Time("exp"),
            Texts("openstack_audit_ids") is { Count: 1 or 2 } audits ? audits : throw new FormatException("a token has one or two audit ids"))
        {
            DelegationId = held.DelegationId,
            Federation = federation,
        };

        List<string> Texts(string name) => [.. claims.GetProperty(name).EnumerateArray().Select(static value => value.GetString()!)];

        DateTimeOffset Time(string name) => claims.GetProperty(name).GetInt64() is >= 0 and < 253_402_300_799 and var seconds
            ? DateTimeOffset.FromUnixTimeSeconds(seconds)
            : throw new FormatException($"{name} is no time");
    }
}

/// <summary>The key pairs of JWS tokens: <c>private.pem</c> in one directory, and any number of public keys in another. Changes are noticed within a second.</summary>
internal sealed class JwsKeys(string privateDirectory, string publicDirectory, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private Keys? keys;
    private long checkedAt;

    private sealed record Keys(EcKey Private, EcKey[] Public, (DateTime, DateTime) Changed);

    public string PrivateDirectory => privateDirectory;

    public string PublicDirectory => publicDirectory;

    /// <summary>Whether there is a key to sign with.</summary>
    public bool Exist => File.Exists(PrivatePath);

    private string PrivatePath => Path.Combine(privateDirectory, "private.pem");

    /// <summary>Makes a pair where there is none; nothing where there is one.</summary>
    public void Setup()
    {
        if (!Exist)
        {
            Create();
        }
    }

    /// <summary>Makes a new pair: its private key signs from now on. The older public keys stay, and with them the tokens that they prove.</summary>
    public void Create()
    {
        const UnixFileMode owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        Directory.CreateDirectory(privateDirectory, owner | UnixFileMode.UserExecute);
        Directory.CreateDirectory(publicDirectory, owner | UnixFileMode.UserExecute);
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        // The public one first: no node may see a token that it cannot verify yet.
        Write(Path.Combine(publicDirectory, $"public-{Guid.NewGuid():N}.pem"), key.ExportSubjectPublicKeyInfoPem());
        Write(PrivatePath, key.ExportPkcs8PrivateKeyPem());

        static void Write(string path, string text)
        {
            // Renamed into place, so that no reader ever sees half a key.
            var temporary = path + ".tmp";
            File.Delete(temporary);
            using (var writer = new StreamWriter(temporary, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = owner }))
            {
                writer.Write(text);
            }
            File.Move(temporary, path, overwrite: true);
        }
    }

    public byte[] Sign(byte[] data) => Current().Private.Use(key => key.SignData(data, HashAlgorithmName.SHA256));

    public bool Verify(byte[] data, byte[] signature) =>
        Array.Exists(Current().Public, candidate => candidate.Use(key => key.VerifyData(data, signature, HashAlgorithmName.SHA256)));

    public void Dispose()
    {
        keys?.Private.Dispose();
        foreach (var key in keys?.Public ?? [])
        {
            key.Dispose();
        }
    }

    private Keys Current()
    {
        var known = Volatile.Read(ref keys);
        if (known is not null && time.GetElapsedTime(Interlocked.Read(ref checkedAt)) < CheckPeriod)
        {
            return known;
        }
        lock (gate)
        {
            var changed = (File.GetLastWriteTimeUtc(PrivatePath), Directory.GetLastWriteTimeUtc(publicDirectory));
            if (keys is null || keys.Changed != changed)
            {
                // Keys that are replaced are left to the collector: another request may just be using them.
                keys = Load(changed);
            }
            Interlocked.Exchange(ref checkedAt, time.GetTimestamp());
            return keys;
        }
    }

    private Keys Load((DateTime, DateTime) changed)
    {
        if (!File.Exists(PrivatePath))
        {
            throw new CloudException(ErrorKind.Internal, $"{PrivatePath} does not exist: run `sharpstack keystone create-jws-keypair`.");
        }
        var publicKeys = Directory.Exists(publicDirectory)
            ? Directory.EnumerateFiles(publicDirectory).Where(static path => !path.EndsWith(".tmp", StringComparison.Ordinal)).Select(static path => new EcKey(File.ReadAllText(path))).ToArray()
            : [];
        return publicKeys.Length > 0
            ? new(new(File.ReadAllText(PrivatePath)), publicKeys, changed)
            : throw new CloudException(ErrorKind.Internal, $"{publicDirectory} must contain at least one public key: run `sharpstack keystone create-jws-keypair`.");
    }

    /// <summary>One key as several objects: each is used by one thread at a time.</summary>
    private sealed class EcKey(string pem) : IDisposable
    {
        private readonly ConcurrentBag<ECDsa> idle = [];

        public T Use<T>(Func<ECDsa, T> work)
        {
            if (!idle.TryTake(out var key))
            {
                key = ECDsa.Create();
                key.ImportFromPem(pem);
            }
            try
            {
                return work(key);
            }
            finally
            {
                idle.Add(key);
            }
        }

        public void Dispose()
        {
            foreach (var key in idle)
            {
                key.Dispose();
            }
        }
    }
}
