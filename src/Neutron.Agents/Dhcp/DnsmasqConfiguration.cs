using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>
/// What dnsmasq shall serve on a network, as its files and arguments. Names and values come from users: whatever could begin a new line or
/// a new field is left out.
/// </summary>
internal sealed partial record DnsmasqConfiguration
{
    private const string Classless = "classless-static-route";

    /// <summary>Classless routes once more, under the number that older Windows asks for.</summary>
    private const string OlderClassless = "249";

    private static readonly HashSet<string> ClientIdOptions = ["client-id", "61"];

    /// <summary>Leases to give: <c>mac,name,address</c>.</summary>
    public required string Hosts { get; init; }

    /// <summary>Names to answer for: <c>address fqdn name</c>.</summary>
    public required string AdditionalHosts { get; init; }

    public required string Options { get; init; }

    /// <summary>Without the paths, the user and the namespace.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Addresses and the hardware addresses that they belong to, of IPv4.</summary>
    public required IReadOnlyDictionary<string, string> Addresses { get; init; }

    /// <summary>Whether host entries carry tags: this version of dnsmasq does not survive a SIGHUP with them.</summary>
    public required bool HasTags { get; init; }

    /// <summary>Whether there is anything to serve by DHCP for IPv4.</summary>
    public required bool HasIpv4 { get; init; }

    /// <summary>Whether there is anything to serve by DHCP for IPv6.</summary>
    public required bool HasIpv6 { get; init; }

    /// <param name="network">The network whole.</param>
    /// <param name="own">The agent's own port in it.</param>
    /// <param name="settings">The agent's settings.</param>
    public static DnsmasqConfiguration Of(DhcpNetwork network, DhcpPort own, DhcpSettings settings)
    {
        var subnets = network.Subnets.OrderBy(subnet => subnet.Id, StringComparer.Ordinal).ToList();
        var byId = subnets.ToDictionary(subnet => subnet.Id);
        var hosts = new StringBuilder();
        var additional = new StringBuilder();
        var options = new StringBuilder();
        var addresses = new Dictionary<string, string>();
        var isolated = IsolatedSubnets(network);
        foreach (var subnet in subnets.Where(IsServed))
        {
            WriteSubnetOptions(options, subnet, subnets, isolated.Contains(subnet.Id), network, own, settings);
        }

        foreach (var port in network.Ports.Where(port => DhcpNames.IsServed(port.DeviceOwner)).OrderBy(port => port.Id, StringComparer.Ordinal))
        {
            if (!PhysicalAddress.TryParse(port.MacAddress, out _))
            {
                continue;
            }

            foreach (var fixedIp in port.FixedIps)
            {
                if (byId.TryGetValue(fixedIp.SubnetId, out var subnet) && IPAddress.TryParse(fixedIp.IpAddress, out var address))
                {
                    WriteHost(hosts, additional, port, subnet, address, network, settings);
                    if (IsServed(subnet) && address.AddressFamily == AddressFamily.InterNetwork)
                    {
                        addresses[fixedIp.IpAddress] = port.MacAddress;
                    }
                }
            }

            WritePortOptions(options, port);
        }

        return new DnsmasqConfiguration
        {
            Hosts = hosts.ToString(),
            AdditionalHosts = additional.ToString(),
            Options = options.ToString(),
            Arguments = [.. ArgumentsOf(network, subnets, settings)],
            Addresses = addresses,
            HasTags = hosts.ToString().Contains(",set:", StringComparison.Ordinal),
            HasIpv4 = subnets.Any(subnet => subnet.EnableDhcp && subnet.IpVersion == 4),
            HasIpv6 = subnets.Any(IsRanged),
        };
    }

    /// <summary>Whether the network needs the metadata service at the agent's own port.</summary>
    public static bool ServesMetadata(DhcpNetwork network, DhcpSettings settings) =>
        network.Subnets.Any(subnet => subnet.EnableDhcp)
        && (settings.ForceMetadata || (settings.IsolatedMetadata && network.Subnets.Any(subnet => subnet.EnableDhcp && IsolatedSubnets(network).Contains(subnet.Id))));

