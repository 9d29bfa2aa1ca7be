using System.DirectoryServices.Protocols;
using System.Net;
using System.Reflection;
using System.Runtime.InteropServices;

namespace SharpStack.Keystone.Ldap;

/// <summary>
/// Opens connections with what <see cref="LdapConnection"/> does not offer on Linux: a bound for connecting, whom to trust, and StartTLS. libldap has an option
/// for each of a connection; those of the whole process stay as they are, for other domains trust others.
/// </summary>
internal static partial class LdapLibrary
{
    private const string Name = "libldap-2.5.so.0";
    private const int OptTimeout = 0x5002;
    private const int OptNetworkTimeout = 0x5005;
    private const int OptUri = 0x5006;
    private const int OptTlsCaFile = 0x6002;
    private const int OptTlsCaDirectory = 0x6003;
    private const int OptTlsRequireCertificate = 0x6006;
    private const int OptTlsNewContext = 0x600f;
    private const int TlsNever = 0;
    private const int TlsDemand = 2;
    private const int TlsAllow = 3;
    private const int ConnectError = 91;

    private static readonly FieldInfo Handle = typeof(LdapConnection).GetField("_ldapHandle", BindingFlags.Instance | BindingFlags.NonPublic)
        ?? throw new InvalidOperationException("System.DirectoryServices.Protocols keeps its handle elsewhere in this version.");

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct TimeValue(nint Seconds, nint Microseconds);

    /// <summary>A connection that is not bound yet; with TLS where the settings want it.</summary>
    /// <exception cref="LdapException">The server does not answer, or does not prove who it is.</exception>
    public static LdapConnection Open(LdapServer server, LdapSettings settings)
    {
        var connection = new LdapConnection(new LdapDirectoryIdentifier(server.Host, server.Port), null, AuthType.Basic) { Timeout = settings.Timeout, AutoBind = false };
        try
        {
            connection.SessionOptions.ProtocolVersion = 3;
            connection.SessionOptions.ReferralChasing = settings.ChaseReferrals ? ReferralChasingOptions.All : ReferralChasingOptions.None;
            connection.SessionOptions.SecureSocketLayer = server.Secure;
            var handle = ((SafeHandle)Handle.GetValue(connection)!).DangerousGetHandle();
            var wait = new TimeValue((nint)settings.Timeout.TotalSeconds, (nint)(settings.Timeout.TotalMicroseconds % 1_000_000));
            Require(SetTime(handle, OptNetworkTimeout, in wait), "network timeout");
            Require(SetTime(handle, OptTimeout, in wait), "timeout");
            if (server.Secure || settings.UseTls)
            {
                Require(SetText(handle, OptTlsCaFile, settings.CaFile), "tls_cacertfile");
                Require(SetText(handle, OptTlsCaDirectory, settings.CaFile is null ? settings.CaDirectory : null), "tls_cacertdir");
                Require(
                    SetNumber(handle, OptTlsRequireCertificate, settings.RequireCertificate switch { "never" => TlsNever, "allow" => TlsAllow, _ => TlsDemand }), "tls_req_cert");
                Require(SetNumber(handle, OptTlsNewContext, 0), "the certificates of [ldap] (can they be read?)");
            }
            if (settings.UseTls)
            {
                Require(SetText(handle, OptUri, server.ToString()), "url");
                Require(StartTls(handle, 0, 0), $"StartTLS with {server}");
            }
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    public static void Bind(LdapConnection connection, string? dn, string? password)
    {
        if (dn is null || password is null)
        {
            connection.AuthType = AuthType.Anonymous;
            connection.Bind();
            return;
        }
        connection.AuthType = AuthType.Basic;
        connection.Bind(new NetworkCredential(dn, password));
    }

    private static void Require(int result, string what)
    {
        if (result != 0)
        {
            throw new LdapException(ConnectError, $"{what}: libldap answers {result}");
        }
    }

    [LibraryImport(Name, EntryPoint = "ldap_set_option")]
    private static partial int SetTime(nint handle, int option, in TimeValue value);

    [LibraryImport(Name, EntryPoint = "ldap_set_option")]
    private static partial int SetNumber(nint handle, int option, in int value);

    [LibraryImport(Name, EntryPoint = "ldap_set_option", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetText(nint handle, int option, string? value);

    [LibraryImport(Name, EntryPoint = "ldap_start_tls_s")]
    private static partial int StartTls(nint handle, nint serverControls, nint clientControls);
}
