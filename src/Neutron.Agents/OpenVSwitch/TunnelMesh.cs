using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Agents.OpenVSwitch.Bridges;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Flows;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>
/// The tunnels of this host: what the server said of other hosts, the tunnel ports and flows that follow from it. Either there is a tunnel to every
/// host that has the type, and the switch learns what is behind them; or (<c>l2_population</c>) there are tunnels to the hosts of the networks that are
/// here too, and the server says what is behind them.
/// </summary>
internal sealed partial class TunnelMesh(AgentSettings settings, TunnelSettings tunnels, VSwitch vswitch, IMessageBus bus, ILogger log)
{
    private const int LongestName = 15;
    private const string RemoteIp = "remote_ip";

    private readonly HashSet<string> complained = new(StringComparer.Ordinal);
    private readonly Dictionary<string, NetworkForwarding> forwarding = new(StringComparer.Ordinal);
    private IReadOnlyList<TunnelEndpoint> endpoints = [];
    private bool isPopulated;

    public string Bridge => tunnels.Bridge;

    /// <summary>Whether a row of the switch's database may be one of the tunnels.</summary>
    public static bool IsTunnel(string? interfaceType) => interfaceType is "vxlan" or "gre" or "ip6gre" or "geneve";

    /// <summary>The port of a tunnel: the address in hexadecimal, or of an IPv6 address as many characters of its hash as a name has room for.</summary>
    public static string PortName(string type, IPAddress remote)
    {
        if (remote.AddressFamily == AddressFamily.InterNetwork)
        {
            return $"{type}-{Convert.ToHexStringLower(remote.GetAddressBytes())}";
        }

#pragma warning disable CA5350 // OpenStack's way of shortening names, not a protection.
        var hash = SHA1.HashData(Encoding.UTF8.GetBytes(remote.ToString()));
#pragma warning restore CA5350
        return $"{type}-{Base32(hash)[..(LongestName - type.Length - 1)]}";
    }

    public bool Serves(DeviceDetails device) => tunnels.Types.Contains(device.NetworkType) && device.SegmentationId is not null;

    /// <summary>Whether what the server says of a network is of use here.</summary>
    public bool Knows(string networkId) => forwarding.ContainsKey(networkId);

