using System.Text.Json;

namespace SharpStack.Placement.Tests;

public sealed class ResourceProviderTests : PlacementTest
{
    [Fact]
    public async Task A_name_and_a_uuid_are_taken_once()
    {
        var uuid = await ProviderAsync("compute1");
        var name = (await Api.PostAsync("/resource_providers", """{"name": "compute1"}""")).Expect(409);
        Assert.Contains("Conflicting resource provider name: compute1 already exists.", Detail(name), StringComparison.Ordinal);
        var same = (await Api.PostAsync("/resource_providers", $$"""{"name": "other", "uuid": "{{uuid}}"}""")).Expect(409);
        Assert.Contains($"uuid: {uuid}", Detail(same), StringComparison.Ordinal);
        await ProviderAsync("compute2");
        (await Api.PutAsync($"/resource_providers/{uuid}", """{"name": "compute2"}""")).Expect(409);
        Assert.Equal("compute3", (await Api.PutAsync($"/resource_providers/{uuid}", """{"name": "compute3"}""")).Expect(200).Json.GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_uuid_without_dashes_is_kept_with_them()
    {
        var uuid = Guid.NewGuid();
        var json = (await Api.PostAsync("/resource_providers", $$"""{"name": "a", "uuid": "{{uuid:N}}"}""")).Expect(200).Json;
        Assert.Equal(uuid.ToString("D"), json.GetProperty("uuid").GetString());
    }

    [Fact]
    public async Task Bad_input_is_refused_with_what_is_wrong()
    {
        Assert.Contains("'name' is a required property", Detail((await Api.PostAsync("/resource_providers", "{}")).Expect(400)), StringComparison.Ordinal);
        (await Api.PostAsync("/resource_providers", $$"""{"name": "{{new string('x', 201)}}"}""")).Expect(400);
        (await Api.PostAsync("/resource_providers", """{"name": "a", "uuid": "no"}""")).Expect(400);
        var parent = (await Api.PostAsync("/resource_providers", $$"""{"name": "a", "parent_provider_uuid": "{{Guid.NewGuid()}}"}""")).Expect(400);
        Assert.Contains("parent provider UUID does not exist", Detail(parent), StringComparison.Ordinal);
        Assert.Contains("'colour' was unexpected", Detail((await Api.GetAsync("/resource_providers?colour=red")).Expect(400)), StringComparison.Ordinal);
        (await Api.GetAsync("/resource_providers?uuid=no")).Expect(400);
        (await Api.GetAsync($"/resource_providers/{Guid.NewGuid()}")).Expect(404);
        (await Api.DeleteAsync($"/resource_providers/{Guid.NewGuid()}")).Expect(404);
    }

    [Fact]
    public async Task A_provider_with_children_or_allocations_cannot_be_deleted()
    {
        var parent = await ProviderWithAsync("\"VCPU\": {\"total\": 1}");
        var child = await ProviderAsync(parent: parent);
        Assert.Equal("placement.resource_provider.cannot_delete_parent", Code((await Api.DeleteAsync($"/resource_providers/{parent}")).Expect(409)));
        (await Api.DeleteAsync($"/resource_providers/{child}")).Expect(204);
        var consumer = Guid.NewGuid().ToString();
        (await ClaimAsync(consumer, parent, "\"VCPU\": 1")).Expect(204);
        Assert.Equal("placement.resource_provider.inuse", Code((await Api.DeleteAsync($"/resource_providers/{parent}")).Expect(409)));
        (await Api.DeleteAsync($"/allocations/{consumer}")).Expect(204);
        (await Api.DeleteAsync($"/resource_providers/{parent}")).Expect(204);
        Assert.Equal(0, (await Api.GetAsync("/resource_providers")).Json.GetProperty("resource_providers").GetArrayLength());
    }

    [Fact]
    public async Task A_subtree_moves_with_its_top_and_never_below_itself()
    {
        var first = await ProviderAsync("first");
        var second = await ProviderAsync("second");
        var child = await ProviderAsync("child", first);
        var grandchild = await ProviderAsync("grandchild", child);
        Assert.Equal(3, await CountAsync($"in_tree={grandchild}"));
        var loop = (await Api.PutAsync($"/resource_providers/{child}", $$"""{"name": "child", "parent_provider_uuid": "{{grandchild}}"}""")).Expect(400);
        Assert.Contains("creating loop in the provider tree is not allowed", Detail(loop), StringComparison.Ordinal);
        var move = $$"""{"name": "child", "parent_provider_uuid": "{{second}}"}""";
        (await At("1.36").PutAsync($"/resource_providers/{child}", move)).Expect(400);
        Assert.Equal(second, (await Api.PutAsync($"/resource_providers/{child}", move)).Expect(200).Json.GetProperty("root_provider_uuid").GetString());
        Assert.Equal(second, (await Api.GetAsync($"/resource_providers/{grandchild}")).Json.GetProperty("root_provider_uuid").GetString());
        Assert.Equal(1, await CountAsync($"in_tree={first}"));
        Assert.Equal(3, await CountAsync($"in_tree={second}"));
        (await Api.PutAsync($"/resource_providers/{child}", """{"name": "child", "parent_provider_uuid": null}""")).Expect(200);
        Assert.Equal(2, await CountAsync($"in_tree={child}"));
        Assert.Equal(1, await CountAsync($"in_tree={second}"));
    }

    [Fact]
    public async Task The_list_filters_by_name_resources_aggregates_and_traits()
    {
        var aggregate = Guid.NewGuid().ToString();
        var small = await ProviderWithAsync("\"VCPU\": {\"total\": 2}", name: "small");
        var large = await ProviderWithAsync("\"VCPU\": {\"total\": 8}", name: "large");
        await AggregatesAsync(large, aggregate);
        await TraitsAsync(small, "HW_CPU_X86_AVX2");
        await TraitsAsync(large, "HW_CPU_X86_AVX512F");
        Assert.Equal([small], await ListAsync("name=small"));
        Assert.Equal([large], await ListAsync($"uuid={large}"));
        Assert.Equal([small, large], await ListAsync("resources=VCPU:2"));
        Assert.Equal([large], await ListAsync("resources=VCPU:3"));
        Assert.Equal([large], await ListAsync($"member_of={aggregate}"));
        Assert.Equal([small], await ListAsync($"member_of=!{aggregate}"));
        Assert.Equal([small], await ListAsync("required=HW_CPU_X86_AVX2"));
        Assert.Equal([large], await ListAsync("required=!HW_CPU_X86_AVX2"));
        Assert.Equal([small, large], await ListAsync("required=in:HW_CPU_X86_AVX2,HW_CPU_X86_AVX512F"));
        Assert.Empty(await ListAsync($"in_tree={Guid.NewGuid()}"));
        (await Api.GetAsync("/resource_providers?resources=GOLD:1")).Expect(400);
        (await Api.GetAsync("/resource_providers?required=NO_SUCH_TRAIT")).Expect(400);
        (await At("1.38").GetAsync("/resource_providers?required=in:HW_CPU_X86_AVX2")).Expect(400);
        (await At("1.21").GetAsync("/resource_providers?required=!HW_CPU_X86_AVX2")).Expect(400);
    }

    [Fact]
    public async Task Aggregates_carry_a_generation_from_1_19_on()
    {
        var provider = await ProviderAsync();
        var path = $"/resource_providers/{provider}/aggregates";
        var aggregate = Guid.NewGuid().ToString();
        (await At("1.18").PutAsync(path, $"""["{aggregate}"]""")).Expect(200);
        Assert.Equal(0, await GenerationAsync(provider));
        Shape.Same("get-aggregates-1.19", (await Api.GetAsync(path)).Expect(200).Json);
        (await Api.PutAsync(path, """{"aggregates": [], "resource_provider_generation": 0}""")).Expect(200);
        Assert.Equal(1, await GenerationAsync(provider));
        Assert.Equal("placement.concurrent_update", Code((await Api.PutAsync(path, """{"aggregates": [], "resource_provider_generation": 0}""")).Expect(409)));
        (await Api.PutAsync(path, $$"""{"aggregates": ["{{aggregate}}", "{{aggregate}}"], "resource_provider_generation": 1}""")).Expect(400);
    }

    private async Task<string[]> ListAsync(string query) =>
        [.. (await Api.GetAsync("/resource_providers?" + query)).Expect(200).Json.GetProperty("resource_providers").EnumerateArray().Select(item => item.GetProperty("uuid").GetString()!)];

    private async Task<int> CountAsync(string query) => (await ListAsync(query)).Length;
}
