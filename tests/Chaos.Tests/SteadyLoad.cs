using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.ClusterKit;

namespace SharpStack.Chaos.Tests;

/// <summary>How a request ended.</summary>
internal enum Fate
{
    Pending,

    /// <summary>The server is ACTIVE, or gone.</summary>
    Done,

    /// <summary>Not accepted: an error, or no answer and nothing that it left.</summary>
    Refused,

    /// <summary>Accepted, and ended in an error.</summary>
    Failed,

    /// <summary>Accepted and forgotten: a server that nobody deleted is gone.</summary>
    Lost,
}

/// <summary>A boot or a deletion that was asked for; times are those of the load's own clock.</summary>
internal sealed class LoadRequest(string what, TimeSpan started)
{
    private volatile Tuple<Fate, string, TimeSpan>? end;

    public string What => what;

    public TimeSpan Started => started;

    public Fate Fate => end?.Item1 ?? Fate.Pending;

    /// <summary>The status and message, or the fault; empty where it was done.</summary>
    public string Reason => end?.Item2 ?? "";

    public TimeSpan? Ended => end?.Item3;

    public void End(Fate fate, string reason, TimeSpan now) => end = Tuple.Create(fate, reason, now);

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{what}, asked at {started.TotalSeconds:0.0} s: {Fate} {(Ended is { } time ? $"at {time.TotalSeconds:0.0} s" : "")} {Reason}");
}

