using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation;
using SharpStack.Keystone.OAuth1;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.OAuth1;

public class OAuthTests
{
    private const string Start = "2026-05-01T10:00:00Z";

    // Signed by oauthlib 3.2.2.
    private const string Header =
        """OAuth oauth_nonce="1234567890", oauth_timestamp="1777629600", oauth_version="1.0", oauth_signature_method="HMAC-SHA1", oauth_consumer_key="abcdef0123456789abcdef0123456789", oauth_token="00112233445566778899aabbccddeeff", oauth_verifier="abcd2345", oauth_signature="HQETXNuBIeFJgAi%2BJ6dqFhzgTHo%3D" """;

    [Fact]
    public void A_signature_of_the_clients_library_is_valid_for_its_request_alone()
    {
        var now = DateTimeOffset.FromUnixTimeSeconds(1_777_629_600);
        const string url = "http://Keystone.local:80/v3/OS-OAUTH1/access_token?b=2&a=%20x%2F";

        Assert.True(Read(Header, url).IsValid("c0ffee", "beef", now));
        Assert.False(Read(Header, url).IsValid("c0ffee", "beet", now));
        Assert.False(Read(Header, url + "&c=3").IsValid("c0ffee", "beef", now));
        Assert.False(Read(Header.Replace("1234567890", "1234567891", StringComparison.Ordinal), url).IsValid("c0ffee", "beef", now));
        Assert.Throws<CloudException>(() => Read(Header, url).IsValid("c0ffee", "beef", now.AddMinutes(11)));
        Assert.Throws<CloudException>(() => Read(Header.Replace("HMAC-SHA1", "PLAINTEXT", StringComparison.Ordinal), url).IsValid("c0ffee", "beef", now));
        Assert.Throws<CloudException>(() => Read("Basic eHg6eXk=", url));
        Assert.Throws<CloudException>(() => Read("OAuth nonsense", url));
        Assert.Throws<CloudException>(() => Read(Header + ", oauth_token=\"x\"", url));

        static OAuthSignature Read(string header, string url)
        {
            var http = new DefaultHttpContext();
            http.Request.Method = "POST";
            http.Request.Headers.Authorization = header;
            return OAuthSignature.Read(http.Request, url);
        }
    }

    [Fact]
    public async Task A_consumer_is_kept_by_administrators_and_its_secret_shown_once()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var created = (await cloud.Admin.PostAsync("/v3/OS-OAUTH1/consumers", """{"consumer": {"description": "app", "colour": "red"}}""")).Expect(201).Json.GetProperty("consumer");
        var id = created.GetProperty("id").GetString();

