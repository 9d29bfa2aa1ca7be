using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Placement.Tests;

/// <summary>A test with a Placement of its own, and short ways to fill it.</summary>
public abstract class PlacementTest : IAsyncLifetime
{
    protected const string Project = TestIdentities.DemoProject;

    private readonly List<TestClient> clients = [];

    protected TestCloud Cloud { get; private set; } = null!;

    /// <summary>An administrator at the newest version.</summary>
    protected TestClient Api { get; private set; } = null!;

    protected static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Cloud = await TestCloud.StartAsync(new PlacementModule());
        Api = At("1.39");
    }

    public async ValueTask DisposeAsync()
    {
        clients.ForEach(client => client.Dispose());
        await Cloud.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    protected TestClient At(string version, string? token = "admin")
    {
        var client = Cloud.Client("placement-api", token, "placement " + version);
        clients.Add(client);
        return client;
    }

    protected async Task<string> ProviderAsync(string? name = null, string? parent = null)
    {
        var uuid = Guid.NewGuid().ToString();
        var answer = await Api.PostAsync("/resource_providers", JsonSerializer.Serialize(new { name = name ?? uuid, uuid, parent_provider_uuid = parent }));
        answer.Expect(200);
        return uuid;
    }

    /// <summary>A provider with inventories such as <c>"VCPU": {"total": 4}</c>.</summary>
    protected async Task<string> ProviderWithAsync(string inventories, string? parent = null, string? name = null)
    {
        var uuid = await ProviderAsync(name, parent);
        (await SetInventoriesAsync(uuid, inventories, 0)).Expect(200);
        return uuid;
    }

    protected Task<TestAnswer> SetInventoriesAsync(string provider, string inventories, long generation) =>
        Api.PutAsync($"/resource_providers/{provider}/inventories", $$"""{"resource_provider_generation": {{generation}}, "inventories": { {{inventories}} } }""");

    protected async Task TraitsAsync(string provider, params string[] traits)
    {
        foreach (var trait in traits.Where(trait => trait.StartsWith("CUSTOM_", StringComparison.Ordinal)))
        {
            Assert.InRange((await Api.PutAsync($"/traits/{trait}")).Status, 201, 204);
        }

        var generation = await GenerationAsync(provider);
        (await Api.PutAsync($"/resource_providers/{provider}/traits", JsonSerializer.Serialize(new { traits, resource_provider_generation = generation }))).Expect(200);
    }

    protected async Task AggregatesAsync(string provider, params string[] aggregates)
    {
        var generation = await GenerationAsync(provider);
        (await Api.PutAsync($"/resource_providers/{provider}/aggregates", JsonSerializer.Serialize(new { aggregates, resource_provider_generation = generation }))).Expect(200);
    }

    protected async Task<long> GenerationAsync(string provider) =>
        (await Api.GetAsync($"/resource_providers/{provider}")).Expect(200).Json.GetProperty("generation").GetInt64();

    /// <summary>Claims for a consumer at 1.39; resources such as <c>"VCPU": 1</c>.</summary>
    protected Task<TestAnswer> ClaimAsync(string consumer, string provider, string resources, long? generation = null, string type = "INSTANCE") =>
        Api.PutAsync($"/allocations/{consumer}", Claim(Of(provider, resources), generation, type));

    /// <summary>Allocations from one provider.</summary>
    protected static string Of(string provider, string resources) => $$"""{"{{provider}}": {"resources": { {{resources}} } } }""";

    protected static string Claim(string allocations, long? generation = null, string type = "INSTANCE") =>
        $$"""{"allocations": {{allocations}}, "project_id": "{{Project}}", "user_id": "u1", "consumer_generation": {{generation?.ToString() ?? "null"}}, "consumer_type": "{{type}}"}""";

    /// <summary>The providers of a search's proposals.</summary>
    protected static string[] Providers(JsonElement result) =>
        [.. result.GetProperty("allocation_requests").EnumerateArray().SelectMany(request => request.GetProperty("allocations").EnumerateObject()).Select(item => item.Name)];

    protected static string Detail(TestAnswer answer) => Error(answer).GetProperty("detail").GetString()!;

    protected static string? Code(TestAnswer answer) => Error(answer).TryGetProperty("code", out var code) ? code.GetString() : null;

    protected static JsonElement Error(TestAnswer answer) => answer.Json.GetProperty("errors")[0];
}
