using System.Buffers.Binary;
using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace SharpStack.Keystone.Tokens;

/// <summary>
/// One Fernet key (github.com/fernet/spec): AES-128-CBC and HMAC-SHA256. A token is version 0x80, eight bytes of seconds since 1970, sixteen
/// of initialization vector, the cipher text and the signature, in URL-safe base64; Keystone leaves out the padding.
/// </summary>
internal sealed class FernetKey : IDisposable
{
    private const byte Version = 0x80;
    private const int HeaderLength = 1 + 8 + 16;
    private const int SignatureLength = 32;
    private const int OnStack = 2048;

    private readonly byte[] signingKey;
    private readonly byte[] encryptionKey;
    private readonly ConcurrentBag<Aes> ciphers = [];

    private FernetKey(byte[] key)
    {
        signingKey = key[..16];
        encryptionKey = key[16..];
    }

    /// <param name="text">Thirty-two bytes in URL-safe base64, as in a file of the key repository.</param>
    public static FernetKey Parse(ReadOnlySpan<char> text)
    {
        var key = Base64Url.DecodeFromChars(text.Trim());
        return key.Length == 32 ? new(key) : throw new FormatException("a Fernet key is 32 bytes in URL-safe base64");
    }

    /// <summary>A new key as its file holds it.</summary>
    public static string Generate() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32)) + "=";

    public string Encrypt(ReadOnlySpan<byte> payload, DateTimeOffset issuedAt)
    {
        var cipherLength = (payload.Length / 16 * 16) + 16;
        var length = HeaderLength + cipherLength + SignatureLength;
        Span<byte> token = length <= OnStack ? stackalloc byte[OnStack] : new byte[length];
        token = token[..length];
        token[0] = Version;
        BinaryPrimitives.WriteInt64BigEndian(token[1..], issuedAt.ToUnixTimeSeconds());
        var vector = token.Slice(9, 16);
        RandomNumberGenerator.Fill(vector);
        var aes = Rent();
        aes.EncryptCbc(payload, vector, token.Slice(HeaderLength, cipherLength));
        ciphers.Add(aes);
        HMACSHA256.HashData(signingKey, token[..^SignatureLength], token[^SignatureLength..]);
        return Base64Url.EncodeToString(token);
    }

    /// <summary>False for a token that this key did not sign.</summary>
    /// <param name="token">The decoded token.</param>
    public bool TryDecrypt(ReadOnlySpan<byte> token, Span<byte> payload, out int length, out DateTimeOffset issuedAt)
    {
        length = 0;
        issuedAt = default;
        if (token.Length < HeaderLength + 16 + SignatureLength || token[0] != Version)
        {
            return false;
        }
        Span<byte> signature = stackalloc byte[SignatureLength];
        HMACSHA256.HashData(signingKey, token[..^SignatureLength], signature);
        if (!CryptographicOperations.FixedTimeEquals(signature, token[^SignatureLength..]))
        {
            return false;
        }
        var seconds = BinaryPrimitives.ReadInt64BigEndian(token[1..]);
        if (seconds is < 0 or > 253_402_300_799)
        {
            return false;
        }
        issuedAt = DateTimeOffset.FromUnixTimeSeconds(seconds);
        var aes = Rent();
        try
        {
            return aes.TryDecryptCbc(token[HeaderLength..^SignatureLength], token.Slice(9, 16), payload, out length);
        }
        catch (CryptographicException)
        {
            return false;
        }
        finally
        {
            ciphers.Add(aes);
        }
    }

    public void Dispose()
    {
        foreach (var aes in ciphers)
        {
            aes.Dispose();
        }
    }

    private Aes Rent()
    {
        if (ciphers.TryTake(out var aes))
        {
            return aes;
        }
        aes = Aes.Create();
        aes.Key = encryptionKey;
        return aes;
    }
}
