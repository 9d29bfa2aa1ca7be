using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Credentials;

/// <summary>What a credential of type <c>ec2</c> holds.</summary>
/// <param name="TrustId">Signed requests get tokens of this trust, where it is set; and so for the others.</param>
internal sealed record Ec2Blob(string Access, string? Secret, string? TrustId, string? ApplicationCredentialId, string? AccessTokenId)
{
    /// <summary>The id of the credential of an access key.</summary>
    public static string IdOf(string access) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(access)));

    /// <exception cref="CloudException">The blob is none, or has no access key (400).</exception>
    public static Ec2Blob Parse(string blob)
    {
        try
        {
            using var document = JsonDocument.Parse(blob);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw Fail.Expected("blob", "credential");
            }
            return new(
                root.Text("access") ?? throw Fail.Expected("access", "credential"),
                root.Text("secret"),
                root.Text("trust_id"),
                root.Text("app_cred_id"),
                root.Text("access_token_id"));
        }
        catch (JsonException)
        {
            throw CloudException.BadRequest("Invalid blob in credential");
        }
    }

    /// <summary>Refuses to make a credential good for something else than it was made for.</summary>
    public void RequireSameScope(Ec2Blob other)
    {
        foreach (var (name, before, after) in ((string, string?, string?)[])
        [
            ("trust_id", TrustId, other.TrustId), ("app_cred_id", ApplicationCredentialId, other.ApplicationCredentialId), ("access_token_id", AccessTokenId, other.AccessTokenId),
        ])
        {
            if (before != after)
            {
                throw CloudException.BadRequest($"{name} can not be updated for credential");
            }
        }
    }
}
