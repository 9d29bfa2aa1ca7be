using System.Globalization;
using SharpStack.ClusterKit;
using SharpStack.Foundation.Storage;
using SharpStack.TestKit.Databases;

namespace SharpStack.Chaos.Tests;

/// <summary>
/// How long things are broken, and where the recoveries are written to. <c>tests/Chaos/run</c> sets <c>SHARPSTACK_CHAOS=full</c>; the ordinary tests break the same things for a shorter time.
/// </summary>
internal static class ChaosLength
{
    private static readonly bool IsFull = Environment.GetEnvironmentVariable("SHARPSTACK_CHAOS") == "full";

    /// <summary>Of the message bus, and of the database.</summary>
    public static TimeSpan Outage => TimeSpan.FromSeconds(IsFull ? 30 : 6);

    /// <summary>Of a compute host's management network.</summary>
    public static TimeSpan Cut => TimeSpan.FromSeconds(IsFull ? 60 : 8);

    public static TimeSpan BadNetwork => TimeSpan.FromSeconds(IsFull ? 90 : 15);

    /// <summary>Before a service manager starts what has died: <c>RestartSec</c> of the units in deploy/systemd.</summary>
    public static TimeSpan Restart => TimeSpan.FromSeconds(2);

    /// <summary>A file that each recovery adds a line to; null for none.</summary>
    public static string? Table => Environment.GetEnvironmentVariable("SHARPSTACK_CHAOS_TABLE");

    /// <summary>The engine that <c>SHARPSTACK_TEST_ENGINE</c> names; where it names none that is a server, the given one.</summary>
    public static DatabaseEngine EngineOr(DatabaseEngine other) => TestDatabases.Engine == DatabaseEngine.Sqlite ? other : TestDatabases.Engine;
}

/// <summary>The cluster that the failures come over, one after the other: a process for each service and each of two compute hosts, RabbitMQ, and PostgreSQL or MariaDB.</summary>
public sealed class ChaosCluster : IAsyncLifetime
{
    internal ServedCluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() =>
        Cluster = await StartAsync(new ClusterPlan { CuttableHost = true }, ChaosLength.EngineOr(DatabaseEngine.PostgreSql));

    public ValueTask DisposeAsync() => Cluster is null ? ValueTask.CompletedTask : Cluster.DisposeAsync();

    internal static async Task<ServedCluster> StartAsync(ClusterPlan plan, DatabaseEngine engine)
    {
        var cluster = await ServedCluster.StartAsync(plan, () => ServerDatabase.StartAsync(engine), TestContext.Current.CancellationToken);
        await cluster.PrepareAsync(TestContext.Current.CancellationToken);
        return cluster;
    }
}

/// <summary>A load on a cluster, failures that it goes through, and the account at the end.</summary>
internal sealed class Trial : IAsyncDisposable
{
    /// <summary>Boots and deletions under way at any time.</summary>
    private const int People = 4;

    private const int Standing = 3;

    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(5);

    private readonly ServedCluster cluster;
    private readonly ITestOutputHelper output;
    private readonly SteadyLoad load;

    private Trial(ServedCluster cluster, ITestOutputHelper output, SteadyLoad load)
    {
        this.cluster = cluster;
        this.output = output;
        this.load = load;
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<Trial> BeginAsync(ServedCluster cluster, ITestOutputHelper output) =>
        new(cluster, output, await SteadyLoad.StartAsync(cluster, People, Standing, Cancellation));

    /// <summary>A service is killed, and its manager starts it again; the recovery counts from the kill.</summary>
    public Task KillAsync(ClusterProcess process) =>
        ThroughAsync(
            $"kill -9 {process.Name}",
            TimeSpan.Zero,
            async () =>
            {
                process.Kill();
                await Task.Delay(ChaosLength.Restart, Cancellation);
                process.Start();
            },
            () => Task.CompletedTask,
            fromItsBegin: true);

    /// <summary>
    /// Breaks something, mends it, waits until everything is as usual, and writes down how long that took from the end of the failure: until new requests end within their usual
    /// time and all those before them have ended.
    /// </summary>
    public async Task ThroughAsync(string failure, TimeSpan lasts, Func<Task> breakIt, Func<Task> mendIt, bool fromItsBegin = false)
    {
        var usual = await load.UsualAsync(Cancellation);
        var began = load.Now;
        await breakIt();
        await Task.Delay(lasts, Cancellation);
        await mendIt();
        var counted = fromItsBegin ? began : load.Now;
        TimeSpan? recovered = null;
        await ServedCluster.UntilAsync(
            () => Task.FromResult((recovered = load.RecoveredAt(began, usual)) is not null),
            () => $"{failure}: requests are as usual again ({usual})\n{load.Story(began)}\n{cluster.Logs()}",
            Cancellation,
            Bound);
        Write(failure, lasts, recovered!.Value > counted ? recovered.Value - counted : TimeSpan.Zero, began, usual);
    }

    /// <summary>Goes on under a condition that is there all the time; what is written down is the longest time that a request took.</summary>
    public async Task LastAsync(string condition, TimeSpan lasts)
    {
        var began = load.Now;
        await Task.Delay(lasts, Cancellation);
        await load.EndAsync(Bound);
        Write(condition, lasts, load.Requests.Max(request => request.Ended!.Value - request.Started), began, TimeSpan.Zero);
    }

    /// <summary>Nothing is forgotten: every request has ended with a reason, the servers that stay are as they were, there are no others, and the audit finds nothing.</summary>
    public async Task EndAsync()
    {
        await load.EndAsync(Bound);
        var wrong = load.Requests.Where(request => request.Fate switch
        {
            Fate.Done => false,
            // Nobody's mistake but the cloud's: no answer, or an error of the server's.
            Fate.Refused => request.Reason is not (['n', ..] or ['5', ..]),
            Fate.Failed => request.Reason.Length == 0,
            _ => true,
        });
        Assert.Empty(wrong.Select(request => request.ToString()));
        Assert.Empty(await load.StrangeServersAsync(Cancellation));
        // Where hints were lost the next look at everything comes within a minute.
        var (code, found) = (-1, "");
        await ServedCluster.UntilAsync(
            async () => ((code, found) = await cluster.AuditAsync(Cancellation)) is (0, _),
            () => $"the audit finds nothing: {code}\n{found}\n{cluster.Logs()}",
            Cancellation,
            TimeSpan.FromMinutes(2));
        output.WriteLine($"{load.Story(TimeSpan.Zero)}\n{found}");
        await load.ClearAsync();
    }

    public ValueTask DisposeAsync() => load.DisposeAsync();

    private void Write(string failure, TimeSpan lasts, TimeSpan recovery, TimeSpan began, TimeSpan usual)
    {
        var requests = load.Requests.Where(request => request.Ended is not { } ended || ended >= began).ToList();
        var line = string.Create(
            CultureInfo.InvariantCulture,
            $"| {failure} | {(lasts > TimeSpan.Zero ? $"{lasts.TotalSeconds:0} s" : "-")} | {recovery.TotalSeconds:0.0} s | {requests.Count} | {requests.Count(request => request.Fate == Fate.Refused)} | {requests.Count(request => request.Fate == Fate.Failed)} | {usual.TotalSeconds:0.0} s |");
        output.WriteLine(line);
        if (ChaosLength.Table is { } table)
        {
            File.AppendAllText(table, line + "\n");
        }
    }
}
