using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.Bench;

// reference PORT: the constant's server; PROGRAM DATA: measures the program on the data of a cloud with the fake driver that is not running.
if (args is ["reference", var portText])
{
    await ReferenceServer.RunAsync(int.Parse(portText, CultureInfo.InvariantCulture));
    return 0;
}

// bcrypt ROUNDS COUNT: milliseconds of the processor that it takes to check one password.
if (args is ["bcrypt", var roundsText, var countText])
{
    var hash = BCrypt.Net.BCrypt.HashPassword("a password of usual length", int.Parse(roundsText, CultureInfo.InvariantCulture));
    var checks = int.Parse(countText, CultureInfo.InvariantCulture);
    var before = Environment.CpuUsage.TotalTime;
    for (var i = 0; i < checks; i++)
    {
        BCrypt.Net.BCrypt.Verify("a password of usual length", hash);
    }

    Console.WriteLine(((Environment.CpuUsage.TotalTime - before).TotalMilliseconds / checks).ToString("0.0", CultureInfo.InvariantCulture));
    return 0;
}

// messages TRANSPORT_URL [MEMCACHED [REDIS]]: the bus through a broker that runs, and caches that run.
if (args is ["messages", var transportUrl, .. var caches])
{
    await Messages.RunAsync(transportUrl, caches.ElementAtOrDefault(0), caches.ElementAtOrDefault(1), 5);
    return 0;
}

if (args is not [var program, var data])
{
    Console.Error.WriteLine("usage: SharpStack.Bench PROGRAM DATA | bcrypt ROUNDS COUNT | messages TRANSPORT_URL [MEMCACHED [REDIS]] | reference PORT");
    return 2;
}

const int referencePort = 18999;
const int servers = 1000;
const int boots = 200;
const int providers = 1000;
const int connections = 16;
var quick = Environment.GetEnvironmentVariable("BENCH_SECONDS");
var seconds = quick is null ? 5 : int.Parse(quick, CultureInfo.InvariantCulture);
var self = Environment.ProcessPath!;
Console.WriteLine($"{"",-46}{"here",16}{"reference",16}");

// --- start ------------------------------------------------------------------------------------------------------------
using var reference = new Managed(self, ["reference", referencePort.ToString(CultureInfo.InvariantCulture)]);
var referenceUrl = $"http://127.0.0.1:{referencePort}";
using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
var referenceStart = await reference.UntilAsync(async () => (await http.GetAsync(new Uri($"{referenceUrl}/100"))).IsSuccessStatusCode);
using var cloud = Cloud.At(data);
using var daemon = new Managed(program, ["serve", "--data", data]);
var start = await daemon.UntilAsync(async () =>
{
    await cloud.LogInAsync(data);
    return true;
});
Row("process start to first token / first answer", $"{start.TotalMilliseconds:0} ms", $"{referenceStart.TotalMilliseconds:0} ms");
Row("memory after the start (RSS)", Mebibytes(daemon), Mebibytes(reference));

// --- tokens -----------------------------------------------------------------------------------------------------------
var auth = new Dictionary<string, string> { ["X-Auth-Token"] = cloud.Token, ["X-Subject-Token"] = cloud.Token };
await CompareAsync("token validation, requests a second", $"{cloud.AuthUrl}/auth/tokens", auth, null, 2000);
await CompareAsync("token by token, requests a second", $"{cloud.AuthUrl}/auth/tokens", new Dictionary<string, string> { ["Content-Type"] = "application/json" }, cloud.TokenRequest().ToJsonString(), 2000);

// --- boots ------------------------------------------------------------------------------------------------------------
await cloud.SendAsync(HttpMethod.Put, "compute", $"/os-quota-sets/{cloud.ProjectId}", new JsonObject
{
    ["quota_set"] = new JsonObject { ["instances"] = -1, ["cores"] = -1, ["ram"] = -1 },
});
await cloud.SendAsync(HttpMethod.Put, "network", $"/v2.0/quotas/{cloud.ProjectId}", new JsonObject { ["quota"] = new JsonObject { ["port"] = -1 } });
var image = (string)(await cloud.SendAsync(HttpMethod.Post, "image", "/v2/images", new JsonObject { ["name"] = "bench", ["disk_format"] = "raw", ["container_format"] = "bare" }))["id"]!;
using (var upload = new HttpRequestMessage(HttpMethod.Put, $"{cloud["image"]}/v2/images/{image}/file") { Content = new ByteArrayContent(new byte[1 << 16]) })
{
    upload.Headers.Add("X-Auth-Token", cloud.Token);
    upload.Content.Headers.ContentType = new("application/octet-stream");
    (await cloud.Http.SendAsync(upload)).EnsureSuccessStatusCode();
}

