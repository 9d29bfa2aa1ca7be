using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Tokens;

public class RevocationTests
{
    [Fact]
    public async Task Ten_thousand_events_are_read_once_and_later_ones_alone()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var store = cloud.Cloud.Get<KeystoneStore>();
        var now = TimeProvider.System.NowMicroseconds();
        await store.WriteAsync(
            db => db.BulkCopyAsync(Enumerable.Range(0, 10_000).Select(i => new RevocationRow { UserId = $"user{i}", IssuedBefore = now }), TestContext.Current.CancellationToken),
            TestContext.Current.CancellationToken);
        var index = cloud.Cloud.Get<RevocationIndex>();
        (await cloud.ValidateAsync(cloud.AdminToken)).Expect(200);
        var read = index.EventsRead;

        for (var i = 0; i < 20; i++)
        {
            var token = await cloud.TokenAsync("admin", IdentityCloud.AdminPassword);
            (await cloud.ValidateAsync(token, method: HttpMethod.Delete)).Expect(204);
            (await cloud.ValidateAsync(token)).Expect(404);
        }

        Assert.InRange(read, 10_000, 10_010);
        Assert.Equal(20, index.EventsRead - read);
    }

    [Theory]
    [InlineData("token", "child")]
    [InlineData("chain", "parent child")]
    [InlineData("user", "parent child")]
    [InlineData("project", "child")]
    [InlineData("domain", "parent child")]
    public async Task An_event_ends_the_tokens_that_it_is_about_and_no_others(string about, string ended)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "elsewhere"}""");
        await cloud.CreateAsync("users", "user", $$"""{"name": "bob", "password": "secret", "domain_id": "{{domain}}" }""");
        var parent = await cloud.TokenAsync("alice", "secret", "\"unscoped\"");
        var child = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(parent, IdentityCloud.ProjectScope("alice"))));
        var tokens = new Dictionary<string, string>
        {
            ["parent"] = parent,
            ["child"] = child,
            ["stranger"] = IdentityCloud.TokenOf(await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("bob", "secret", domain: domain))),
        };
        var audits = (await cloud.ValidateAsync(child)).Expect(200).Json.GetProperty("token").GetProperty("audit_ids");
        var row = new RevocationRow { IssuedBefore = TimeProvider.System.NowMicroseconds() };
        row = about switch
        {
            "token" => row with { AuditId = audits[0].GetString() },
            "chain" => row with { AuditChainId = audits[1].GetString() },
            "user" => row with { UserId = alice.UserId },
            "project" => row with { ScopeId = alice.ProjectId },
            _ => row with { ScopeId = "default" },
        };

        await cloud.Cloud.Get<KeystoneStore>().WriteAsync(db => db.InsertAsync(row, token: TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);

        var revoked = new List<string>();
        foreach (var (name, token) in tokens)
        {
            using var client = cloud.Client(token);
            if ((await client.GetAsync("/v3/auth/projects")).Status == 401)
            {
                revoked.Add(name);
            }
        }
        Assert.Equal(ended, string.Join(' ', revoked));
    }

    [Fact]
    public async Task Events_that_no_token_can_match_any_more_are_removed()
    {
        var time = new FakeTimeProvider(DateTimeOffset.Parse("2026-05-01T10:00:00Z"));
        await using var cloud = await IdentityCloud.StartAsync(time);
        var store = cloud.Cloud.Get<KeystoneStore>();
        (await cloud.ValidateAsync(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword), method: HttpMethod.Delete)).Expect(204);
        Assert.Equal(1, await CountAsync());

        time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, await CountAsync());
        time.Advance(TimeSpan.FromDays(3));

        await Eventually.TrueAsync(async () => await CountAsync() == 0, "the expired revocation is removed");

        async Task<int> CountAsync()
        {
            await using var db = store.Read();
            return await db.Revocations().CountAsync(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_token_and_its_revocation_outlive_a_restart()
    {
        var first = await IdentityCloud.StartAsync();
        var kept = first.AdminToken;
        var revoked = await first.TokenAsync("admin", IdentityCloud.AdminPassword, IdentityCloud.ProjectScope("admin"));
        (await first.ValidateAsync(revoked, method: HttpMethod.Delete)).Expect(204);
        var data = await first.Cloud.StopAndKeepDataAsync();

        await using var second = await TestCloud.StartAsync([new KeystoneModule()], [("keystone", "identity", "password_hash_rounds", "4")], data, keystone: true);
        using var client = second.Client("keystone", kept);

        (await client.SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: ("X-Subject-Token", kept))).Expect(200);
        (await client.SendAsync(HttpMethod.Get, "/v3/auth/tokens", headers: ("X-Subject-Token", revoked))).Expect(404);
    }
}
