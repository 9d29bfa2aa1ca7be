using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.Cluster.Bench;
using SharpStack.ClusterKit;
using SharpStack.Foundation.Storage;

// PROGRAM [BOOTS [HOSTS...]]: boots a second of whole clusters with fake hosts, one process for all and SQLite beside a process for each service, RabbitMQ and PostgreSQL.
if (args is not [var program, .. var rest])
{
    Console.Error.WriteLine("usage: Cluster.Bench PROGRAM [BOOTS [HOSTS...]]");
    return 2;
}

var boots = rest is [var many, ..] ? int.Parse(many, CultureInfo.InvariantCulture) : 200;
var sizes = rest is [_, _, ..] ? rest[1..].Select(size => int.Parse(size, CultureInfo.InvariantCulture)).ToArray() : [1, 10, 100];
const int clients = 16;
using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
Console.WriteLine($"{boots} boots, {clients} at once, POST to ACTIVE; {Environment.ProcessorCount} processors, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}");
Console.WriteLine();
Console.WriteLine("| cluster | hosts | boots/s | messages/boot | database round trips/boot | memory of all processes |");
Console.WriteLine("| --- | ---: | ---: | ---: | ---: | ---: |");
var memory = new List<string>();
var parts = new List<string>();
foreach (var hosts in sizes)
{
    foreach (var together in new[] { true, false })
    {
        var plan = new ClusterPlan { Hosts = 1, HostsPerProcess = hosts, InOneProcess = together, Metrics = true, Program = program };
        await using var cluster = await ServedCluster.StartAsync(
            plan, () => together ? Task.FromResult<ClusterDatabase>(new SqliteDatabase()) : ServerDatabase.StartAsync(DatabaseEngine.PostgreSql), CancellationToken.None);
        await cluster.PrepareAsync(CancellationToken.None);
        // The first ones pay for the compilation.
        await BootAsync(cluster, Math.Max(8, boots / 10));
        var before = await Counters.ReadAsync(cluster, http);
        var watch = Stopwatch.StartNew();
        await BootAsync(cluster, boots);
        var rate = boots / watch.Elapsed.TotalSeconds;
        var each = (await Counters.ReadAsync(cluster, http)).Per(boots, before);
        var name = together ? "one process, SQLite" : $"{cluster.Processes.Count} processes, RabbitMQ, PostgreSQL";
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {hosts} | {rate:0.0} | {each.Messages.Values.Sum():0.0} | {each.RoundTrips.Values.Sum():0.0} | {cluster.Processes.Values.Sum(process => process.ResidentBytes) >> 20} MiB |"));
        parts.Add($"{name}, {hosts} hosts, each boot\n  messages: {Counters.Parts(each.Messages)}\n  round trips: {Counters.Parts(each.RoundTrips)}");
        if (!together)
        {
            memory.Add($"| {hosts} | {string.Join(" | ", cluster.Processes.Values.Select(process => $"{process.ResidentBytes >> 20} MiB"))} |");
        }
    }
}

Console.WriteLine();
Console.WriteLine($"| hosts in one process | {string.Join(" | ", ServedCluster.ControllerServices)} | the hosts' process |");
Console.WriteLine($"| ---: |{string.Concat(Enumerable.Repeat(" ---: |", ServedCluster.ControllerServices.Length + 1))}");
memory.ForEach(Console.WriteLine);
Console.WriteLine();
parts.ForEach(Console.WriteLine);
return 0;

static async Task BootAsync(ServedCluster cluster, int count)
{
    await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = clients }, async (i, cancellation) =>
    {
        var answer = await cluster.BootAsync($"bench-{i}", cancellation);
        if (answer.Status != 202)
        {
            throw new InvalidOperationException($"a boot was refused: {answer.Status} {answer.Body}");
        }
    });
    await ServedCluster.UntilAsync(
        async () =>
        {
            var failed = await cluster.Client.GetAsync("nova-api", "/v2.1/servers?status=ERROR&limit=1", CancellationToken.None);
            if (failed.Body?["servers"] is JsonArray { Count: > 0 })
            {
                throw new InvalidOperationException($"a server is in ERROR\n{cluster.Logs()}");
            }

            var building = await cluster.Client.GetAsync("nova-api", "/v2.1/servers?status=BUILD&limit=1", CancellationToken.None);
            return building.Body?["servers"] is JsonArray { Count: 0 };
        },
        () => $"{count} servers are ACTIVE\n{cluster.Logs()}",
        CancellationToken.None,
        TimeSpan.FromMinutes(10));
}
