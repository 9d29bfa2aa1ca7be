using SharpStack.TestKit;

namespace SharpStack.Placement.Tests;

public sealed class AllocationTests : PlacementTest
{
    private const string Host = "\"VCPU\": {\"total\": 4}, \"MEMORY_MB\": {\"total\": 2048, \"min_unit\": 128, \"max_unit\": 1024, \"step_size\": 64}";

    private readonly string consumer = Guid.NewGuid().ToString();

    [Fact]
    public async Task A_claim_shows_at_the_consumer_the_provider_and_the_project()
    {
        var provider = await ProviderWithAsync(Host);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 2, \"MEMORY_MB\": 512")).Expect(204);
        var shown = (await Api.GetAsync($"/allocations/{consumer}")).Expect(200).Json;
        Shape.Same("get-allocations-1.38", shown);
        Assert.Equal(1, shown.GetProperty("consumer_generation").GetInt32());
        Assert.Equal(2, shown.GetProperty("allocations").GetProperty(provider).GetProperty("resources").GetProperty("VCPU").GetInt32());
        Shape.Same("get-allocations", (await At("1.12").GetAsync($"/allocations/{consumer}")).Json);
        Shape.Same("get-resource_provider_allocations", (await At("1.27").GetAsync($"/resource_providers/{provider}/allocations")).Expect(200).Json);
        var usages = (await Api.GetAsync($"/resource_providers/{provider}/usages")).Expect(200).Json;
        Assert.Equal(512, usages.GetProperty("usages").GetProperty("MEMORY_MB").GetInt32());
        Assert.Equal(2, usages.GetProperty("resource_provider_generation").GetInt32());
        Assert.Equal(
            """{"usages":{"VCPU":2,"MEMORY_MB":512}}""", (await At("1.37").GetAsync($"/usages?project_id={Project}&user_id=u1")).Expect(200).Text);
        var typed = (await Api.GetAsync($"/usages?project_id={Project}")).Expect(200).Json;
        Assert.Equal(1, typed.GetProperty("usages").GetProperty("INSTANCE").GetProperty("consumer_count").GetInt32());
    }

    [Fact]
    public async Task Usages_are_counted_by_consumer_type()
    {
        var provider = await ProviderWithAsync(Host);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1")).Expect(204);
        (await ClaimAsync(Guid.NewGuid().ToString(), provider, "\"VCPU\": 1", type: "MIGRATION")).Expect(204);
        (await At("1.28").PutAsync(
            $"/allocations/{Guid.NewGuid()}",
            $$"""{"allocations": {{Of(provider, "\"VCPU\": 2")}}, "project_id": "{{Project}}", "user_id": "u2", "consumer_generation": null}""")).Expect(204);
        Assert.Equal("""{"usages":{"all":{"consumer_count":3,"VCPU":4}}}""", (await Api.GetAsync($"/usages?project_id={Project}&consumer_type=all")).Text);
        Assert.Equal("""{"usages":{"unknown":{"consumer_count":1,"VCPU":2}}}""", (await Api.GetAsync($"/usages?project_id={Project}&consumer_type=unknown")).Text);
        Assert.Equal("""{"usages":{"MIGRATION":{"consumer_count":1,"VCPU":1}}}""", (await Api.GetAsync($"/usages?project_id={Project}&consumer_type=MIGRATION")).Text);
        var all = (await Api.GetAsync($"/usages?project_id={Project}")).Json;
        Assert.Equal(3, all.GetProperty("usages").EnumerateObject().Count());
        Shape.Same("get-usages-1.38", all);
        Assert.Equal("""{"usages":{}}""", (await Api.GetAsync($"/usages?project_id={Project}&user_id=u3")).Text);
        (await Api.GetAsync("/usages")).Expect(400);
        (await Api.GetAsync($"/usages?project_id={Project}&consumer_type=lower")).Expect(400);
    }

    [Theory]
    [InlineData("\"VCPU\": 5", "The requested amount would exceed the capacity.")]
    [InlineData("\"MEMORY_MB\": 64", "The requested amount would violate inventory constraints.")]
    [InlineData("\"MEMORY_MB\": 2048", "The requested amount would violate inventory constraints.")]
    [InlineData("\"MEMORY_MB\": 129", "The requested amount would violate inventory constraints.")]
    [InlineData("\"DISK_GB\": 1", "Inventory for 'DISK_GB' on resource provider")]
    public async Task What_there_is_not_cannot_be_claimed(string resources, string why)
    {
        var provider = await ProviderWithAsync(Host);
        var answer = (await ClaimAsync(consumer, provider, resources)).Expect(409);
        Assert.Contains("Unable to allocate inventory: ", Detail(answer), StringComparison.Ordinal);
        Assert.Contains(why, Detail(answer), StringComparison.Ordinal);
        Assert.Equal("placement.undefined_code", Code(answer));
        Assert.Equal("{}", (await Api.GetAsync($"/allocations/{consumer}")).Expect(200).Json.GetProperty("allocations").GetRawText());
        Assert.Equal(1, await GenerationAsync(provider));
    }

    [Fact]
    public async Task The_overcommit_ratio_and_the_reserve_count()
    {
        var provider = await ProviderWithAsync("\"MEMORY_MB\": {\"total\": 1024, \"reserved\": 512, \"allocation_ratio\": 1.5}, \"VCPU\": {\"total\": 1, \"allocation_ratio\": 16.0}");
        (await ClaimAsync(consumer, provider, "\"MEMORY_MB\": 769")).Expect(409);
        (await ClaimAsync(consumer, provider, "\"MEMORY_MB\": 768, \"VCPU\": 16")).Expect(204);
    }

    [Fact]
    public async Task Malformed_claims_are_refused_and_make_no_consumer()
    {
        var provider = await ProviderWithAsync(Host);
        (await ClaimAsync(consumer, Guid.NewGuid().ToString(), "\"VCPU\": 1")).Expect(400);
        (await ClaimAsync(consumer, provider, "\"CUSTOM_NONE\": 1")).Expect(400);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 0")).Expect(400);
        (await ClaimAsync(consumer, provider, "")).Expect(400);
        (await ClaimAsync("not-a-uuid", provider, "\"VCPU\": 1")).Expect(400);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 99999999999999999999")).Expect(409);
        (await Api.PutAsync($"/allocations/{consumer}", Claim("{}").Replace("\"user_id\": \"u1\", ", "", StringComparison.Ordinal))).Expect(400);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1", generation: null)).Expect(204);
    }

    [Fact]
    public async Task A_consumer_is_changed_only_at_its_generation()
    {
        var provider = await ProviderWithAsync(Host);
        var unborn = (await ClaimAsync(consumer, provider, "\"VCPU\": 1", generation: 1)).Expect(409);
        Assert.Contains("consumer generation conflict - expected null but got 1", Detail(unborn), StringComparison.Ordinal);
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1")).Expect(204);
        var again = (await ClaimAsync(consumer, provider, "\"VCPU\": 2")).Expect(409);
        Assert.Contains("consumer generation conflict - expected 1 but got None", Detail(again), StringComparison.Ordinal);
        Assert.Equal("placement.concurrent_update", Code(again));
        (await ClaimAsync(consumer, provider, "\"VCPU\": 2", generation: 1)).Expect(204);
        Assert.Equal(2, (await Api.GetAsync($"/allocations/{consumer}")).Json.GetProperty("consumer_generation").GetInt32());
        (await Api.PutAsync($"/allocations/{consumer}", Claim("{}", 2))).Expect(204);
        (await Api.DeleteAsync($"/allocations/{consumer}")).Expect(404);

        // It is gone: the next claim is a first one.
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1")).Expect(204);
    }

    [Fact]
    public async Task Claims_of_old_versions_have_a_list_and_no_owner()
    {
        var provider = await ProviderWithAsync(Host);
        (await At("1.0").PutAsync(
            $"/allocations/{consumer}", OldClaim(provider))).Expect(204);
        var shown = (await Api.GetAsync($"/allocations/{consumer}")).Json;
        Assert.Equal("00000000-0000-0000-0000-000000000000", shown.GetProperty("project_id").GetString());
        Assert.Equal("unknown", shown.GetProperty("consumer_type").GetString());
        (await At("1.8").PutAsync(
            $"/allocations/{consumer}", OldClaim(provider))).Expect(400);
    }

    [Fact]
    public async Task Several_consumers_move_in_one_step()
    {
        var source = await ProviderWithAsync(Host);
        var target = await ProviderWithAsync(Host);
        var migration = Guid.NewGuid().ToString();
        (await ClaimAsync(consumer, source, "\"VCPU\": 4")).Expect(204);
        string Body(string second) => $$"""
            {"{{migration}}": {{Claim(Of(source, "\"VCPU\": 4"), type: "MIGRATION")}},
             "{{consumer}}": {{Claim(Of(target, "\"VCPU\": " + second), 1)}} }
            """;
        (await Api.PostAsync("/allocations", Body("5"))).Expect(409);
        Assert.Equal(4, await UsedAsync(source));
        Assert.Equal("{}", (await Api.GetAsync($"/allocations/{migration}")).Json.GetProperty("allocations").GetRawText());
        (await Api.PostAsync("/allocations", Body("4"))).Expect(204);
        Assert.Equal(4, await UsedAsync(source));
        Assert.Equal(4, await UsedAsync(target));
        (await Api.PostAsync("/allocations", $$"""{"{{migration}}": {{Claim("{}", 1)}} }""")).Expect(204);
        Assert.Equal(0, await UsedAsync(source));
        (await At("1.12").PostAsync("/allocations", Body("4"))).Expect(404);
    }

    [Fact]
    public async Task The_reshaper_moves_inventory_and_allocations_together()
    {
        var host = await ProviderWithAsync("\"VCPU\": {\"total\": 4}, \"VGPU\": {\"total\": 2}");
        var gpu = await ProviderAsync(parent: host);
        (await ClaimAsync(consumer, host, "\"VCPU\": 1, \"VGPU\": 2")).Expect(204);
        string Body(int left) => $$"""
            {"inventories": {
               "{{host}}": {"resource_provider_generation": 2, "inventories": {"VCPU": {"total": 4} } },
               "{{gpu}}": {"resource_provider_generation": 0, "inventories": {"VGPU": {"total": {{left}} } } } },
             "allocations": {"{{consumer}}": {{Claim($$"""{"{{host}}": {"resources": {"VCPU": 1} }, "{{gpu}}": {"resources": {"VGPU": 2} } }""", 1)}} } }
            """;
        Assert.Contains("exceed the capacity", Detail((await Api.PostAsync("/reshaper", Body(1))).Expect(409)), StringComparison.Ordinal);
        Assert.Equal(2, await GenerationAsync(host));
        (await Api.PostAsync("/reshaper", Body(2))).Expect(204);
        Assert.Equal(["VCPU"], (await Api.GetAsync($"/resource_providers/{host}/inventories")).Json.GetProperty("inventories").EnumerateObject().Select(item => item.Name));
        Assert.Equal(2, (await Api.GetAsync($"/resource_providers/{gpu}/usages")).Json.GetProperty("usages").GetProperty("VGPU").GetInt32());
        Assert.Equal("placement.concurrent_update", Code((await Api.PostAsync("/reshaper", Body(2))).Expect(409)));
        (await At("1.29").PostAsync("/reshaper", Body(2))).Expect(404);
    }

    [Fact]
    public async Task Of_many_claims_on_the_last_capacity_exactly_one_wins()
    {
        var provider = await ProviderWithAsync("\"VCPU\": {\"total\": 1}");
        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(_ => ClaimAsync(Guid.NewGuid().ToString(), provider, "\"VCPU\": 1")));
        Assert.Single(answers, answer => answer.Status == 204);
        Assert.Equal(23, answers.Count(answer => answer.Status == 409));
        Assert.Equal(1, await UsedAsync(provider));
    }

    [Fact]
    public async Task Of_many_changes_at_one_generation_exactly_one_wins()
    {
        var provider = await ProviderWithAsync("\"VCPU\": {\"total\": 1}");
        var answers = await Task.WhenAll(Enumerable.Range(1, 16).Select(total => SetInventoriesAsync(provider, $"\"VCPU\": {{\"total\": {total}}}", 1)));
        Assert.Single(answers, answer => answer.Status == 200);
        Assert.All(answers.Where(answer => answer.Status != 200), answer => Assert.Equal("placement.concurrent_update", Code(answer)));
        Assert.Equal(2, await GenerationAsync(provider));
    }

    [Fact]
    public async Task What_was_claimed_is_there_after_a_restart()
    {
        var data = Directory.CreateTempSubdirectory("placement-test-").FullName;
        var first = await TestCloud.StartAsync([new PlacementModule()], null, data);
        string provider;
        using (var client = first.Client("placement-api", "admin", "placement 1.39"))
        {
            provider = (await client.PostAsync("/resource_providers", """{"name": "host"}""")).Expect(200).Json.GetProperty("uuid").GetString()!;
            (await client.PutAsync($"/resource_providers/{provider}/inventories", """{"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 2}}}""")).Expect(200);
            (await client.PutAsync($"/allocations/{consumer}", Claim(Of(provider, "\"VCPU\": 2")))).Expect(204);
        }

        await first.StopAndKeepDataAsync();
        await using var second = await TestCloud.StartAsync([new PlacementModule()], null, data);
        using var again = second.Client("placement-api", "admin", "placement 1.39");
        Assert.Equal(2, (await again.GetAsync($"/resource_providers/{provider}/usages")).Expect(200).Json.GetProperty("usages").GetProperty("VCPU").GetInt32());
        Assert.Equal(0, (await again.GetAsync("/allocation_candidates?resources=VCPU:1")).Json.GetProperty("allocation_requests").GetArrayLength());
    }

    private static string OldClaim(string provider) =>
        $$"""{"allocations": [{"resource_provider": {"uuid": "{{provider}}"}, "resources": {"VCPU": 1} }]}""";

    private async Task<int> UsedAsync(string provider) =>
        (await Api.GetAsync($"/resource_providers/{provider}/usages")).Expect(200).Json.GetProperty("usages").GetProperty("VCPU").GetInt32();
}
