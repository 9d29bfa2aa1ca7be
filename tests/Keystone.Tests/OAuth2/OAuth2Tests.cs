using System.Text;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.OAuth2;

public class OAuth2Tests
{
    [Fact]
    public async Task A_client_gets_a_token_for_its_application_credential()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (id, secret) = await ClientAsync(cloud);

        var answer = (await AskAsync(cloud, Basic(id, secret), "grant_type=client_credentials")).Expect(200);

        Assert.Equal("Bearer", answer.Json.GetProperty("token_type").GetString());
        Assert.Equal(3600, answer.Json.GetProperty("expires_in").GetInt32());
        var token = (await cloud.ValidateAsync(answer.Json.GetProperty("access_token").GetString()!)).Expect(200).Json.GetProperty("token");
        Assert.Equal(id, token.GetProperty("application_credential").GetProperty("id").GetString());
    }

    [Fact]
    public async Task Refusals_are_in_the_words_of_the_standard()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (id, secret) = await ClientAsync(cloud);

        await RefusedAsync(401, "invalid_client", null, "grant_type=client_credentials");
        await RefusedAsync(401, "invalid_client", "Bearer x", "grant_type=client_credentials");
        await RefusedAsync(401, "invalid_client", "Basic ***", "grant_type=client_credentials");
        await RefusedAsync(401, "invalid_client", Basic(id, ""), "grant_type=client_credentials");
        await RefusedAsync(401, "invalid_client", Basic(id, "wrong"), "grant_type=client_credentials");
        await RefusedAsync(401, "invalid_client", Basic("unknown", secret), "grant_type=client_credentials");
        await RefusedAsync(400, "invalid_request", Basic(id, secret), "");
        await RefusedAsync(400, "invalid_request", Basic(id, secret), "grant_type=" + new string('x', 300_000));
        await RefusedAsync(400, "unsupported_grant_type", Basic(id, secret), "grant_type=password");
        var other = (await cloud.Client(null).GetAsync("/v3/OS-OAUTH2/token")).Expect(405);
        Assert.Equal("other_error", other.Json.GetProperty("error").GetString());

        async Task RefusedAsync(int status, string error, string? authorization, string form)
        {
            var answer = (await AskAsync(cloud, authorization, form)).Expect(status);
            Assert.Equal(["error", "error_description"], answer.Json.Names());
            Assert.Equal(error, answer.Json.GetProperty("error").GetString());
            Assert.Equal(status == 401, answer.Headers.Contains("WWW-Authenticate"));
        }
    }

    private static string Basic(string id, string secret) => "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"{id}:{secret}"));

    private static Task<TestAnswer> AskAsync(IdentityCloud cloud, string? authorization, string form) => cloud.Client(null).SendAsync(
        HttpMethod.Post, "/v3/OS-OAUTH2/token", form, "application/x-www-form-urlencoded", authorization is null ? [] : [("Authorization", authorization)]);

    private static async Task<(string Id, string Secret)> ClientAsync(IdentityCloud cloud)
    {
        var alice = await cloud.PersonAsync("alice", "member");
        using var owner = cloud.Client(alice.Token);
        var created = (await owner.PostAsync($"/v3/users/{alice.UserId}/application_credentials", """{"application_credential": {"name": "client"}}""")).Expect(201).Json.GetProperty("application_credential");
        return (created.GetProperty("id").GetString()!, created.GetProperty("secret").GetString()!);
    }
}
