using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Placement.Tests;

public sealed class AllocationCandidateTests : PlacementTest
{
    private const string Host = "\"VCPU\": {\"total\": 4}, \"MEMORY_MB\": {\"total\": 2048}";

    private readonly string aggregate = Guid.NewGuid().ToString();

    [Fact]
    public async Task Candidates_are_those_with_room_and_say_what_they_have()
    {
        var small = await ProviderWithAsync(Host);
        var large = await ProviderWithAsync("\"VCPU\": {\"total\": 8, \"allocation_ratio\": 16.0}, \"MEMORY_MB\": {\"total\": 8192, \"reserved\": 512}");
        var result = await CandidatesAsync("resources=VCPU:1,MEMORY_MB:2048");
        Assert.Equal([small, large], Providers(result));
        (await ClaimAsync(Guid.NewGuid().ToString(), small, "\"MEMORY_MB\": 1")).Expect(204);
        result = await CandidatesAsync("resources=VCPU:1,MEMORY_MB:2048");
        Assert.Equal([large], Providers(result));
        var summary = result.GetProperty("provider_summaries").GetProperty(large);
        Assert.Equal(128, summary.GetProperty("resources").GetProperty("VCPU").GetProperty("capacity").GetInt32());
        Assert.Equal(7680, summary.GetProperty("resources").GetProperty("MEMORY_MB").GetProperty("capacity").GetInt32());
        Assert.Equal(large, result.GetProperty("allocation_requests")[0].GetProperty("mappings").GetProperty("")[0].GetString());
    }

    [Fact]
    public async Task What_changes_is_seen_by_the_next_search()
    {
        var provider = await ProviderWithAsync(Host);
        Assert.Equal([provider], Providers(await CandidatesAsync("resources=VCPU:4")));
        var consumer = Guid.NewGuid().ToString();
        (await ClaimAsync(consumer, provider, "\"VCPU\": 1")).Expect(204);
        Assert.Empty(Providers(await CandidatesAsync("resources=VCPU:4")));
        (await Api.DeleteAsync($"/allocations/{consumer}")).Expect(204);
        Assert.Equal([provider], Providers(await CandidatesAsync("resources=VCPU:4")));
        await TraitsAsync(provider, "HW_CPU_X86_AVX2");
        Assert.Equal([provider], Providers(await CandidatesAsync("resources=VCPU:4&required=HW_CPU_X86_AVX2")));
        (await Api.DeleteAsync($"/resource_providers/{provider}")).Expect(204);
        Assert.Empty(Providers(await CandidatesAsync("resources=VCPU:4")));
    }

    [Fact]
    public async Task What_another_process_writes_is_seen_too()
    {
        var provider = await ProviderWithAsync(Host);
        Assert.Equal([provider], Providers(await CandidatesAsync("resources=VCPU:4")));
        var database = Cloud.DatabaseUrl("placement");
        await using var other = await TestCloud.StartAsync([new PlacementModule()], [("placement", "placement_database", "connection", database)]);
        using var client = other.Client("placement-api", "admin", "placement 1.39");
        (await client.PutAsync($"/allocations/{Guid.NewGuid()}", Claim(Of(provider, "\"VCPU\": 1")))).Expect(204);
        Assert.Empty(Providers(await CandidatesAsync("resources=VCPU:4")));
        Assert.Equal([provider], Providers(await CandidatesAsync("resources=VCPU:3")));
    }

    [Fact]
    public async Task Traits_can_be_required_forbidden_and_chosen_from()
    {
        var fast = await ProviderWithAsync(Host);
        var wide = await ProviderWithAsync(Host);
        var both = await ProviderWithAsync(Host);
        await TraitsAsync(fast, "CUSTOM_FAST");
        await TraitsAsync(wide, "CUSTOM_WIDE");
        await TraitsAsync(both, "CUSTOM_FAST", "CUSTOM_WIDE");
        Assert.Equal([fast, both], Providers(await CandidatesAsync("resources=VCPU:1&required=CUSTOM_FAST")));
        Assert.Equal([fast], Providers(await CandidatesAsync("resources=VCPU:1&required=CUSTOM_FAST,!CUSTOM_WIDE")));
        Assert.Equal([fast, wide, both], Providers(await CandidatesAsync("resources=VCPU:1&required=in:CUSTOM_FAST,CUSTOM_WIDE")));
        Assert.Equal([both], Providers(await CandidatesAsync("resources=VCPU:1&required=CUSTOM_FAST&required=CUSTOM_WIDE")));
        Assert.Equal([wide], Providers(await CandidatesAsync("resources=VCPU:1&root_required=CUSTOM_WIDE,!CUSTOM_FAST")));
    }

