using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Keystone;
using SharpStack.Serve;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.ClusterKit;

/// <summary>What a cluster is made of.</summary>
public sealed record ClusterPlan
{
    /// <summary>Compute hosts, each a process of its own.</summary>
    public int Hosts { get; init; } = 2;

    /// <summary>Hosts that each of those processes stands for.</summary>
    public int HostsPerProcess { get; init; } = 1;

    /// <summary>Whether all services share one process and its memory; otherwise each has its own, and RabbitMQ between them.</summary>
    public bool InOneProcess { get; init; }

    /// <summary>Whether each process tells its metrics.</summary>
    public bool Metrics { get; init; }

    /// <summary>Whether the first host's way to the message bus can be cut.</summary>
    public bool CuttableHost { get; init; }

    /// <summary>Lines for <c>[sharpstack]</c> of every process.</summary>
    public string Sharpstack { get; init; } = "";

    /// <summary>The program; that of the variable PROGRAM, or the one built with these tests, where it is null.</summary>
    public string? Program { get; init; }
}

/// <summary>
/// A whole cluster of fake compute hosts on this machine: the processes that an operator starts on a controller and on each compute host, a RabbitMQ and a database server of
/// the cluster's own. Everything ends with this process.
/// </summary>
public sealed class ServedCluster : IAsyncDisposable
{
    public static readonly string[] ControllerServices = ["keystone", "glance-api", "placement-api", "nova-conductor", "nova-scheduler", "nova-api", "neutron-server"];

    private const string HostServices = "nova-compute neutron-simulated-agents";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private readonly Dictionary<string, ClusterProcess> processes = [];
    private readonly string program;

    private ServedCluster(ClusterPlan plan, ClusterFiles files, RabbitBroker? broker, ClusterDatabase database)
    {
        Plan = plan;
        Files = files;
        Broker = broker;
        Database = database;
        program = plan.Program ?? Repository.Program;
        Client = new ClusterClient(files);
    }

    public ClusterPlan Plan { get; }

    public ClusterFiles Files { get; }

    /// <summary>Null where all is one process.</summary>
    public RabbitBroker? Broker { get; }

    public ClusterDatabase Database { get; }

    public ClusterClient Client { get; }

    /// <summary>Null where no host's way can be cut.</summary>
    public CuttableLink? Link { get; private set; }

    public IReadOnlyDictionary<string, ClusterProcess> Processes => processes;

    public IReadOnlyList<string> HostProcesses => [.. processes.Keys.Where(name => name.StartsWith("host", StringComparison.Ordinal))];

    public string ImageId { get; private set; } = "";

    public string FlavorId { get; private set; } = "";

    public string NetworkId { get; private set; } = "";

