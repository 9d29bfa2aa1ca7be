using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Firewall;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.LinuxHost.Processes;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// A router on this host: a namespace with its devices, addresses, routes, packet filter and processes. Each look compares what is with what should be and
/// changes only what differs; what translates is there before the addresses that lead to it.
/// </summary>
internal sealed partial class RouterHost
{
    /// <summary>How often an address is announced, with a pause between: frames may be lost while the network learns of the device.</summary>
    private const int Announcements = 3;

    private readonly L3Settings settings;
    private readonly RouterFolders folders;
    private readonly MetadataSockets? metadata;
    private readonly NamespaceDevices devices;
    private readonly RouterProcess radvd;
    private readonly RouterProcess keepalived;
    private readonly ILogger log;
    private readonly Lock announcing = new();
    private readonly Dictionary<(string RouterId, string Device, IPAddress Address), int> unannounced = [];

    public RouterHost(L3Settings settings, VSwitch vswitch, MetadataSockets? metadata, TimeProvider time, ILogger log)
    {
        this.settings = settings;
        this.metadata = metadata;
        this.log = log;
        folders = new RouterFolders(settings.Directory);
        devices = new NamespaceDevices(vswitch, settings.Bridge, settings.SwitchNamespace);
        radvd = new RouterProcess("radvd", folders, file => RadvdArguments(file, settings), ConfigurationFiles.Readable, time, log);
        keepalived = new RouterProcess("keepalived", folders, KeepalivedArguments, ConfigurationFiles.Secret, time, log);
        radvd.Ended += id => Disturbed?.Invoke(id);
        keepalived.Ended += id => Disturbed?.Invoke(id);
    }

    /// <summary>Something of a router went away without being told to.</summary>
    public event Action<string>? Disturbed;

    /// <summary>The routers that this host serves or has something left of.</summary>
    public IReadOnlyList<string> Routers() => folders.Ids();

    /// <summary>The router is here as it should be.</summary>
    /// <returns>Whether some addresses are yet to be announced (again), or keepalived is yet to start.</returns>
    public async Task<bool> EnsureAsync(L3Router router, CancellationToken cancellationToken)
    {
        var place = RouterNames.NamespaceOf(router.Id);
        folders.Create(router.Id);
        NetworkNamespace.Ensure(place);
        var isServing = router.Ha is null || IsActive(router.Id, router.Ha);
        Prepare(place, router.Ha is not null, forwardsIpv6: isServing);
        var wanted = RouterAddressing.Of(router, settings);
        var isNew = await devices.EnsureAsync(place, DevicesOf(router), RouterNames.Prefixes, cancellationToken);
        await PacketFilter.ApplyAsync(place, AddressFamily.InterNetwork, RouterRules.ForIpv4(router, settings), RouterRules.Owns, cancellationToken);
        await PacketFilter.ApplyAsync(place, AddressFamily.InterNetworkV6, RouterRules.ForIpv6(router, settings), RouterRules.Owns, cancellationToken);
        PrepareGateway(place, router, isServing);
        var isDeaf = false;
        if (router.Ha is { } ha)
        {
            EnsureHaAddress(place, ha);
            var link = RouterNames.Ha(ha.Port);
            // Deaf to the host that serves, it would take that one's addresses: it starts when the switch has joined it to the others.
            isDeaf = (isNew.Contains(link) || !keepalived.IsRunning(router.Id)) && !devices.IsWired(link);
            await keepalived.EnsureAsync(router.Id, isDeaf ? null : KeepalivedConfiguration.Of(router, ha, wanted, settings), isNew.Contains(link), cancellationToken);
        }
        else
        {
            await keepalived.EnsureAsync(router.Id, null, restart: false, cancellationToken);
            EnsureAddresses(place, router.Id, wanted, isNew);
        }

        await ForgetConnectionsAsync(router, place, cancellationToken);
        await radvd.EnsureAsync(router.Id, isServing ? RadvdConfiguration.Of(router, settings) : null, isNew.Count > 0, cancellationToken);
        await EnsureMetadataAsync(router, place, cancellationToken);
        return Announce(router.Id, place) || isDeaf;
    }

