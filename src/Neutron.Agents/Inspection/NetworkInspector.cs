using System.Net;
using System.Net.Sockets;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Processes;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.Inspection;

/// <summary>Looks at this machine's switch and DHCP servers; changes nothing, and needs no agent to run.</summary>
public static class NetworkInspector
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <exception cref="CloudException">Open vSwitch does not answer.</exception>
    public static async Task<SwitchView> InspectSwitchAsync(ServiceConfig config, HostOptions host, CancellationToken cancellationToken)
    {
        var settings = AgentSettings.Read(config, host.HostName);
        await using var vswitch = new VSwitch(new OvsdbEndpoint(settings.OvsdbConnection), host.Time);
        using var bound = new CancellationTokenSource(Patience, host.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, bound.Token);
        try
        {
            await vswitch.StartAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw CloudException.Unavailable($"Open vSwitch does not answer at {settings.OvsdbConnection}: check that ovsdb-server runs.");
        }

        return ViewOf(vswitch, settings.IntegrationBridge, settings.Host);
    }

    public static DhcpView InspectDhcp(ServiceConfig config, HostOptions host) => ViewOf(DhcpSettings.Read(config, host));

    internal static SwitchView ViewOf(VSwitch vswitch, string bridge, string host) =>
        new(host, [.. vswitch.Ports(bridge).Select(port => new SwitchPortView(port.Name, port.ExternalIds.GetValueOrDefault("iface-id"), port.Error))]);

    internal static DhcpView ViewOf(DhcpSettings settings)
    {
        var folders = new DhcpFolders(settings.Directory);
        var namespaces = NetworkNamespace.List().Where(name => name.StartsWith(DhcpDevice.NamespacePrefix, StringComparison.Ordinal))
            .Select(name => name[DhcpDevice.NamespacePrefix.Length..]).Where(id => Guid.TryParseExact(id, "D", out _)).ToHashSet(StringComparer.Ordinal);
        return new DhcpView(
            settings.Host,
            [.. folders.Networks().Union(namespaces).Select(network => new DhcpServerView(network, namespaces.Contains(network), IsRunning(folders, network), Entries(folders.Of(network))))]);
    }

    private static bool IsRunning(DhcpFolders folders, string network)
    {
        var spec = new ProcessSpec { FileName = "dnsmasq", PidFile = DnsmasqServer.PidFileOf(folders, network), NetworkNamespace = DhcpDevice.NamespaceOf(network) };
        return File.Exists(spec.PidFile) && ManagedProcess.Find(spec) is { IsRunning: true };
    }

    /// <summary>Lines such as <c>fa:16:3e:00:00:01,host-10-0-0-5.openstacklocal,10.0.0.5</c>.</summary>
    private static List<DhcpEntryView> Entries(string folder)
    {
        var path = Path.Combine(folder, "host");
        if (!File.Exists(path))
        {
            return [];
        }

        var entries = new List<DhcpEntryView>();
        foreach (var words in File.ReadLines(path).Select(line => line.Split(',')))
        {
            if (words.Skip(1).FirstOrDefault(word => IPAddress.TryParse(word, out var address) && address.AddressFamily == AddressFamily.InterNetwork) is { } address)
            {
                entries.Add(new DhcpEntryView(words[0], address));
            }
        }

        return entries;
    }
}
