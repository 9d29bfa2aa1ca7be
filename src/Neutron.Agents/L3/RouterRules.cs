using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using SharpStack.LinuxHost.Firewall;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>
/// The packet filter of a router, in the chains that OpenStack's agent has and iptables' words: source and destination NAT, port forwardings, the metadata
/// redirection, address scopes, bandwidth limits and connection tracking helpers. Every address in it has been parsed.
/// </summary>
internal sealed class RouterRules
{
    private const string Own = "neutron-l3-agent-";
    private const string Bottom = "neutron-postrouting-bottom";
    private const string RouterMask = "0xffff";
    private const string ScopeMask = "0xffff0000";

    /// <summary>iptables' limit of a chain's name.</summary>
    private const int ChainLength = 28;

    /// <summary>Scopes are marks in the upper half: the first of them is that of subnets without one.</summary>
    private const uint FirstScope = 1024, LastScope = 2047;

    private readonly L3Router router;
    private readonly L3Settings settings;
    private readonly string? outside;
    private readonly string? outerAddress;
    private readonly Dictionary<string, uint> scopes;
    private readonly Table nat = new("nat");
    private readonly Table mangle = new("mangle");
    private readonly Table filter = new("filter");
    private readonly Table raw = new("raw");

    private RouterRules(L3Router router, L3Settings settings)
    {
        this.router = router;
        this.settings = settings;
        outside = router.Gateway is { } gateway ? RouterNames.External(gateway.Port) : null;
        outerAddress = router.Gateway?.Port.FixedIps.Select(address => IPAddress.Parse(address.IpAddress)).FirstOrDefault(IsIpv4)?.ToString();
        scopes = Scopes(router);
    }

    /// <summary>Whether a chain of this name is the agent's.</summary>
    public static bool Owns(string chain) => chain.StartsWith(Own, StringComparison.Ordinal) || chain == Bottom;

    /// <summary>The tables of IPv4.</summary>
    public static IReadOnlyList<FilterTable> ForIpv4(L3Router router, L3Settings settings) => new RouterRules(router, settings).Ipv4();

    /// <summary>The tables of IPv6.</summary>
    public static IReadOnlyList<FilterTable> ForIpv6(L3Router router, L3Settings settings) => new RouterRules(router, settings).Ipv6();

    /// <summary>What a NAT table leads floating IPs to, but for port forwardings.</summary>
    public static IReadOnlyList<FloatingIpView> FloatingIpsIn(FilterTable? nat) =>
        [.. RulesOf(nat, "PREROUTING").Where(words => words is ["-d", _, "-j", "DNAT", "--to-destination", _]).Select(words => new FloatingIpView(words[1].Split('/')[0], words[5]))];

    /// <summary>What a NAT table lets inner addresses leave under.</summary>
    public static IReadOnlyList<string> SourceAddressesIn(FilterTable? nat) =>
        [.. RulesOf(nat, "snat").Where(words => words is ["-o", _, "-j", "SNAT", "--to-source", _, ..]).Select(words => words[5])];

    private static IEnumerable<string[]> RulesOf(FilterTable? table, string chain) =>
        table is not null && table.Chains.TryGetValue(Own + chain, out var rules) ? rules.Select(rule => rule.Split(' ')) : [];

    private IReadOnlyList<FilterTable> Ipv4()
    {
        foreach (var chain in new[] { "PREROUTING", "OUTPUT", "POSTROUTING" })
        {
            nat.Hook(chain);
        }

        nat.Hook("POSTROUTING", Bottom);
        nat.Chain(Bottom).Add($"-m comment --comment \"Perform source NAT on outgoing traffic.\" -j {Own}snat");
        nat.Chain($"{Own}float-snat");
        nat.Add("snat", $"-j {Own}float-snat");
        foreach (var chain in new[] { "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING" })
        {
            mangle.Hook(chain);
        }

        foreach (var chain in new[] { "INPUT", "FORWARD", "OUTPUT" })
        {
            filter.Hook(chain);
        }

        raw.Hook("PREROUTING");
        raw.Hook("OUTPUT");
        WriteMarks();
        WriteScopes(AddressFamily.InterNetwork);
        WriteMetadata(AddressFamily.InterNetwork);
        WriteFloatingIps();
        WriteSourceNat();
        WriteLimits();
        foreach (var helper in router.ConntrackHelpers)
        {
            raw.Add("PREROUTING", Invariant($"-p {helper.Protocol} -m {helper.Protocol} --dport {helper.Port} -j CT --helper {Word(helper.Helper)}"));
        }

        return [nat.Build(), mangle.Build(), filter.Build(), raw.Build()];
    }