    /// <summary>Nothing is left of the router.</summary>
    public async Task RemoveAsync(string routerId, CancellationToken cancellationToken)
    {
        if (!folders.Contains(routerId))
        {
            return;
        }

        var place = RouterNames.NamespaceOf(routerId);
        metadata?.Close(place);
        await radvd.StopAsync(routerId, cancellationToken);
        await keepalived.StopAsync(routerId, cancellationToken);
        if (NetworkNamespace.Exists(place))
        {
            // A namespace without its mount has nothing in it.
            NetworkNamespace.Ensure(place);
            await devices.RemoveAsync(place, RouterNames.Prefixes, [], cancellationToken);
            NetworkNamespace.Delete(place);
        }

        folders.Delete(routerId);
        lock (announcing)
        {
            foreach (var key in unannounced.Keys.Where(key => key.RouterId == routerId).ToList())
            {
                unannounced.Remove(key);
            }
        }
    }

    /// <summary>The floating IPs that the router had when it was last brought up to date.</summary>
    public IReadOnlySet<string> FloatingIpsOf(string routerId) => Translations.FloatingIds(ReadTranslations(routerId)).ToHashSet();

    /// <summary>Whether VRRP gave the router to this host.</summary>
    public static bool IsActive(string routerId, L3HighAvailability ha)
    {
        var place = RouterNames.NamespaceOf(routerId);
        if (!NetworkNamespace.Exists(place))
        {
            return false;
        }

        using var links = RouteClient.Open(place);
        var name = RouterNames.Ha(ha.Port);
        return links.FindLink(name) is not null && links.ListAddresses(name).Contains(InterfaceAddress.Parse(ha.VirtualAddress));
    }

    public static List<NamespaceDevice> DevicesOf(L3Router router)
    {
        var all = router.Interfaces.Select(port => Device(RouterNames.Internal(port), port)).ToList();
        if (router.Gateway is { } gateway)
        {
            all.Add(Device(RouterNames.External(gateway.Port), gateway.Port));
        }

        if (router.Ha is { } ha)
        {
            all.Add(Device(RouterNames.Ha(ha.Port), ha.Port));
        }

        return all;

        static NamespaceDevice Device(string name, L3Port port) => new(name, port.Id, port.MacAddress, port.Mtu);
    }

    /// <summary>A router's kernel settings; looked at each time, since a crash may have come between.</summary>
    private static void Prepare(string place, bool isHa, bool forwardsIpv6)
    {
        using (var links = RouteClient.Open(place))
        {
            if (!links.GetLink("lo").IsUp)
            {
                links.SetUp("lo");
            }
        }

        Sysctls(place,
        [
            ("net/ipv4/ip_forward", "1"),
            // A router answers for an address only on the link that has it.
            ("net/ipv4/conf/all/arp_ignore", "1"),
            ("net/ipv4/conf/all/arp_announce", "2"),
            ("net/ipv4/ip_nonlocal_bind", "0"),
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/addr_gen_mode", isHa ? "1" : "0"),
            // A host that only stands by must not speak on the router's links.
            ("net/ipv6/conf/all/forwarding", forwardsIpv6 ? "1" : "0"),
        ]);
    }

    /// <summary>The outer router's advertisements are heard only where nothing else says where IPv6 leaves.</summary>
    private void PrepareGateway(string place, L3Router router, bool isServing)
    {
        if (router.Gateway is not { } gateway)
        {
            return;
        }

        var hasGateway = settings.Ipv6Gateway.Length > 0 || gateway.Port.Subnets.Any(subnet => subnet is { IpVersion: 6, GatewayIp: not null });
        Sysctls(place, [($"net/ipv6/conf/{RouterNames.External(gateway.Port)}/accept_ra", isServing && !hasGateway ? "2" : "0")]);
    }

    private static void Sysctls(string place, IReadOnlyList<(string Key, string Value)> settings)
    {
        // A kernel without IPv6 has none of its settings.
        var different = NetworkNamespace.Run(place, () => settings.Where(setting => File.Exists($"/proc/sys/{setting.Key}") && File.ReadAllText($"/proc/sys/{setting.Key}").TrimEnd() != setting.Value).ToList());
        foreach (var (key, value) in different)
        {
            NetworkNamespace.WriteSysctl(place, key, value);
        }
    }

    private void EnsureAddresses(string place, string routerId, RouterAddressing wanted, IReadOnlySet<string> isNew)
    {
        using var links = RouteClient.Open(place);
        var (added, _) = wanted.ApplyAddresses(links);
        foreach (var refusal in wanted.ApplyRoutes(links))
        {
            LogRefused(routerId, refusal);
        }

        lock (announcing)
        {
            foreach (var (device, address) in added)
            {
                unannounced[(routerId, device, address)] = Announcements;
            }
        }
    }

