using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Mapping;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Authentication;

/// <summary>The last time step of a credential that a passcode was taken for.</summary>
[Table("totp_steps")]
internal sealed record TotpStepRow
{
    [Column("credential_id"), PrimaryKey]
    public required string CredentialId { get; init; }

    [Column("step")]
    public required long Step { get; init; }
}

/// <summary>
/// <c>totp</c> (RFC 6238: SHA-1, six digits, thirty seconds) with the secrets that the user keeps as credentials of type <c>totp</c>. A passcode is taken
/// once, as the RFC asks; OpenStack takes it as long as its window lasts.
/// </summary>
internal sealed class TotpMethod(UserFinder users, KeystoneStore store, CredentialKeys keys, ServiceConfig config, TimeProvider time) : IAuthMethod
{
    private const int Period = 30;
    private const int Digits = 6;
    private const string Base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    private readonly int previousWindows = config.Get(KeystoneOptions.TotpPreviousWindows);

    public string Name => "totp";

    public async Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken)
    {
        var user = await users.FindAsync(payload, Name, cancellationToken);
        var passcode = Encoding.UTF8.GetBytes(payload.GetProperty("user").Text("passcode") ?? "");
        if (user is not { Enabled: true })
        {
            throw CloudException.Unauthorized();
        }
        List<CredentialRow> credentials;
        await using (var db = store.Read())
        {
            credentials = await db.Credentials().Where(c => c.UserId == user.Id && c.Type == "totp").OrderBy(static c => c.Id).ToListAsync(cancellationToken);
        }
        var now = time.GetUtcNow().ToUnixTimeSeconds() / Period;
        foreach (var credential in credentials)
        {
            if (Decode(keys.Decrypt(credential.EncryptedBlob)) is not { } secret)
            {
                continue;
            }
            for (var step = now; step >= now - previousWindows; step--)
            {
                if (CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(Passcode(secret, step)), passcode) && await TakeAsync(credential.Id, step, cancellationToken))
                {
                    return new(user.Id, AuthMethods.Totp);
                }
            }
        }
        throw CloudException.Unauthorized();
    }

    /// <param name="step">The number of periods since 1970.</param>
    public static string Passcode(byte[] secret, long step)
    {
        Span<byte> counter = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(counter, step);
        Span<byte> hash = stackalloc byte[20];
#pragma warning disable CA5350 // The algorithm of the RFC, and of every authenticator there is.
        HMACSHA1.HashData(secret, counter, hash);
#pragma warning restore CA5350
        var number = BinaryPrimitives.ReadUInt32BigEndian(hash[(hash[^1] & 0xf)..]) & 0x7fff_ffff;
        return (number % 1_000_000).ToString(CultureInfo.InvariantCulture).PadLeft(Digits, '0');
    }

    /// <returns>Null for a text that is no base 32.</returns>
    public static byte[]? Decode(string text)
    {
        var bytes = new List<byte>(text.Length * 5 / 8);
        var (bits, count) = (0, 0);
        foreach (var character in text.TrimEnd('='))
        {
            var value = Base32.IndexOf(character, StringComparison.Ordinal);
            if (value < 0)
            {
                return null;
            }
            bits = ((bits << 5) | value) & 0xfff;
            count += 5;
            if (count >= 8)
            {
                count -= 8;
                bytes.Add((byte)(bits >> count));
            }
        }
        return bytes.Count > 0 ? [.. bytes] : null;
    }

    /// <summary>Whether no passcode of this time step, or of a later one, was taken before.</summary>
    private async Task<bool> TakeAsync(string credentialId, long step, CancellationToken cancellationToken) => await store.WriteAsync(
        async db =>
        {
            var steps = db.GetTable<TotpStepRow>();
            if (await steps.Where(s => s.CredentialId == credentialId && s.Step < step).Set(static s => s.Step, step).UpdateAsync(cancellationToken) > 0)
            {
                return true;
            }
            if (await steps.AnyAsync(s => s.CredentialId == credentialId, cancellationToken))
            {
                return false;
            }
            await db.InsertAsync(new TotpStepRow { CredentialId = credentialId, Step = step }, token: cancellationToken);
            return true;
        },
        cancellationToken);
}