    private IReadOnlyList<FilterTable> Ipv6()
    {
        nat.Hook("PREROUTING");
        mangle.Hook("PREROUTING");
        filter.Hook("INPUT");
        filter.Hook("FORWARD");
        mangle.Chain($"{Own}scope");
        mangle.Add("PREROUTING", $"-j {Own}scope");
        mangle.Add("PREROUTING", $"-m connmark ! --mark 0x0/{ScopeMask} -j CONNMARK --restore-mark --nfmask {ScopeMask} --ctmask {ScopeMask}");
        WriteMetadataMark(AddressFamily.InterNetworkV6);
        WriteScopes(AddressFamily.InterNetworkV6);
        WriteMetadata(AddressFamily.InterNetworkV6);
        return [nat.Build(), mangle.Build(), filter.Build()];
    }

    /// <summary>What a packet is known by later: where it came in, its scope, whether it asks for metadata.</summary>
    private void WriteMarks()
    {
        mangle.Chain($"{Own}mark");
        mangle.Chain($"{Own}scope");
        mangle.Chain($"{Own}floatingip");
        mangle.Add("PREROUTING", $"-j {Own}mark");
        mangle.Add("PREROUTING", $"-j {Own}scope");
        mangle.Add("PREROUTING", $"-m connmark ! --mark 0x0/{ScopeMask} -j CONNMARK --restore-mark --nfmask {ScopeMask} --ctmask {ScopeMask}");
        // The marks of floating IPs come last: they may lead from one scope into another.
        mangle.Add("PREROUTING", $"-j {Own}floatingip");
        WriteMetadataMark(AddressFamily.InterNetwork);
        if (outside is not null && outerAddress is not null)
        {
            mangle.Add("mark", $"-i {outside} -j MARK --set-xmark {Hex(settings.ExternalMark)}/{RouterMask}");
        }
    }

    private void WriteScopes(AddressFamily family)
    {
        filter.Chain($"{Own}scope");
        filter.Add("FORWARD", $"-j {Own}scope");
        // Requests that came before there was anybody to answer them go nowhere else.
        filter.Add("scope", $"-m mark --mark {Hex(settings.MetadataMark)}/{RouterMask} -j DROP");

        foreach (var port in router.Interfaces)
        {
            WriteScope(RouterNames.Internal(port), port, family, isBlocking: true);
        }

        if (router.Gateway is { } gateway)
        {
            // Source NAT hides where it comes from.
            WriteScope(outside!, gateway.Port, family, isBlocking: family == AddressFamily.InterNetworkV6 || !gateway.EnableSnat);
        }
    }

    private void WriteScope(string device, L3Port port, AddressFamily family, bool isBlocking)
    {
        var version = family == AddressFamily.InterNetwork ? 4 : 6;
        if (port.Subnets.FirstOrDefault(subnet => subnet.IpVersion == version) is not { } subnet)
        {
            return;
        }

        var mark = ScopeMark(subnet.AddressScopeId);
        mangle.Add("scope", $"-i {device} -j MARK --set-xmark {mark}");
        if (isBlocking)
        {
            filter.Add("scope", $"-o {device} -m mark ! --mark {mark} -j DROP");
        }
    }

    private static string MetadataMatch(AddressFamily family) =>
        $"-d {(family == AddressFamily.InterNetwork ? $"{MetadataAddresses.Ipv4}/32" : $"{MetadataAddresses.Ipv6}/128")} -i {RouterNames.InternalPrefix}+ -p tcp -m tcp --dport 80";

    private void WriteMetadataMark(AddressFamily family) => mangle.Add("PREROUTING", $"{MetadataMatch(family)} -j MARK --set-xmark {Hex(settings.MetadataMark)}/{RouterMask}");

    private void WriteMetadata(AddressFamily family)
    {
        if (!settings.EnableMetadataProxy)
        {
            return;
        }

        nat.Add("PREROUTING", Invariant($"{MetadataMatch(family)} -j REDIRECT --to-ports {settings.MetadataPort}"));
        filter.Add("INPUT", $"-m mark --mark {Hex(settings.MetadataMark)}/{RouterMask} -j ACCEPT");
        filter.Add("INPUT", Invariant($"-p tcp -m tcp --dport {settings.MetadataPort} -j DROP"));
    }

