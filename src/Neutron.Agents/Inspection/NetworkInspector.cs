using System.Net;
using System.Net.Sockets;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Firewall;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.LinuxHost.Processes;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.L3;
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

    /// <exception cref="CloudException">The packet filter of a router cannot be read.</exception>
    public static Task<RoutersView> InspectRoutersAsync(ServiceConfig config, HostOptions host, CancellationToken cancellationToken) =>
        ViewOfAsync(L3Settings.Read(config, host), cancellationToken);

    internal static async Task<RoutersView> ViewOfAsync(L3Settings settings, CancellationToken cancellationToken)
    {
        var namespaces = IdsOf(RouterNames.NamespacePrefix);
        var views = new List<RouterView>();
        foreach (var routerId in new RouterFolders(settings.Directory).Ids().Union(namespaces))
        {
            views.Add(namespaces.Contains(routerId) ? await ViewOfAsync(routerId, cancellationToken) : new RouterView(routerId, false, [], [], [], []));
        }

        return new RoutersView(settings.Host, views);
    }

    private static async Task<RouterView> ViewOfAsync(string routerId, CancellationToken cancellationToken)
    {
        var place = RouterNames.NamespaceOf(routerId);
        try
        {
            using var links = RouteClient.Open(place);
            var devices = links.ListLinks().Select(link => link.Name).Where(name => RouterNames.Prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))).ToList();
            var outer = devices.Where(name => name.StartsWith(RouterNames.ExternalPrefix, StringComparison.Ordinal)).SelectMany(links.ListAddresses)
                .Where(address => !address.Address.IsIPv6LinkLocal).Select(address => address.Address.ToString()).ToList();
            var nat = (await PacketFilter.ReadAsync(place, AddressFamily.InterNetwork, RouterRules.Owns, cancellationToken)).FirstOrDefault(table => table.Name == "nat");
            return new RouterView(routerId, true, devices, outer, RouterRules.FloatingIpsIn(nat), RouterRules.SourceAddressesIn(nat));
        }
        catch (Exception failure) when (failure is ShellException or LinuxException)
        {
            throw CloudException.Unavailable($"Router {routerId} cannot be looked at: {failure.Message}", inner: failure);
        }
    }

    private static HashSet<string> IdsOf(string prefix) => NetworkNamespace.List().Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
        .Select(name => name[prefix.Length..]).Where(id => Guid.TryParseExact(id, "D", out _)).ToHashSet(StringComparer.Ordinal);

    internal static SwitchView ViewOf(VSwitch vswitch, string bridge, string host) =>
        new(host, [.. vswitch.Ports(bridge).Select(port => new SwitchPortView(port.Name, port.ExternalIds.GetValueOrDefault(HostWiring.InterfaceId), port.Error))]) { Trunks = TrunkBridges.View(vswitch) };

    internal static DhcpView ViewOf(DhcpSettings settings)
    {
        var folders = new DhcpFolders(settings.Directory);
        var namespaces = IdsOf(DhcpDevice.NamespacePrefix);
        return new DhcpView(
            settings.Host,
            [.. folders.Ids().Union(namespaces).Select(network => new DhcpServerView(network, namespaces.Contains(network), IsRunning(folders, network), Entries(folders.Of(network))))]);
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
