using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Foundation.Caching;

/// <summary>
/// A shared cache whose entries tell nothing to, and take nothing from, others who reach it: names are keyed digests, values are encrypted and authenticated
/// (AES-256-GCM, a key for each entry), and a value moved to another name is not accepted.
/// </summary>
internal sealed class SealedCache(ISharedCache inner, string purpose, string secret) : ISharedCache
{
    private const byte Format = 1;
    private const int NonceLength = 12;
    private const int TagLength = 16;
    private const int Overhead = 1 + NonceLength + TagLength;

    private readonly byte[] nameKey = Derive(purpose, secret, "name");
    private readonly byte[] valueKey = Derive(purpose, secret, "value");

    public bool IsEnabled => inner.IsEnabled;

    public async ValueTask<byte[]?> FindAsync(string key, CancellationToken cancellationToken)
    {
        var name = NameOf(key);
        return await inner.FindAsync(name, cancellationToken) is { } box ? Open(name, box) : null;
    }

    public void Keep(string key, byte[] value, TimeSpan lifetime)
    {
        var name = NameOf(key);
        inner.Keep(name, Seal(name, value), lifetime);
    }

    private static byte[] Derive(string purpose, string secret, string part) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret), 32, salt: null, Encoding.UTF8.GetBytes($"sharpstack cache {purpose} {part}"));

    private string NameOf(string key) => $"sharpstack:{purpose}:{Convert.ToHexStringLower(HMACSHA256.HashData(nameKey, Encoding.UTF8.GetBytes(key)))}";

    private byte[] Seal(string name, byte[] value)
    {
        var box = new byte[Overhead + value.Length];
        box[0] = Format;
        RandomNumberGenerator.Fill(box.AsSpan(1, NonceLength));
        using var cipher = CipherOf(name);
        cipher.Encrypt(box.AsSpan(1, NonceLength), value, box.AsSpan(Overhead), box.AsSpan(1 + NonceLength, TagLength), Encoding.UTF8.GetBytes(name));
        return box;
    }

    private byte[]? Open(string name, byte[] box)
    {
        if (box.Length < Overhead || box[0] != Format)
        {
            CacheMetrics.Looked(purpose, "forged");
            return null;
        }

        try
        {
            var value = new byte[box.Length - Overhead];
            using var cipher = CipherOf(name);
            cipher.Decrypt(box.AsSpan(1, NonceLength), box.AsSpan(Overhead), box.AsSpan(1 + NonceLength, TagLength), value, Encoding.UTF8.GetBytes(name));
            return value;
        }
        catch (CryptographicException)
        {
            CacheMetrics.Looked(purpose, "forged");
            return null;
        }
    }

    /// <summary>A key for each entry, so that random nonces never meet often enough to matter.</summary>
    private AesGcm CipherOf(string name) => new(HMACSHA256.HashData(valueKey, Encoding.UTF8.GetBytes(name)), TagLength);
}
