using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace SharpStack.Keystone.Tests.Federation;

/// <summary>The independent provider (pysaml2) of a class's tests: one process, which is asked again and again, and a key of its own.</summary>
public sealed class SamlProvider : IDisposable
{
    private readonly Process process = Start("saml_idp.py");
    private readonly Task<string> errors;

    public SamlProvider() => errors = process.StandardError.ReadToEndAsync();

    /// <summary>The key that a test's provider signs with, unless it makes another.</summary>
    internal SamlKey Key { get; } = SamlKey.New();

    /// <summary>Starts one of the scripts beside the tests.</summary>
    internal static Process Start(string script, params string[] arguments) => Process.Start(
        new ProcessStartInfo("/usr/bin/python3", [Path.Combine(AppContext.BaseDirectory, "Federation", script), .. arguments])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        })!;

    /// <param name="arguments">As the script documents them: the folder of the test, the command and what it takes.</param>
    internal async Task<string> AskAsync(params string[] arguments)
    {
        var cancelled = TestContext.Current.CancellationToken;
        await process.StandardInput.WriteLineAsync(string.Join('\t', arguments).AsMemory(), cancelled);
        await process.StandardInput.FlushAsync(cancelled);
        return await process.StandardOutput.ReadLineAsync(cancelled) is { } answer
            ? Encoding.UTF8.GetString(Convert.FromBase64String(answer))
            : throw new InvalidOperationException(await errors);
    }

    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit();
        process.Dispose();
    }
}

/// <summary>A provider's key and its certificate, in PEM.</summary>
internal sealed record SamlKey(string Certificate, string PrivateKey)
{
    public static SamlKey New()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=idp", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using var certificate = request.CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        return new(certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }
}