    [Fact]
    public async Task Aggregates_trees_and_limits_narrow_the_search()
    {
        var first = await ProviderWithAsync(Host);
        var second = await ProviderWithAsync(Host);
        await AggregatesAsync(second, aggregate);
        Assert.Equal([second], Providers(await CandidatesAsync($"resources=VCPU:1&member_of={aggregate}")));
        Assert.Equal([second], Providers(await CandidatesAsync($"resources=VCPU:1&member_of=in:{aggregate},{Guid.NewGuid()}")));
        Assert.Equal([first], Providers(await CandidatesAsync($"resources=VCPU:1&member_of=!{aggregate}")));
        Assert.Equal([second], Providers(await CandidatesAsync($"resources=VCPU:1&in_tree={second}")));
        Assert.Empty(Providers(await CandidatesAsync($"resources=VCPU:1&in_tree={Guid.NewGuid()}")));
        var limited = await CandidatesAsync("resources=VCPU:1&limit=1");
        Assert.Equal([first], Providers(limited));
        Assert.Single(limited.GetProperty("provider_summaries").EnumerateObject());
    }

    [Fact]
    public async Task A_tree_serves_a_request_together_and_a_suffixed_group_alone()
    {
        var host = await ProviderWithAsync(Host);
        var nic = await ProviderAsync(parent: host);
        var one = await ProviderWithAsync("\"SRIOV_NET_VF\": {\"total\": 4}", nic);
        var two = await ProviderWithAsync("\"SRIOV_NET_VF\": {\"total\": 4}", nic);
        await TraitsAsync(two, "CUSTOM_PHYSNET2");

        var together = await CandidatesAsync("resources=VCPU:1,SRIOV_NET_VF:2");
        Assert.Equal(2, together.GetProperty("allocation_requests").GetArrayLength());
        Assert.Equal(4, together.GetProperty("provider_summaries").EnumerateObject().Count());
        Assert.Empty(Providers(await CandidatesAsync("resources=VCPU:1,SRIOV_NET_VF:2", "1.28")));

        var granular = await CandidatesAsync("resources=VCPU:1&resources_NET=SRIOV_NET_VF:2&required_NET=CUSTOM_PHYSNET2");
        Shape.Same("get-allocation_candidates-1.34", granular);
        var only = Assert.Single(granular.GetProperty("allocation_requests").EnumerateArray());
        Assert.Equal(two, only.GetProperty("mappings").GetProperty("_NET")[0].GetString());
        Assert.Equal(2, only.GetProperty("allocations").GetProperty(two).GetProperty("resources").GetProperty("SRIOV_NET_VF").GetInt32());
        Assert.Equal(1, only.GetProperty("allocations").GetProperty(host).GetProperty("resources").GetProperty("VCPU").GetInt32());

        var isolated = await CandidatesAsync("resources1=SRIOV_NET_VF:2&resources2=SRIOV_NET_VF:2&group_policy=isolate");
        Assert.Equal(2, isolated.GetProperty("allocation_requests").GetArrayLength());
        var anyhow = await CandidatesAsync("resources1=SRIOV_NET_VF:2&resources2=SRIOV_NET_VF:2&group_policy=none");
        Assert.Equal(4, anyhow.GetProperty("allocation_requests").GetArrayLength());
        var tight = await CandidatesAsync("resources1=SRIOV_NET_VF:3&resources2=SRIOV_NET_VF:3&group_policy=none");
        Assert.Equal(2, tight.GetProperty("allocation_requests").GetArrayLength());
        Assert.Equal(one, isolated.GetProperty("allocation_requests")[0].GetProperty("mappings").GetProperty("1")[0].GetString());
    }

    [Fact]
    public async Task Groups_of_one_subtree_have_a_provider_above_them()
    {
        var host = await ProviderWithAsync(Host);
        var numa = new List<string>();
        for (var i = 0; i < 2; i++)
        {
            var node = await ProviderWithAsync("\"PCPU\": {\"total\": 4}", host);
            await TraitsAsync(node, "HW_NUMA_ROOT");
            numa.Add(node);
            await ProviderWithAsync("\"VGPU\": {\"total\": 1}", node);
        }

        const string request = "resources_CPU=PCPU:1&resources_GPU=VGPU:1&group_policy=none";
        Assert.Equal(4, (await CandidatesAsync(request)).GetProperty("allocation_requests").GetArrayLength());
        Assert.Equal(2, (await CandidatesAsync(request + "&same_subtree=_CPU,_GPU")).GetProperty("allocation_requests").GetArrayLength());
        var resourceless = await CandidatesAsync("resources_GPU=VGPU:1&required_NUMA=HW_NUMA_ROOT&same_subtree=_NUMA,_GPU&group_policy=none");
        Assert.Equal(2, resourceless.GetProperty("allocation_requests").GetArrayLength());
        (await Api.GetAsync("/allocation_candidates?resources_GPU=VGPU:1&required_NUMA=HW_NUMA_ROOT&group_policy=none")).Expect(400);
    }

