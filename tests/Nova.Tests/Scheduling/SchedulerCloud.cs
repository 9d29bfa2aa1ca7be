using System.Text.Json;
using LinqToDB;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;
using SharpStack.Placement;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests.Scheduling;

/// <summary>The scheduler with a real Placement, a real Keystone and Nova's database; only the table of hosts is given by the test.</summary>
internal sealed class SchedulerCloud : IAsyncDisposable
{
    private const string Identity = "http://127.0.0.1:5000/v3";
    private const string PlacementUrl = "http://127.0.0.1:8778";

    private readonly TestCloud cloud;
    private readonly TestClient placement;
    private readonly HostTable table;

    private SchedulerCloud(TestCloud cloud, HostTable table, TestClient placement)
    {
        this.cloud = cloud;
        this.table = table;
        this.placement = placement;
    }

    public IScheduler Scheduler => cloud.Get<IScheduler>();

    public static Task<SchedulerCloud> StartAsync(params (string Group, string Name, string Value)[] settings) => StartAsync(TimeProvider.System, null, settings);

    /// <param name="other">The cloud of which this is to be a second process; null for none.</param>
    public static async Task<SchedulerCloud> StartAsync(TimeProvider time, SchedulerCloud? other, params (string Group, string Name, string Value)[] settings)
    {
        (string, string, string, string)[] nova =
        [
            ("nova", "placement", "username", "nova"),
            ("nova", "placement", "password", "nova-secret"),
            ("nova", "placement", "auth_url", Identity),
            ("keystone", "identity", "password_hash_rounds", "4"),
            ("placement", "keystone_authtoken", "username", "placement"),
            .. settings.Select(setting => ("nova", setting.Group, setting.Name, setting.Value)),
        ];
        var table = other?.table ?? new HostTable();
        var cloud = await TestCloud.StartAsync(
            [new KeystoneModule(), new PlacementModule(), new SchedulerModule(table)], nova, other?.cloud.Data, time, keystone: true, keepsData: other is not null);
        var bootstrap = cloud.Get<KeystoneBootstrap>();
        await bootstrap.RunAsync(new BootstrapSettings("admin-secret") { PublicUrl = Identity, InternalUrl = Identity, AdminUrl = Identity }, TestContext.Current.CancellationToken);
        await bootstrap.RegisterServicesAsync(
            [new ServiceRegistration("nova", "nova-secret"), new ServiceRegistration("placement", "placement-secret", "placement", Url: PlacementUrl)],
            cancellationToken: TestContext.Current.CancellationToken);
        using var keystone = cloud.Client("keystone", null);
        var token = (await keystone.PostAsync(
            "/v3/auth/tokens",
            """
            {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "admin-secret"}}},
             "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
            """)).Expect(201).Headers.GetValues("X-Subject-Token").Single();
        return new SchedulerCloud(cloud, table, cloud.Client("placement-api", token, "placement 1.39"));
    }

    /// <summary>A host with VCPU (ratio 16), MEMORY_MB (reserved 512, ratio 1.5) and DISK_GB (ratio 1).</summary>
    public async Task<HostState> HostAsync(string name, int vcpus = 4, int memoryMb = 4096, int diskGb = 20, Func<HostState, HostState>? with = null, params string[] traits)
    {
        var id = Guid.NewGuid().ToString();
        (await placement.PostAsync("/resource_providers", $$"""{"name": "{{name}}", "uuid": "{{id}}"}""")).Expect(200);
        (await placement.PutAsync(
            $"/resource_providers/{id}/inventories",
            $$"""
            {"resource_provider_generation": 0, "inventories": {
              "VCPU": {"total": {{vcpus}}, "max_unit": {{vcpus}}, "allocation_ratio": 16.0},
              "MEMORY_MB": {"total": {{memoryMb}}, "max_unit": {{memoryMb}}, "reserved": 512, "allocation_ratio": 1.5},
              "DISK_GB": {"total": {{diskGb}}, "max_unit": {{diskGb}}, "allocation_ratio": 1.0} } }
            """)).Expect(200);
        if (traits.Length > 0)
        {
            (await placement.PutAsync($"/resource_providers/{id}/traits", JsonSerializer.Serialize(new { traits, resource_provider_generation = 1 }))).Expect(200);
        }

        var state = new HostState
        {
            Host = name,
            Node = name + ".local",
            ComputeNodeId = id,
            AvailabilityZone = "nova",
            IsUp = true,
            IsDisabled = false,
            HypervisorType = "QEMU",
            HypervisorVersion = 7_002_000,
            HostIp = "10.0.0.1",
            CpuInfo = """{"arch": "x86_64", "features": ["vmx", "avx2"]}""",
            Vcpus = vcpus,
            MemoryMb = memoryMb,
            LocalGb = diskGb,
        };
        state = with?.Invoke(state) ?? state;
        table.Add(state);
        return state;
    }

