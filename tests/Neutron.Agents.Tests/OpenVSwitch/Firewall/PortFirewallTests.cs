using System.Net.Sockets;
using SharpStack.Neutron.Agents.OpenVSwitch;
using SharpStack.Neutron.Agents.OpenVSwitch.Firewall;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch.Firewall;

public sealed class PortFirewallTests
{
    private const string Mac = "fa:16:3e:00:00:0a";

    private readonly ConjunctionIds ids = new();

    [Fact]
    public void A_port_has_the_flows_of_OpenStacks_firewall_driver()
    {
        var flows = Print(PortFirewall.Flows(Port(), [Group("g", FakeServer.Rule("ingress", 6, 22, 22), FakeServer.Rule("egress"))], ids, []));
        Assert.Equal(
            """
            table=60,priority=100,in_port=3 actions=set_field:0x3->reg5,set_field:0x1->reg6,resubmit(,71)
            table=60,priority=90,dl_vlan=1,dl_dst=fa:16:3e:00:00:0a actions=set_field:0x3->reg5,set_field:0x1->reg6,pop_vlan,resubmit(,81)
            table=73,priority=100,reg6=0x1,dl_dst=fa:16:3e:00:00:0a actions=set_field:0x3->reg5,resubmit(,81)
            table=73,priority=90,ct_state=+new-est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,91)
            table=73,priority=90,ct_state=+new-est,ipv6,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,91)
            table=73,priority=80,reg5=0x3 actions=resubmit(,94)
            table=71,priority=95,arp,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,arp_spa=10.0.0.10 actions=resubmit(,94)
            table=71,priority=95,icmp6,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,ipv6_src=fe80::f816:3eff:fe00:a,icmp_type=130 actions=resubmit(,94)
            table=71,priority=95,icmp6,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,ipv6_src=fe80::f816:3eff:fe00:a,icmp_type=133 actions=resubmit(,94)
            table=71,priority=95,icmp6,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,ipv6_src=fe80::f816:3eff:fe00:a,icmp_type=135 actions=resubmit(,94)
            table=71,priority=95,icmp6,reg5=0x3,in_port=3,icmp_type=136,nd_target=fe80::f816:3eff:fe00:a actions=resubmit(,94)
            table=71,priority=80,udp,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,nw_src=10.0.0.10,tp_src=68,tp_dst=67 actions=resubmit(,73)
            table=71,priority=80,udp,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,nw_src=0.0.0.0,tp_src=68,tp_dst=67 actions=resubmit(,73)
            table=71,priority=80,udp6,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,ipv6_src=fe80::f816:3eff:fe00:a,tp_src=546,tp_dst=547 actions=resubmit(,73)
            table=71,priority=70,udp,reg5=0x3,in_port=3,tp_src=67,tp_dst=68 actions=resubmit(,93)
            table=71,priority=70,udp6,reg5=0x3,in_port=3,tp_src=547,tp_dst=546 actions=resubmit(,93)
            table=71,priority=70,icmp6,reg5=0x3,in_port=3,icmp_type=134 actions=resubmit(,93)
            table=71,priority=65,ct_state=-trk,ip,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,nw_src=10.0.0.10 actions=ct(table=72,zone=NXM_NX_REG6[0..15])
            table=71,priority=65,ct_state=-trk,ipv6,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,ipv6_src=fe80::f816:3eff:fe00:a actions=ct(table=72,zone=NXM_NX_REG6[0..15])
            table=71,priority=10,reg5=0x3,in_port=3 actions=ct_clear,resubmit(,93)
            table=81,priority=100,arp,reg5=0x3 actions=output:3
            table=81,priority=100,icmp6,reg5=0x3,icmp_type=130 actions=output:3
            table=81,priority=100,icmp6,reg5=0x3,icmp_type=135 actions=output:3
            table=81,priority=100,icmp6,reg5=0x3,icmp_type=136 actions=output:3
            table=81,priority=100,icmp6,reg5=0x3,icmp_type=134 actions=output:3
            table=81,priority=95,udp,reg5=0x3,tp_src=67,tp_dst=68 actions=output:3
            table=81,priority=95,udp6,reg5=0x3,tp_src=547,tp_dst=546 actions=output:3
            table=81,priority=90,ct_state=-trk,ip,reg5=0x3 actions=ct(table=82,zone=NXM_NX_REG6[0..15])
            table=81,priority=90,ct_state=-trk,ipv6,reg5=0x3 actions=ct(table=82,zone=NXM_NX_REG6[0..15])
            table=81,priority=80,ct_state=+trk,reg5=0x3 actions=resubmit(,82)
            table=72,priority=50,ct_mark=0x1,reg5=0x3 actions=resubmit(,93)
            table=72,priority=50,ct_state=+est-rel+rpl,ct_zone=1,ct_mark=0,reg5=0x3 actions=resubmit(,94)
            table=72,priority=50,ct_state=-new-est+rel-inv,ct_zone=1,ct_mark=0,reg5=0x3 actions=resubmit(,94)
            table=72,priority=40,ct_state=-est,reg5=0x3 actions=resubmit(,93)
            table=72,priority=40,ct_state=+est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(set_field:0x1->ct_mark))
            table=72,priority=40,ct_state=+est,ipv6,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(set_field:0x1->ct_mark))
            table=82,priority=50,ct_mark=0x1,reg5=0x3 actions=resubmit(,93)
            table=82,priority=50,ct_state=+est-rel+rpl,ct_zone=1,ct_mark=0,reg5=0x3 actions=output:3
            table=82,priority=50,ct_state=-new-est+rel-inv,ct_zone=1,ct_mark=0,reg5=0x3 actions=output:3
            table=82,priority=40,ct_state=-est,reg5=0x3 actions=resubmit(,93)
            table=82,priority=40,ct_state=+est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(set_field:0x1->ct_mark))
            table=82,priority=40,ct_state=+est,ipv6,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(set_field:0x1->ct_mark))
            table=82,priority=77,ct_state=+est-rel-rpl,tcp,reg5=0x3,tp_dst=22 actions=output:3
            table=82,priority=77,ct_state=+new-est,tcp,reg5=0x3,tp_dst=22 actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:3,resubmit(,92)
            table=72,priority=74,ct_state=+est-rel-rpl,ip,reg5=0x3 actions=resubmit(,73)
            table=72,priority=74,ct_state=+new-est,ip,reg5=0x3 actions=resubmit(,73)
            """.ReplaceLineEndings("\n"),
            string.Join('\n', flows));
    }

