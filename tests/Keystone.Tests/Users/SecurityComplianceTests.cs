using Microsoft.Extensions.Time.Testing;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Users;

/// <summary><c>[security_compliance]</c>: lock-out, inactivity, expiry, history, age and strength of passwords.</summary>
public class SecurityComplianceTests
{
    private static readonly DateTimeOffset Start = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task Wrong_passwords_lock_a_user_for_a_while_and_the_answer_does_not_tell()
    {
        var time = new FakeTimeProvider(Start);
        await using var cloud = await StartAsync(time, ("lockout_failure_attempts", "3"), ("lockout_duration", "60"));
        var user = await cloud.CreateUserAsync("locked");
        await cloud.CreateAsync("users", "user", """{"name": "free", "password": "secret", "options": {"ignore_lockout_failure_attempts": true}}""");

        for (var i = 0; i < 3; i++)
        {
            (await LogInAsync(cloud, "locked", "wrong")).Expect(401);
            (await LogInAsync(cloud, "free", "wrong")).Expect(401);
        }
        var refused = (await LogInAsync(cloud, "locked", "secret")).Expect(401);
        Assert.Equal((await LogInAsync(cloud, "nobody", "secret")).Expect(401).Text, refused.Text);
        (await ChangeAsync(cloud, user, "secret", "other")).Expect(401);
        (await LogInAsync(cloud, "free", "secret")).Expect(201);

        time.Advance(TimeSpan.FromSeconds(61));
        (await LogInAsync(cloud, "locked", "secret")).Expect(201);
        // The count began anew: two more do not lock.
        (await LogInAsync(cloud, "locked", "wrong")).Expect(401);
        (await LogInAsync(cloud, "locked", "wrong")).Expect(401);
        (await LogInAsync(cloud, "locked", "secret")).Expect(201);
    }

