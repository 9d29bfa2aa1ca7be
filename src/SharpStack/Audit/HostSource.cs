using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Neutron.Contracts;
using SharpStack.Nova.Compute.Inspection;

namespace SharpStack.Audit;

/// <summary>The hosts of a cloud: this one is looked at, those with a file are read from it, the others are asked over the bus where there is one.</summary>
/// <param name="bus">To the other hosts; null where there is none.</param>
/// <param name="views">A folder of files that <c>audit host</c> wrote; null for none.</param>
internal sealed class HostSource(HostOptions options, IMessageBus? bus, string? views)
{
    private const int AtOnce = 16;

    public async Task<(IReadOnlyList<HostView> Looked, IReadOnlyDictionary<string, string> NotLooked)> ReadAsync(CloudView cloud, CancellationToken cancellationToken)
    {
        var computes = cloud.Hypervisors.Select(hypervisor => hypervisor.Host).ToHashSet(StringComparer.Ordinal);
        var simulated = ComputeInspector.IsSimulated(options.Configs.GetValueOrDefault("nova") ?? ServiceConfig.Empty("nova"));
        var switches = HostsOf(AgentTypes.OpenVSwitch);
        var dhcp = HostsOf(AgentTypes.Dhcp);
        var l3 = HostsOf(AgentTypes.L3);
        var written = views is null ? [] : Directory.EnumerateFiles(views, "*.json").Select(HostReader.Load).ToDictionary(view => view.Host);
        var asked = computes.Union(switches).Union(dhcp).Union(l3).ToList();
        var found = new HostView?[asked.Count];
        var reasons = new string?[asked.Count];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, asked.Count),
            new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken },
            async (index, cancellation) =>
            {
                var host = asked[index];
                if (written.TryGetValue(host, out var view))
                {
                    found[index] = view;
                }
                else if (host == options.HostName)
                {
                    found[index] = await new HostReader(options).LookAsync(computes.Contains(host), switches.Contains(host), dhcp.Contains(host), l3.Contains(host), cancellation);
                }
                else if (bus is not null)
                {
                    found[index] = await HostReader.AskAsync(bus, host, computes.Contains(host), switches.Contains(host), dhcp.Contains(host), l3.Contains(host), cancellation);
                }
                else
                {
                    reasons[index] = "there is no bus to ask it by: give transport_url, or a folder with what `sharpstack audit host` printed there as --views DIR";
                }

                reasons[index] ??= found[index]!.Failures.Count > 0 ? string.Join("; ", found[index]!.Failures) : null;
            });
        return (
            [.. found.OfType<HostView>()],
            Enumerable.Range(0, asked.Count).Where(index => reasons[index] is not null).ToDictionary(index => asked[index], index => reasons[index]!));

        // Simulated agents have no switch and no servers.
        HashSet<string> HostsOf(string type) => simulated ? [] : [.. cloud.Agents.Where(agent => agent.Type == type).Select(agent => agent.Host)];
    }
}
