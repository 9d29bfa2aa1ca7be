using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace SharpStack.TestKit;

/// <summary>A certificate authority of a test: PEM files in a folder.</summary>
public sealed class TestAuthority : IDisposable
{
    private readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 certificate;
    private readonly string directory;

    /// <param name="directory">Where the files are written; it exists.</param>
    /// <param name="name">The authority's own name, and the beginning of its file's.</param>
    public TestAuthority(string directory, string name = "ca")
    {
        this.directory = directory;
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch.AddYears(50), DateTimeOffset.UnixEpoch.AddYears(130));
        CaFile = Path.Combine(directory, $"{name}.pem");
        File.WriteAllText(CaFile, certificate.ExportCertificatePem());
    }

    public string CaFile { get; }

    /// <summary>Issues a certificate for names and addresses: <c>localhost</c>, <c>127.0.0.1</c>.</summary>
    public (string CertFile, string KeyFile) Issue(string name, params string[] names)
    {
        using var leafKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", leafKey, HashAlgorithmName.SHA256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (var alternative in names)
        {
            if (IPAddress.TryParse(alternative, out var address))
            {
                alternatives.AddIpAddress(address);
            }
            else
            {
                alternatives.AddDnsName(alternative);
            }
        }

        request.CertificateExtensions.Add(alternatives.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        using var leaf = request.Create(certificate, certificate.NotBefore, certificate.NotAfter, RandomNumberGenerator.GetBytes(16));
        var certFile = Path.Combine(directory, $"{name}.pem");
        var keyFile = Path.Combine(directory, $"{name}.key");
        File.WriteAllText(certFile, leaf.ExportCertificatePem());
        File.WriteAllText(keyFile, leafKey.ExportPkcs8PrivateKeyPem());
        return (certFile, keyFile);
    }

    public void Dispose()
    {
        certificate.Dispose();
        key.Dispose();
    }
}