    [Fact]
    public async Task Enabling_a_locked_user_lets_the_user_in_again()
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start), ("lockout_failure_attempts", "1"));
        var user = await cloud.CreateUserAsync("locked");
        (await LogInAsync(cloud, "locked", "wrong")).Expect(401);
        (await LogInAsync(cloud, "locked", "secret")).Expect(401);

        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"enabled": true}}""")).Expect(200);

        (await LogInAsync(cloud, "locked", "secret")).Expect(201);
    }

    [Fact]
    public async Task A_user_who_does_not_come_for_long_is_disabled_until_enabled_again()
    {
        var time = new FakeTimeProvider(Start);
        await using var cloud = await StartAsync(time, ("disable_user_account_days_inactive", "10"));
        var user = await cloud.CreateUserAsync("away");
        await cloud.CreateAsync("users", "user", """{"name": "robot", "password": "secret", "options": {"ignore_user_inactivity": true}}""");
        time.Advance(TimeSpan.FromDays(9));
        (await LogInAsync(cloud, "away", "secret")).Expect(201);
        (await LogInAsync(cloud, "admin", IdentityCloud.AdminPassword)).Expect(201);
        time.Advance(TimeSpan.FromDays(9));
        (await LogInAsync(cloud, "away", "secret")).Expect(201);
        var admin = cloud.Client(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin")));
        time.Advance(TimeSpan.FromDays(9));
        admin = cloud.Client(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin")));
        time.Advance(TimeSpan.FromDays(2));
        // A change elsewhere makes Keystone look again.
        admin = cloud.Client(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin")));

        (await LogInAsync(cloud, "away", "secret")).Expect(401);
        (await LogInAsync(cloud, "robot", "secret")).Expect(201);
        Assert.False((await admin.GetAsync($"/v3/users/{user}")).Expect(200).Json.GetProperty("user").GetProperty("enabled").GetBoolean());
        (await admin.PatchAsync($"/v3/users/{user}", """{"user": {"enabled": true}}""")).Expect(200);
        (await LogInAsync(cloud, "away", "secret")).Expect(201);
        admin.Dispose();
    }

    [Fact]
    public async Task A_password_ends_after_its_days_and_users_are_found_by_when_it_does()
    {
        var time = new FakeTimeProvider(Start);
        await using var cloud = await StartAsync(time, ("password_expires_days", "30"));
        var user = await cloud.CreateUserAsync("aging");
        await cloud.CreateAsync("users", "user", """{"name": "robot", "password": "secret", "options": {"ignore_password_expiry": true}}""");
        var shown = (await cloud.Admin.GetAsync($"/v3/users/{user}")).Json.GetProperty("user").GetProperty("password_expires_at").GetString();
        Assert.Equal("2026-03-31T12:00:00.000000", shown);

        Assert.Contains("aging", await NamesAsync("lt:2026-04-01T00:00:00Z"));
        Assert.DoesNotContain("robot", await NamesAsync("lt:2026-04-01T00:00:00Z"));
        Assert.DoesNotContain("aging", await NamesAsync("gt:2026-04-01T00:00:00Z"));
        Assert.Contains("aging", await NamesAsync("2026-03-31T12:00:00Z"));
        Assert.DoesNotContain("aging", await NamesAsync("neq:2026-03-31T12:00:00Z"));
        (await cloud.Admin.GetAsync("/v3/users?password_expires_at=le:2026-04-01T00:00:00Z")).Expect(400);
        (await cloud.Admin.GetAsync("/v3/users?password_expires_at=lt:yesterday")).Expect(400);

        time.Advance(TimeSpan.FromDays(31));
        var refused = (await LogInAsync(cloud, "aging", "secret")).Expect(401);
        Assert.Contains("expired", refused.Json.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain("expired", (await LogInAsync(cloud, "aging", "wrong")).Expect(401).Text, StringComparison.Ordinal);
        (await LogInAsync(cloud, "robot", "secret")).Expect(201);
        (await ChangeAsync(cloud, user, "secret", "fresh")).Expect(204);
        (await LogInAsync(cloud, "aging", "fresh")).Expect(201);

        async Task<List<string>> NamesAsync(string filter) =>
            [.. (await cloud.Admin.GetAsync($"/v3/users?password_expires_at={filter}")).Expect(200).Json.GetProperty("users").Texts("name")];
    }

    [Fact]
    public async Task A_former_password_is_refused_as_long_as_it_is_remembered()
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start), ("unique_last_password_count", "2"));
        var user = await cloud.CreateUserAsync("changing", "one");

        (await ChangeAsync(cloud, user, "one", "one")).Expect(400);
        (await ChangeAsync(cloud, user, "one", "two")).Expect(204);
        var refused = (await ChangeAsync(cloud, user, "two", "one")).Expect(400);
        Assert.Contains("cannot be identical to a previous password", refused.Json.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        (await ChangeAsync(cloud, user, "two", "three")).Expect(204);
        (await ChangeAsync(cloud, user, "three", "one")).Expect(204);
        (await LogInAsync(cloud, "changing", "three")).Expect(401);
        // An administrator is not bound by it.
        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": "one"}}""")).Expect(200);
    }

    [Fact]
    public async Task A_password_that_the_user_chose_is_kept_for_its_minimum_age()
    {
        var time = new FakeTimeProvider(Start);
        await using var cloud = await StartAsync(time, ("minimum_password_age", "2"));
        var user = await cloud.CreateUserAsync("hasty", "one");

        (await ChangeAsync(cloud, user, "one", "two")).Expect(204);
        var refused = (await ChangeAsync(cloud, user, "two", "three")).Expect(400);
        Assert.Contains("try again in 2 day(s)", refused.Json.GetProperty("error").GetProperty("message").GetString(), StringComparison.Ordinal);
        time.Advance(TimeSpan.FromDays(2.1));
        (await ChangeAsync(cloud, user, "two", "three")).Expect(204);
    }

    [Fact]
    public async Task A_password_must_match_the_configured_expression_wherever_it_is_set()
    {
        await using var cloud = await StartAsync(
            new FakeTimeProvider(Start), ("password_regex", @"^(?=.*\d)(?=.*[a-zA-Z]).{7,}$"), ("password_regex_description", "seven characters with a digit"));

        var refused = (await cloud.Admin.PostAsync("/v3/users", """{"user": {"name": "weak", "password": "short"}}""")).Expect(400);
        Assert.Equal(
            "The password does not match the requirements: seven characters with a digit.", refused.Json.GetProperty("error").GetProperty("message").GetString());
        var user = await cloud.CreateUserAsync("strong", "l0ng enough");
        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": "short"}}""")).Expect(400);
        (await ChangeAsync(cloud, user, "l0ng enough", "short")).Expect(400);
        (await ChangeAsync(cloud, user, "l0ng enough", "l0ng enough too")).Expect(204);
    }

    [Fact]
    public async Task A_password_set_by_an_administrator_is_changed_at_first_use()
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start), ("change_password_upon_first_use", "true"));
        var user = await cloud.CreateUserAsync("newcomer");
        await cloud.CreateAsync("users", "user", """{"name": "robot", "password": "secret", "options": {"ignore_change_password_upon_first_use": true}}""");

        (await LogInAsync(cloud, "newcomer", "secret")).Expect(401);
        (await LogInAsync(cloud, "robot", "secret")).Expect(201);
        (await ChangeAsync(cloud, user, "secret", "my own")).Expect(204);
        (await LogInAsync(cloud, "newcomer", "my own")).Expect(201);
        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": "reset"}}""")).Expect(200);
        (await LogInAsync(cloud, "newcomer", "reset")).Expect(401);
    }

    [Fact]
    public async Task A_locked_password_is_changed_by_administrators_alone()
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start));
        var user = await cloud.CreateAsync("users", "user", """{"name": "robot", "password": "secret", "options": {"lock_password": true}}""");

        (await ChangeAsync(cloud, user, "secret", "other")).Expect(400);
        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": "other"}}""")).Expect(200);
        (await LogInAsync(cloud, "robot", "other")).Expect(201);
        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"options": {"lock_password": null}}}""")).Expect(200);
        (await ChangeAsync(cloud, user, "other", "third")).Expect(204);
    }

    [Fact]
    public async Task A_user_without_a_password_cannot_log_in_by_one()
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start));
        var user = await cloud.CreateUserAsync("former");

        (await cloud.Admin.PatchAsync($"/v3/users/{user}", """{"user": {"password": null}}""")).Expect(200);

        (await LogInAsync(cloud, "former", "secret")).Expect(401);
        (await LogInAsync(cloud, "former", "")).Expect(401);
    }

    [Theory]
    [InlineData("""{"multi_factor_auth_rules": [["password", "password"]]}""")]
    [InlineData("""{"multi_factor_auth_rules": [[]]}""")]
    [InlineData("""{"multi_factor_auth_rules": [["password"], ["password"]]}""")]
    [InlineData("""{"multi_factor_auth_rules": "password"}""")]
    [InlineData("""{"lock_password": "yes"}""")]
    [InlineData("""{"unknown": true}""")]
    public async Task Options_of_another_form_are_refused(string options)
    {
        await using var cloud = await StartAsync(new FakeTimeProvider(Start));

        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "x", "options": {{options}} } }""")).Expect(400);
    }

    private static Task<IdentityCloud> StartAsync(TimeProvider time, params (string Name, string Value)[] settings) =>
        IdentityCloud.StartAsync(time, [.. settings.Select(static s => ("security_compliance", s.Name, s.Value))]);

    private static Task<TestAnswer> LogInAsync(IdentityCloud cloud, string name, string password) =>
        cloud.AuthenticateAsync(IdentityCloud.PasswordAuth(name, password));

    private static Task<TestAnswer> ChangeAsync(IdentityCloud cloud, string user, string original, string password) => cloud.Client(null)
        .PostAsync($"/v3/users/{user}/password", $$"""{"user": {"original_password": "{{original}}", "password": "{{password}}" } }""");
}