    [Theory]
    [InlineData(null, null, null, "IPv4", null, "priority=74,ct_state=+new-est,ip,reg5=0x3")]
    [InlineData(null, null, null, "IPv6", "2001:db8::/32", "priority=74,ct_state=+new-est,ipv6,reg5=0x3,ipv6_src=2001:db8::/32")]
    [InlineData(1, null, null, "IPv4", null, "priority=75,ct_state=+new-est,icmp,reg5=0x3")]
    [InlineData(1, 8, null, "IPv4", null, "priority=76,ct_state=+new-est,icmp,reg5=0x3,icmp_type=8")]
    [InlineData(1, 8, 0, "IPv4", null, "priority=77,ct_state=+new-est,icmp,reg5=0x3,icmp_type=8,icmp_code=0")]
    [InlineData(58, 128, null, "IPv6", null, "priority=76,ct_state=+new-est,icmp6,reg5=0x3,icmp_type=128")]
    [InlineData(17, 53, 53, "IPv4", "192.0.2.7", "priority=77,ct_state=+new-est,udp,reg5=0x3,nw_src=192.0.2.7,tp_dst=53")]
    [InlineData(132, 5000, 5001, "IPv4", null, "priority=77,ct_state=+new-est,sctp,reg5=0x3,tp_dst=0x1388/0xfffe")]
    [InlineData(47, null, null, "IPv4", null, "priority=77,ct_state=+new-est,ip,reg5=0x3,nw_proto=47")]
    [InlineData(6, null, null, "IPv6", null, "priority=77,ct_state=+new-est,tcp6,reg5=0x3")]
    public void A_rule_becomes_its_match(int? protocol, int? min, int? max, string etherType, string? prefix, string match)
    {
        var rule = FakeServer.Rule("ingress", protocol, min, max, prefix, etherType: etherType);
        var flows = Print(PortFirewall.Flows(Port(), [Group("g", rule)], ids, []));
        Assert.Contains($"table=82,{match} actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:3,resubmit(,92)", flows);
    }