    /// <summary>Those whose gateway is no router of ours.</summary>
    private static HashSet<string> IsolatedSubnets(DhcpNetwork network)
    {
        var routed = network.Ports.Where(port => DhcpNames.IsRouterInterface(port.DeviceOwner)).SelectMany(port => port.FixedIps).Select(address => (address.SubnetId, address.IpAddress)).ToHashSet();
        return [.. network.Subnets.Where(subnet => subnet.GatewayIp is null || !routed.Contains((subnet.Id, subnet.GatewayIp))).Select(subnet => subnet.Id)];
    }

    private static bool IsServed(DhcpSubnet subnet) => subnet.EnableDhcp && !(subnet.IpVersion == 6 && subnet.Ipv6AddressMode == "slaac");

    /// <summary>IPv6 subnets for which dnsmasq listens.</summary>
    private static bool IsRanged(DhcpSubnet subnet) => subnet is { EnableDhcp: true, IpVersion: 6 } && IPNetwork.Parse(subnet.Cidr).PrefixLength >= 64
        && (subnet.Ipv6AddressMode is "dhcpv6-stateful" or "dhcpv6-stateless" || (subnet.Ipv6AddressMode is null && subnet.Ipv6RaMode is null));

    private static bool IsStateless(DhcpSubnet subnet) => subnet.IpVersion == 6 && subnet.Ipv6AddressMode is "slaac" or "dhcpv6-stateless";

    private static IEnumerable<string> ArgumentsOf(DhcpNetwork network, IReadOnlyList<DhcpSubnet> subnets, DhcpSettings settings)
    {
        yield return "--keep-in-foreground";
        yield return "--no-hosts";
        if (settings.DnsServers.Count > 0 || !settings.LocalResolv)
        {
            yield return "--no-resolv";
        }

        yield return "--dhcp-match=set:ipxe,175";
        yield return "--dhcp-userclass=set:ipxe6,iPXE";
        yield return "--local-service";
        yield return "--bind-dynamic";
        var lease = settings.LeaseDuration == -1 ? "infinite" : Invariant($"{settings.LeaseDuration}s");
        var leases = 0L;
        foreach (var subnet in subnets.Where(subnet => subnet.EnableDhcp))
        {
            var cidr = IPNetwork.Parse(subnet.Cidr);
            var isIpv6 = subnet.IpVersion == 6;
            if (isIpv6 && cidr.PrefixLength < 64)
            {
                continue;
            }

            var free = (isIpv6 ? 128 : 32) - cidr.PrefixLength;
            leases += 1L << Math.Min(free, 32);
            if (!isIpv6)
            {
                yield return $"--dhcp-range=set:{Tag(subnet)},{cidr.BaseAddress},static,{Mask(cidr.PrefixLength)},{lease}";
            }
            else if (IsRanged(subnet))
            {
                yield return Invariant($"--dhcp-range=set:{Tag(subnet)},{cidr.BaseAddress},static,{cidr.PrefixLength},{lease}");
            }
        }

        if (network.Mtu > 0)
        {
            yield return Invariant($"--dhcp-option-force=option:mtu,{network.Mtu}");
        }

        yield return Invariant($"--dhcp-lease-max={Math.Min(leases, settings.LeaseMax)}");
        if (settings.RenewalTime > 0)
        {
            yield return Invariant($"--dhcp-option-force=option:T1,{settings.RenewalTime}s");
        }

        if (settings.RebindingTime > 0)
        {
            yield return Invariant($"--dhcp-option-force=option:T2,{settings.RebindingTime}s");
        }

        yield return $"--conf-file={(settings.ConfigFile.Length > 0 ? settings.ConfigFile : "/dev/null")}";
        foreach (var server in settings.DnsServers)
        {
            yield return $"--server={server}";
        }

        if (DomainOf(network, settings) is { Length: > 0 } domain)
        {
            yield return $"--domain={domain}";
        }

        if (settings.BroadcastReply)
        {
            yield return "--dhcp-broadcast";
        }

        if (settings.LogDirectory.Length > 0)
        {
            yield return "--log-queries";
            yield return "--log-dhcp";
            yield return $"--log-facility={Path.Combine(settings.LogDirectory, network.Id, "dhcp_dns_log")}";
        }
        else
        {
            yield return "--quiet-dhcp";
            yield return "--quiet-dhcp6";
            yield return "--quiet-ra";
            yield return "--log-facility=-";
        }
    }

