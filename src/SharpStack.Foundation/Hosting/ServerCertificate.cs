using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace SharpStack.Foundation.Hosting;

/// <summary>A server's certificate as it is in its files; read again when told, for the connections that come then.</summary>
internal sealed class ServerCertificate
{
    private readonly CertificateFiles files;
    private volatile SslServerAuthenticationOptions current;

    /// <exception cref="CloudException">A file that cannot be read, or is none of what it should be.</exception>
    public ServerCertificate(CertificateFiles files)
    {
        this.files = files;
        current = Read(files);
    }

    /// <summary>For a new connection.</summary>
    public SslServerAuthenticationOptions Options => current;

    /// <summary>Takes the files as they are now. Where they cannot be used, all stays as it was.</summary>
    /// <exception cref="CloudException">As for the constructor.</exception>
    public void Reload() => current = Read(files);

    private static SslServerAuthenticationOptions Read(CertificateFiles files)
    {
        var chain = Load(files.Certificate);
        X509Certificate2 certificate;
        try
        {
            certificate = X509Certificate2.CreateFromPem(chain.ExportCertificatePems(), File.ReadAllText(files.Key));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            throw CloudException.Unavailable($"The key {files.Key} cannot be used with the certificate {files.Certificate}: {failure.Message}", inner: failure);
        }

        var authorities = files.ClientAuthorities is { } path ? Load(path) : null;
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = SslStreamCertificateContext.Create(certificate, chain, offline: true),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ApplicationProtocols = [SslApplicationProtocol.Http11],
            ClientCertificateRequired = authorities is not null,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            CertificateChainPolicy = authorities is null ? null : PolicyOf(authorities),
        };
    }

    /// <summary>Trusts what these authorities vouch for, and nothing else.</summary>
    internal static X509ChainPolicy PolicyOf(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    /// <exception cref="CloudException">The file cannot be read or holds no certificate.</exception>
    internal static X509Certificate2Collection Load(string path)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPemFile(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw CloudException.Unavailable($"The certificate file {path} cannot be read: {failure.Message}", inner: failure);
        }

        return certificates.Count > 0 ? certificates : throw CloudException.Unavailable($"The file {path} holds no certificate: it should be in PEM, beginning with -----BEGIN CERTIFICATE-----.");
    }
}