    public static async Task<ServedCluster> StartAsync(ClusterPlan plan, Func<Task<ClusterDatabase>> database, CancellationToken cancellationToken)
    {
        var starting = plan.InOneProcess ? null : RabbitBroker.StartAsync();
        var store = await database();
        var broker = starting is null ? null : await starting;
        var files = plan.InOneProcess
            ? new ClusterFiles(store.Url, "", plan.Sharpstack, plan.HostsPerProcess, plan.Metrics ? FreePorts.One() : 0)
            : new ClusterFiles(store.Url, broker!.Url + "/", plan.Sharpstack);
        var cluster = new ServedCluster(plan, files, broker, store);
        try
        {
            await cluster.BootstrapAsync(cancellationToken);
            cluster.Add();
            // Hosts that find nobody would only take the processors from those that they look for.
            foreach (var process in cluster.processes.Values.Except(cluster.HostProcesses.Select(name => cluster.processes[name])))
            {
                process.Start();
            }

            await UntilAsync(async () => (await cluster.Client.GetAsync("nova-api", "/v2.1/os-services", cancellationToken)).IsSuccess, () => $"the APIs answer\n{cluster.Logs()}", cancellationToken);
            foreach (var name in cluster.HostProcesses)
            {
                cluster.processes[name].Start();
            }

            await cluster.ReadyAsync(cancellationToken);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Compares what Nova, Placement, Neutron and the hosts have.</summary>
    /// <returns>The exit code, and what the audit printed.</returns>
    public async Task<(int Code, string Output)> AuditAsync(CancellationToken cancellationToken)
    {
        using var audit = Process.Start(new ProcessStartInfo(program, ["audit", "--config-dir", Files.Folder("controller"), "--data", Files.State("controller")])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var (output, errors) = (audit.StandardOutput.ReadToEndAsync(cancellationToken), audit.StandardError.ReadToEndAsync(cancellationToken));
        await audit.WaitForExitAsync(cancellationToken);
        return (audit.ExitCode, await output + await errors);
    }

    /// <summary>Waits until all APIs answer, every host reports and every agent lives.</summary>
    public async Task ReadyAsync(CancellationToken cancellationToken)
    {
        var hosts = Plan.InOneProcess ? Plan.HostsPerProcess : Plan.Hosts * Plan.HostsPerProcess;
        await UntilAsync(
            async () =>
            {
                if (processes.Values.FirstOrDefault(process => process.HasEnded) is { } ended)
                {
                    throw new InvalidOperationException($"{ended.Name} has ended by itself\n{Logs()}");
                }

                var services = await Client.GetAsync("nova-api", "/v2.1/os-services?binary=nova-compute", cancellationToken);
                var agents = await Client.GetAsync("neutron-server", "/v2.0/agents", cancellationToken);
                return services.IsSuccess && agents.IsSuccess
                    && services.Body!["services"]!.AsArray().Count(service => (string)service!["state"]! == "up") >= hosts
                    && agents.Body!["agents"]!.AsArray().Count(agent => (bool)agent!["alive"]!) >= 3 * hosts
                    && (await Client.GetAsync("glance-api", "/v2/images", cancellationToken)).IsSuccess
                    && (await Client.GetAsync("placement-api", "/resource_providers", cancellationToken)) is { IsSuccess: true } providers
                    && providers.Body!["resource_providers"]!.AsArray().Count >= hosts;
            },
            () => $"the cluster is ready\n{Logs()}",
            cancellationToken);
    }

    /// <summary>What servers need: an image, a flavor, a network with room, and no quotas.</summary>
    public async Task PrepareAsync(CancellationToken cancellationToken)
    {
        ImageId = Id(await RequireAsync("glance-api", "/v2/images", new JsonObject { ["name"] = "raw", ["disk_format"] = "raw", ["container_format"] = "bare" }, cancellationToken));
        await Client.UploadAsync(ImageId, new byte[64 << 10], cancellationToken);
        NetworkId = Id((await RequireAsync(
            "neutron-server",
            "/v2.0/networks",
            new JsonObject { ["network"] = new JsonObject { ["name"] = "flat", ["provider:network_type"] = "flat", ["provider:physical_network"] = "physnet" } },
            cancellationToken))["network"]!);
        await RequireAsync(
            "neutron-server", "/v2.0/subnets", new JsonObject { ["subnet"] = new JsonObject { ["network_id"] = NetworkId, ["ip_version"] = 4, ["cidr"] = "10.64.0.0/14" } }, cancellationToken);
        FlavorId = Id((await RequireAsync(
            "nova-api", "/v2.1/flavors", new JsonObject { ["flavor"] = new JsonObject { ["name"] = "nano", ["ram"] = 64, ["vcpus"] = 1, ["disk"] = 1 } }, cancellationToken))["flavor"]!);
        await Client.SendAsync(
            HttpMethod.Put, "nova-api", $"/v2.1/os-quota-sets/{Client.ProjectId}",
            new JsonObject { ["quota_set"] = new JsonObject { ["instances"] = -1, ["cores"] = -1, ["ram"] = -1 } }, cancellationToken);
        await Client.SendAsync(HttpMethod.Put, "neutron-server", $"/v2.0/quotas/{Client.ProjectId}", new JsonObject { ["quota"] = new JsonObject { ["port"] = -1 } }, cancellationToken);
    }

    /// <summary>Asks for a server.</summary>
    public Task<ClusterAnswer> BootAsync(string name, CancellationToken cancellationToken) =>
        Client.PostAsync(
            "nova-api",
            "/v2.1/servers",
            new JsonObject
            {
                ["server"] = new JsonObject
                {
                    ["name"] = name, ["imageRef"] = ImageId, ["flavorRef"] = FlavorId, ["networks"] = new JsonArray(new JsonObject { ["uuid"] = NetworkId }),
                },
            },
            cancellationToken);

    public static async Task UntilAsync(Func<Task<bool>> condition, Func<string> what, CancellationToken cancellationToken, TimeSpan? within = null)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(within ?? Patience);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        try
        {
            while (!await condition())
            {
                await poll.WaitForNextTickAsync(limit.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"not within {within ?? Patience}: {what()}");
        }
    }

    /// <summary>The end of each process's log, for a failure's message.</summary>
    public string Logs(int lines = 15) =>
        string.Join('\n', processes.Values.Where(process => File.Exists(process.LogFile)).Select(process => $"--- {process.Name}\n{string.Join('\n', Read(process.LogFile).TakeLast(lines))}"));

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(processes.Values.Select(process => Task.Run(process.Dispose)));
        Client.Dispose();
        if (Link is not null)
        {
            await Link.DisposeAsync();
        }

        if (Broker is not null)
        {
            await Broker.DisposeAsync();
        }

        await Database.DisposeAsync();
        Files.Dispose();
    }

    private static string[] Read(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static string Id(JsonNode node) => (string)node["id"]!;

    private async Task<JsonNode> RequireAsync(string api, string path, JsonObject body, CancellationToken cancellationToken)
    {
        var answer = await Client.PostAsync(api, path, body, cancellationToken);
        return answer.IsSuccess ? answer.Body! : throw new InvalidOperationException($"POST {path}: {answer.Status} {answer.Body}");
    }

    private async Task BootstrapAsync(CancellationToken cancellationToken)
    {
        string[] files = ["--config-dir", Files.Folder("controller"), "--data", Files.State("controller")];
        await KeystoneCommands.BootstrapAsync(
            CloudOptions.Read(Arguments.Parse(files, CloudOptions.Values, []), null, TimeProvider.System),
            ClusterFiles.AdminPassword,
            Files.AuthUrl,
            [
                new ServiceRegistration("glance", "pw-glance", "image", Url: Files.Url("glance-api")),
                new ServiceRegistration("placement", "pw-placement", "placement", Url: Files.Url("placement-api")),
                new ServiceRegistration("nova", "pw-nova", "compute", Url: Files.Url("nova-api") + "/v2.1"),
                new ServiceRegistration("neutron", "pw-neutron", "network", Url: Files.Url("neutron-server")),
            ],
            cancellationToken);
    }

    private void Add()
    {
        if (Plan.InOneProcess)
        {
            Add("everything", "controller", [.. ControllerServices, .. HostServices.Split(' ')], Files.MetricsPort);
            return;
        }

        foreach (var service in ControllerServices)
        {
            var port = Plan.Metrics ? FreePorts.One() : 0;
            if (port > 0)
            {
                Files.AddMetrics(service, port);
            }

            Add(service, "controller", [service], port);
        }

        Link = Plan.CuttableHost ? new CuttableLink(Broker!.Port) : null;
        for (var i = 1; i <= Plan.Hosts; i++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"host{i}");
            var port = Plan.Metrics ? FreePorts.One() : 0;
            var transport = i == 1 && Link is not null ? Broker!.Url.Replace($":{Broker.Port}", $":{Link.Port}", StringComparison.Ordinal) : Broker!.Url;
            Files.AddHost(name, transport + "/", port, Plan.HostsPerProcess);
            Add(name, name, HostServices.Split(' '), port);
        }
    }

    private void Add(string name, string node, string[] services, int metricsPort) =>
        processes[name] = new ClusterProcess(
            name,
            program,
            [.. services, .. metricsPort > 0 ? ["metrics"] : (string[])[], "--config-dir", Files.Folder(node), "--data", Files.State(node)],
            Path.Combine(Files.Root, name + ".log"),
            metricsPort);
}
