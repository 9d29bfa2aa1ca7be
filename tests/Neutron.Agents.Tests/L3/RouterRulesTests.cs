using SharpStack.LinuxHost.Firewall;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Tests.L3;

public sealed class RouterRulesTests
{
    private static readonly L3Settings Settings = new() { Host = "net1", Directory = "/x", Bridge = "br-int", OvsdbConnection = "unix:/x" };

    [Fact]
    public void Networks_of_different_address_scopes_are_kept_apart_but_for_floating_IPs()
    {
        var router = L3Samples.Router() with
        {
            Interfaces =
            [
                L3Samples.Port(L3Samples.Inner, "fa:16:3e:00:01:01", "10.4.0.1", "10.4.0.0/24", "10.4.0.1", scope: "scope-a"),
                L3Samples.Port(L3Samples.Other, "fa:16:3e:00:02:01", "10.5.0.1", "10.5.0.0/24", "10.5.0.1"),
            ],
            FloatingIps = [L3Samples.Floating("203.0.113.60", "10.4.0.11")],
        };
        var filter = Rules(router, "filter", "scope");
        var inner = Assert.Single(filter, rule => rule.StartsWith("-o qr-1a1b1c1d-00", StringComparison.Ordinal));
        var other = Assert.Single(filter, rule => rule.StartsWith("-o qr-2a1b1c1d-00", StringComparison.Ordinal));
        Assert.Equal("-o qr-2a1b1c1d-00 -m mark ! --mark 0x4000000/0xffff0000 -j DROP", other);
        Assert.NotEqual(inner.Split(' ')[6], other.Split(' ')[6]);
        Assert.DoesNotContain(filter, rule => rule.StartsWith("-o qg-", StringComparison.Ordinal));
        Assert.Contains($"-d 203.0.113.60/32 -j MARK --set-xmark {inner.Split(' ')[6]}", Rules(router, "mangle", "floatingip"));
        Assert.Contains("-s 10.4.0.11/32 -j neutron-l3-agent-float-snat", Rules(router, "mangle", "FORWARD"));

        // A further scope leaves the marks that connections carry as they are.
        var more = router with { Interfaces = [.. router.Interfaces, L3Samples.Port("4a1b1c1d-0000-4000-8000-000000000004", "fa:16:3e:00:04:01", "10.6.0.1", "10.6.0.0/24", null, scope: "scope-0")] };
        Assert.Contains(inner, Rules(more, "filter", "scope"));
    }

    [Fact]
    public void Names_that_would_be_more_than_one_word_are_refused()
    {
        var router = L3Samples.Router() with { ConntrackHelpers = [new L3ConntrackHelper("tcp", 21, "ftp -j ACCEPT")] };
        Assert.Throws<FormatException>(() => RouterRules.ForIpv4(router, Settings));
        var floating = L3Samples.Router() with { FloatingIps = [L3Samples.Floating("203.0.113.60", "10.4.0.11; reboot")] };
        Assert.Throws<FormatException>(() => RouterRules.ForIpv4(floating, Settings));
    }

    [Fact]
    public void What_an_audit_reads_are_the_floating_IPs_and_not_the_port_forwardings()
    {
        var router = L3Samples.Router() with
        {
            FloatingIps = [L3Samples.Floating("203.0.113.60", "10.4.0.11"), L3Samples.Floating("203.0.113.61", null, L3Samples.Forwarding("tcp", 22, 22, "10.4.0.12", 22, 22))],
        };
        var nat = RouterRules.ForIpv4(router, Settings).First(table => table.Name == "nat");
        Assert.Equal([new FloatingIpView("203.0.113.60", "10.4.0.11")], RouterRules.FloatingIpsIn(nat));
        Assert.Equal(["203.0.113.50"], RouterRules.SourceAddressesIn(nat));
        Assert.Empty(RouterRules.SourceAddressesIn(null));
    }

    private static IReadOnlyList<string> Rules(L3Router router, string table, string chain) =>
        RouterRules.ForIpv4(router, Settings).First(each => each.Name == table).Chains[$"neutron-l3-agent-{chain}"];
}