    private static void EnsureHaAddress(string place, L3HighAvailability ha)
    {
        using var links = RouteClient.Open(place);
        var name = RouterNames.Ha(ha.Port);
        var actual = links.ListAddresses(name).ToHashSet();
        foreach (var address in ha.Port.FixedIps.Select(address => new InterfaceAddress(IPAddress.Parse(address.IpAddress), address.PrefixLength)).Where(address => !actual.Contains(address)))
        {
            links.AddAddress(name, address);
        }
    }

    /// <summary>Connections by translations that are gone would go on by them for as long as they last.</summary>
    private async Task ForgetConnectionsAsync(L3Router router, string place, CancellationToken cancellationToken)
    {
        var now = Translations.Of(router);
        var gone = ReadTranslations(router.Id).Except(now).ToList();
        if (gone.Count > 0)
        {
            using var conntrack = Conntrack.Open(place);
            var forgotten = conntrack.Forget(connection => Translations.IsStale(connection, gone));
            LogForgotten(router.Id, forgotten);
        }

        await ConfigurationFiles.WriteAsync(TranslationsFile(router.Id), string.Concat(now.Select(line => line + "\n")), ConfigurationFiles.Readable, cancellationToken);
    }

    private async Task EnsureMetadataAsync(L3Router router, string place, CancellationToken cancellationToken)
    {
        var mark = folders.MetadataMark(router.Id);
        if (settings.EnableMetadataProxy && router.Interfaces.Count > 0)
        {
            await ConfigurationFiles.WriteAsync(mark, FormattableString.Invariant($"{settings.MetadataPort}\n"), ConfigurationFiles.Readable, cancellationToken);
            metadata?.OpenRouter(place, settings.MetadataPort);
        }
        else
        {
            File.Delete(mark);
            metadata?.Close(place);
        }
    }

    private bool Announce(string routerId, string place)
    {
        lock (announcing)
        {
            foreach (var ((_, device, address), left) in unannounced.Where(pair => pair.Key.RouterId == routerId).ToList())
            {
                // Before that it would reach nobody; the agent is told when it is.
                if (!devices.IsWired(device))
                {
                    continue;
                }

                try
                {
                    Announcement.Send(device, address, isRouter: true, place);
                }
                catch (LinuxException failure)
                {
                    LogNotAnnounced(address, failure.Message);
                }

                if (left > 1)
                {
                    unannounced[(routerId, device, address)] = left - 1;
                }
                else
                {
                    unannounced.Remove((routerId, device, address));
                }
            }

            return unannounced.Any(pair => pair.Key.RouterId == routerId && devices.IsWired(pair.Key.Device));
        }
    }

    private string TranslationsFile(string routerId) => Path.Combine(folders.Of(routerId), "translations");

    private string[] ReadTranslations(string routerId) => File.Exists(TranslationsFile(routerId)) ? File.ReadAllLines(TranslationsFile(routerId)) : [];

    private static IReadOnlyList<string> RadvdArguments(string file, L3Settings settings)
    {
        var user = settings.RadvdUser is "" or "root" ? Array.Empty<string>() : ["-u", settings.RadvdUser];
        return ["-n", "-C", file, "-p", $"{file}.pid", "-m", "stderr", .. user];
    }

    private static IReadOnlyList<string> KeepalivedArguments(string file) =>
        ["--dont-fork", "--vrrp", "--log-console", "--no-syslog", "-f", file, "-p", $"{file}.pid", "-r", $"{file}.vrrp.pid"];

    [LoggerMessage(EventId = 6411, Level = LogLevel.Warning, Message = "A route of router {RouterId} was refused: {Reason}")]
    private partial void LogRefused(string routerId, string reason);

    [LoggerMessage(EventId = 6412, Level = LogLevel.Information, Message = "Translations of router {RouterId} went away, and {Count} connections by them were forgotten")]
    private partial void LogForgotten(string routerId, int count);

    [LoggerMessage(EventId = 6413, Level = LogLevel.Debug, Message = "{Address} was not announced: {Reason}")]
    private partial void LogNotAnnounced(IPAddress address, string reason);
}