    private static void WriteHost(StringBuilder hosts, StringBuilder additional, DhcpPort port, DhcpSubnet subnet, IPAddress address, DhcpNetwork network, DhcpSettings settings)
    {
        var name = port.DnsName is { Length: > 0 } given && HostName().IsMatch(given) ? given : $"host-{address.ToString().Replace('.', '-').Replace(':', '-')}";
        var domain = DomainOf(network, settings);
        var full = domain.Length > 0 ? $"{name}.{domain}" : name;
        additional.Append(address).Append('\t').Append(full).Append(' ').Append(name).Append('\n');
        if (!IsServed(subnet))
        {
            return;
        }

        var tagged = HasOptions(port) ? $",set:{Tag(port)}" : "";
        if (IsStateless(subnet))
        {
            if (tagged.Length > 0)
            {
                hosts.Append(port.MacAddress).Append(tagged).Append('\n');
            }

            return;
        }

        hosts.Append(port.MacAddress).Append(',');
        if (subnet.IpVersion == 6)
        {
            hosts.Append("tag:dhcpv6,").Append(full).Append(",[").Append(address).Append(']');
        }
        else
        {
            if (ClientIdOf(port) is { } clientId)
            {
                hosts.Append("id:").Append(clientId).Append(',');
            }

            hosts.Append(full).Append(',').Append(address);
        }

        hosts.Append(tagged).Append('\n');
    }

    private static void WriteSubnetOptions(StringBuilder options, DhcpSubnet subnet, IReadOnlyList<DhcpSubnet> all, bool isolated, DhcpNetwork network, DhcpPort own, DhcpSettings settings)
    {
        var any = subnet.IpVersion == 4 ? "0.0.0.0" : "::";
        var nameservers = subnet.DnsNameservers.Where(server => IPAddress.TryParse(server, out _)).ToList();
        if (nameservers.Count > 0)
        {
            // The address of nobody stands for "tell them none".
            var told = nameservers is [var only] && only == any ? [] : nameservers.Select(server => subnet.IpVersion == 6 ? $"[{server}]" : server);
            WriteOption(options, subnet.IpVersion, Tag(subnet), "dns-server", [.. told]);
        }
        else if (ServersOf(network, own, subnet) is { Count: > 1 } servers)
        {
            // By itself dnsmasq tells of itself alone, and names would not be found where this host is down.
            WriteOption(options, subnet.IpVersion, Tag(subnet), "dns-server", [.. servers.Select(server => subnet.IpVersion == 6 ? $"[{server}]" : server)]);
        }

        if (subnet.IpVersion == 6)
        {
            if (settings.Domain.Length > 0)
            {
                WriteOption(options, 6, Tag(subnet), "domain-search", settings.Domain);
            }

            return;
        }

        var gateway = subnet.GatewayIp;
        var routes = new List<string>();
        foreach (var other in all.Where(other => other.IpVersion == 4 && other.Cidr != subnet.Cidr))
        {
            // Other subnets of the network are on the same link.
            routes.Add($"{other.Cidr},0.0.0.0");
        }

        foreach (var route in subnet.HostRoutes.Where(route => IPNetwork.TryParse(route.Destination, out _) && IPAddress.TryParse(route.Nexthop, out _)))
        {
            if (route.Destination == "0.0.0.0/0")
            {
                gateway ??= route.Nexthop;
            }
            else
            {
                routes.Add($"{route.Destination},{route.Nexthop}");
            }
        }

        if (settings.ForceMetadata || (isolated && settings.IsolatedMetadata))
        {
            if (own.FixedIps.FirstOrDefault(address => address.SubnetId == subnet.Id) is { } mine)
            {
                routes.Add($"{MetadataAddresses.Ipv4}/32,{mine.IpAddress}");
            }
        }
        else if (!isolated && gateway is not null)
        {
            routes.Add($"{MetadataAddresses.Ipv4}/32,{gateway}");
        }

        if (routes.Count > 0)
        {
            if (gateway is not null)
            {
                // A guest that takes classless routes ignores the router option.
                routes.Add($"0.0.0.0/0,{gateway}");
            }

            WriteOption(options, 4, Tag(subnet), Classless, [.. routes]);
            WriteOption(options, 4, Tag(subnet), OlderClassless, [.. routes]);
        }

        WriteOption(options, 4, Tag(subnet), "router", gateway is null ? [] : [gateway]);
    }

