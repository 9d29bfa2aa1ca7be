using System.Diagnostics;
using System.Text.Json.Nodes;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Receipts;
using SharpStack.Keystone.Tokens;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Tokens;

/// <summary>Debian's keystone (package python3-keystone) on the same keys: what either makes, the other one takes.</summary>
public class RealKeystoneTests
{
    private const string Audit = "3T2dc1CGQxyJsHdDu1xkcw";
    private const string Chain = "ZzZwkUflQfygX7pdYDBCQQ";
    private const string Id = "9a444c335eaf4b8b9b8d724d54d31a15";
    private const string Other = "5969daaeea3b438ea92555dd941f109f";

    private static readonly DateTimeOffset Expiry = DateTimeOffset.Parse("2040-01-02T03:04:05Z");

    private static readonly (string Class, TokenPayload Payload)[] Payloads =
    [
        ("UnscopedPayload", new(PayloadKind.Unscoped, Id, AuthMethods.Password, null, Expiry, [Audit])),
        ("DomainScopedPayload", new(PayloadKind.Domain, Id, AuthMethods.Password, "default", Expiry, [Audit])),
        ("ProjectScopedPayload", new(PayloadKind.Project, "ldap-user", AuthMethods.Password | AuthMethods.Token, Other, Expiry, [Audit, Chain])),
        ("TrustScopedPayload", new(PayloadKind.Trust, Id, AuthMethods.Password, Other, Expiry, [Audit]) { DelegationId = Id }),
        ("TrustScopedPayload", new(PayloadKind.Trust, Id, AuthMethods.Password, null, Expiry, [Audit]) { DelegationId = Id }),
        ("FederatedUnscopedPayload", new(PayloadKind.FederatedUnscoped, Id, AuthMethods.Mapped, null, Expiry, [Audit]) { Federation = new("idp", "mapped", [Id, "group"]) }),
        ("FederatedProjectScopedPayload", new(PayloadKind.FederatedProject, Id, AuthMethods.Mapped | AuthMethods.Token, Other, Expiry, [Audit]) { Federation = new(Other, "mapped", []) }),
        ("FederatedDomainScopedPayload", new(PayloadKind.FederatedDomain, Id, AuthMethods.Mapped, "default", Expiry, [Audit]) { Federation = new("idp", "saml2", [.. Enumerable.Repeat(Id, 20)]) }),
        ("OauthScopedPayload", new(PayloadKind.OAuth1, Id, AuthMethods.OAuth1, Other, Expiry, [Audit]) { DelegationId = Other }),
        ("SystemScopedPayload", new(PayloadKind.System, Id, AuthMethods.Password | AuthMethods.Totp, "all", Expiry, [Audit])),
        ("ApplicationCredentialScopedPayload", new(PayloadKind.ApplicationCredential, Id, AuthMethods.ApplicationCredential, Other, Expiry, [Audit]) { DelegationId = Id }),
        ("ApplicationCredentialScopedPayload", new(PayloadKind.ApplicationCredential, Id, AuthMethods.Ec2Credential, Other, Expiry, [Audit]) { DelegationId = Id }),
    ];