    [Fact]
    public void A_remote_group_is_a_conjunction_of_its_members_and_the_rule()
    {
        var group = Group("g", FakeServer.Rule("ingress", 6, 5000, 5001, group: "clients"));
        var id = ids.Get(new ConjunctionKey("g", "clients", true, AddressFamily.InterNetwork), 3);
        var flows = Print(PortFirewall.Flows(Port(), [group], ids, []));
        Assert.Contains($"table=82,priority=73,ct_state=+est-rel-rpl,tcp,reg5=0x3,tp_dst=0x1388/0xfffe actions=conjunction({id},2/2)", flows);
        Assert.Contains($"table=82,priority=73,ct_state=+new-est,tcp,reg5=0x3,tp_dst=0x1388/0xfffe actions=conjunction({id + 1},2/2)", flows);
        Assert.Contains($"table=82,priority=73,conj_id={id},ct_state=+est-rel-rpl,ip,reg5=0x3 actions=output:3", flows);
        Assert.Contains($"table=82,priority=73,conj_id={id + 1},ct_state=+new-est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:3,resubmit(,92)", flows);

        var members = new Dictionary<string, IReadOnlyList<AddressPair>> { ["clients"] = [new(Mac, "10.0.0.7"), new(Mac, "2001:db8::7"), new(Mac, "0.0.0.0/0")] };
        Assert.Equal(
            [
                $"table=82,priority=73,ct_state=+est-rel-rpl,ip,reg6=0x1,nw_src=10.0.0.7 actions=conjunction({id},1/2)",
                $"table=82,priority=73,ct_state=+new-est,ip,reg6=0x1,nw_src=10.0.0.7 actions=conjunction({id + 1},1/2)",
                $"table=82,priority=73,ct_state=+est-rel-rpl,ip,reg6=0x1,dl_src=fa:16:3e:00:00:0a actions=conjunction({id},1/2)",
                $"table=82,priority=73,ct_state=+new-est,ip,reg6=0x1,dl_src=fa:16:3e:00:00:0a actions=conjunction({id + 1},1/2)",
            ],
            Print(PortFirewall.Members(1, PortFirewall.Conjunctions(Port(), [group]), members, ids)));
    }

    [Fact]
    public void An_address_group_is_a_conjunction_too_and_any_address_of_it_needs_no_mac()
    {
        var group = Group("g", FakeServer.Rule("egress", 17, 53, 53) with { RemoteAddressGroupId = "resolvers" });
        var id = ids.Get(new ConjunctionKey("g", "resolvers", false, AddressFamily.InterNetwork), 3);
        Assert.Contains($"table=72,priority=73,ct_state=+new-est,udp,reg5=0x3,tp_dst=53 actions=conjunction({id + 1},2/2)", Print(PortFirewall.Flows(Port(), [group], ids, [])));
        var members = new Dictionary<string, IReadOnlyList<AddressPair>> { ["resolvers"] = [new("", "192.0.2.0/24"), new("", "0.0.0.0/0")] };
        var flows = Print(PortFirewall.Members(1, PortFirewall.Conjunctions(Port(), [group]), members, ids));
        Assert.Contains($"table=72,priority=73,ct_state=+new-est,ip,reg6=0x1,nw_dst=192.0.2.0/24 actions=conjunction({id + 1},1/2)", flows);
        Assert.Contains($"table=72,priority=73,ct_state=+new-est,ip,reg6=0x1 actions=conjunction({id + 1},1/2)", flows);
    }

    [Fact]
    public void A_stateless_group_tracks_nothing()
    {
        var group = Group("g", FakeServer.Rule("ingress", 6, 22, 22), FakeServer.Rule("ingress", 1, group: "clients"), FakeServer.Rule("egress")) with { Stateful = false };
        var id = ids.Get(new ConjunctionKey("g", "clients", true, AddressFamily.InterNetwork, Stateless: true), 1);
        var flows = Print(PortFirewall.Flows(Port(), [group], ids, []));
        Assert.Contains("table=71,priority=65,ip,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:0a,nw_src=10.0.0.10 actions=resubmit(,72)", flows);
        Assert.Contains("table=72,priority=74,ip,reg5=0x3 actions=resubmit(,73)", flows);
        Assert.Contains("table=81,priority=90,ip,reg5=0x3 actions=resubmit(,82)", flows);
        Assert.Contains("table=82,priority=77,tcp,reg5=0x3,tp_dst=22 actions=output:3", flows);
        Assert.Contains($"table=82,priority=71,icmp,reg5=0x3 actions=conjunction({id},2/2)", flows);
        Assert.Contains($"table=82,priority=71,conj_id={id},ip,reg5=0x3 actions=output:3", flows);
        Assert.DoesNotContain(flows, flow => flow.Contains("ct(table", StringComparison.Ordinal));

        // Neighbours on the host that are tracked have their connections remembered, and their replies filtered.
        Assert.Contains("table=81,priority=91,ct_state=+new-est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15]),resubmit(,82)", flows);
        Assert.Contains("table=94,priority=12,reg6=0x1,dl_dst=fa:16:3e:00:00:0a actions=set_field:0x3->reg5,resubmit(,81)", flows);
        var members = new Dictionary<string, IReadOnlyList<AddressPair>> { ["clients"] = [new(Mac, "10.0.0.7")] };
        Assert.Equal([$"table=82,priority=71,ip,reg6=0x1,nw_src=10.0.0.7 actions=conjunction({id},1/2)"], Print(PortFirewall.Members(1, PortFirewall.Conjunctions(Port(), [group]), members, ids)));
    }

