using System.Collections.Concurrent;

namespace SharpStack.Keystone.Authentication;

/// <summary>How a user was authenticated. Tokens hold the bits that <see cref="AuthMethodMap"/> gives them.</summary>
[Flags]
internal enum AuthMethods : long
{
    None = 0,
    External = 1,
    Password = 2,
    Token = 4,
    OAuth1 = 8,
    Mapped = 16,
    ApplicationCredential = 32,
    Totp = 64,
    Saml2 = 128,
    OpenId = 256,
    Kerberos = 512,
    X509 = 1024,

    /// <summary>Given by <c>/v3/ec2tokens</c>; no method that one can ask for.</summary>
    Ec2Credential = 1L << 32,

    /// <summary>Of releases that give OAuth 2.0 tokens for client certificates.</summary>
    OAuth2Credential = 1L << 33,
}

/// <summary>
/// The methods of <c>[auth] methods</c>, in whose order OpenStack numbers the bits of its tokens: installations that share keys must have the same order.
/// </summary>
internal sealed class AuthMethodMap
{
    private static readonly (string Name, AuthMethods Method)[] Known =
    [
        ("external", AuthMethods.External),
        ("password", AuthMethods.Password),
        ("token", AuthMethods.Token),
        ("oauth1", AuthMethods.OAuth1),
        ("mapped", AuthMethods.Mapped),
        ("application_credential", AuthMethods.ApplicationCredential),
        ("totp", AuthMethods.Totp),
        ("saml2", AuthMethods.Saml2),
        ("openid", AuthMethods.OpenId),
        ("kerberos", AuthMethods.Kerberos),
        ("x509", AuthMethods.X509),
        ("ec2credential", AuthMethods.Ec2Credential),
        ("oauth2_credential", AuthMethods.OAuth2Credential),
    ];

    private static readonly ConcurrentDictionary<AuthMethods, IReadOnlyList<string>> Listed = new();

    private readonly List<(AuthMethods Method, long Bit)> bits = [];

    public AuthMethodMap(IReadOnlyList<string> configured)
    {
        // A name that this release does not know still takes its place: those after it keep their bits.
        for (var i = 0; i < configured.Count; i++)
        {
            if (Find(configured[i]) is var method and not AuthMethods.None)
            {
                bits.Add((method, 1L << i));
                Enabled |= method;
            }
        }
        bits.Add((AuthMethods.Ec2Credential, (long)AuthMethods.Ec2Credential));
        bits.Add((AuthMethods.OAuth2Credential, (long)AuthMethods.OAuth2Credential));
    }

    public static IReadOnlyList<string> DefaultNames { get; } = ["external", "password", "token", "oauth1", "mapped", "application_credential"];

    public static AuthMethodMap Default { get; } = new(DefaultNames);

    /// <summary>The methods that may be asked for.</summary>
    public AuthMethods Enabled { get; }

    /// <returns><see cref="AuthMethods.None"/> for a name that is none.</returns>
    public static AuthMethods Find(string name) => Array.Find(Known, known => known.Name == name).Method;

    public long ToBits(AuthMethods methods)
    {
        var sum = 0L;
        foreach (var (method, bit) in bits)
        {
            sum |= (methods & method) != 0 ? bit : 0;
        }
        return sum;
    }

    /// <returns><see cref="AuthMethods.None"/> where a bit is unknown: a token of methods that cannot be told is treated as delegated.</returns>
    public AuthMethods FromBits(long sum)
    {
        var methods = AuthMethods.None;
        foreach (var (method, bit) in bits)
        {
            if ((sum & bit) != 0)
            {
                methods |= method;
                sum &= ~bit;
            }
        }
        return sum == 0 ? methods : AuthMethods.None;
    }

    /// <summary>Latest first, as OpenStack lists them.</summary>
    public static IReadOnlyList<string> Names(AuthMethods methods) => Listed.GetOrAdd(
        methods, static methods => [.. Known.Where(known => (methods & known.Method) != 0).Reverse().Select(static known => known.Name)]);

    public static AuthMethods Of(IEnumerable<string> names) => names.Aggregate(AuthMethods.None, static (methods, name) => methods | Find(name));
}