    [Fact]
    public async Task What_either_makes_the_other_one_takes()
    {
        const string methods = "external,password,token,oauth1,mapped,application_credential,totp,saml2";
        await using var cloud = await IdentityCloud.StartAsync(null, ("auth", "methods", methods));
        var map = new AuthMethodMap(methods.Split(','));
        var data = Path.Combine(cloud.Cloud.Data, "keystone");
        using var jwsKeys = new JwsKeys(Path.Combine(data, "jws", "private"), Path.Combine(data, "jws", "public"), TimeProvider.System);
        jwsKeys.Setup();
        var fernet = new FernetFormat(cloud.Cloud.Get<KeyRepository>(), map);
        var jws = new JwsFormat(jwsKeys);
        var credentialKeys = cloud.Cloud.Get<CredentialKeys>();
        var now = DateTimeOffset.FromUnixTimeSeconds(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds());
        var admin = await cloud.IdOfAsync("users", "admin");
        var project = await cloud.IdOfAsync("projects", "admin");
        var until = now.AddMinutes(30);
        // The last is for a user and a project that are here: it must be good for our API.
        (string Class, TokenPayload Payload)[] all = [.. Payloads, ("ProjectScopedPayload", new(PayloadKind.Project, admin, AuthMethods.Password, project, until, [Audit]))];
        var mine = credentialKeys.Sealed(new() { Id = Id, UserId = Id, Type = "totp", EncryptedBlob = "" }, "from here", now);

        var answers = await AskAsync(new JsonObject
        {
            ["fernet"] = Path.Combine(data, "fernet-keys"),
            ["credentials"] = Path.Combine(data, "credential-keys"),
            ["jws_private"] = jwsKeys.PrivateDirectory,
            ["jws_public"] = jwsKeys.PublicDirectory,
            ["methods"] = new JsonArray([.. methods.Split(',').Select(static m => JsonValue.Create(m))]),
            ["mint"] = new JsonArray([.. all.Select(static one => Request(one.Class, one.Payload))]),
            ["open"] = new JsonArray([.. all.Select(one => JsonValue.Create(fernet.Seal(one.Payload, now)))]),
            ["verify"] = new JsonArray([.. all.Select(one => JsonValue.Create(jws.Seal(one.Payload, now)))]),
            ["receipt_user"] = admin,
            ["receipt_expires_at"] = Text(until),
            ["receipt"] = cloud.Cloud.Get<ReceiptService>().Issue(Id, AuthMethods.Password | AuthMethods.Totp).Id,
            ["secret"] = mine.EncryptedBlob,
        });

        for (var i = 0; i < all.Length; i++)
        {
            var payload = all[i].Payload;
            AssertSame(payload, fernet.Open(answers["minted"]![i]!.GetValue<string>(), out _)!);
            AssertSame(payload, jws.Open(answers["signed"]![i]!.GetValue<string>(), out _)!);
            AssertHolds(payload, answers["opened"]![i]!);
            AssertHolds(payload, answers["verified"]![i]!);
            Assert.StartsWith(now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss"), answers["opened"]![i]!["issued_at"]!.GetValue<string>(), StringComparison.Ordinal);
        }
        (await cloud.ValidateAsync(answers["minted"]![all.Length - 1]!.GetValue<string>())).Expect(200);
        (await cloud.Client(answers["minted"]![all.Length - 1]!.GetValue<string>()).GetAsync("/v3/users")).Expect(200);
        var receipt = cloud.Cloud.Get<ReceiptService>().Read(answers["receipt"]!.GetValue<string>());
        Assert.Equal((admin, AuthMethods.Password, until), (receipt.UserId, receipt.Methods, receipt.ExpiresAt));
        Assert.Equal(Id, answers["read_receipt"]![0]!.GetValue<string>());
        Assert.Equal(["password", "totp"], answers["read_receipt"]![1]!.AsArray().Select(static m => m!.GetValue<string>()).Order());
        Assert.Equal("from there", credentialKeys.Decrypt(answers["secret"]!.GetValue<string>()));
        Assert.Equal("from here", answers["read_secret"]!.GetValue<string>());
        Assert.Equal(mine.KeyHash, answers["key_hash"]!.GetValue<string>());
    }

    private static void AssertSame(TokenPayload expected, TokenPayload actual)
    {
        Assert.Equal((expected.Kind, expected.UserId, expected.Methods, expected.ScopeId, expected.ExpiresAt), (actual.Kind, actual.UserId, actual.Methods, actual.ScopeId, actual.ExpiresAt));
        Assert.Equal((expected.DelegationId, expected.Federation?.IdentityProviderId, expected.Federation?.ProtocolId), (actual.DelegationId, actual.Federation?.IdentityProviderId, actual.Federation?.ProtocolId));
        Assert.Equal(expected.AuditIds, actual.AuditIds);
        Assert.Equal(expected.Federation?.GroupIds ?? [], actual.Federation?.GroupIds ?? []);
    }

    private static void AssertHolds(TokenPayload expected, JsonNode found)
    {
        Assert.Equal(expected.UserId, Text("user_id"));
        Assert.Equal(AuthMethodMap.Names(expected.Methods).Order(), found["methods"]!.AsArray().Select(static m => m!.GetValue<string>()).Order());
        Assert.Equal(expected.AuditIds, found["audit_ids"]!.AsArray().Select(static a => a!.GetValue<string>()));
        Assert.Equal(expected.ScopeId, Text("project_id") ?? Text("domain_id") ?? Text("system"));
        Assert.Equal(expected.DelegationId, Text("trust_id") ?? Text("access_token_id") ?? Text("app_cred_id"));
        Assert.Equal((expected.Federation?.IdentityProviderId, expected.Federation?.ProtocolId), (Text("idp_id"), Text("protocol_id")));
        Assert.Equal(expected.ExpiresAt, DateTimeOffset.Parse(Text("expires_at")!));

        string? Text(string name) => found[name]?.GetValue<string>();
    }

    private static string Text(DateTimeOffset instant) => instant.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");

    private static JsonObject Request(string payloadClass, TokenPayload payload)
    {
        var request = new JsonObject
        {
            ["class"] = payloadClass,
            ["user_id"] = payload.UserId,
            ["expires_at"] = Text(payload.ExpiresAt),
            ["audit_ids"] = new JsonArray([.. payload.AuditIds.Select(static a => JsonValue.Create(a))]),
            ["methods"] = new JsonArray([.. AuthMethodMap.Names(payload.Methods).Select(static m => JsonValue.Create(m))]),
        };
        if (payload.ScopeId is { } scope)
        {
            request[payload.Kind switch { PayloadKind.System => "system", PayloadKind.Domain or PayloadKind.FederatedDomain => "domain_id", _ => "project_id" }] = scope;
        }
        if (payload.DelegationId is { } delegation)
        {
            request[payload.Kind switch { PayloadKind.Trust => "trust_id", PayloadKind.OAuth1 => "access_token_id", _ => "app_cred_id" }] = delegation;
        }
        if (payload.Federation is { } federation)
        {
            request["identity_provider_id"] = federation.IdentityProviderId;
            request["protocol_id"] = federation.ProtocolId;
            request["federated_group_ids"] = new JsonArray([.. federation.GroupIds.Select(static g => new JsonObject { ["id"] = g })]);
        }
        return request;
    }

    private static async Task<JsonNode> AskAsync(JsonObject question)
    {
        var script = Path.Combine(Repository.Root, "tests", "Keystone.Tests", "Tokens", "real_keystone.py");
        using var process = Process.Start(new ProcessStartInfo("/usr/bin/python3", [script]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        await process.StandardInput.WriteAsync(question.ToJsonString());
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"the genuine keystone (package python3-keystone) failed: {await errors}");
        return JsonNode.Parse(output)!;
    }
}
