using SharpStack.TestKit;

namespace SharpStack.Placement.Tests;

/// <summary>Two placement-apis on one database: what is written through one is seen by the next search through the other.</summary>
public sealed class TwoProcessTests : PlacementTest
{
    private const string Host = "\"VCPU\": {\"total\": 4}, \"MEMORY_MB\": {\"total\": 2048}";

    [Fact]
    public async Task Whatever_changes_through_one_the_next_search_through_the_other_sees()
    {
        await using var other = await JoinAsync();
        using var there = other.Client("placement-api", "admin", "placement 1.39");
        var provider = await ProviderWithAsync(Host);
        Assert.Equal([provider], await FindAsync(there, "resources=VCPU:4"));

        var consumer = Guid.NewGuid().ToString();
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1")).Expect(204);
        Assert.Empty(await FindAsync(there, "resources=VCPU:4"));
        (await there.DeleteAsync($"/allocations/{consumer}")).Expect(204);
        Assert.Equal([provider], await FindAsync(Api, "resources=VCPU:4"));

        (await SetInventoriesAsync(provider, "\"VCPU\": {\"total\": 16}", await GenerationAsync(provider))).Expect(200);
        Assert.Equal([provider], await FindAsync(there, "resources=VCPU:16"));

        await TraitsAsync(provider, "CUSTOM_NEW_TRAIT");
        Assert.Equal([provider], await FindAsync(there, "resources=VCPU:1&required=CUSTOM_NEW_TRAIT"));
        Assert.Empty(await FindAsync(there, "resources=VCPU:1&required=!CUSTOM_NEW_TRAIT"));

        var aggregate = Guid.NewGuid().ToString();
        Assert.Empty(await FindAsync(there, $"resources=VCPU:1&member_of={aggregate}"));
        await AggregatesAsync(provider, aggregate);
        Assert.Equal([provider], await FindAsync(there, $"resources=VCPU:1&member_of={aggregate}"));

        (await Api.PutAsync("/resource_classes/CUSTOM_NEW_CLASS")).Expect(201);
        (await SetInventoriesAsync(provider, "\"CUSTOM_NEW_CLASS\": {\"total\": 2}", await GenerationAsync(provider))).Expect(200);
        Assert.Equal([provider], await FindAsync(there, "resources=CUSTOM_NEW_CLASS:2"));

        (await there.DeleteAsync($"/resource_providers/{provider}")).Expect(204);
        Assert.Empty(await FindAsync(Api, "resources=CUSTOM_NEW_CLASS:2"));
        Assert.Empty((await Api.GetAsync($"/resource_providers?uuid={provider}")).Expect(200).Json.GetProperty("resource_providers").EnumerateArray());
    }

    [Fact]
    public async Task Claims_at_the_same_time_through_both_never_pass_a_hosts_capacity()
    {
        await using var other = await JoinAsync();
        using var there = other.Client("placement-api", "admin", "placement 1.39");
        var provider = await ProviderWithAsync("\"VCPU\": {\"total\": 16}");
        var answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(index =>
            (index % 2 == 0 ? Api : there).PutAsync($"/allocations/{Guid.NewGuid()}", Claim(Of(provider, "\"VCPU\": 1")))));
        Assert.Equal(16, answers.Count(answer => answer.Status == 204));
        Assert.Equal(48, answers.Count(answer => answer.Status == 409));
        Assert.Empty(await FindAsync(Api, "resources=VCPU:1"));
        Assert.Empty(await FindAsync(there, "resources=VCPU:1"));
    }

    [Fact]
    public async Task Searches_go_on_while_classes_providers_and_claims_come_and_go_through_the_other()
    {
        await using var other = await JoinAsync();
        using var there = other.Client("placement-api", "admin", "placement 1.39");
        await ProviderWithAsync(Host);
        using var done = new CancellationTokenSource();
        var searches = Enumerable.Range(0, 4).Select(async _ =>
        {
            var count = 0;
            while (!done.IsCancellationRequested)
            {
                (await there.GetAsync("/allocation_candidates?resources=VCPU:1")).Expect(200);
                (await there.GetAsync("/resource_providers")).Expect(200);
                count++;
            }

            return count;
        }).ToList();
        for (var round = 0; round < 20; round++)
        {
            (await Api.PutAsync($"/resource_classes/CUSTOM_CLASS_{round}")).Expect(201);
            var parent = await ProviderWithAsync($"{Host}, \"CUSTOM_CLASS_{round}\": {{\"total\": 2}}");
            var child = await ProviderWithAsync("\"VCPU\": {\"total\": 2}", parent);
            (await ClaimAsync(Guid.NewGuid().ToString(), parent, "\"VCPU\": 1")).Expect(204);
            (await Api.DeleteAsync($"/resource_providers/{child}")).Expect(204);
        }

        await done.CancelAsync();
        Assert.All(await Task.WhenAll(searches), count => Assert.True(count > 0));
        var here = await FindAsync(Api, "resources=VCPU:1&limit=100");
        Assert.Equal(21, here.Length);
        Assert.Equal(here, await FindAsync(there, "resources=VCPU:1&limit=100"));
    }

    private Task<TestCloud> JoinAsync() => TestCloud.StartAsync([new PlacementModule()], null, Cloud.Data, keepsData: true);

    private static async Task<string[]> FindAsync(TestClient client, string query) => Providers((await client.GetAsync("/allocation_candidates?" + query)).Expect(200).Json);
}
