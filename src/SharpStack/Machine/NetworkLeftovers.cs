using SharpStack.Cloud;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Machine;

/// <summary>What agents leave on a host by design, so that traffic goes on without them; <c>down</c> removes it.</summary>
internal static class NetworkLeftovers
{
    /// <summary>Ends the DHCP servers and what serves routers (those whose files lie in the cloud's folder).</summary>
    public static async Task StopServersAsync(CloudLayout layout, TimeProvider time, CancellationToken cancellationToken)
    {
        foreach (var process in RunningProcess.Using(layout.Data).Where(process => process.Program is "dnsmasq" or "haproxy" or "radvd" or "keepalived").ToArray())
        {
            await process.StopAsync(TimeSpan.FromSeconds(5), time, cancellationToken);
        }
    }

    /// <summary>Removes the namespaces of networks and routers. Their ports must be gone from the switch before.</summary>
    public static async Task RemoveNamespacesAsync(CancellationToken cancellationToken)
    {
        const string folder = "/run/netns";
        if (!Directory.Exists(folder))
        {
            return;
        }

        foreach (var name in Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).OfType<string>()
            .Where(name => name.StartsWith("qdhcp-", StringComparison.Ordinal) || name.StartsWith("qrouter-", StringComparison.Ordinal)).ToArray())
        {
            await Shell.TryAsync("ip", ["netns", "delete", name], cancellationToken);
        }
    }
}
