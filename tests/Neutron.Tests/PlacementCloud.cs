using System.Text.Json;
using SharpStack.Placement;
using SharpStack.TestKit;

namespace SharpStack.Neutron.Tests;

/// <summary>Neutron beside a real Placement.</summary>
internal sealed class PlacementCloud : IAsyncDisposable
{
    private readonly TestClient placement;

    private PlacementCloud(NeutronCloud neutron, TestClient placement)
    {
        Neutron = neutron;
        this.placement = placement;
    }

    public NeutronCloud Neutron { get; }

    public static async Task<PlacementCloud> StartAsync()
    {
        var cloud = await NeutronCloud.StartAsync([new NovaStandIn(), new PlacementModule()]);
        return new PlacementCloud(cloud, cloud.Cloud.Client("placement-api", "admin", "placement 1.36"));
    }

    /// <summary>A provider as Nova makes it of a compute node.</summary>
    public async Task<string> AddProviderAsync(string name) => (await placement.PostAsync("/resource_providers", $$"""{"name": "{{name}}"}""")).Expect(200).Json.GetProperty("uuid").GetString()!;

    public async Task<List<JsonElement>> TreeAsync(string id) =>
        [.. (await placement.GetAsync($"/resource_providers?in_tree={id}")).Expect(200).Json.GetProperty("resource_providers").EnumerateArray()];

    public async Task<JsonElement> PlacementAsync(string provider, string part) => (await placement.GetAsync($"/resource_providers/{provider}/{part}")).Expect(200).Json;

    public Task<TestAnswer> SendAsync(HttpMethod method, string path, string? body = null) => placement.SendAsync(method, path, body);

    public async ValueTask DisposeAsync()
    {
        placement.Dispose();
        await Neutron.DisposeAsync();
    }
}