var flavor = (string)(await cloud.SendAsync(HttpMethod.Post, "compute", "/flavors", new JsonObject
{
    ["flavor"] = new JsonObject { ["name"] = $"bench-{image[..8]}", ["ram"] = 64, ["vcpus"] = 1, ["disk"] = 1 },
}))["flavor"]!["id"]!;
var network = (string)(await cloud.SendAsync(HttpMethod.Post, "network", "/v2.0/networks", new JsonObject { ["network"] = new JsonObject { ["name"] = "bench" } }))["network"]!["id"]!;
await cloud.SendAsync(HttpMethod.Post, "network", "/v2.0/subnets", new JsonObject
{
    ["subnet"] = new JsonObject { ["network_id"] = network, ["ip_version"] = 4, ["cidr"] = "10.200.0.0/16" },
});
await BootAsync(1);
var watch = Stopwatch.StartNew();
await BootAsync(boots);
var rate = boots / watch.Elapsed.TotalSeconds;
var posts = await Load.RunAsync($"{referenceUrl}/400", new Dictionary<string, string>(), "{}", connections, seconds);
Row($"fake boots a second, POST to ACTIVE ({boots} at once)", $"{rate:0.0} /s", $"{posts.PerSecond:0} POST/s");

// --- lists ------------------------------------------------------------------------------------------------------------
await BootAsync(servers - boots - 1);
var token = new Dictionary<string, string> { ["X-Auth-Token"] = cloud.Token };
await CompareAsync($"servers/detail, {servers} servers, requests a second", $"{cloud["compute"]}/servers/detail", token, null, 2_000_000, 4);
Row($"memory after {servers} fake servers (RSS)", Mebibytes(daemon), Mebibytes(reference));

await Parallel.ForAsync(0, providers, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) =>
{
    var provider = Guid.NewGuid().ToString();
    await cloud.SendAsync(HttpMethod.Post, "placement", "/resource_providers", new JsonObject { ["name"] = $"bench-{i}-{provider[..8]}", ["uuid"] = provider }, "placement 1.39");
    static JsonObject Inventory(int total) => new() { ["total"] = total };
    await cloud.SendAsync(HttpMethod.Put, "placement", $"/resource_providers/{provider}/inventories", new JsonObject
    {
        ["resource_provider_generation"] = 0,
        ["inventories"] = new JsonObject { ["VCPU"] = Inventory(64), ["MEMORY_MB"] = Inventory(65536), ["DISK_GB"] = Inventory(1000) },
    }, "placement 1.39");
});
token["OpenStack-API-Version"] = "placement 1.39";
await CompareAsync(
    $"allocation candidates of {providers} providers, /s", $"{cloud["placement"]}/allocation_candidates?resources=VCPU:1,MEMORY_MB:512,DISK_GB:1", token, null, 400_000, 4);
return 0;

async Task CompareAsync(string what, string url, Dictionary<string, string> headers, string? body, int size, int clients = connections)
{
    await Load.RunAsync(url, headers, body, clients, 1);
    var here = await Load.RunAsync(url, headers, body, clients, seconds);
    var there = await Load.RunAsync($"{referenceUrl}/{size}", headers, body, clients, seconds);
    Row(what, $"{here.PerSecond:0}", $"{there.PerSecond:0}");
    Row("    median, 99 % in ms", $"{here.Median:0.00}, {here.Slow:0.0}", $"{there.Median:0.00}, {there.Slow:0.0}");
    if (here.Errors > 0)
    {
        Row("    answers that were no success", here.Errors.ToString(CultureInfo.InvariantCulture), "");
    }
}

// Each server is a request of its own, eight at a time; over when every one is ACTIVE.
async Task BootAsync(int count)
{
    await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => await cloud.SendAsync(HttpMethod.Post, "compute", "/servers", new JsonObject
    {
        ["server"] = new JsonObject
        {
            ["name"] = $"bench-{i}", ["imageRef"] = image, ["flavorRef"] = flavor, ["networks"] = new JsonArray(new JsonObject { ["uuid"] = network }),
        },
    }));
    using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
    while (true)
    {
        if ((await cloud.SendAsync(HttpMethod.Get, "compute", "/servers?status=ERROR&limit=1"))["servers"]!.AsArray().Count > 0)
        {
            throw new InvalidOperationException("a server is in ERROR: see the log of the program");
        }

        if ((await cloud.SendAsync(HttpMethod.Get, "compute", "/servers?status=BUILD&limit=1"))["servers"]!.AsArray().Count == 0)
        {
            return;
        }

        await timer.WaitForNextTickAsync();
    }
}

static string Mebibytes(Managed process) => $"{process.ResidentBytes / 1048576.0:0} MiB";

static void Row(string what, string here, string there) => Console.WriteLine($"{what,-46}{here,16}{there,16}");
