using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Scheduling;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Nova with the services around it and one host, <c>host1</c>, in this process.</summary>
internal sealed class NovaCloud : IAsyncDisposable
{
    private readonly List<FakeHost> hosts = [];

    private NovaCloud(TestCloud cloud, FakeServices services)
    {
        Cloud = cloud;
        Services = services;
    }

    public TestCloud Cloud { get; private set; }

    public FakeServices Services { get; }

    public FakeHost Host => hosts[0];

    public string ImageId { get; private set; } = "";

    public string NetworkId { get; private set; } = "";

    public static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <param name="data">The folder of a cloud that was stopped, to go on with.</param>
    public static async Task<NovaCloud> StartAsync(
        FakeServices? services = null, string? data = null, IEnumerable<(string, string, string, string)>? settings = null, TimeProvider? time = null, LeaseTimings? leases = null)
    {
        services ??= new FakeServices();
        var cloud = await StartProcessAsync(services, data, settings, time, leases, null);
        var nova = new NovaCloud(cloud, services);
        if (data is null)
        {
            services.AddGroup("11111111-1111-1111-1111-111111111111", "default");
            nova.ImageId = services.AddImage();
            nova.NetworkId = services.AddNetwork();
            await nova.Admin().PostAsync("/v2.1/flavors", """{"flavor": {"name": "m1.nano", "id": "1", "ram": 512, "vcpus": 1, "disk": 1}}""");
        }
        else
        {
            nova.ImageId = services.Images.Keys.First();
            nova.NetworkId = services.Networks.Keys.First();
        }

        await nova.AddHostAsync("host1");
        return nova;
    }

    /// <summary>Starts another process of Nova on a cloud's database and bus; to be disposed before the cloud.</summary>
    public static Task<TestCloud> JoinAsync(NovaCloud nova, LeaseTimings leases) =>
        StartProcessAsync(nova.Services, nova.Cloud.Data, null, null, leases, nova.Cloud.Get<IMessageBus>());

    /// <summary>Adds a host and waits until Placement knows it.</summary>
    public async Task<FakeHost> AddHostAsync(string name)
    {
        var host = new FakeHost(Cloud.Get<IMessageBus>(), name);
        hosts.Add(host);
        var id = (await host.ReportAsync(Cancelled)).ComputeNodeId;
        await Eventually.TrueAsync(
            () => Services.Providers.TryGetValue(id, out var provider) && ((System.Text.Json.Nodes.JsonArray)provider["traits"]!).Count > 0, $"the provider of {name}");
        return host;
    }

    public TestClient Admin(string microversion = "compute 2.96") => Cloud.Client("nova-api", "admin", microversion);

    public TestClient Demo(string microversion = "compute 2.96") => Cloud.Client("nova-api", "demo", microversion);

    public string ServerBody(string name = "demo-instance-1", string more = "") =>
        $$"""{"server": {"name": "{{name}}", "flavorRef": "1", "imageRef": "{{ImageId}}", "networks": [{"uuid": "{{NetworkId}}"}]{{more}}} }""";

    /// <summary>Creates a server and gives its UUID.</summary>
    public async Task<string> CreateAsync(string name = "demo-instance-1", string more = "")
    {
        var answer = (await Demo().PostAsync("/v2.1/servers", ServerBody(name, more))).Expect(202);
        return answer.Json.GetProperty("server").GetProperty("id").GetString()!;
    }

    public async Task<JsonElement> ShowAsync(string id) => (await Admin().GetAsync($"/v2.1/servers/{id}")).Expect(200).Json.GetProperty("server");

    public Task WaitForStatusAsync(string id, string status) =>
        Eventually.TrueAsync(
            async () =>
            {
                var answer = await Admin().GetAsync($"/v2.1/servers/{id}");
                return answer.Status == 200
                    && answer.Json.GetProperty("server") is var server
                    && server.GetProperty("status").GetString() == status
                    && server.GetProperty("OS-EXT-STS:task_state").ValueKind == JsonValueKind.Null;
            },
            $"server {id} is {status}");

    public Task WaitForGoneAsync(string id) => Eventually.TrueAsync(async () => (await Admin().GetAsync($"/v2.1/servers/{id}")).Status == 404, $"server {id} is gone");

    /// <summary>A server that runs.</summary>
    public async Task<string> BootAsync(string name = "demo-instance-1", string more = "")
    {
        var id = await CreateAsync(name, more);
        await WaitForStatusAsync(id, "ACTIVE");
        return id;
    }

    /// <summary>Stops the services and starts them again on the same data, as after a kill.</summary>
    public async Task<NovaCloud> RestartAsync()
    {
        hosts.ForEach(host => host.Dispose());
        var data = await Cloud.StopAndKeepDataAsync();
        return await StartAsync(Services, data);
    }

    private static Task<TestCloud> StartProcessAsync(
        FakeServices services, string? data, IEnumerable<(string, string, string, string)>? settings, TimeProvider? time, LeaseTimings? leases, IMessageBus? bus) =>
        TestCloud.StartAsync(
            [services, new NovaModule()],
            [("nova", "neutron", "metadata_proxy_shared_secret", "secret"), ("nova", "neutron", "service_metadata_proxy", "true"), .. settings ?? []],
            data,
            time,
            container =>
            {
                container.AddSingleton<IScheduler>(new FirstHostScheduler(services));
                if (leases is not null)
                {
                    container.AddSingleton(leases);
                }

                if (bus is not null)
                {
                    container.AddSingleton(bus);
                }
            },
            keepsData: bus is not null);

    public async ValueTask DisposeAsync()
    {
        hosts.ForEach(host => host.Dispose());
        await Cloud.DisposeAsync();
    }
}
