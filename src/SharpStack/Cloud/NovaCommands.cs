using Microsoft.Extensions.DependencyInjection;
using SharpStack.CommandLine;
using SharpStack.Foundation.Hosting;
using SharpStack.Nova;
using SharpStack.Nova.Services;
using SharpStack.Serve;

namespace SharpStack.Cloud;

/// <summary><c>sharpstack nova discover-hosts</c>, also by the name that <c>nova-manage</c> has for it: shows the compute hosts, and mends what Placement lacks of them.</summary>
internal static class NovaCommands
{
    public const string Usage = "nova discover-hosts | nova cell_v2 discover_hosts   [--data DIR | --config-dir DIR]";

    /// <returns>1 where Placement does not have a host.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> words, TextWriter output, TimeProvider time, CancellationToken cancellationToken)
    {
        // nova-manage's own flags are taken: what they ask for is what this does anyway.
        var arguments = Arguments.Parse(words, CloudOptions.Values, ["--verbose", "--strict", "--by-service"]);
        if (arguments.Words.ToArray() is not (["discover-hosts"] or ["cell_v2", "discover_hosts"]))
        {
            throw new UsageException(Usage);
        }

        // No service runs here: the hosts are read from the database, and Placement is asked by its URL.
        var options = CloudOptions.Read(arguments, new HashSet<string> { "nova-conductor" }, time) with { Listen = null, Services = new HashSet<string>() };
        await using var host = CloudHost.Create(options, [new NovaModule()]);
        var hosts = await host.Services.GetRequiredService<HostDiscovery>().RunAsync(cancellationToken);
        output.WriteLine(hosts.Count == 0 ? "no compute host has reported yet: is nova-compute running on one?" : $"{hosts.Count} compute host{(hosts.Count == 1 ? "" : "s")}");
        foreach (var each in hosts)
        {
            output.WriteLine(
                $"  {each.Host}: {(each.IsUp ? "up" : "down")}{(each.IsDisabled ? ", disabled" : "")}, zone {each.Zone}, hypervisor {each.Node}, "
                + (each.Failure is null ? $"resource provider {each.ProviderId}" : $"NOT in Placement: {each.Failure}"));
        }

        return hosts.Any(each => each.Failure is not null) ? 1 : 0;
    }
}
