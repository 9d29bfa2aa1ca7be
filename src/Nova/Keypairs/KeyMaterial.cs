using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using SharpStack.Foundation;

namespace SharpStack.Nova.Keypairs;

/// <summary>Keys for guests: made, or read from what users send.</summary>
internal static class KeyMaterial
{
    private const int KeyBits = 2048;
    private const int LongestKey = 16_384;

    private static readonly string[] SshTypes =
    [
        "ssh-rsa", "ssh-ed25519", "ssh-dss", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
    ];

    /// <summary>A new RSA pair: the public key as OpenSSH writes it, the private one as PEM.</summary>
    public static (string Public, string Private, string Fingerprint) GenerateSsh()
    {
        using var rsa = RSA.Create(KeyBits);
        var parameters = rsa.ExportParameters(false);
        using var blob = new MemoryStream();
        WriteString(blob, "ssh-rsa"u8);
        WriteInteger(blob, parameters.Exponent!);
        WriteInteger(blob, parameters.Modulus!);
        var bytes = blob.ToArray();
        return ($"ssh-rsa {Convert.ToBase64String(bytes)} Generated-by-Nova", rsa.ExportRSAPrivateKeyPem() + "\n", SshFingerprint(bytes));
    }

    /// <summary>A new certificate for WinRM, signed by its own key, with the user's name in it.</summary>
    public static (string Public, string Private, string Fingerprint) GenerateX509(string userName, DateTimeOffset now)
    {
        using var rsa = RSA.Create(KeyBits);
        var name = new X500DistinguishedNameBuilder();
        name.AddCommonName(userName);
        var request = new CertificateRequest(name.Build(), rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.2")], false));
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddYears(10));
        var pem = certificate.ExportCertificatePem();
        return (pem, rsa.ExportPkcs8PrivateKeyPem() + "\n", X509Fingerprint(certificate));
    }

    /// <summary>The fingerprint of what a user sent.</summary>
    /// <exception cref="CloudException">400 where it is no public key.</exception>
    public static string Fingerprint(string publicKey, string type)
    {
        try
        {
            if (publicKey.Length > LongestKey)
            {
                throw new FormatException("the key is too long");
            }

            if (type == "x509")
            {
                using var certificate = X509Certificate2.CreateFromPem(publicKey);
                return X509Fingerprint(certificate);
            }

            return SshFingerprint(ParseSsh(publicKey));
        }
        catch (Exception failure) when (failure is FormatException or CryptographicException or ArgumentException)
        {
            throw CloudException.BadRequest("Keypair data is invalid: failed to generate fingerprint");
        }
    }

    private static byte[] ParseSsh(string publicKey)
    {
        var parts = publicKey.Split((char[])[' ', '\t', '\n', '\r'], StringSplitOptions.RemoveEmptyEntries);
        var start = Array.FindIndex(parts, SshTypes.Contains);
        if (start < 0 || start + 1 >= parts.Length)
        {
            throw new FormatException("no key type");
        }

        var blob = Convert.FromBase64String(parts[start + 1]);
        var fields = 0;
        for (var at = 0; at < blob.Length; fields++)
        {
            if (blob.Length - at < 4)
            {
                throw new FormatException("cut short");
            }

            var length = BinaryPrimitives.ReadUInt32BigEndian(blob.AsSpan(at));
            if (length > blob.Length - at - 4)
            {
                throw new FormatException("cut short");
            }

            if (fields == 0 && !blob.AsSpan(at + 4, (int)length).SequenceEqual(Encoding.ASCII.GetBytes(parts[start])))
            {
                throw new FormatException("the type and the key differ");
            }

            at += 4 + (int)length;
        }

        return fields >= 2 ? blob : throw new FormatException("no key");
    }

    /// <summary>MD5 with colons: a name for the key that users know, not a protection.</summary>
#pragma warning disable CA5351, CA5350
    private static string SshFingerprint(byte[] blob) => Colons(MD5.HashData(blob));

    private static string X509Fingerprint(X509Certificate2 certificate) => Colons(SHA1.HashData(certificate.RawData));
#pragma warning restore CA5351, CA5350

    private static string Colons(byte[] hash) => string.Join(':', hash.Select(b => b.ToString("x2")));

    private static void WriteString(MemoryStream stream, ReadOnlySpan<byte> value)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, value.Length);
        stream.Write(length);
        stream.Write(value);
    }

    /// <summary>A positive number: a zero first where its highest bit is set.</summary>
    private static void WriteInteger(MemoryStream stream, byte[] value) =>
        WriteString(stream, (value[0] & 0x80) == 0 ? value : [0, .. value]);
}