    /// <summary>The addresses of all agents that serve the subnet, this one's first.</summary>
    private static List<string> ServersOf(DhcpNetwork network, DhcpPort own, DhcpSubnet subnet) =>
        [.. network.Ports.Where(port => port.DeviceOwner == DhcpNames.DeviceOwner && port.Id != own.Id).OrderBy(port => port.Id, StringComparer.Ordinal).Prepend(own)
            .SelectMany(port => port.FixedIps).Where(address => address.SubnetId == subnet.Id).Select(address => address.IpAddress)];

    private static void WritePortOptions(StringBuilder options, DhcpPort port)
    {
        var versions = port.FixedIps.Select(address => address.IpAddress.Contains(':', StringComparison.Ordinal) ? 6 : 4).ToHashSet();
        foreach (var option in ServedOptions(port).Where(option => versions.Contains(option.IpVersion)))
        {
            var value = (option.Value ?? "").Split('\n', '\r')[0];
            WriteOption(options, option.IpVersion, Tag(port), option.Name, value.Length == 0 ? [] : [value]);
        }
    }

    private static void WriteOption(StringBuilder options, int version, string tag, string name, params ReadOnlySpan<string> values)
    {
        options.Append("tag:").Append(tag).Append(',');
        if (version == 6)
        {
            options.Append("option6:");
        }
        else if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            options.Append("option:");
        }

        options.Append(name);
        foreach (var value in values)
        {
            options.Append(',').Append(value);
        }

        options.Append('\n');
    }

    private static bool HasOptions(DhcpPort port) => ServedOptions(port).Any();

    private static IEnumerable<ExtraDhcpOption> ServedOptions(DhcpPort port) => port.ExtraDhcpOptions.Where(option => !ClientIdOptions.Contains(option.Name) && OptionName().IsMatch(option.Name));

    private static string? ClientIdOf(DhcpPort port) =>
        port.ExtraDhcpOptions.FirstOrDefault(option => ClientIdOptions.Contains(option.Name))?.Value is { Length: > 0 } value && ClientId().IsMatch(value) ? value : null;

    private static string DomainOf(DhcpNetwork network, DhcpSettings settings) =>
        network.DnsDomain is { Length: > 0 } domain && HostName().IsMatch(domain.TrimEnd('.')) ? domain.TrimEnd('.') : settings.Domain;

    private static string Tag(DhcpSubnet subnet) => $"subnet-{subnet.Id}";

    private static string Tag(DhcpPort port) => $"port-{port.Id}";

    private static IPAddress Mask(int prefix) => new(IPAddress.HostToNetworkOrder(prefix == 0 ? 0 : -1 << (32 - prefix)) & 0xFFFFFFFFL);

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    [GeneratedRegex(@"\A[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\z")]
    private static partial Regex HostName();

    [GeneratedRegex(@"\A[A-Za-z0-9-]{1,64}\z")]
    private static partial Regex OptionName();

    [GeneratedRegex(@"\A[A-Za-z0-9:._-]{1,128}\z")]
    private static partial Regex ClientId();
}
