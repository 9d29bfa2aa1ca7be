using System.Diagnostics;
using LinqToDB;
using LinqToDB.Data;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tests.Users;

public class ManyUsersTests(ITestOutputHelper output)
{
    private const int Count = 100_000;

    [Fact]
    public async Task A_page_of_a_hundred_thousand_users_is_read_without_looking_at_the_others()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var ids = Enumerable.Range(0, Count).Select(static i => $"{i:x8}{i * 2_654_435_761L % 4_294_967_296L:x8}0000000000000000").ToList();
        await cloud.Cloud.Get<KeystoneStore>().WriteAsync(
            async db =>
            {
                await db.BulkCopyAsync(ids.Select(static (id, i) => new UserRow { Id = id, DomainId = "default", Name = $"U{i}", NameKey = $"u{i}", Enabled = true, CreatedAt = 1 }));
                await db.BulkCopyAsync(ids.Select(static id => new PasswordRow { UserId = id, Hash = "x", CreatedAt = 1 }));
            },
            TestContext.Current.CancellationToken);

        var first = (await cloud.Admin.GetAsync("/v3/users?limit=100")).Expect(200).Json;
        Assert.Equal(100, first.GetProperty("users").GetArrayLength());
        Assert.Contains("marker=", first.GetProperty("links").GetProperty("next").GetString(), StringComparison.Ordinal);
        Assert.Equal(["U77"], (await cloud.Admin.GetAsync("/v3/users?name=u77")).Expect(200).Json.GetProperty("users").Texts("name"));
        foreach (var query in (string[])["limit=100", $"limit=100&marker={ids[Count / 2]}", "limit=100&domain_id=default", $"limit=100&domain_id=default&marker={ids[Count / 2]}", "name=u77777"])
        {
            var times = new List<double>();
            for (var i = 0; i < 25; i++)
            {
                var started = Stopwatch.GetTimestamp();
                (await cloud.Admin.GetAsync("/v3/users?" + query)).Expect(200);
                times.Add(Stopwatch.GetElapsedTime(started).TotalMilliseconds);
            }
            times.Sort();
            output.WriteLine($"GET /v3/users?{query} of {Count} users: least {times[0]:0.0} ms, median {times[times.Count / 2]:0.0} ms");
            // Reading all of them takes hundreds of milliseconds; the least is what the others on the machine leave it.
            Assert.True(times[0] < 100, $"{query} took {times[0]} ms at best");
        }
    }

    [Theory]
    [InlineData("users", "user")]
    [InlineData("groups", "group")]
    [InlineData("projects", "project")]
    [InlineData("domains", "domain")]
    [InlineData("roles", "role")]
    public async Task Of_many_who_create_the_same_name_at_once_one_does(string collection, string member)
    {
        await using var cloud = await IdentityCloud.StartAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i =>
            cloud.Admin.PostAsync($"/v3/{collection}", $$"""{"{{member}}": {"name": "{{(i % 2 == 0 ? "same" : "SAME")}}" } }""")));

        Assert.Equal(1, answers.Count(static a => a.Status == 201));
        Assert.Equal(11, answers.Count(static a => a.Status == 409));
    }
}
