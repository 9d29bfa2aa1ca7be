using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Keystone.Ec2;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Ec2;

public class Ec2Tests
{
    private const string Secret = "89cdf9e94e2643cab35b8b8ac5a51f83";
    private const string BodyHash = "b6359072c78d70ebee1e81adcbab4f01bf2c23245fa365ef83fe8f1f955085e2";
    private const string EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    private static readonly Dictionary<string, string> None = [];

    // What keystoneclient's Ec2Signer (5.0.1) gives for these requests.
    private static readonly Dictionary<string, (SignedRequest Request, string Signature)> Samples = new()
    {
        ["version 0"] = (Classic("0"), "Eydo1N7P6UQVDHLPzKofSBVjlrw="),
        ["version 1"] = (Classic("1"), "lRVtHr21Yqno3VVUF4XyR7fbkIk="),
        ["version 2"] = (Classic("2"), "4hBjAg7Zq3k75jOGWFS7hjp7/GmpGDBqniV1Rkk9GaM="),
        ["version 4 in the header"] = (
            new("POST", "example.com", "/", new Dictionary<string, string> { ["Action"] = "ListUsers", ["Version"] = "2010-05-08" }, Headers("example.com"), BodyHash),
            "175c7653eec8d2f23e47a6e7eea25da4cb3ddcbed4e01a27db73e4e4df2eab9b"),
        ["version 4 of an old Boto"] = (
            new("POST", "example.com:8773", "/", None, Headers("example.com:8773", "Boto/2.9.2 (linux2)"), BodyHash),
            "175c7653eec8d2f23e47a6e7eea25da4cb3ddcbed4e01a27db73e4e4df2eab9b"),
        ["version 4 in the query"] = (
            new(
                "GET",
                "example.com",
                "/x",
                new Dictionary<string, string>
                {
                    ["Action"] = "ListUsers", ["X-Amz-Algorithm"] = "AWS4-HMAC-SHA256", ["X-Amz-Credential"] = "AKID/20130612/us-east-1/iam/aws4_request",
                    ["X-Amz-Date"] = "20130612T215151Z", ["X-Amz-SignedHeaders"] = "host",
                },
                new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase) { ["host"] = "example.com" },
                EmptyHash),
            "b38250ffddd06b4551962b736ea44a997f4703e0d7dd5c12b9e506beb2a16ed5"),
    };

    public static TheoryData<string> Names => [.. Samples.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_signature_is_that_of_the_clients_library(string name)
    {
        var (request, signature) = Samples[name];

        Assert.Equal(signature, Ec2Signature.Generate(Secret, request));
        Assert.True(Ec2Signature.Matches(Secret, signature, request));
        Assert.False(Ec2Signature.Matches(Secret + "x", signature, request));
        Assert.False(Ec2Signature.Matches(Secret, signature, request with { Parameters = new Dictionary<string, string>(request.Parameters) { ["Action"] = "Delete", ["SignatureVersion"] = "9" }, Headers = None }));
    }

    [Fact]
    public void A_signature_of_another_day_than_its_key_is_none()
    {
        var (request, _) = Samples["version 4 in the query"];

        Assert.Null(Ec2Signature.Generate(Secret, request with { Parameters = new Dictionary<string, string>(request.Parameters) { ["X-Amz-Date"] = "20130613T215151Z" } }));
    }

    [Fact]
    public async Task Credentials_of_ec2_are_made_shown_and_removed_by_their_owner()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.PersonAsync("bob", "member");
        using var owner = cloud.Client(alice.Token);
        using var other = cloud.Client(bob.Token);

        var created = (await owner.PostAsync(Path(alice.UserId), $$"""{"tenant_id": "{{alice.ProjectId}}"}""")).Expect(201).Json.GetProperty("credential");

        var access = created.GetProperty("access").GetString()!;
        Assert.Equal(["access", "links", "secret", "tenant_id", "trust_id", "user_id"], created.Names().Order());
        Assert.EndsWith($"/v3/users/{alice.UserId}/credentials/OS-EC2/{access}", created.GetProperty("links").GetProperty("self").GetString(), StringComparison.Ordinal);
        Assert.Equal(created.GetProperty("secret").GetString(), (await owner.GetAsync($"{Path(alice.UserId)}/{access}")).Expect(200).Json.GetProperty("credential").GetProperty("secret").GetString());
        Assert.Equal([access], (await owner.GetAsync(Path(alice.UserId))).Expect(200).Json.GetProperty("credentials").Texts("access"));
        (await owner.PostAsync(Path(alice.UserId), """{"tenant_id": "none"}""")).Expect(404);
        (await owner.PostAsync(Path(alice.UserId), "{}")).Expect(400);
        (await other.GetAsync($"{Path(bob.UserId)}/{access}")).Expect(403);
        (await other.DeleteAsync($"{Path(alice.UserId)}/{access}")).Expect(403);
        (await other.GetAsync(Path(alice.UserId))).Expect(403);
        (await owner.DeleteAsync($"{Path(alice.UserId)}/{access}")).Expect(204);
        (await owner.GetAsync($"{Path(alice.UserId)}/{access}")).Expect(404);
    }

    [Fact]
    public async Task A_service_gets_a_token_for_a_signed_request_and_nobody_else_does()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var alice = await cloud.PersonAsync("alice", "member");
        var service = await cloud.PersonAsync("nova", "service");
        var (access, secret) = await CreateAsync(cloud, alice);
        using var nova = cloud.Client(service.Token);
        var body = Signed(access, secret, "2026-05-01T10:00:00Z");

        var answer = (await nova.PostAsync("/v3/ec2tokens", body)).Expect(200);

        var token = answer.Json.GetProperty("token");
        Assert.Equal(alice.UserId, token.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(alice.ProjectId, token.GetProperty("project").GetProperty("id").GetString());
        Assert.Equal(["ec2credential"], token.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        var id = answer.Headers.GetValues("X-Subject-Token").Single();
        Assert.Equal(["ec2credential"], (await cloud.ValidateAsync(id)).Expect(200).Json.GetProperty("token").GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        // Such a token is for other services: here it is good for nothing.
        (await cloud.Client(id).GetAsync("/v3/auth/projects")).Expect(403);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(id))).Expect(403);

        (await cloud.Client(alice.Token).PostAsync("/v3/ec2tokens", body)).Expect(403);
        (await cloud.Client(null).PostAsync("/v3/ec2tokens", body)).Expect(401);
        (await cloud.Client(null).PostAsync("/v3/s3tokens", body)).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", Signed(access, secret + "x", "2026-05-01T10:00:00Z"))).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", Signed("unknown", secret, "2026-05-01T10:00:00Z"))).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", Signed(access, secret, "2026-05-01T09:44:00Z"))).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", Signed(access, secret, "2026-05-01T10:16:00Z"))).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", Signed(access, secret, "2026-05-01T09:46:00Z"))).Expect(200);
        (await nova.PostAsync("/v3/ec2tokens", "{}")).Expect(401);
        (await nova.PostAsync("/v3/ec2tokens", """{"credentials": {"access": "x", "signature": "y", "params": [1]}}""")).Expect(400);
        (await nova.GetAsync("/v3/ec2tokens")).Expect(405);
        (await cloud.Admin.PatchAsync($"/v3/users/{alice.UserId}", """{"user": {"enabled": false}}""")).Expect(200);
        (await nova.PostAsync("/v3/ec2tokens", body)).Expect(401);
    }

    [Fact]
    public async Task A_request_to_an_object_store_is_proven_by_its_string_to_sign()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var alice = await cloud.PersonAsync("alice", "member");
        using var swift = cloud.Client((await cloud.PersonAsync("swift", "service")).Token);
        var (access, secret) = await CreateAsync(cloud, alice);
        const string older = "GET\n\n\nFri, 01 May 2026 10:00:00 GMT\n/bucket/object";
        const string newer = "AWS4-HMAC-SHA256\n20260501T100000Z\n20260501/us-east-1/s3/aws4_request\n" + EmptyHash;