    /// <summary>A provider below a host, as Neutron makes it of a bridge.</summary>
    public async Task<string> BridgeAsync(HostState host, int egress, params string[] traits)
    {
        var id = Guid.NewGuid().ToString();
        (await placement.PostAsync("/resource_providers", JsonSerializer.Serialize(new { name = $"{host.Host}:{id}", uuid = id, parent_provider_uuid = host.ComputeNodeId }))).Expect(200);
        (await placement.PutAsync($"/resource_providers/{id}/inventories", $$"""{"resource_provider_generation": 0, "inventories": {"NET_BW_EGR_KILOBIT_PER_SEC": {"total": {{egress}} } } }""")).Expect(200);
        foreach (var trait in traits)
        {
            await placement.PutAsync($"/traits/{trait}");
        }

        (await placement.PutAsync($"/resource_providers/{id}/traits", JsonSerializer.Serialize(new { traits, resource_provider_generation = 1 }))).Expect(200);
        return id;
    }

    /// <summary>An aggregate with those hosts, in Placement too.</summary>
    public async Task<string> AggregateAsync(Dictionary<string, string> metadata, params IEnumerable<HostState> hosts)
    {
        var id = Guid.NewGuid().ToString();
        table.Aggregates.Add((id, metadata));
        foreach (var host in hosts)
        {
            var now = (await placement.GetAsync($"/resource_providers/{host.ComputeNodeId}/aggregates")).Expect(200).Json;
            (await placement.PutAsync(
                $"/resource_providers/{host.ComputeNodeId}/aggregates",
                JsonSerializer.Serialize(new
                {
                    aggregates = now.GetProperty("aggregates").EnumerateArray().Select(aggregate => aggregate.GetString()).Append(id),
                    resource_provider_generation = now.GetProperty("resource_provider_generation").GetInt32(),
                }))).Expect(200);
        }

        return id;
    }

    /// <summary>An instance that is being built, in Nova's database.</summary>
    public Task InstanceAsync(string id) => cloud.Get<NovaStore>().WriteAsync(
        session => session.Db.InsertAsync(
            new InstanceRow
            {
                Uuid = id, ProjectId = "p", UserId = "u", Name = "server", Hostname = "server", ReservationId = "r-1", FlavorId = "1", FlavorName = "m1.nano", VmState = VmStates.Building,
            },
            token: TestContext.Current.CancellationToken),
        TestContext.Current.CancellationToken);

    public Task ChangeAsync(string id, Action<InstanceRow> change) => cloud.Get<NovaStore>().ChangeAsync(
        id,
        row =>
        {
            change(row);
            return true;
        },
        TestContext.Current.CancellationToken);

    /// <summary>Claims what was chosen, as the conductor does.</summary>
    public async Task<int> ClaimAsync(Destination destination)
    {
        var body = new
        {
            allocations = destination.Allocations.ToDictionary(pair => pair.Key, pair => new { resources = pair.Value }),
            project_id = "p",
            user_id = "u",
            consumer_generation = (int?)null,
            consumer_type = "INSTANCE",
        };
        return (await placement.PutAsync($"/allocations/{Guid.NewGuid()}", JsonSerializer.Serialize(body))).Status;
    }

    public async ValueTask DisposeAsync()
    {
        placement.Dispose();
        await cloud.DisposeAsync();
    }

    private sealed class HostTable : IHostStates
    {
        private readonly List<HostState> states = [];

        public List<(string Id, IReadOnlyDictionary<string, string> Metadata)> Aggregates { get; } = [];

        public void Add(HostState state) => states.Add(state);

        public Task<IReadOnlyList<(string Id, IReadOnlyDictionary<string, string> Metadata)>> AggregatesAsync(CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<(string Id, IReadOnlyDictionary<string, string> Metadata)>>(Aggregates);

        public Task<IReadOnlyList<HostState>> ListAsync(IReadOnlyCollection<string> computeNodeIds, CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<HostState>>([.. states.Where(state => computeNodeIds.Contains(state.ComputeNodeId))]);
    }

    private sealed class SchedulerModule(HostTable table) : IServiceModule
    {
        public IReadOnlyList<string> Services => ["nova-scheduler"];

        public IEnumerable<(string Config, ConfigOption Option)> Options => DatabaseOptions.All.Select(option => ("nova", option));

        public void Register(ModuleContext context)
        {
            DatabaseOptions.Register<NovaModule>(context, context.Config("nova"), typeof(M0001Nova).Namespace!);
            context.Services.AddSingleton(provider => new NovaStore(provider.GetRequiredKeyedService<ServiceDatabase>("nova"), provider.GetRequiredService<TimeProvider>()));
            context.Services.AddSingleton<IHostStates>(table);
            context.Services.AddScheduler(context.Config("nova"));
        }
    }
}