/// <summary>
/// People who each boot a server, wait until it is ACTIVE, delete it, wait until it is gone, and begin again: a number of requests is under way at any time, and the fate of each
/// is known. What is refused is asked for again. Some servers are booted at the start and stay.
/// </summary>
internal sealed class SteadyLoad : IAsyncDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);

    private readonly ServedCluster cluster;
    private readonly Stopwatch watch = Stopwatch.StartNew();
    private readonly ConcurrentQueue<LoadRequest> requests = new();
    private readonly CancellationTokenSource ending = new();
    private readonly List<(string Id, string Host)> standing = [];
    private readonly int people;
    private Task working = Task.CompletedTask;
    private volatile bool stopping;

    private SteadyLoad(ServedCluster cluster, int people)
    {
        this.cluster = cluster;
        this.people = people;
    }

    /// <summary>Since the load began.</summary>
    public TimeSpan Now => watch.Elapsed;

    public IReadOnlyCollection<LoadRequest> Requests => requests;

    /// <param name="people">Requests that are under way at any time.</param>
    /// <param name="stay">Servers that are booted first and stay.</param>
    public static async Task<SteadyLoad> StartAsync(ServedCluster cluster, int people, int stay, CancellationToken cancellationToken)
    {
        var load = new SteadyLoad(cluster, people);
        await Parallel.ForAsync(0, stay, cancellationToken, async (i, _) =>
        {
            if (await load.BootAsync($"standing-{i}") is not { } id || await load.ShowAsync(id) is not { IsSuccess: true } server)
            {
                throw new InvalidOperationException($"a standing server is not ACTIVE: {string.Join('\n', load.Requests)}\n{cluster.Logs()}");
            }

            lock (load.standing)
            {
                load.standing.Add((id, HostOf(server)));
            }
        });
        load.working = Task.WhenAll(Enumerable.Range(0, people).Select(load.WorkAsync));
        return load;
    }

    /// <summary>
    /// What requests of this load take when nothing is broken: twice the longest of the last ones, and two seconds at the least. Waits until each of the people had two that were done.
    /// </summary>
    public async Task<TimeSpan> UsualAsync(CancellationToken cancellationToken)
    {
        var since = Now;
        LoadRequest[] done = [];
        await ServedCluster.UntilAsync(
            () => Task.FromResult((done = [.. requests.Where(request => request.Started >= since && request.Fate == Fate.Done)]).Length >= 2 * people),
            () => $"requests end while nothing is broken\n{Story(since)}",
            cancellationToken,
            TimeSpan.FromMinutes(2));
        return TimeSpan.FromSeconds(Math.Max(2, 2 * done.Max(request => (request.Ended!.Value - request.Started).TotalSeconds)));
    }

    /// <summary>
    /// The time after which all was as usual: of those that were under way when the failure began, and those that were asked for since, the last one ended that was not done, or
    /// not within its usual time. Null while such a one is under way, or too few were asked for since.
    /// </summary>
    public TimeSpan? RecoveredAt(TimeSpan began, TimeSpan usual)
    {
        var now = Now;
        var since = requests.Where(request => request.Ended is not { } ended || ended >= began).ToList();
        var odd = since.Where(request => request.Fate is not (Fate.Done or Fate.Pending) || (request.Ended ?? now) - request.Started > usual).ToList();
        if (odd.Any(request => request.Fate == Fate.Pending))
        {
            return null;
        }

        var last = odd.Count == 0 ? began : odd.Max(request => request.Ended!.Value);
        return since.Count(request => request.Started >= last && request.Fate == Fate.Done) >= 3 * people ? last : null;
    }

    /// <summary>Asks for nothing more, and waits until everything that was asked for has ended.</summary>
    public async Task EndAsync(TimeSpan within)
    {
        stopping = true;
        await ServedCluster.UntilAsync(
            () => Task.FromResult(working.IsCompleted), () => $"everything that was asked for has ended\n{Story(TimeSpan.Zero)}\n{cluster.Logs()}", CancellationToken.None, within);
        await working;
    }

    /// <summary>The servers that stay which are not as they were, and servers that nobody of this load knows.</summary>
    public async Task<IReadOnlyList<string>> StrangeServersAsync(CancellationToken cancellationToken)
    {
        var strange = new List<string>();
        var listed = await cluster.Client.GetAsync("nova-api", "/v2.1/servers/detail?all_tenants=1", cancellationToken);
        var servers = listed.Body!["servers"]!.AsArray().ToDictionary(server => (string)server!["id"]!, server => server!);
        foreach (var (id, host) in standing)
        {
            if (!servers.Remove(id, out var server) || (string)server["status"]! != "ACTIVE" || HostOf(server) != host)
            {
                strange.Add($"{id} was ACTIVE on {host}: {server?.ToJsonString() ?? "gone"}");
            }
        }

        return [.. strange, .. servers.Values.Select(server => $"nobody's: {server.ToJsonString()}")];
    }

    /// <summary>Deletes the servers that stayed.</summary>
    public async Task ClearAsync()
    {
        foreach (var (id, _) in standing)
        {
            while (!await DeleteAsync(id))
            {
                await PauseAsync();
            }
        }
    }

    /// <summary>What was not done since then: what is under way, and each reason with its first request.</summary>
    public string Story(TimeSpan since) =>
        string.Join('\n', requests.Where(request => request.Fate != Fate.Done && (request.Ended ?? Now) >= since)
            .GroupBy(request => request.Fate == Fate.Pending ? request.What : request.Reason)
            .Select(group => string.Create(CultureInfo.InvariantCulture, $"{group.Count()} x {group.First()}")));

    public async ValueTask DisposeAsync()
    {
        stopping = true;
        await ending.CancelAsync();
        try
        {
            await working;
        }
        catch (OperationCanceledException)
        {
        }

        ending.Dispose();
    }

    private static string HostOf(JsonNode server) => (string?)server["OS-EXT-SRV-ATTR:host"] ?? "";

    private static string HostOf(ClusterAnswer answer) => HostOf(answer.Body!["server"]!);

    private static string Said(ClusterAnswer answer) => answer.Status == 0 ? "no answer" : $"{answer.Status} {answer.Body?.ToJsonString()}";

    private async Task WorkAsync(int person)
    {
        for (var i = 0; !stopping; i++)
        {
            if (await BootAsync(string.Create(CultureInfo.InvariantCulture, $"load-{person}-{i}")) is { } id)
            {
                while (!await DeleteAsync(id))
                {
                    await PauseAsync();
                }
            }

            await PauseAsync();
        }
    }

    /// <returns>The server's id, also of one in ERROR; null where there is none.</returns>
    private async Task<string?> BootAsync(string name)
    {
        var request = Begin($"boot of {name}");
        var answer = await cluster.BootAsync(name, ending.Token);
        var id = answer.IsSuccess ? (string)answer.Body!["server"]!["id"]! : answer.Status is 0 or >= 500 ? await FindAsync(name) : null;
        if (id is null)
        {
            End(request, Fate.Refused, Said(answer));
            return null;
        }

        while (true)
        {
            var shown = await ShowAsync(id);
            switch (shown.Status == 200 ? (string)shown.Body!["server"]!["status"]! : $"{shown.Status}")
            {
                case "ACTIVE":
                    End(request, Fate.Done, "");
                    return id;
                case "ERROR":
                    End(request, Fate.Failed, (string?)shown.Body!["server"]!["fault"]?["message"] ?? "");
                    return id;
                case "404":
                    End(request, Fate.Lost, id);
                    return null;
            }

            await PauseAsync();
        }
    }

    /// <returns>Whether the server is gone.</returns>
    private async Task<bool> DeleteAsync(string id)
    {
        var request = Begin($"deletion of {id}");
        var answer = await cluster.Client.SendAsync(HttpMethod.Delete, "nova-api", $"/v2.1/servers/{id}", null, ending.Token);
        if (answer.Status is not (204 or 404))
        {
            End(request, Fate.Refused, Said(answer));
            return false;
        }

        while (true)
        {
            var shown = await ShowAsync(id);
            if (shown.Status == 404)
            {
                End(request, Fate.Done, "");
                return true;
            }

            if (shown.Status == 200 && shown.Body!["server"]!["OS-EXT-STS:task_state"] is null)
            {
                End(request, Fate.Failed, (string?)shown.Body["server"]!["fault"]?["message"] ?? "");
                return false;
            }

            await PauseAsync();
        }
    }

    /// <summary>Whether a request that was not answered left a server.</summary>
    private async Task<string?> FindAsync(string name)
    {
        while (true)
        {
            var found = await cluster.Client.GetAsync("nova-api", $"/v2.1/servers?name=^{name}$", ending.Token);
            if (found.IsSuccess)
            {
                return (string?)found.Body!["servers"]!.AsArray().FirstOrDefault()?["id"];
            }

            await PauseAsync();
        }
    }

    private Task<ClusterAnswer> ShowAsync(string id) => cluster.Client.GetAsync("nova-api", $"/v2.1/servers/{id}", ending.Token);

    private LoadRequest Begin(string what)
    {
        var request = new LoadRequest(what, Now);
        requests.Enqueue(request);
        return request;
    }

    private void End(LoadRequest request, Fate fate, string reason) => request.End(fate, reason, Now);

    /// <summary>What a person waits between two looks.</summary>
    private Task PauseAsync() => Task.Delay(Look, ending.Token);
}