#pragma warning disable CA5350 // What such a client signs with.
        var olderSignature = Convert.ToBase64String(HMACSHA1.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(older)));
#pragma warning restore CA5350
        var key = ((string[])["20260501", "us-east-1", "s3", "aws4_request"]).Aggregate(
            Encoding.UTF8.GetBytes("AWS4" + secret), static (k, part) => HMACSHA256.HashData(k, Encoding.UTF8.GetBytes(part)));
        var newerSignature = Convert.ToHexStringLower(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(newer)));

        var answer = (await swift.PostAsync("/v3/s3tokens", Body(older, olderSignature))).Expect(200);
        (await swift.PostAsync("/v3/s3tokens", Body(newer, newerSignature))).Expect(200);

        Assert.Equal(alice.UserId, answer.Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString());
        Assert.False(answer.Headers.Contains("X-Subject-Token"));
        (await swift.PostAsync("/v3/s3tokens", Body(newer, olderSignature))).Expect(401);
        (await swift.PostAsync("/v3/s3tokens", Body(newer.Replace("/s3/", "/ec2/", StringComparison.Ordinal), newerSignature))).Expect(401);
        (await swift.PostAsync("/v3/s3tokens", $$"""{"credentials": {"access": "{{access}}", "token": "***", "signature": "x"} }""")).Expect(401);

        string Body(string signed, string signature) => $$"""
            {"credentials": {"access": "{{access}}", "token": "{{Convert.ToBase64String(Encoding.UTF8.GetBytes(signed)).Replace('+', '-').Replace('/', '_')}}", "signature": "{{signature}}"} }
            """;
    }

    [Fact]
    public async Task A_credential_stays_bound_to_what_it_was_made_for()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        using var owner = cloud.Client(alice.Token);
        var id = (await owner.PostAsync(
            "/v3/credentials", $$"""{"credential": {"type": "ec2", "user_id": "{{alice.UserId}}", "project_id": "{{alice.ProjectId}}", "blob": "{\"access\": \"a\", \"secret\": \"b\", \"trust_id\": \"t\"}"} }"""))
            .Expect(201).Json.GetProperty("credential").GetProperty("id").GetString();

        (await owner.PatchAsync($"/v3/credentials/{id}", """{"credential": {"blob": "{\"access\": \"a\", \"secret\": \"b\"}"}}""")).Expect(400);
        (await owner.PatchAsync($"/v3/credentials/{id}", """{"credential": {"blob": "{\"access\": \"a\", \"secret\": \"c\", \"trust_id\": \"t\"}"}}""")).Expect(200);
    }

    private static SignedRequest Classic(string version) => new(
        "GET",
        "example.com:8080",
        "/services/Cloud",
        new Dictionary<string, string>
        {
            ["SignatureVersion"] = version, ["AWSAccessKeyId"] = "AKID", ["Action"] = "Describe", ["Timestamp"] = "2012-11-05T09:48:01Z", ["Filter"] = "a b~*/ü",
        },
        None,
        "");

    private static Dictionary<string, string> Headers(string host, string? agent = null)
    {
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
        {
            ["Host"] = host,
            ["X-Amz-Date"] = "20130612T215151Z",
            ["Content-type"] = "application/x-www-form-urlencoded; charset=utf-8",
            ["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKID/20130612/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=xyz",
        };
        if (agent is not null)
        {
            headers["User-Agent"] = agent;
        }
        return headers;
    }

    private static string Path(string userId) => $"/v3/users/{userId}/credentials/OS-EC2";

    private static async Task<(string Access, string Secret)> CreateAsync(IdentityCloud cloud, (string UserId, string ProjectId, string Token) owner)
    {
        using var client = cloud.Client(owner.Token);
        var created = (await client.PostAsync(Path(owner.UserId), $$"""{"tenant_id": "{{owner.ProjectId}}"}""")).Expect(201).Json.GetProperty("credential");
        return (created.GetProperty("access").GetString()!, created.GetProperty("secret").GetString()!);
    }

    private static string Signed(string access, string secret, string timestamp)
    {
        var parameters = new Dictionary<string, string> { ["SignatureVersion"] = "2", ["AWSAccessKeyId"] = access, ["Timestamp"] = timestamp };
        var signature = Ec2Signature.Generate(secret, new("GET", "api", "/", parameters, None, ""));
        return string.Create(
            CultureInfo.InvariantCulture,
            $$"""
            {"credentials": {"access": "{{access}}", "signature": "{{signature}}", "host": "api:8773", "verb": "GET", "path": "/",
            "params": {"SignatureVersion": "2", "AWSAccessKeyId": "{{access}}", "Timestamp": "{{timestamp}}"} } }
            """);
    }
}
