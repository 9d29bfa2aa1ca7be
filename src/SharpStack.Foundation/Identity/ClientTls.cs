using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Identity;

/// <summary>What a client of HTTPS trusts, and how it shows who it is: keystoneauth1's session options.</summary>
/// <param name="Authorities">The PEM file of the authorities that are trusted; null for the system's.</param>
/// <param name="Insecure">Whatever the server shows is believed.</param>
/// <param name="Certificate">The PEM file of the client's own certificate; null for none.</param>
/// <param name="Key">The PEM file of its key; null where the certificate's file has it too.</param>
public sealed record ClientTls(string? Authorities = null, bool Insecure = false, string? Certificate = null, string? Key = null)
{
    public static ClientTls Read(ServiceConfig config, string group) =>
        new(NullIfEmpty(config.Get(AuthoritiesOf(group))), config.Get(InsecureOf(group)), NullIfEmpty(config.Get(CertificateOf(group))), NullIfEmpty(config.Get(KeyOf(group))));

    /// <summary>The options in a group, for validation and samples.</summary>
    public static IEnumerable<ConfigOption> Options(string group) => [AuthoritiesOf(group), InsecureOf(group), CertificateOf(group), KeyOf(group)];

    /// <exception cref="CloudException">A file cannot be read or is none of what it should be.</exception>
    internal SslClientAuthenticationOptions ToOptions()
    {
        var options = new SslClientAuthenticationOptions
        {
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = (_, _, _, errors) => Insecure || errors == SslPolicyErrors.None,
        };
        if (Authorities is not null)
        {
            options.CertificateChainPolicy = ServerCertificate.PolicyOf(ServerCertificate.Load(Authorities));
        }

        if (Certificate is not null)
        {
            try
            {
                options.ClientCertificates = [X509Certificate2.CreateFromPemFile(Certificate, Key)];
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException)
            {
                throw CloudException.Unavailable($"The client certificate {Certificate} cannot be used: {failure.Message}", inner: failure);
            }
        }

        return options;
    }

    private static string? NullIfEmpty(string text) => text.Length > 0 ? text : null;

    private static ConfigOption<string> AuthoritiesOf(string group) => new(group, "cafile", "", "The PEM file of the authorities whose certificates are trusted; empty for the system's.");

    private static ConfigOption<bool> InsecureOf(string group) => new(group, "insecure", false, "Believe whatever certificate a server shows: for tests only.");

    private static ConfigOption<string> CertificateOf(string group) => new(group, "certfile", "", "The PEM file of the client certificate to show.");

    private static ConfigOption<string> KeyOf(string group) => new(group, "keyfile", "", "The PEM file of that certificate's key.");
}
