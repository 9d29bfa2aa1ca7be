using Microsoft.Extensions.Time.Testing;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Trusts;

public class TrustApiTests
{
    [Fact]
    public async Task A_trustee_acts_for_the_trustor_with_the_delegated_roles_alone()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        using var trustor = cloud.Client(alice.Token);

        var trust = (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, bob.UserId, "reader"))).Expect(201).Json.GetProperty("trust");

        var id = trust.GetProperty("id").GetString()!;
        Assert.Equal(["reader"], trust.GetProperty("roles").Texts("name"));
        Assert.EndsWith($"/v3/OS-TRUST/trusts/{id}/roles", trust.GetProperty("roles_links").GetProperty("self").GetString(), StringComparison.Ordinal);
        var token = (await AuthenticateAsync(cloud, "bob", id)).Expect(201).Json.GetProperty("token");
        Assert.Equal(alice.UserId, token.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(alice.ProjectId, token.GetProperty("project").GetProperty("id").GetString());
        Assert.Equal(["reader"], token.GetProperty("roles").Texts("name"));
        Assert.Equal(bob.UserId, token.GetProperty("OS-TRUST:trust").GetProperty("trustee_user").GetProperty("id").GetString());
        Assert.True(token.GetProperty("OS-TRUST:trust").GetProperty("impersonation").GetBoolean());
        (await AuthenticateAsync(cloud, "alice", id)).Expect(403);
    }

    [Fact]
    public async Task Without_impersonation_the_token_is_the_trustees()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        var id = await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "member", """, "impersonation": false"""));

        var token = (await AuthenticateAsync(cloud, "bob", id)).Expect(201).Json.GetProperty("token");

        Assert.Equal(bob.UserId, token.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(["member", "reader"], token.GetProperty("roles").Texts("name"));
    }

    [Fact]
    public async Task A_token_of_a_trust_ends_with_the_trust_the_role_and_the_users()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var member = await cloud.IdOfAsync("roles", "member");

        await EndsAsync("deleted", async (alice, _, id) => (await cloud.Client(alice.Token).DeleteAsync($"/v3/OS-TRUST/trusts/{id}")).Expect(204));
        await EndsAsync("role", (alice, _, _) => cloud.Admin.DeleteAsync($"/v3/projects/{alice.ProjectId}/users/{alice.UserId}/roles/{member}"));
        await EndsAsync("trustor", (alice, _, _) => cloud.Admin.PatchAsync($"/v3/users/{alice.UserId}", """{"user": {"enabled": false}}"""));
        await EndsAsync("trustee", (_, bob, _) => cloud.Admin.DeleteAsync($"/v3/users/{bob}"));
        await EndsAsync("password", (alice, _, _) => cloud.Admin.PatchAsync($"/v3/users/{alice.UserId}", """{"user": {"password": "other"}}"""));
        await EndsAsync("project", (alice, _, _) => cloud.Admin.DeleteAsync($"/v3/projects/{alice.ProjectId}"));

        async Task EndsAsync(string name, Func<(string UserId, string ProjectId, string Token), string, string, Task<TestAnswer>> change)
        {
            var alice = await cloud.PersonAsync(name + "-from", "member");
            var bob = await cloud.CreateUserAsync(name + "-to");
            var id = await CreateAsync(cloud, alice.Token, Body(alice, bob, "member"));
            var token = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, name + "-to", id));
            (await cloud.ValidateAsync(token)).Expect(200);
            Assert.InRange((await change(alice, bob, id)).Status, 200, 204);
            (await cloud.ValidateAsync(token)).Expect(404);
            time.Advance(TimeSpan.FromSeconds(2));
        }
    }

    [Fact]
    public async Task A_trust_and_its_tokens_end_at_its_expiry()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var (alice, bob) = await PairAsync(cloud);
        using var trustor = cloud.Client(alice.Token);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, bob.UserId, "member", """, "expires_at": "2026-05-01T09:00:00Z" """))).Expect(400);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, bob.UserId, "member", """, "expires_at": "soon" """))).Expect(400);
        var id = await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "member", """, "expires_at": "2026-05-01T10:30:00.000000Z" """));
        var token = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, "bob", id));

        time.Advance(TimeSpan.FromMinutes(29));
        (await cloud.ValidateAsync(token)).Expect(200);
        time.Advance(TimeSpan.FromMinutes(2));

        (await cloud.ValidateAsync(token)).Expect(404);
        (await AuthenticateAsync(cloud, "bob", id)).Expect(401);
        (await trustor.GetAsync($"/v3/OS-TRUST/trusts/{id}")).Expect(404);
    }

    [Fact]
    public async Task Of_many_at_once_only_as_many_get_a_token_as_uses_remain()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        using var trustor = cloud.Client(alice.Token);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, bob.UserId, "member", """, "remaining_uses": 0"""))).Expect(400);
        var id = await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "member", """, "remaining_uses": 3"""));

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => AuthenticateAsync(cloud, "bob", id)));

        Assert.Equal(3, answers.Count(static a => a.Status == 201));
        Assert.All(answers.Where(static a => a.Status != 201), static a => Assert.Contains(a.Status, (int[])[401, 403]));
        foreach (var answer in answers.Where(static a => a.Status == 201))
        {
            (await cloud.ValidateAsync(IdentityCloud.TokenOf(answer))).Expect(200);
        }
        (await trustor.GetAsync($"/v3/OS-TRUST/trusts/{id}")).Expect(404);
    }

    [Fact]
    public async Task A_trust_is_passed_on_as_deep_as_it_says_and_never_grows()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        var carol = await cloud.CreateUserAsync("carol");
        var dave = await cloud.CreateUserAsync("dave");
        var first = await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "reader", """, "allow_redelegation": true, "redelegation_count": 1"""));
        var token = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, "bob", first));
        using var agent = cloud.Client(token);

        (await agent.PostAsync("/v3/OS-TRUST/trusts", Body(alice, carol, "member"))).Expect(403);
        (await agent.PostAsync("/v3/OS-TRUST/trusts", Body(alice, carol, "reader", """, "remaining_uses": 2"""))).Expect(403);
        (await agent.PostAsync("/v3/OS-TRUST/trusts", Body(alice, carol, "reader", """, "allow_redelegation": true, "redelegation_count": 3"""))).Expect(403);
        var second = await CreateAsync(cloud, token, Body(alice, carol, "reader"));
        var shown = (await cloud.Client(alice.Token).GetAsync($"/v3/OS-TRUST/trusts/{second}")).Expect(200).Json.GetProperty("trust");
        Assert.Equal(first, shown.GetProperty("redelegated_trust_id").GetString());
        Assert.Equal(0, shown.GetProperty("redelegation_count").GetInt32());
        var further = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, "carol", second));
        (await cloud.Client(further).PostAsync("/v3/OS-TRUST/trusts", Body(alice, dave, "reader"))).Expect(403);

        (await cloud.Client(alice.Token).DeleteAsync($"/v3/OS-TRUST/trusts/{first}")).Expect(204);

        (await cloud.ValidateAsync(further)).Expect(404);
        Assert.Empty((await cloud.Admin.GetAsync("/v3/OS-TRUST/trusts")).Expect(200).Json.GetProperty("trusts").EnumerateArray());
    }

    [Fact]
    public async Task Trusts_are_listed_for_their_users_and_administrators_only()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        var id = await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "member"));
        using var trustor = cloud.Client(alice.Token);
        using var trustee = cloud.Client(bob.Token);
        var outsider = await cloud.PersonAsync("mallory", "member");
        using var other = cloud.Client(outsider.Token);

        Assert.Equal([id], Ids(await trustor.GetAsync($"/v3/OS-TRUST/trusts?trustor_user_id={alice.UserId}")));
        Assert.Equal([id], Ids(await trustee.GetAsync($"/v3/OS-TRUST/trusts?trustee_user_id={bob.UserId}")));
        Assert.Equal([id], Ids(await cloud.Admin.GetAsync("/v3/OS-TRUST/trusts")));
        (await trustor.GetAsync("/v3/OS-TRUST/trusts")).Expect(403);
        (await other.GetAsync($"/v3/OS-TRUST/trusts?trustor_user_id={alice.UserId}")).Expect(403);
        (await other.GetAsync($"/v3/OS-TRUST/trusts/{id}")).Expect(403);
        (await trustee.DeleteAsync($"/v3/OS-TRUST/trusts/{id}")).Expect(403);
        Assert.Equal(["member"], (await trustee.GetAsync($"/v3/OS-TRUST/trusts/{id}/roles")).Expect(200).Json.GetProperty("roles").Texts("name"));
        var member = await cloud.IdOfAsync("roles", "member");
        (await trustee.GetAsync($"/v3/OS-TRUST/trusts/{id}/roles/{member}")).Expect(200);
        (await trustee.HeadAsync($"/v3/OS-TRUST/trusts/{id}/roles/{member}")).Expect(200);
        (await trustee.GetAsync($"/v3/OS-TRUST/trusts/{id}/roles/{await cloud.IdOfAsync("roles", "reader")}")).Expect(404);

        static IEnumerable<string> Ids(TestAnswer answer) => answer.Expect(200).Json.GetProperty("trusts").Texts("id");
    }

    [Fact]
    public async Task What_one_does_not_hold_or_is_not_cannot_be_entrusted()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        using var trustor = cloud.Client(alice.Token);

        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, bob.UserId, "admin"))).Expect(404);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice, "nobody", "member"))).Expect(404);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice with { ProjectId = bob.ProjectId }, bob.UserId, "member"))).Expect(404);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", Body(alice with { UserId = bob.UserId }, alice.UserId, "member"))).Expect(403);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", $$"""{"trust": {"trustor_user_id": "{{alice.UserId}}", "trustee_user_id": "{{bob.UserId}}", "impersonation": true, "project_id": "{{alice.ProjectId}}" } }"""))
            .Expect(403);
        (await trustor.PostAsync("/v3/OS-TRUST/trusts", """{"trust": {}}""")).Expect(400);
    }

    [Fact]
    public async Task A_token_of_a_trust_makes_no_other_token()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (alice, bob) = await PairAsync(cloud);
        var token = IdentityCloud.TokenOf(await AuthenticateAsync(cloud, "bob", await CreateAsync(cloud, alice.Token, Body(alice, bob.UserId, "member"))));

        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(token))).Expect(403);
    }

    private static async Task<((string UserId, string ProjectId, string Token) Alice, (string UserId, string ProjectId, string Token) Bob)> PairAsync(IdentityCloud cloud) =>
        (await cloud.PersonAsync("alice", "member"), await cloud.PersonAsync("bob", "member"));

    private static string Body((string UserId, string ProjectId, string Token) trustor, string trusteeId, string role, string more = "") =>
        $$"""
        {"trust": {"trustor_user_id": "{{trustor.UserId}}", "trustee_user_id": "{{trusteeId}}", "project_id": "{{trustor.ProjectId}}",
        "roles": [{"name": "{{role}}"}]{{(more.Contains("impersonation", StringComparison.Ordinal) ? more : more + ", \"impersonation\": true")}} } }
        """;

    private static async Task<string> CreateAsync(IdentityCloud cloud, string token, string body)
    {
        using var client = cloud.Client(token);
        return (await client.PostAsync("/v3/OS-TRUST/trusts", body)).Expect(201).Json.GetProperty("trust").GetProperty("id").GetString()!;
    }

    private static Task<TestAnswer> AuthenticateAsync(IdentityCloud cloud, string user, string trustId) =>
        cloud.AuthenticateAsync(IdentityCloud.PasswordAuth(user, "secret", $$"""{"OS-TRUST:trust": {"id": "{{trustId}}"} }"""));
}
