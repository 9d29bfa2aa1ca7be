using SharpStack.Keystone.Authentication;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Users;

public class UserApiTests
{
    [Fact]
    public async Task A_user_is_created_shown_changed_listed_and_deleted()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var created = (await cloud.Admin.PostAsync(
            "/v3/users", """{"user": {"name": "jane", "password": "secret", "email": "jane@example.org", "description": "a user", "options": {"lock_password": false}}}""")).Expect(201);
        var user = created.Json.GetProperty("user");
        var id = user.GetProperty("id").GetString()!;
        Assert.Equal(
            ["description", "domain_id", "email", "enabled", "id", "links", "name", "options", "password_expires_at"], user.Names().Order());
        Assert.Equal("default", user.GetProperty("domain_id").GetString());
        Assert.EndsWith($"/v3/users/{id}", user.GetProperty("links").GetProperty("self").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("secret", created.Text, StringComparison.Ordinal);

        var shown = (await cloud.Admin.GetAsync($"/v3/users/{id}")).Expect(200);
        Assert.Equal(created.Text, shown.Text);
        (await cloud.Admin.HeadAsync($"/v3/users/{id}")).Expect(200);

        var changed = (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"name": "june", "email": null, "phone": {"home": 1}}}""")).Expect(200);
        Assert.Equal("june", changed.Json.GetProperty("user").GetProperty("name").GetString());
        Assert.Equal(1, changed.Json.GetProperty("user").GetProperty("phone").GetProperty("home").GetInt32());
        Assert.Equal("a user", changed.Json.GetProperty("user").GetProperty("description").GetString());

        Assert.Equal(["june"], (await cloud.Admin.GetAsync("/v3/users?name=JUNE")).Expect(200).Json.GetProperty("users").Texts("name"));
        (await cloud.Admin.DeleteAsync($"/v3/users/{id}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/users/{id}")).Expect(404);
        (await cloud.Admin.DeleteAsync($"/v3/users/{id}")).Expect(404);
        Assert.Empty((await cloud.Admin.GetAsync("/v3/users?name=june")).Expect(200).Json.GetProperty("users").EnumerateArray());
    }

    [Fact]
    public async Task A_name_is_unique_in_its_domain_in_any_case()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        await cloud.CreateUserAsync("anna");
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "other"}""");

        var conflict = (await cloud.Admin.PostAsync("/v3/users", """{"user": {"name": "Anna"}}""")).Expect(409);
        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "anna", "domain_id": "{{domain}}" } }""")).Expect(201);
        (await cloud.Admin.PostAsync("/v3/users", """{"user": {"name": "x", "domain_id": "none"}}""")).Expect(404);

        Assert.Equal(
            "Conflict occurred attempting to store user - Duplicate entry found with name Anna at domain ID default.",
            conflict.Json.GetProperty("error").GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("users", "user")]
    [InlineData("groups", "group")]
    [InlineData("projects", "project")]
    [InlineData("domains", "domain")]
    [InlineData("roles", "role")]
    public async Task One_of_many_concurrent_creations_of_a_name_succeeds(string collection, string member)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(_ => cloud.Admin.PostAsync($"/v3/{collection}", $$"""{"{{member}}": {"name": "same"} }""")));

        Assert.Single(answers, static a => a.Status == 201);
        Assert.Equal(11, answers.Count(static a => a.Status == 409));
        Assert.Single((await cloud.Admin.GetAsync($"/v3/{collection}?name=same")).Json.GetProperty(collection).EnumerateArray());
    }

    [Fact]
    public async Task Changes_at_once_do_not_undo_each_other()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var id = await cloud.CreateUserAsync("busy");

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(i => cloud.Admin.PatchAsync($"/v3/users/{id}", $$"""{"user": {"key{{i}}": {{i}} } }""")));

        Assert.All(answers, static a => a.Expect(200));
        var user = (await cloud.Admin.GetAsync($"/v3/users/{id}")).Json.GetProperty("user");
        Assert.Equal(10, user.Names().Count(static n => n.StartsWith("key", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_user_changes_the_own_password_with_the_old_one_and_no_token()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var id = await cloud.CreateUserAsync("pat");
        using var client = cloud.Client(null);

        (await client.PostAsync($"/v3/users/{id}/password", """{"user": {"original_password": "wrong", "password": "new"}}""")).Expect(401);
        (await client.PostAsync("/v3/users/none/password", """{"user": {"original_password": "secret", "password": "new"}}""")).Expect(401);
        (await client.PostAsync($"/v3/users/{id}/password", """{"user": {"password": "new"}}""")).Expect(400);
        (await client.PostAsync($"/v3/users/{id}/password", """{"user": {"original_password": "secret", "password": "new"}}""")).Expect(204);

        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("pat", "secret"))).Expect(401);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("pat", "new"))).Expect(201);
        (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"options": {"lock_password": true}}}""")).Expect(200);
        (await client.PostAsync($"/v3/users/{id}/password", """{"user": {"original_password": "new", "password": "newer"}}""")).Expect(400);
    }

    [Fact]
    public async Task A_disabled_user_and_one_of_a_disabled_domain_cannot_log_in()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "other"}""");
        await cloud.CreateAsync("users", "user", $$"""{"name": "eve", "password": "secret", "domain_id": "{{domain}}" }""");
        var id = await cloud.CreateUserAsync("eve");
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("eve", "secret", domain: domain))).Expect(201);

        (await cloud.Admin.PatchAsync($"/v3/users/{id}", """{"user": {"enabled": false}}""")).Expect(200);
        (await cloud.Admin.PatchAsync($"/v3/domains/{domain}", """{"domain": {"enabled": false}}""")).Expect(200);

        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("eve", "secret"))).Expect(401);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("eve", "secret", domain: domain))).Expect(401);
        Assert.Equal(["eve"], (await cloud.Admin.GetAsync("/v3/users?enabled=false")).Json.GetProperty("users").Texts("name"));
    }

    [Fact]
    public async Task A_list_pages_by_marker_and_says_where_it_goes_on()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        for (var i = 0; i < 5; i++)
        {
            await cloud.CreateUserAsync($"page{i}");
        }

        var names = new List<string>();
        var next = "/v3/users?name__startswith=page&limit=2";
        while (next is not null)
        {
            var page = (await cloud.Admin.GetAsync(next)).Expect(200).Json;
            Assert.InRange(page.GetProperty("users").GetArrayLength(), 1, 2);
            names.AddRange(page.GetProperty("users").Texts("name"));
            next = page.GetProperty("links").GetProperty("next").GetString() is { } url ? new Uri(url).PathAndQuery : null;
        }

        Assert.Equal(["page0", "page1", "page2", "page3", "page4"], names.Order());
    }

    [Fact]
    public async Task A_configured_limit_truncates_lists()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("DEFAULT", "list_limit", "2"));
        for (var i = 0; i < 3; i++)
        {
            await cloud.CreateUserAsync($"page{i}");
        }

        var page = (await cloud.Admin.GetAsync("/v3/users")).Expect(200).Json;

        Assert.Equal(2, page.GetProperty("users").GetArrayLength());
        Assert.True(page.GetProperty("truncated").GetBoolean());
    }

    [Theory]
    [InlineData("name__contains=lph", "alpha")]
    [InlineData("name__icontains=LPH", "alpha")]
    [InlineData("name__startswith=be", "beta")]
    [InlineData("name__endswith=ta", "beta,zeta")]
    [InlineData("name__contains=%25", "per%cent")]
    [InlineData("name=alpha&domain_id=none", "")]
    public async Task A_list_is_filtered_by_name_and_domain(string query, string expected)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        foreach (var name in (string[])["alpha", "beta", "zeta", "per%cent"])
        {
            await cloud.CreateUserAsync(name);
        }

        var found = (await cloud.Admin.GetAsync($"/v3/users?{query}")).Expect(200).Json.GetProperty("users").Texts("name").Order();

        Assert.Equal(expected, string.Join(',', found));
    }

    [Fact]
    public async Task Groups_have_members_and_give_them_their_roles()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var user = await cloud.CreateUserAsync("worker");
        var project = await cloud.CreateProjectAsync("site");
        var group = await cloud.CreateAsync("groups", "group", """{"name": "crew", "description": "all hands"}""");
        var role = await cloud.IdOfAsync("roles", "member");

        (await cloud.Admin.GetAsync($"/v3/groups/{group}/users/{user}")).Expect(404);
        (await cloud.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await cloud.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await cloud.Admin.HeadAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/groups/{group}/roles/{role}")).Expect(204);
        Assert.Equal(["worker"], (await cloud.Admin.GetAsync($"/v3/groups/{group}/users")).Json.GetProperty("users").Texts("name"));
        foreach (var (filter, found) in ((string, string[])[])[("enabled=false", []), ("enabled=true", ["worker"]), ("domain_id=other", []), ("domain_id=default", ["worker"]), ("name=worke", [])])
        {
            Assert.Equal(found, (await cloud.Admin.GetAsync($"/v3/groups/{group}/users?{filter}")).Json.GetProperty("users").Texts("name"));
        }
        Assert.Equal(["crew"], (await cloud.Admin.GetAsync($"/v3/users/{user}/groups")).Json.GetProperty("groups").Texts("name"));
        var token = await cloud.TokenAsync("worker", "secret", IdentityCloud.ProjectScope("site"));

        (await cloud.Admin.DeleteAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await cloud.Admin.DeleteAsync($"/v3/groups/{group}/users/{user}")).Expect(404);
        (await cloud.ValidateAsync(token)).Expect(404);
        (await cloud.Admin.PatchAsync($"/v3/groups/{group}", """{"group": {"name": "team"}}""")).Expect(200);
        (await cloud.Admin.DeleteAsync($"/v3/groups/{group}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/groups/{group}")).Expect(404);
    }

    [Fact]
    public async Task Who_is_let_into_a_domain_sees_only_its_users_in_a_group_of_it()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var (own, other) = (await cloud.CreateAsync("domains", "domain", """{"name": "own"}"""), await cloud.CreateAsync("domains", "domain", """{"name": "other"}"""));
        var group = await cloud.CreateAsync("groups", "group", $$"""{"name": "mixed", "domain_id": "{{own}}" }""");
        foreach (var domain in new[] { own, other })
        {
            var user = await cloud.CreateAsync("users", "user", $$"""{"name": "of {{(domain == own ? "own" : "other")}}", "domain_id": "{{domain}}", "password": "secret" }""");
            (await cloud.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        }
        (await cloud.Admin.PutAsync($"/v3/domains/{own}/users/{await cloud.IdOfAsync("users", "of%20own")}/roles/{await cloud.IdOfAsync("roles", "reader")}")).Expect(204);
        var token = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("of own", "secret", $$"""{"domain": {"id": "{{own}}"} }""", own)));

        Assert.Equal(["of own"], (await cloud.Client(token).GetAsync($"/v3/groups/{group}/users")).Expect(200).Json.GetProperty("users").Texts("name"));
        Assert.Equal(["of other", "of own"], (await cloud.Admin.GetAsync($"/v3/groups/{group}/users")).Expect(200).Json.GetProperty("users").Texts("name").Order());
    }

    [Fact]
    public async Task An_unknown_user_costs_as_much_as_a_wrong_password()
    {
        using var hasher = new PasswordHasher(5);
        var hash = await hasher.HashAsync("right", TestContext.Current.CancellationToken);

        Assert.True(await hasher.VerifyAsync("right", hash, TestContext.Current.CancellationToken));
        Assert.False(await hasher.VerifyAsync("wrong", hash, TestContext.Current.CancellationToken));
        foreach (var none in (string?[])[null, ""])
        {
            var before = hasher.Comparisons;
            Assert.False(await hasher.VerifyAsync("wrong", none, TestContext.Current.CancellationToken));
            Assert.Equal(before + 1, hasher.Comparisons);
        }
        // As many rounds as a user's hash has, so that each comparison costs the same.
        Assert.Equal(hash[..7], hasher.Decoy[..7]);
    }

    [Fact]
    public async Task A_hash_of_openstack_verifies_and_long_passwords_count_by_their_first_72_bytes()
    {
        using var hasher = new PasswordHasher(4);
        var longOne = new string('ä', 60);

        // Made by Python's bcrypt, as Keystone stores it.
        Assert.True(await hasher.VerifyAsync("openstack", "$2b$04$abcdefghijklmnopqrstuuhqGcpe.hR3EsIoZjNTvqxn4juYzSThK", TestContext.Current.CancellationToken));
        var hash = await hasher.HashAsync(longOne, TestContext.Current.CancellationToken);
        Assert.StartsWith("$2b$04$", hash, StringComparison.Ordinal);
        Assert.True(await hasher.VerifyAsync(longOne[..36], hash, TestContext.Current.CancellationToken));
        Assert.False(await hasher.VerifyAsync(longOne[..35], hash, TestContext.Current.CancellationToken));
    }
}
