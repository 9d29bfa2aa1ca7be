namespace SharpStack.Placement.Tests;

public sealed class NamesTests : PlacementTest
{
    [Fact]
    public async Task The_standard_resource_classes_come_first_in_their_order()
    {
        var json = (await Api.GetAsync("/resource_classes")).Expect(200).Json;
        Shape.Same("get-resource_classes", json);
        var names = json.GetProperty("resource_classes").EnumerateArray().Select(item => item.GetProperty("name").GetString()).ToList();
        Assert.Equal(["VCPU", "MEMORY_MB", "DISK_GB", "PCI_DEVICE"], names.Take(4));
        Assert.Equal(21, names.Count);
    }

    [Fact]
    public async Task A_custom_class_can_be_made_shown_and_removed()
    {
        (await Api.PutAsync("/resource_classes/CUSTOM_GOLD")).Expect(201);
        (await Api.PutAsync("/resource_classes/CUSTOM_GOLD")).Expect(204);
        (await Api.PostAsync("/resource_classes", """{"name": "CUSTOM_GOLD"}""")).Expect(409);
        Assert.Equal("CUSTOM_GOLD", (await Api.GetAsync("/resource_classes/CUSTOM_GOLD")).Expect(200).Json.GetProperty("name").GetString());
        (await Api.DeleteAsync("/resource_classes/CUSTOM_GOLD")).Expect(204);
        (await Api.GetAsync("/resource_classes/CUSTOM_GOLD")).Expect(404);
    }

    [Fact]
    public async Task A_class_in_use_and_a_standard_class_stay()
    {
        (await Api.PutAsync("/resource_classes/CUSTOM_GOLD")).Expect(201);
        await ProviderWithAsync("\"CUSTOM_GOLD\": {\"total\": 1}");
        Assert.Contains("Class is in use in inventory", Detail((await Api.DeleteAsync("/resource_classes/CUSTOM_GOLD")).Expect(409)), StringComparison.Ordinal);
        Assert.Contains("Cannot delete standard resource class VCPU", Detail((await Api.DeleteAsync("/resource_classes/VCPU")).Expect(400)), StringComparison.Ordinal);
        (await Api.PutAsync("/resource_classes/GOLD")).Expect(400);
    }

    [Fact]
    public async Task A_renamed_class_keeps_its_inventories()
    {
        var old = At("1.6");
        (await old.PostAsync("/resource_classes", """{"name": "CUSTOM_OLD"}""")).Expect(201);
        var provider = await ProviderWithAsync("\"CUSTOM_OLD\": {\"total\": 7}");
        (await old.PutAsync("/resource_classes/CUSTOM_OLD", """{"name": "CUSTOM_NEW"}""")).Expect(200);
        Assert.Equal(7, (await Api.GetAsync($"/resource_providers/{provider}/inventories/CUSTOM_NEW")).Expect(200).Json.GetProperty("total").GetInt32());
        Assert.Contains("CUSTOM_NEW", (await Api.GetAsync("/allocation_candidates?resources=CUSTOM_NEW:1")).Expect(200).Text, StringComparison.Ordinal);
        (await old.PutAsync("/resource_classes/VCPU", """{"name": "CUSTOM_CPU"}""")).Expect(400);
    }

    [Fact]
    public async Task The_standard_traits_are_there_and_custom_ones_can_be_added()
    {
        var all = (await Api.GetAsync("/traits")).Expect(200).Json;
        Shape.Same("get-traits", all);
        Assert.Equal(345, all.GetProperty("traits").GetArrayLength());
        (await Api.GetAsync("/traits/HW_CPU_X86_AVX2")).Expect(204);
        (await Api.PutAsync("/traits/CUSTOM_FAST")).Expect(201);
        (await Api.PutAsync("/traits/CUSTOM_FAST")).Expect(204);
        Assert.Equal("""{"traits":["CUSTOM_FAST"]}""", (await Api.GetAsync("/traits?name=startswith:CUSTOM_")).Text);
        Assert.Equal(2, (await Api.GetAsync("/traits?name=in:CUSTOM_FAST,HW_CPU_X86_AVX2,NOT_THERE")).Json.GetProperty("traits").GetArrayLength());
        (await Api.DeleteAsync("/traits/CUSTOM_FAST")).Expect(204);
        (await Api.DeleteAsync("/traits/HW_CPU_X86_AVX2")).Expect(400);
        (await Api.PutAsync("/traits/fast")).Expect(400);
        (await Api.GetAsync("/traits?name=CUSTOM_FAST")).Expect(400);
        (await Api.GetAsync("/traits?associated=maybe")).Expect(400);
    }

    [Fact]
    public async Task Traits_of_a_provider_are_set_at_its_generation_and_then_are_in_use()
    {
        var provider = await ProviderAsync();
        await TraitsAsync(provider, "CUSTOM_FAST", "HW_CPU_X86_AVX2");
        var path = $"/resource_providers/{provider}/traits";
        var shown = (await Api.GetAsync(path)).Expect(200).Json;
        Shape.Same("get-resource_provider-traits", shown);
        Assert.Equal(1, shown.GetProperty("resource_provider_generation").GetInt32());
        Assert.Equal(2, (await Api.GetAsync("/traits?associated=true")).Json.GetProperty("traits").GetArrayLength());
        (await Api.DeleteAsync("/traits/CUSTOM_FAST")).Expect(409);
        Assert.Equal("placement.concurrent_update", Code((await Api.PutAsync(path, """{"traits": [], "resource_provider_generation": 0}""")).Expect(409)));
        Assert.Contains("No such trait NOPE", Detail((await Api.PutAsync(path, """{"traits": ["NOPE"], "resource_provider_generation": 1}""")).Expect(400)), StringComparison.Ordinal);

        // The same traits again change nothing, not even the generation.
        var same = await Api.PutAsync(path, """{"traits": ["CUSTOM_FAST", "HW_CPU_X86_AVX2"], "resource_provider_generation": 1}""");
        Assert.Equal(1, same.Expect(200).Json.GetProperty("resource_provider_generation").GetInt32());
        (await Api.DeleteAsync(path)).Expect(204);
        (await Api.DeleteAsync("/traits/CUSTOM_FAST")).Expect(204);
    }
}