    private void WriteFloatingIps()
    {
        if (outside is null)
        {
            return;
        }

        var outerScope = OuterScope();
        foreach (var floating in router.FloatingIps)
        {
            var address = IPAddress.Parse(floating.FloatingAddress);
            if (floating.FixedAddress is { } fixedText && IPAddress.Parse(fixedText) is var inner)
            {
                foreach (var chain in new[] { "PREROUTING", "OUTPUT" })
                {
                    nat.Add(chain, $"-d {address}/32 -j DNAT --to-destination {inner}");
                }

                nat.Add("float-snat", $"-s {inner}/32 -j SNAT --to-source {address} --random-fully");
                WriteFloatingScope(address, inner, outerScope);
            }

            WriteForwardings(floating, address);
        }
    }

    /// <summary>A floating IP leads from the outer scope into that of the address behind it, and back.</summary>
    private void WriteFloatingScope(IPAddress address, IPAddress inner, string? outerScope)
    {
        var innerScope = router.Interfaces.SelectMany(port => port.Subnets).FirstOrDefault(subnet => subnet.IpVersion == 4 && IPNetwork.Parse(subnet.Cidr).Contains(inner))?.AddressScopeId;
        if (innerScope == outerScope)
        {
            return;
        }

        if (mangle.IsEmpty("float-snat"))
        {
            mangle.Add("float-snat", $"-m connmark --mark 0x0/{ScopeMask} -j CONNMARK --save-mark --nfmask {ScopeMask} --ctmask {ScopeMask}");
            mangle.Add("float-snat", $"-o {outside} -j MARK --set-xmark {ScopeMark(outerScope)}");
        }

        mangle.Add("floatingip", $"-d {address}/32 -j MARK --set-xmark {ScopeMark(innerScope)}");
        mangle.Add("FORWARD", $"-s {inner}/32 -j {Own}float-snat");
    }

    private void WriteForwardings(L3FloatingIp floating, IPAddress address)
    {
        foreach (var forwarding in floating.PortForwardings)
        {
            if (nat.IsEmpty("fip-pf"))
            {
                nat.Add("PREROUTING", $"-j {Own}fip-pf");
            }

            var chain = $"{Own}pf-{forwarding.Id}"[..ChainLength];
            nat.Add("fip-pf", $"-j {chain}");
            var to = IPAddress.Parse(forwarding.InternalAddress).ToString();
            nat.Chain(chain).Add(forwarding.Protocol == "icmp"
                ? $"-d {address}/32 -p icmp -j DNAT --to-destination {to}"
                : $"-d {address}/32 -p {Word(forwarding.Protocol)} -m {Word(forwarding.Protocol)} --dport {Outer(forwarding)} -j DNAT --to-destination {to}:{Inner(forwarding)}");
        }

        static string Outer(L3PortForwarding forwarding) => forwarding.ExternalPortFirst == forwarding.ExternalPortLast
            ? Invariant($"{forwarding.ExternalPortFirst}") : Invariant($"{forwarding.ExternalPortFirst}:{forwarding.ExternalPortLast}");

        // The base after the slash makes it one to one: the n-th of these for the n-th of those.
        static string Inner(L3PortForwarding forwarding) => forwarding.InternalPortFirst == forwarding.InternalPortLast
            ? Invariant($"{forwarding.InternalPortFirst}")
            : Invariant($"{forwarding.InternalPortFirst}-{forwarding.InternalPortLast}") + (forwarding.ExternalPortFirst == forwarding.ExternalPortLast ? "" : Invariant($"/{forwarding.ExternalPortFirst}"));
    }

    private void WriteSourceNat()
    {
        if (router.Gateway is not { } gateway || outerAddress is null)
        {
            return;
        }

        if (gateway.EnableSnat)
        {
            mangle.Add("POSTROUTING", $"-o {outside} -m connmark --mark 0x0/{ScopeMask} -j CONNMARK --save-mark --nfmask {ScopeMask} --ctmask {ScopeMask}");
            if (OuterScope() is { } scope)
            {
                nat.Add("snat", $"-o {outside} -m connmark --mark {ScopeMark(scope)} -j ACCEPT");
            }

            nat.Add("snat", $"-o {outside} -j SNAT --to-source {outerAddress} --random-fully");
        }

        // Between inner networks addresses stay, but answers to a floating IP's other side must come back through the router.
        nat.Add("POSTROUTING", $"! -o {outside} -m conntrack ! --ctstate DNAT -j ACCEPT");
        nat.Add("snat", $"-m mark ! --mark {Hex(settings.ExternalMark)}/{RouterMask} -m conntrack --ctstate DNAT -j SNAT --to-source {outerAddress} --random-fully");
    }