    [Fact]
    public void Overlapping_ranges_of_two_remote_groups_are_split_where_they_overlap()
    {
        var pieces = RuleService.Disjoint([(new RuleService(6, 10, 20), 8), (new RuleService(6, 15, 30), 16), (new RuleService(6, 15, 30), 16)]);
        Assert.Equal(["10-14: 8", "15-20: 8 16", "21-30: 16"], pieces.Select(piece => $"{piece.Service.Min}-{piece.Service.Max}: {string.Join(' ', piece.Conjunctions)}"));
        var all = Assert.Single(RuleService.Disjoint([(new RuleService(6, null, null), 8)]));
        Assert.Null(all.Service.Min);
    }

    [Fact]
    public void Trusted_ports_pass_the_egress_rules_by()
    {
        string[] expected =
        [
            "table=60,priority=100,in_port=3 actions=set_field:0x3->reg5,set_field:0x1->reg6,resubmit(,73)",
            "table=73,priority=80,reg5=0x3 actions=resubmit(,94)",
        ];
        Assert.Equal(expected, Print(PortFirewall.Flows(Port(owner: "network:dhcp"), [], ids, [])));
        Assert.Equal(expected, Print(PortFirewall.Flows(Port(portSecurity: false), [], ids, [])));
    }

    [Fact]
    public void Allowed_address_pairs_widen_what_a_port_may_send_and_get()
    {
        var details = FakeServer.Device("p", Mac, "10.0.0.10") with { AllowedAddressPairs = [new("fa:16:3e:00:00:99", "10.0.1.0/24")] };
        var flows = Print(PortFirewall.Flows(new WiredPort(details, "tap", 3, 1), [], ids, [0x4008]));
        Assert.Contains("table=71,priority=95,arp,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:99,arp_spa=10.0.1.0/24 actions=resubmit(,94)", flows);
        Assert.Contains("table=60,priority=90,dl_vlan=1,dl_dst=fa:16:3e:00:00:99 actions=set_field:0x3->reg5,set_field:0x1->reg6,pop_vlan,resubmit(,81)", flows);
        Assert.Contains("table=71,priority=95,reg5=0x3,dl_type=0x4008 actions=resubmit(,94)", flows);
    }

    [Fact]
    public void Conjunctions_have_the_same_numbers_in_the_next_process()
    {
        var key = new ConjunctionKey("g", "clients", true, AddressFamily.InterNetwork);
        Assert.Equal(ids.Get(key, 2), new ConjunctionIds().Get(key, 2));
        Assert.Equal(0u, ids.Get(key, 0) % 8);
        Assert.Equal(ids.Get(key, 0) + 6, ids.Get(key, 3));
        Assert.NotEqual(ids.Get(key, 0), ids.Get(key with { Ingress = false }, 0));
    }

    [Fact]
    public void Without_a_firewall_spoofed_arp_and_mac_addresses_are_dropped()
    {
        var flows = Print(SpoofProtection.Flows(Port()));
        Assert.Equal(
            [
                "table=0,priority=10,arp,in_port=3 actions=resubmit(,24)",
                "table=24,priority=2,arp,in_port=3,arp_spa=10.0.0.10 actions=resubmit(,25)",
                "table=0,priority=10,icmp6,in_port=3,icmp_type=136 actions=resubmit(,24)",
                "table=24,priority=2,icmp6,in_port=3,icmp_type=136,nd_target=fe80::f816:3eff:fe00:a actions=resubmit(,60)",
                "table=0,priority=9,in_port=3 actions=resubmit(,25)",
                "table=25,priority=2,in_port=3,dl_src=fa:16:3e:00:00:0a actions=resubmit(,60)",
            ],
            flows);
        Assert.Empty(SpoofProtection.Flows(Port(portSecurity: false)));
    }

    private static WiredPort Port(string owner = "compute:nova", bool portSecurity = true) =>
        new(FakeServer.Device("p", Mac, "10.0.0.10", owner: owner, portSecurity: portSecurity), "tap", 3, 1);

    private static SecurityGroupDetails Group(string id, params SecurityGroupRuleDetails[] rules) => new(id, true, 1, rules);

    private static List<string> Print(IEnumerable<Flow> flows) => [.. flows.Select(flow => (flow with { Cookie = 0 }).ToString())];
}
