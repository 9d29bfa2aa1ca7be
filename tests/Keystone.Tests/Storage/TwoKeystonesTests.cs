using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Storage;

/// <summary>Two processes of Keystone on one database and one folder of keys: what one changes the other knows.</summary>
public sealed class TwoKeystonesTests : IAsyncLifetime
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 1, 31, 8, 0, 0, TimeSpan.Zero));
    private IdentityCloud first = null!;
    private TestCloud second = null!;

    public async ValueTask InitializeAsync()
    {
        first = await IdentityCloud.StartAsync(time);
        second = await TestCloud.StartAsync(
            [new KeystoneModule()], [("keystone", "identity", "password_hash_rounds", "4")], data: first.Cloud.Data, time: time, keystone: true);
    }

    public async ValueTask DisposeAsync()
    {
        await second.StopAndKeepDataAsync();
        await first.DisposeAsync();
    }

    [Theory]
    [InlineData("role")]
    [InlineData("user")]
    [InlineData("password")]
    [InlineData("project")]
    [InlineData("token")]
    [InlineData("group")]
    public async Task What_one_takes_away_the_other_refuses_within_the_bound(string what)
    {
        var (user, project, token) = await first.PersonAsync("ann", "member");
        var other = what == "group" ? await GroupTokenAsync(user) : token;
        Settle();
        // Both know the tokens by heart before.
        Assert.Equal((200, 200), (await StatusAsync(first.Cloud, other), await StatusAsync(second, other)));
        Assert.Equal(200, await StatusAsync(second, first.AdminToken));
        switch (what)
        {
            case "role":
                (await first.Admin.DeleteAsync($"/v3/projects/{project}/users/{user}/roles/{await first.IdOfAsync("roles", "member")}")).Expect(204);
                break;
            case "user":
                (await first.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"enabled": false}}""")).Expect(200);
                break;
            case "password":
                (await first.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": "another"}}""")).Expect(200);
                break;
            case "project":
                (await first.Admin.PatchAsync($"/v3/projects/{project}", """{"project": {"enabled": false}}""")).Expect(200);
                break;
            case "group":
                (await first.Admin.DeleteAsync($"/v3/groups/{await first.IdOfAsync("groups", "crew")}/users/{user}")).Expect(204);
                break;
            default:
                (await first.Admin.SendAsync(HttpMethod.Delete, "/v3/auth/tokens", headers: ("X-Subject-Token", token))).Expect(204);
                break;
        }

        Assert.Equal(404, await StatusAsync(first.Cloud, other));
        Settle();
        Assert.Equal(404, await StatusAsync(second, other));
        Assert.Equal(200, await StatusAsync(second, first.AdminToken));
    }

    [Fact]
    public async Task What_the_other_gives_is_there_within_the_bound()
    {
        var (user, project, _) = await first.PersonAsync("bob", "reader");
        Settle();
        using var anonymous = second.Client("keystone", null);
        var body = IdentityCloud.PasswordAuth("bob", "secret", IdentityCloud.ProjectScope("bob"));
        Assert.Equal(["reader"], Roles(await anonymous.PostAsync("/v3/auth/tokens", body)));
        (await first.Admin.PutAsync($"/v3/projects/{project}/users/{user}/roles/{await first.IdOfAsync("roles", "member")}")).Expect(204);
        Settle();
        Assert.Contains("member", Roles(await anonymous.PostAsync("/v3/auth/tokens", body)));

        var service = await first.CreateAsync("services", "service", """{"type": "weather", "name": "weather"}""");
        await first.CreateAsync("endpoints", "endpoint", $$"""{"service_id": "{{service}}", "interface": "public", "url": "http://weather"}""");
        Settle();
        Assert.Contains("weather", (await anonymous.PostAsync("/v3/auth/tokens", body)).Expect(201).Json.GetProperty("token").GetProperty("catalog").Texts("type"));

        static IEnumerable<string> Roles(TestAnswer answer) => answer.Expect(201).Json.GetProperty("token").GetProperty("roles").Texts("name");
    }

    [Fact]
    public async Task Tokens_of_one_are_good_at_the_other_while_keys_are_rotated()
    {
        var (_, _, before) = await first.PersonAsync("eve", "member");
        for (var turn = 0; turn < 2; turn++)
        {
            (turn == 0 ? first.Cloud : second).Get<KeyRepository>().Rotate();
            using var anonymous = (turn == 0 ? first.Cloud : second).Client("keystone", null);
            var token = IdentityCloud.TokenOf(await anonymous.PostAsync("/v3/auth/tokens", IdentityCloud.PasswordAuth("eve", "secret", IdentityCloud.ProjectScope("eve"))));
            Assert.Equal((200, 200), (await StatusAsync(first.Cloud, token), await StatusAsync(second, token)));
            Assert.Equal((200, 200), (await StatusAsync(first.Cloud, before), await StatusAsync(second, before)));
            time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public async Task Both_write_at_once_and_both_know_all_of_it()
    {
        using var other = second.Client("keystone", first.AdminToken);
        var names = Enumerable.Range(0, 20).Select(i => $"user-{i}").ToList();
        await Task.WhenAll(names.Select(async (name, i) =>
            (await (i % 2 == 0 ? first.Admin : other).PostAsync("/v3/users", $$"""{"user": {"name": "{{name}}"} }""")).Expect(201)));
        Settle();
        foreach (var client in (TestClient[])[first.Admin, other])
        {
            var listed = (await client.GetAsync("/v3/users")).Expect(200).Json.GetProperty("users").Texts("name").ToHashSet();
            Assert.Superset(names.ToHashSet(), listed);
        }

        Assert.Equal(first.Cloud.Get<KeystoneStore>().Epoch, second.Get<KeystoneStore>().Epoch);
    }

    [Fact]
    public async Task An_answer_to_a_validation_bears_a_number_that_grows_with_every_change()
    {
        var before = await EpochAsync();
        Assert.Equal(before, await EpochAsync());
        await first.CreateProjectAsync("change");
        Settle();
        Assert.True(await EpochAsync() > before);

        async Task<long> EpochAsync()
        {
            using var client = second.Client("keystone", first.AdminToken);
            var answer = await client.SendAsync(HttpMethod.Head, "/v3/auth/tokens", headers: ("X-Subject-Token", first.AdminToken));
            return long.Parse(answer.Expect(200).Headers.GetValues("X-Identity-Epoch").Single());
        }
    }

    private void Settle() => time.Advance(KeystoneStore.CheckPeriod);

    private async Task<int> StatusAsync(TestCloud cloud, string subject)
    {
        using var client = cloud.Client("keystone", first.AdminToken);
        return (await client.SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: ("X-Subject-Token", subject))).Status;
    }

    /// <summary>A token for a project that the user has a role on by a group only.</summary>
    private async Task<string> GroupTokenAsync(string user)
    {
        var group = await first.CreateAsync("groups", "group", """{"name": "crew"}""");
        var project = await first.CreateProjectAsync("ship");
        (await first.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);
        (await first.Admin.PutAsync($"/v3/projects/{project}/groups/{group}/roles/{await first.IdOfAsync("roles", "member")}")).Expect(204);
        return await first.TokenAsync("ann", "secret", IdentityCloud.ProjectScope("ship"));
    }
}
