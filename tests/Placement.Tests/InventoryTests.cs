namespace SharpStack.Placement.Tests;

public sealed class InventoryTests : PlacementTest
{
    /// <summary>The figures of a compute host with OpenStack's default ratios.</summary>
    private const string Host =
        """
        "VCPU": {"total": 4, "max_unit": 4, "allocation_ratio": 16.0},
        "MEMORY_MB": {"total": 7976, "reserved": 512, "max_unit": 7976, "allocation_ratio": 1.5},
        "DISK_GB": {"total": 19, "max_unit": 19, "allocation_ratio": 1.0}
        """;

    [Fact]
    public async Task Inventories_are_set_and_shown_as_a_whole()
    {
        var provider = await ProviderWithAsync(Host);
        var answer = (await Api.GetAsync($"/resource_providers/{provider}/inventories")).Expect(200);
        Shape.Same("get-inventories", answer.Json);
        Assert.Equal(1, answer.Json.GetProperty("resource_provider_generation").GetInt32());
        Assert.Contains(
            "\"MEMORY_MB\":{\"total\":7976,\"reserved\":512,\"min_unit\":1,\"max_unit\":7976,\"step_size\":1,\"allocation_ratio\":1.5}", answer.Text, StringComparison.Ordinal);
        Assert.Contains("\"allocation_ratio\":16.0}", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stale_generation_changes_nothing()
    {
        var provider = await ProviderWithAsync(Host);
        var answer = (await SetInventoriesAsync(provider, "\"VCPU\": {\"total\": 1}", 0)).Expect(409);
        Assert.Equal("placement.concurrent_update", Code(answer));
        Assert.Contains("resource provider generation conflict", Detail(answer), StringComparison.Ordinal);
        var one = (await Api.PutAsync($"/resource_providers/{provider}/inventories/VCPU", """{"total": 1, "resource_provider_generation": 9}""")).Expect(409);
        Assert.Equal("placement.concurrent_update", Code(one));
        Assert.Equal(4, (await Api.GetAsync($"/resource_providers/{provider}/inventories/VCPU")).Json.GetProperty("total").GetInt32());
    }

    [Fact]
    public async Task One_inventory_can_be_added_changed_and_removed()
    {
        var provider = await ProviderAsync();
        var path = $"/resource_providers/{provider}/inventories";
        var added = (await Api.PostAsync(path, """{"resource_class": "DISK_GB", "total": 50}""")).Expect(201);
        Assert.Equal($"{path}/DISK_GB", added.Headers.Location!.ToString());
        Shape.Same("update-inventory", added.Json);
        Assert.Equal(2147483647, added.Json.GetProperty("max_unit").GetInt64());
        (await Api.PostAsync(path, """{"resource_class": "DISK_GB", "total": 50}""")).Expect(409);
        var changed = (await Api.PutAsync($"{path}/DISK_GB", """{"total": 60, "resource_provider_generation": 1}""")).Expect(200);
        Assert.Equal(2, changed.Json.GetProperty("resource_provider_generation").GetInt32());
        (await Api.PutAsync($"{path}/VCPU", """{"total": 60, "resource_provider_generation": 2}""")).Expect(400);
        (await Api.DeleteAsync($"{path}/DISK_GB")).Expect(204);
        (await Api.DeleteAsync($"{path}/DISK_GB")).Expect(404);
        (await Api.GetAsync($"{path}/DISK_GB")).Expect(404);
    }

    [Fact]
    public async Task What_is_in_use_cannot_be_removed()
    {
        var provider = await ProviderWithAsync(Host);
        (await ClaimAsync(Guid.NewGuid().ToString(), provider, "\"VCPU\": 1, \"MEMORY_MB\": 512")).Expect(204);
        var all = (await Api.DeleteAsync($"/resource_providers/{provider}/inventories")).Expect(409);
        Assert.Equal("placement.inventory.inuse", Code(all));
        Assert.Contains($"Inventory for 'VCPU, MEMORY_MB' on resource provider '{provider}' in use.", Detail(all), StringComparison.Ordinal);
        Assert.Equal("placement.inventory.inuse", Code((await SetInventoriesAsync(provider, "\"VCPU\": {\"total\": 4}", 2)).Expect(409)));
        Assert.Contains("Unable to delete inventory of class VCPU", Detail((await Api.DeleteAsync($"/resource_providers/{provider}/inventories/VCPU")).Expect(409)), StringComparison.Ordinal);
        (await Api.DeleteAsync($"/resource_providers/{provider}/inventories/DISK_GB")).Expect(204);
        Assert.Equal(2, (await Api.GetAsync($"/resource_providers/{provider}/inventories")).Json.GetProperty("inventories").EnumerateObject().Count());
    }

    [Fact]
    public async Task Everything_may_be_reserved_from_1_26_on()
    {
        var provider = await ProviderAsync();
        var body = """{"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 4, "reserved": 4}}}""";
        var old = (await At("1.25").PutAsync($"/resource_providers/{provider}/inventories", body)).Expect(400);
        Assert.Contains("The reserved value is greater than or equal to total.", Detail(old), StringComparison.Ordinal);
        (await At("1.26").PutAsync($"/resource_providers/{provider}/inventories", body)).Expect(200);
        Assert.Contains("greater than total", Detail((await SetInventoriesAsync(provider, "\"VCPU\": {\"total\": 4, \"reserved\": 5}", 1)).Expect(400)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"VCPU\": {}")]
    [InlineData("\"VCPU\": {\"total\": 0}")]
    [InlineData("\"VCPU\": {\"total\": \"4\"}")]
    [InlineData("\"VCPU\": {\"total\": 4.5}")]
    [InlineData("\"VCPU\": {\"total\": 2147483648}")]
    [InlineData("\"VCPU\": {\"total\": 4, \"step_size\": 0}")]
    [InlineData("\"VCPU\": {\"total\": 4, \"allocation_ratio\": 1e400}")]
    [InlineData("\"VCPU\": {\"total\": 4, \"colour\": 1}")]
    [InlineData("\"VCPU\": 4")]
    [InlineData("\"vcpu\": {\"total\": 4}")]
    [InlineData("\"CUSTOM_UNKNOWN\": {\"total\": 4}")]
    public async Task Malformed_inventories_are_refused(string inventories)
    {
        var provider = await ProviderAsync();
        (await SetInventoriesAsync(provider, inventories, 0)).Expect(400);
        Assert.Equal(0, await GenerationAsync(provider));
    }

    [Fact]
    public async Task A_whole_number_may_be_written_as_a_float() =>
        Assert.Equal(4, (await SetInventoriesAsync(await ProviderAsync(), "\"VCPU\": {\"total\": 4.0}", 0)).Expect(200)
            .Json.GetProperty("inventories").GetProperty("VCPU").GetProperty("total").GetInt32());
}