        Assert.Equal(32, created.GetProperty("secret").GetString()!.Length);
        var shown = (await cloud.Admin.GetAsync($"/v3/OS-OAUTH1/consumers/{id}")).Expect(200).Json.GetProperty("consumer");
        Assert.Equal("red", shown.GetProperty("colour").GetString());
        Assert.DoesNotContain("secret", shown.Names());
        Assert.Equal("new", (await cloud.Admin.PatchAsync($"/v3/OS-OAUTH1/consumers/{id}", """{"consumer": {"description": "new"}}""")).Expect(200).Json.GetProperty("consumer").GetProperty("description").GetString());
        (await cloud.Admin.PatchAsync($"/v3/OS-OAUTH1/consumers/{id}", """{"consumer": {"secret": "mine"}}""")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/OS-OAUTH1/consumers/{id}", """{"consumer": {}}""")).Expect(400);
        Assert.Equal([id], (await cloud.Admin.GetAsync("/v3/OS-OAUTH1/consumers")).Expect(200).Json.GetProperty("consumers").Texts("id"));
        (await cloud.Client((await cloud.PersonAsync("alice", "member")).Token).GetAsync("/v3/OS-OAUTH1/consumers")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/OS-OAUTH1/consumers/{id}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/OS-OAUTH1/consumers/{id}")).Expect(404);
    }

    [Fact]
    public async Task A_consumer_acts_for_the_user_who_authorized_it_with_the_roles_given()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse(Start));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var flow = new Flow(cloud, time, await ConsumerAsync(cloud));
        var admin = await cloud.IdOfAsync("users", "admin");

        var (requestId, requestSecret) = await flow.RequestAsync();
        (await cloud.Admin.PutAsync($"/v3/OS-OAUTH1/authorize/{requestId}", """{"roles": [{"name": "service"}]}""")).Expect(401);
        var verifier = (await cloud.Admin.PutAsync($"/v3/OS-OAUTH1/authorize/{requestId}", """{"roles": [{"name": "member"}]}"""))
            .Expect(200).Json.GetProperty("token").GetProperty("oauth_verifier").GetString()!;
        (await flow.SendAsync("/v3/OS-OAUTH1/access_token", requestId, requestSecret, "wrong234")).Expect(401);
        var (accessId, accessSecret) = Parse((await flow.SendAsync("/v3/OS-OAUTH1/access_token", requestId, requestSecret, verifier)).Expect(201));
        (await flow.SendAsync("/v3/OS-OAUTH1/access_token", requestId, requestSecret, verifier)).Expect(404);
        var answer = (await flow.LogInAsync(accessId, accessSecret)).Expect(201);

        var token = answer.Json.GetProperty("token");
        Assert.Equal(["member", "reader"], token.GetProperty("roles").Texts("name"));
        Assert.Equal(admin, token.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(accessId, token.GetProperty("OS-OAUTH1").GetProperty("access_token_id").GetString());
        Assert.Equal(["oauth1"], token.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()));
        var id = IdentityCloud.TokenOf(answer);
        (await cloud.ValidateAsync(id)).Expect(200);
        (await flow.LogInAsync(accessId, "wrong")).Expect(401);
        (await flow.LogInAsync("00000000000000000000000000000000", accessSecret)).Expect(401);
        // What is delegated opens no way to more.
        using var delegated = cloud.Client(id);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(id))).Expect(403);
        (await delegated.PostAsync($"/v3/users/{admin}/application_credentials", """{"application_credential": {"name": "x"}}""")).Expect(403);
        (await delegated.PostAsync("/v3/credentials", $$"""{"credential": {"type": "totp", "blob": "x", "user_id": "{{admin}}"} }""")).Expect(403);

        var listed = (await cloud.Admin.GetAsync($"/v3/users/{admin}/OS-OAUTH1/access_tokens")).Expect(200).Json.GetProperty("access_tokens");
        Assert.Equal([accessId], listed.Texts("id"));
        Assert.DoesNotContain("secret", listed[0].GetRawText(), StringComparison.Ordinal);
        var path = $"/v3/users/{admin}/OS-OAUTH1/access_tokens/{accessId}";
        Assert.Equal(["member"], (await cloud.Admin.GetAsync(path + "/roles")).Expect(200).Json.GetProperty("roles").Texts("name"));
        (await cloud.Admin.GetAsync($"{path}/roles/{await cloud.IdOfAsync("roles", "member")}")).Expect(200);
        (await cloud.Admin.GetAsync($"{path}/roles/{await cloud.IdOfAsync("roles", "admin")}")).Expect(404);
        (await cloud.Admin.GetAsync($"/v3/users/somebody/OS-OAUTH1/access_tokens/{accessId}")).Expect(404);
        (await cloud.Admin.DeleteAsync(path)).Expect(204);
        (await cloud.ValidateAsync(id)).Expect(404);
        (await flow.LogInAsync(accessId, accessSecret)).Expect(401);
    }

    [Fact]
    public async Task With_a_consumer_go_the_tokens_that_it_was_given()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse(Start));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var consumer = await ConsumerAsync(cloud);
        var flow = new Flow(cloud, time, consumer);
        var (accessId, accessSecret) = await flow.AuthorizedAsync();
        var token = IdentityCloud.TokenOf(await flow.LogInAsync(accessId, accessSecret));

        (await cloud.Admin.DeleteAsync($"/v3/OS-OAUTH1/consumers/{consumer.Id}")).Expect(204);

        (await cloud.ValidateAsync(token)).Expect(404);
        (await flow.LogInAsync(accessId, accessSecret)).Expect(401);
    }

    [Fact]
    public async Task Requests_and_grants_end_in_time()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse(Start));
        await using var cloud = await IdentityCloud.StartAsync(time, ("token", "expiration", "1000000"));
        var flow = new Flow(cloud, time, await ConsumerAsync(cloud));
        var (requestId, _) = await flow.RequestAsync();
        var (accessId, accessSecret) = await flow.AuthorizedAsync();

        time.Advance(TimeSpan.FromHours(9));
        (await cloud.Admin.PutAsync($"/v3/OS-OAUTH1/authorize/{requestId}", """{"roles": []}""")).Expect(401);
        (await flow.LogInAsync(accessId, accessSecret)).Expect(201);
        time.Advance(TimeSpan.FromHours(16));
        (await flow.LogInAsync(accessId, accessSecret)).Expect(401);
    }

    [Fact]
    public async Task What_is_not_signed_or_for_nothing_is_refused()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse(Start));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var consumer = await ConsumerAsync(cloud);
        using var client = cloud.Client(null);

        (await client.PostAsync("/v3/OS-OAUTH1/request_token")).Expect(400);
        (await client.SendAsync(HttpMethod.Post, "/v3/OS-OAUTH1/request_token", headers: ("Authorization", "OAuth a=b"))).Expect(400);
        (await new Flow(cloud, time, consumer).SendAsync("/v3/OS-OAUTH1/request_token", null, "", null, ("Requested-Project-Id", "none"))).Expect(404);
        (await new Flow(cloud, time, consumer).SendAsync("/v3/OS-OAUTH1/request_token", null, "", null)).Expect(400);
        (await new Flow(cloud, time, (consumer.Id, "wrong")).SendAsync("/v3/OS-OAUTH1/request_token", null, "", null, ("Requested-Project-Id", "none"))).Expect(401);
        (await cloud.Admin.PutAsync("/v3/OS-OAUTH1/authorize/none", """{"roles": []}""")).Expect(404);
        (await cloud.Admin.PutAsync("/v3/OS-OAUTH1/authorize/none", """{"roles": [{}]}""")).Expect(400);
    }

    private static async Task<(string Id, string Secret)> ConsumerAsync(IdentityCloud cloud)
    {
        var consumer = (await cloud.Admin.PostAsync("/v3/OS-OAUTH1/consumers", """{"consumer": {}}""")).Expect(201).Json.GetProperty("consumer");
        return (consumer.GetProperty("id").GetString()!, consumer.GetProperty("secret").GetString()!);
    }

    private static (string Id, string Secret) Parse(TestAnswer answer)
    {
        var values = QueryHelpers.ParseQuery(answer.Text);
        Assert.EndsWith("Z", values["oauth_expires_at"].ToString(), StringComparison.Ordinal);
        return (values["oauth_token"].ToString(), values["oauth_token_secret"].ToString());
    }

    /// <summary>A consumer's side: signs its requests.</summary>
    private sealed class Flow(IdentityCloud cloud, TimeProvider time, (string Id, string Secret) consumer)
    {
        public async Task<(string Id, string Secret)> RequestAsync() => Parse(
            (await SendAsync("/v3/OS-OAUTH1/request_token", null, "", null, ("Requested-Project-Id", await cloud.IdOfAsync("projects", "admin")))).Expect(201));

        public async Task<(string Id, string Secret)> AuthorizedAsync()
        {
            var (id, secret) = await RequestAsync();
            var verifier = (await cloud.Admin.PutAsync($"/v3/OS-OAUTH1/authorize/{id}", """{"roles": [{"name": "reader"}]}""")).Expect(200).Json.GetProperty("token").GetProperty("oauth_verifier").GetString();
            return Parse((await SendAsync("/v3/OS-OAUTH1/access_token", id, secret, verifier)).Expect(201));
        }

        public Task<TestAnswer> LogInAsync(string id, string secret) => SendAsync("/v3/auth/tokens", id, secret, null);

        public async Task<TestAnswer> SendAsync(string path, string? token, string tokenSecret, string? verifier, params (string Name, string Value)[] headers)
        {
            var parameters = new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                ["oauth_consumer_key"] = consumer.Id, ["oauth_nonce"] = Guid.NewGuid().ToString("N"), ["oauth_signature_method"] = "HMAC-SHA1",
                ["oauth_timestamp"] = time.GetUtcNow().ToUnixTimeSeconds().ToString(), ["oauth_version"] = "1.0",
            };
            if (token is not null)
            {
                parameters["oauth_token"] = token;
            }
            if (verifier is not null)
            {
                parameters["oauth_verifier"] = verifier;
            }
            var text = $"POST&{Uri.EscapeDataString("http://keystone.local" + path)}&{Uri.EscapeDataString(string.Join('&', parameters.Select(static p => $"{p.Key}={p.Value}")))}";
#pragma warning disable CA5350 // What such a client signs with.
            parameters["oauth_signature"] = Convert.ToBase64String(HMACSHA1.HashData(Encoding.UTF8.GetBytes($"{consumer.Secret}&{tokenSecret}"), Encoding.UTF8.GetBytes(text)));
#pragma warning restore CA5350
            var header = "OAuth " + string.Join(", ", parameters.Select(static p => $"{p.Key}=\"{Uri.EscapeDataString(p.Value)}\""));
            using var client = cloud.Client(null);
            return await client.SendAsync(
                HttpMethod.Post, path, path.EndsWith("tokens", StringComparison.Ordinal) ? """{"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}""" : null, headers: [.. headers, ("Authorization", header)]);
        }
    }
}