    /// <summary>Asks for the other hosts, and forgets what is behind them.</summary>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(OpenVSwitchContracts.GetTunnels, new TunnelsRequest(settings.Host), cancellationToken: cancellationToken);
        endpoints = answer.Endpoints;
        forwarding.Clear();
    }

    /// <summary>Forgets a network, so that it is asked for again.</summary>
    public void Forget(string networkId) => forwarding.Remove(networkId);

    /// <summary>Asks where the ports of networks are that are not known yet, and forgets networks that are here no more.</summary>
    public async Task LoadForwardingAsync(IReadOnlyCollection<TunnelSegment> segments, CancellationToken cancellationToken)
    {
        if (!tunnels.PopulateForwarding)
        {
            return;
        }

        var here = segments.Select(segment => segment.NetworkId).ToHashSet(StringComparer.Ordinal);
        foreach (var gone in forwarding.Keys.Where(id => !here.Contains(id)).ToList())
        {
            forwarding.Remove(gone);
        }

        var missing = here.Where(id => !forwarding.ContainsKey(id)).ToList();
        if (missing.Count == 0)
        {
            return;
        }

        var answer = await bus.CallAsync(OpenVSwitchContracts.GetForwarding, new ForwardingRequest(settings.Host, missing), cancellationToken: cancellationToken);
        if (!answer.IsPopulated && complained.Add(""))
        {
            LogNotPopulated();
        }

        isPopulated = answer.IsPopulated;
        foreach (var network in answer.Networks)
        {
            forwarding[network.NetworkId] = network;
        }
    }

    /// <summary>The tunnel bridge, joined to the integration bridge.</summary>
    public void EnsureBridge(VSwitchChanges changes, BridgeSettings bridge) => changes
        .EnsureBridge(tunnels.Bridge, bridge)
        .EnsurePatchPair(settings.IntegrationBridge, tunnels.PatchToTunnels, tunnels.Bridge, tunnels.PatchFromTunnels);

    /// <summary>The tunnels that there should be.</summary>
    public void EnsureTunnels(VSwitchChanges changes, IReadOnlyCollection<TunnelSegment> segments)
    {
        foreach (var (type, remote) in Wanted(segments))
        {
            var options = new Dictionary<string, string>
            {
                ["df_default"] = tunnels.DontFragment ? "true" : "false",
                ["egress_pkt_mark"] = "0",
                ["in_key"] = "flow",
                ["local_ip"] = tunnels.LocalIp.ToString(),
                ["out_key"] = "flow",
                [RemoteIp] = remote.ToString(),
            };
            if (type == "vxlan" && tunnels.VxlanPort != 4789)
            {
                options["dst_port"] = tunnels.VxlanPort.ToString(System.Globalization.CultureInfo.InvariantCulture);
            }

            if (tunnels.Checksum)
            {
                options["csum"] = "true";
            }

            var isIpv6Gre = type == "gre" && remote.AddressFamily == AddressFamily.InterNetworkV6;
            if (isIpv6Gre)
            {
                options["packet_type"] = "legacy_l2";
            }

            changes.EnsurePort(tunnels.Bridge, PortName(type, remote), new PortSettings { Type = isIpv6Gre ? "ip6gre" : type, Options = options });
        }
    }

    /// <summary>Takes away the agent's tunnels that there should not be; those of others on the bridge stay.</summary>
    public void RemoveTunnels(VSwitchChanges changes, IReadOnlyCollection<TunnelSegment> segments)
    {
        var wanted = Wanted(segments).Select(pair => PortName(pair.Type, pair.Remote)).ToHashSet(StringComparer.Ordinal);
        foreach (var port in vswitch.Ports(tunnels.Bridge).Where(port => IsOwn(port) && !wanted.Contains(port.Name)))
        {
            changes.DeletePort(port.Name);
        }
    }

    /// <summary>All flows of the tunnel bridge.</summary>
    public IEnumerable<Flow> Flows(IReadOnlyCollection<TunnelSegment> segments)
    {
        foreach (var flow in TunnelFlows.Bridge(NumberOf(tunnels.PatchFromTunnels), tunnels.ArpResponder && isPopulated))
        {
            yield return flow;
        }

        var ports = Wanted(segments)
            .Select(pair => (pair.Type, pair.Remote, Number: NumberOf(PortName(pair.Type, pair.Remote))))
            .Where(tunnel => tunnel.Number is not null)
            .ToDictionary(tunnel => (tunnel.Type, tunnel.Remote), tunnel => tunnel.Number!.Value);
        foreach (var ((type, _), number) in ports)
        {
            yield return TunnelFlows.Tunnel(type, number);
        }

        foreach (var segment in segments)
        {
            yield return TunnelFlows.Incoming(segment);
            var flood = Remotes(segment).Select(remote => ports.TryGetValue((segment.Type, remote), out var port) ? port : (uint?)null).OfType<uint>().Order().ToList();
            if (flood.Count > 0)
            {
                yield return TunnelFlows.FloodTo(segment, flood);
            }

            foreach (var flow in Known(segment, ports))
            {
                yield return flow;
            }
        }
    }

    private IEnumerable<Flow> Known(TunnelSegment segment, Dictionary<(string Type, IPAddress Remote), uint> ports)
    {
        foreach (var host in Populated(segment)?.Hosts ?? [])
        {
            if (!IPAddress.TryParse(host.Address, out var remote) || !ports.TryGetValue((segment.Type, remote), out var port))
            {
                continue;
            }

            foreach (var (mac, ip) in host.Ports.Select(pair => (MacAddress.Parse(pair.MacAddress), pair.IpAddress)))
            {
                yield return TunnelFlows.UnicastTo(segment, mac, port);
                if (tunnels.ArpResponder && IPAddress.TryParse(ip, out var address) && address.AddressFamily == AddressFamily.InterNetwork)
                {
                    yield return TunnelFlows.ArpReply(segment, mac, address);
                }
            }
        }
    }

    private IEnumerable<(string Type, IPAddress Remote)> Wanted(IReadOnlyCollection<TunnelSegment> segments) =>
        (isPopulated
            ? segments.SelectMany(segment => Remotes(segment).Select(remote => (segment.Type, remote)))
            : tunnels.Types.SelectMany(type => Mesh(type).Select(remote => (type, remote)))).Distinct();

    private IEnumerable<IPAddress> Remotes(TunnelSegment segment) => Populated(segment) is { } known ? Usable(known.Hosts.Select(host => host.Address)) : Mesh(segment.Type);

    private NetworkForwarding? Populated(TunnelSegment segment) => isPopulated ? forwarding.GetValueOrDefault(segment.NetworkId) ?? new(segment.NetworkId, []) : null;

    private IEnumerable<IPAddress> Mesh(string type) => Usable(endpoints.Where(endpoint => endpoint.Types.Contains(type)).Select(endpoint => endpoint.Address));

    /// <summary>Addresses that a tunnel from here can lead to.</summary>
    private IEnumerable<IPAddress> Usable(IEnumerable<string> addresses)
    {
        foreach (var text in addresses)
        {
            if (!IPAddress.TryParse(text, out var address) || address.AddressFamily != tunnels.LocalIp.AddressFamily)
            {
                if (complained.Add(text))
                {
                    LogUnusable(text, tunnels.LocalIp);
                }
            }
            else if (!address.Equals(tunnels.LocalIp))
            {
                yield return address;
            }
        }
    }

    private bool IsOwn(BridgePort port) =>
        IsTunnel(port.Type) && port.Options.TryGetValue(RemoteIp, out var text) && IPAddress.TryParse(text, out var remote) && port.Name == PortName(port.Type == "ip6gre" ? "gre" : port.Type, remote);

    private uint? NumberOf(string port) => vswitch.FindPort(port)?.OpenFlowPort is { } number and > 0 ? (uint)number : null;

    private static string Base32(ReadOnlySpan<byte> bytes)
    {
        const string Digits = "abcdefghijklmnopqrstuvwxyz234567";
        var text = new StringBuilder();
        for (var bit = 0; bit + 5 <= bytes.Length * 8; bit += 5)
        {
            var value = 0;
            for (var i = bit; i < bit + 5; i++)
            {
                value = (value << 1) | ((bytes[i / 8] >> (7 - (i % 8))) & 1);
            }

            text.Append(Digits[value]);
        }

        return text.ToString();
    }

    [LoggerMessage(EventId = 6121, Level = LogLevel.Warning, Message = "[agent] l2_population is set, but the server has no mechanism driver l2population: the switch learns where ports are instead")]
    private partial void LogNotPopulated();

    [LoggerMessage(EventId = 6122, Level = LogLevel.Error, Message = "No tunnel can lead from {Local} to {Remote}, the tunnel address of another host: both must be addresses of the same IP version")]
    private partial void LogUnusable(string remote, IPAddress local);
}
