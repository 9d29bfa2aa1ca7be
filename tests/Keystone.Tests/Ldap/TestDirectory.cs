using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Ldap;

/// <summary>A slapd of its own, on free ports and in a folder that is gone with it.</summary>
internal sealed class TestDirectory : IAsyncDisposable
{
    public const string Suffix = "dc=house";
    public const string Reader = "cn=reader,dc=house";
    public const string ReaderPassword = "reader-secret";

    private const string Ldif = """
        dn: dc=house
        objectClass: dcObject
        objectClass: organization
        dc: house
        o: house

        dn: ou=Users,dc=house
        objectClass: organizationalUnit
        ou: Users

        dn: ou=UserGroups,dc=house
        objectClass: organizationalUnit
        ou: UserGroups

        dn: cn=ada,ou=Users,dc=house
        objectClass: inetOrgPerson
        cn: ada
        sn: Ada
        mail: ada@house.test
        description: counts
        employeeType: TRUE
        employeeNumber: 512
        title: countess
        userPassword: ada-secret

        dn: cn=bob,ou=Users,dc=house
        objectClass: inetOrgPerson
        cn: bob
        sn: Bob
        employeeType: FALSE
        employeeNumber: 514
        userPassword: bob-secret

        dn: cn=eve (guest)*,ou=Users,dc=house
        objectClass: inetOrgPerson
        cn: eve (guest)*
        sn: Eve (*)
        userPassword: eve-secret

        dn: ou=Deep,ou=Users,dc=house
        objectClass: organizationalUnit
        ou: Deep

        dn: cn=dan,ou=Deep,ou=Users,dc=house
        objectClass: inetOrgPerson
        cn: dan
        sn: Dan
        userPassword: dan-secret

        dn: cn=enabled_users,ou=Users,dc=house
        objectClass: groupOfNames
        cn: enabled_users
        member: CN=Ada, ou=Users,dc=house

        dn: cn=staff,ou=UserGroups,dc=house
        objectClass: groupOfNames
        cn: staff
        ou: Staff
        description: those who work
        member: cn=ada,ou=Users,dc=house
        member: cn=gone,ou=Users,dc=house

        dn: cn=posix,ou=UserGroups,dc=house
        objectClass: posixGroup
        cn: posix
        gidNumber: 1
        memberUid: ada
        memberUid: bob

        """;

    private readonly string folder;
    private Process? process;

    private TestDirectory(string folder, int port, int securePort)
    {
        this.folder = folder;
        Port = port;
        SecurePort = securePort;
    }

    public int Port { get; }

    public int SecurePort { get; }

    public string Url => $"ldap://127.0.0.1:{Port}";

    public string SecureUrl => $"ldaps://127.0.0.1:{SecurePort}";

    /// <summary>The certificate of the authority that signed the server's.</summary>
    public string Authority => Path.Combine(folder, "ca.pem");

    /// <param name="more">Further entries, as LDIF.</param>
    public static async Task<TestDirectory> StartAsync(string more = "")
    {
        var directory = new TestDirectory(Directory.CreateTempSubdirectory("sharpstack-slapd-").FullName, FreePorts.One(), FreePorts.One());
        try
        {
            await directory.StartServerAsync(more);
            return directory;
        }
        catch
        {
            await directory.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the server; what was asked before is all that is known of it.</summary>
    public async Task StopAsync()
    {
        if (process is { HasExited: false })
        {
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        process?.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private async Task StartServerAsync(string more)
    {
        WriteCertificates();
        Directory.CreateDirectory(Path.Combine(folder, "data"));
        await File.WriteAllTextAsync(Path.Combine(folder, "data.ldif"), Ldif + more);
        var config = Path.Combine(folder, "slapd.conf");
        await File.WriteAllTextAsync(config, $"""
            include /etc/ldap/schema/core.schema
            include /etc/ldap/schema/cosine.schema
            include /etc/ldap/schema/nis.schema
            include /etc/ldap/schema/inetorgperson.schema
            modulepath /usr/lib/ldap
            moduleload back_mdb
            pidfile {folder}/slapd.pid
            sizelimit unlimited
            TLSCACertificateFile {Authority}
            TLSCertificateFile {folder}/server.pem
            TLSCertificateKeyFile {folder}/server.key
            database mdb
            suffix "{Suffix}"
            directory {folder}/data
            maxsize 67108864
            rootdn "{Reader}"
            rootpw {ReaderPassword}
            access to attrs=userPassword by anonymous auth by * none
            access to * by dn.exact="{Reader}" read by * none

            """);
        await RunAsync("slapadd", "-f", config, "-l", Path.Combine(folder, "data.ldif"), "-q");
        process = Process.Start(new ProcessStartInfo(
            "/usr/sbin/slapd", ["-f", config, "-h", $"ldap://127.0.0.1:{Port}/ ldaps://127.0.0.1:{SecurePort}/", "-d", "0"]) { RedirectStandardError = true })!;
        await Eventually.TrueAsync(
            async () =>
            {
                using var client = new TcpClient();
                try
                {
                    await client.ConnectAsync(IPAddress.Loopback, SecurePort);
                    return true;
                }
                catch (SocketException)
                {
                    return false;
                }
            },
            "slapd listens");
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var running = Process.Start(new ProcessStartInfo($"/usr/sbin/{program}", arguments) { RedirectStandardError = true })!;
        var errors = await running.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await running.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(running.ExitCode == 0, $"{program} failed: {errors}");
    }

    private void WriteCertificates()
    {
        using var authorityKey = RSA.Create(2048);
        var authorityRequest = new CertificateRequest("CN=Test authority", authorityKey, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        authorityRequest.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        authorityRequest.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        var now = TimeProvider.System.GetUtcNow();
        using var authority = authorityRequest.CreateSelfSigned(now.AddDays(-1), now.AddDays(10));
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using var server = request.Create(authority, now.AddDays(-1), now.AddDays(9), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(Authority, authority.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, "server.pem"), server.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, "server.key"), key.ExportPkcs8PrivateKeyPem());
    }
}
