using SharpStack.Foundation;
using SharpStack.Foundation.Identity;

namespace SharpStack.Keystone.Authentication;

/// <summary>
/// Tokens that were not obtained by the users themselves (application credentials, OAuth, EC2 signatures), and tokens of trusts, may not widen what they were given.
/// </summary>
internal static class Delegation
{
    // What proves a user directly. All else is delegated, also a method that is added later: those must be put here on purpose.
    private static readonly HashSet<string> Primary = ["external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"];

    /// <summary>Whether the token came by a delegated method, or by one that cannot be told.</summary>
    public static bool IsDelegated(RequestIdentity identity) => identity.Methods.Count == 0 || !identity.Methods.All(Primary.Contains);

    public static bool HasMethod(RequestIdentity identity, string method) => identity.Methods.Contains(method);

    /// <summary>Only the user's own log-in will do.</summary>
    public static void RefuseAny(RequestIdentity identity, Func<CloudException> failure)
    {
        if (identity.TrustId is not null || IsDelegated(identity))
        {
            throw failure();
        }
    }
}