    [Fact]
    public async Task A_sharing_provider_serves_the_trees_of_its_aggregate()
    {
        var inside = await ProviderWithAsync(Host);
        var outside = await ProviderWithAsync(Host);
        var storage = await ProviderWithAsync("\"DISK_GB\": {\"total\": 1000}");
        await TraitsAsync(storage, "MISC_SHARES_VIA_AGGREGATE");
        await AggregatesAsync(inside, aggregate);
        await AggregatesAsync(storage, aggregate);
        var result = await CandidatesAsync("resources=VCPU:1,DISK_GB:10");
        var only = Assert.Single(result.GetProperty("allocation_requests").EnumerateArray());
        Assert.Equal(
            new[] { inside, storage }.Order(StringComparer.Ordinal),
            only.GetProperty("allocations").EnumerateObject().Select(item => item.Name).Order(StringComparer.Ordinal));
        Assert.DoesNotContain(outside, Providers(result));
        Assert.Single((await CandidatesAsync("resources=DISK_GB:10")).GetProperty("allocation_requests").EnumerateArray());
    }

    [Theory]
    [InlineData("1.10", "get-allocation_candidates")]
    [InlineData("1.12", "get-allocation_candidates-1.12")]
    [InlineData("1.17", "get-allocation_candidates-1.17")]
    [InlineData("1.29", "get-allocation_candidates-1.29")]
    public async Task The_shape_is_that_of_the_version(string version, string sample)
    {
        await TraitsAsync(await ProviderWithAsync(Host), "HW_CPU_X86_AVX2");
        var result = await CandidatesAsync("resources=VCPU:1", version);
        Shape.Same(sample, result);
        var resources = result.GetProperty("provider_summaries").EnumerateObject().Single().Value.GetProperty("resources");
        Assert.Equal(version == "1.29" ? 2 : 1, resources.EnumerateObject().Count());
    }

    [Theory]
    [InlineData("", "There must be at least one resources or resources[$S] parameter.")]
    [InlineData("resources=", "Got: empty string.")]
    [InlineData("resources=VCPU", "Got: VCPU.")]
    [InlineData("resources=VCPU:x", "expected positive integer amount. Got: x.")]
    [InlineData("resources=VCPU:0", "requires amount >= 1. Got: 0.")]
    [InlineData("resources=GOLD:1", "Invalid resource class in resources parameter: No such resource class GOLD.")]
    [InlineData("resources=VCPU:1&required=NONE", "No such trait(s): NONE.")]
    [InlineData("resources=VCPU:1&required=", "Got an empty trait in: ")]
    [InlineData("resources=VCPU:1&required=CUSTOM_A,!CUSTOM_A", "Conflicting required and forbidden traits found in the following traits keys: required: (CUSTOM_A)")]
    [InlineData("resources=VCPU:1&limit=0", "does not match '^[1-9][0-9]*$'")]
    [InlineData("resources=VCPU:1&colour=red", "'colour' was unexpected")]
    [InlineData("resources=VCPU:1&member_of=x", "Expected 'member_of' parameter to contain valid UUID(s). Got: x")]
    [InlineData("resources=VCPU:1&in_tree=x", "Expected 'in_tree' parameter to be a format of uuid. Got: x")]
    [InlineData("resources1=VCPU:1&resources2=VCPU:1", "The \"group_policy\" parameter is required")]
    [InlineData("resources1=VCPU:1&group_policy=some", "'some' is not one of ['none', 'isolate']")]
    [InlineData("resources=VCPU:1&root_required=HW_CPU_X86_AVX,!HW_CPU_X86_AVX", "Conflicting required and forbidden traits found in root_required: HW_CPU_X86_AVX")]
    public async Task A_query_that_makes_no_sense_is_refused_with_what_is_wrong(string query, string why)
    {
        await TraitsAsync(await ProviderWithAsync(Host), "CUSTOM_A");
        Assert.Contains(why, Detail((await Api.GetAsync("/allocation_candidates?" + query)).Expect(400)), StringComparison.Ordinal);
    }

    private async Task<JsonElement> CandidatesAsync(string query, string version = "1.39") =>
        (await At(version).GetAsync("/allocation_candidates?" + query)).Expect(200).Json;
}