    /// <summary>
    /// What is more than a limit allows is dropped. The kernel rounds rates, so that a rule would not be known again by them: the limit's name has them in it.
    /// </summary>
    private void WriteLimits()
    {
        foreach (var floating in outside is null ? [] : router.FloatingIps)
        {
            WriteLimits(floating.Id, IPAddress.Parse(floating.FloatingAddress).ToString(), floating.BandwidthLimits);
        }

        if (outerAddress is not null)
        {
            WriteLimits(router.Id, outerAddress, router.Gateway!.BandwidthLimits);
        }
    }

    private void WriteLimits(string owner, string address, IReadOnlyList<BandwidthLimit> limits)
    {
        foreach (var limit in limits)
        {
            // In comes what has not been translated yet; out goes what answers come to that address for.
            var isIngress = limit.Direction == "ingress";
            var (chain, what) = isIngress ? ("PREROUTING", $"-d {address}/32 -i {outside}") : ("POSTROUTING", $"-o {outside} -m conntrack --ctrepldst {address}");
            var rate = Math.Max(1, limit.MaxKbps / 8);
            var burst = Math.Max(rate, (limit.MaxBurstKbps > 0 ? limit.MaxBurstKbps : limit.MaxKbps * 8 / 10) / 8);
            var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Invariant($"{owner} {limit.Direction} {rate} {burst}"))).AsSpan(0, 6));
            mangle.Add(chain, Invariant($"{what} -m hashlimit --hashlimit-above {rate}kb/s --hashlimit-burst {burst}kb --hashlimit-name {name} -j DROP"));
        }
    }

    private string? OuterScope() => router.Gateway?.Port.Subnets.FirstOrDefault(subnet => subnet.IpVersion == 4)?.AddressScopeId;

    private string ScopeMark(string? scope) => $"{Hex((scope is null ? FirstScope : scopes[scope]) << 16)}/{ScopeMask}";

    /// <summary>A number for each scope that does not change where others come and go, as far as can be: connections carry it.</summary>
    private static Dictionary<string, uint> Scopes(L3Router router)
    {
        var ports = router.Gateway is { } gateway ? router.Interfaces.Append(gateway.Port) : router.Interfaces;
        var numbers = new Dictionary<string, uint>();
        foreach (var scope in ports.SelectMany(port => port.Subnets).Select(subnet => subnet.AddressScopeId).OfType<string>().Distinct().Order(StringComparer.Ordinal))
        {
            const uint Room = LastScope - FirstScope;
            var at = BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes(scope))) % Room;
            while (numbers.ContainsValue(FirstScope + 1 + at))
            {
                at = (at + 1) % Room;
            }

            numbers[scope] = FirstScope + 1 + at;
        }

        return numbers;
    }

    private static bool IsIpv4(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork;

    private static string Hex(uint value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static string Word(string text) =>
        text.Length > 0 && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '-' or '_') ? text : throw new FormatException($"'{text}' is no name of a protocol or a helper.");

    /// <summary>A table as it grows.</summary>
    private sealed class Table(string name)
    {
        private readonly SortedDictionary<string, IReadOnlyList<string>> chains = new(StringComparer.Ordinal);
        private readonly List<string> hooks = [];

        public List<string> Chain(string chain)
        {
            if (!chains.TryGetValue(chain, out var rules))
            {
                chains[chain] = rules = new List<string>();
            }

            return (List<string>)rules;
        }

        public void Add(string chain, string rule) => Chain(Own + chain).Add(rule);

        public bool IsEmpty(string chain) => Chain(Own + chain).Count == 0;

        /// <summary>A chain of the kernel's leads to the agent's of that name, or to another.</summary>
        public void Hook(string chain, string? to = null)
        {
            Chain(to ?? Own + chain);
            hooks.Add($"{chain} -j {to ?? Own + chain}");
        }

        public FilterTable Build() => new(name, chains, hooks);
    }
}
