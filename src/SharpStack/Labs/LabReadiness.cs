using System.Text.Json.Nodes;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Labs;

/// <summary>Whether the cluster is ready: every service of every node that reports somewhere is reported as up.</summary>
internal sealed class LabReadiness(LabSession session, TimeProvider time)
{
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(4);

    // Each look asks four services, which have better things to do while they start.
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(500);

    // These report to nova-conductor; agents report to neutron-server.
    private static readonly string[] ComputeServices = ["nova-conductor", "nova-scheduler", "nova-compute"];

    /// <returns>The administrator's session.</returns>
    /// <exception cref="CommandException">Something is not up within the bound; the message names it.</exception>
    public async Task<OpenStackClient> AwaitAsync(CancellationToken cancellationToken)
    {
        OpenStackClient? admin = null;
        IReadOnlyList<string> missing = ["keystone"];
        if (!await Wait.UntilAsync(
            async () =>
            {
                try
                {
                    admin ??= await session.LogInAsync("admin", cancellationToken);
                    missing = await MissingAsync(admin, cancellationToken);
                    return missing.Count == 0;
                }
                catch (Exception failure) when (failure is HttpRequestException or CommandException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
                {
                    return false;
                }
            },
            Bound,
            time,
            cancellationToken,
            Step))
        {
            throw new CommandException($"not up within {Bound.TotalSeconds} s: {string.Join(", ", missing)}; see 'sharpstack lab status' and 'sharpstack lab logs NODE SERVICE'");
        }

        return admin!;
    }

    /// <summary>The services that should report and are not reported as up, as NODE/SERVICE.</summary>
    public async Task<IReadOnlyList<string>> MissingAsync(OpenStackClient admin, CancellationToken cancellationToken)
    {
        var expected = session.Lab.Nodes.SelectMany(node => session.Cluster.ServicesOf(node).Select(service => (node.Name, Service: service.Name)))
            .Where(pair => ComputeServices.Contains(pair.Service) || pair.Service.EndsWith("-agent", StringComparison.Ordinal))
            .Select(pair => $"{pair.Name}/{pair.Service}")
            .ToHashSet();
        var services = await admin.GetAsync("compute", "/os-services", cancellationToken);
        expected.ExceptWith(Names(services["services"]!, service => (string?)service["state"] == "up"));
        var agents = await admin.GetAsync("network", "/v2.0/agents", cancellationToken);
        expected.ExceptWith(Names(agents["agents"]!, agent => (bool?)agent["alive"] == true));
        // The image service reports to nobody: it is asked.
        await admin.GetAsync("image", "/v2/images?limit=1", cancellationToken);
        return [.. expected.Order(StringComparer.Ordinal)];
    }

    private static IEnumerable<string> Names(JsonNode list, Func<JsonNode, bool> up) =>
        list.AsArray().OfType<JsonNode>().Where(up).Select(item => $"{item["host"]}/{item["binary"]}");
}
