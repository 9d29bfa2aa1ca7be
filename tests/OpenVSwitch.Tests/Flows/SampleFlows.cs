using System.Net;
using System.Net.Sockets;
using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.OpenVSwitch.Tests.Flows;

/// <summary>Flows of the kinds that a Neutron node has, each with the text that ovs-ofctl has for it.</summary>
internal static class SampleFlows
{
    private static readonly MacAddress Mac = MacAddress.Parse("fa:16:3e:00:00:32");
    private static readonly Subfield Zone = FlowField.Register(6).Range(0, 15);
    private static readonly FlowMatch Port = FlowMatch.Any.Register(5, 3);

    public static IEnumerable<(string Text, Flow Flow)> All =>
    [
        ("table=0,priority=65535,vlan_tci=0x0fff/0x1fff actions=drop", Make(0, 65535, FlowMatch.Any.VlanTci(0x0fff, 0x1fff))),
        ("table=0,priority=2,in_port=1 actions=drop", Make(0, 2, FlowMatch.Any.InPort(1))),
        ("table=0,priority=3,in_port=1,dl_vlan=100 actions=set_field:4097->vlan_vid,resubmit(,60)", Make(0, 3, FlowMatch.Any.InPort(1).Vlan(100), FlowAction.SetVlan(1), FlowAction.Resubmit(60))),
        ("table=0,priority=3,in_port=1,vlan_tci=0x0000/0x1fff actions=push_vlan:0x8100,set_field:4098->vlan_vid,goto_table:60", Make(0, 3, FlowMatch.Any.InPort(1).Untagged(), FlowAction.PushVlan, FlowAction.SetVlan(2), FlowAction.GotoTable(60))),
        ("table=0,priority=0 actions=resubmit(,60)", Make(0, 0, FlowMatch.Any, FlowAction.Resubmit(60))),
        ("table=23,priority=0 actions=drop", Make(23, 0, FlowMatch.Any)),
        ("table=60,priority=3 actions=NORMAL", Make(60, 3, FlowMatch.Any, FlowAction.Normal)),
        ("table=0,priority=4,in_port=2,dl_vlan=2 actions=pop_vlan,NORMAL", Make(0, 4, FlowMatch.Any.InPort(2).Vlan(2), FlowAction.PopVlan, FlowAction.Normal)),
        ("table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,22)", Make(2, 0, FlowMatch.Any.EthDst(new(0x010000000000), new(0x010000000000)), FlowAction.Resubmit(22))),
        ("table=4,priority=1,tun_id=0x3e9 actions=push_vlan:0x8100,set_field:4099->vlan_vid,resubmit(,10)", Make(4, 1, FlowMatch.Any.TunnelId(0x3e9), FlowAction.PushVlan, FlowAction.SetVlan(3), FlowAction.Resubmit(10))),
        ("table=22,priority=1,dl_vlan=3 actions=pop_vlan,set_field:0x3e9->tun_id,output:2,output:4", Make(22, 1, FlowMatch.Any.Vlan(3), FlowAction.PopVlan, FlowAction.SetTunnel(0x3e9), FlowAction.Output(2), FlowAction.Output(4))),
        (
            "table=10,priority=1 actions=learn(table=20,hard_timeout=300,priority=1,cookie=0x7777,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[]),output:1",
            Make(
                10,
                1,
                FlowMatch.Any,
                new LearnAction(20, [
                    LearnSpec.Match(FlowField.VlanTci.Range(0, 11)),
                    LearnSpec.Match(FlowField.EthDst.Whole, FlowField.EthSrc.Whole),
                    LearnSpec.Load(0, FlowField.VlanTci.Whole),
                    LearnSpec.Load(FlowField.TunId.Whole, FlowField.TunId.Whole),
                    LearnSpec.Output(FlowField.InPort16.Whole)])
                { HardTimeout = 300, Priority = 1, Cookie = 0x7777 },
                FlowAction.Output(1))),
        (
            "table=21,priority=1,arp,dl_vlan=3,arp_tpa=10.3.0.12 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:fa:16:3e:00:00:32->eth_src,load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],load:0xfa163e000032->NXM_NX_ARP_SHA[],load:0xa03000c->NXM_OF_ARP_SPA[],IN_PORT",
            Make(
                21,
                1,
                FlowMatch.Any.Arp().Vlan(3).ArpTarget(IPAddress.Parse("10.3.0.12")),
                FlowAction.Move(FlowField.EthSrc.Whole, FlowField.EthDst.Whole),
                FlowAction.SetEthSrc(Mac),
                FlowAction.Load(2, FlowField.ArpOp.Whole),
                FlowAction.Move(FlowField.ArpSha.Whole, FlowField.ArpTha.Whole),
                FlowAction.Move(FlowField.ArpSpa.Whole, FlowField.ArpTpa.Whole),
                FlowAction.Load(Mac.Value, FlowField.ArpSha.Whole),
                FlowAction.Load(IPAddress.Parse("10.3.0.12"), FlowField.ArpSpa.Whole),
                FlowAction.InPort)),
        ("table=60,priority=100,in_port=3 actions=set_field:0x3->reg5,set_field:0x1->reg6,resubmit(,71)", Make(60, 100, FlowMatch.Any.InPort(3), FlowAction.SetRegister(5, 3), FlowAction.SetRegister(6, 1), FlowAction.Resubmit(71))),
        ("table=60,priority=90,dl_vlan=1,dl_dst=fa:16:3e:00:00:32 actions=set_field:0x3->reg5,set_field:0x1->reg6,pop_vlan,resubmit(,81)", Make(60, 90, FlowMatch.Any.Vlan(1).EthDst(Mac), FlowAction.SetRegister(5, 3), FlowAction.SetRegister(6, 1), FlowAction.PopVlan, FlowAction.Resubmit(81))),
        ("table=71,priority=95,arp,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:32,arp_spa=10.0.0.5 actions=resubmit(,94)", Make(71, 95, Port.InPort(3).Arp().EthSrc(Mac).ArpSource(IPNetwork.Parse("10.0.0.5/32")), FlowAction.Resubmit(94))),
        ("table=71,priority=95,icmp6,reg5=0x3,in_port=3,icmp_type=133 actions=resubmit(,94)", Make(71, 95, Port.InPort(3).Icmp6().IcmpType(133), FlowAction.Resubmit(94))),
        ("table=71,priority=95,icmp6,reg5=0x3,in_port=3,icmp_type=136,nd_target=fe80::f816:3eff:fe00:32 actions=resubmit(,94)", Make(71, 95, Port.InPort(3).Icmp6().IcmpType(136).NdTarget(IPNetwork.Parse("fe80::f816:3eff:fe00:32/128")), FlowAction.Resubmit(94))),
        ("table=71,priority=80,udp,reg5=0x3,in_port=3,tp_src=68,tp_dst=67 actions=resubmit(,73)", Make(71, 80, Port.InPort(3).Udp().TransportSource(68).TransportDestination(67), FlowAction.Resubmit(73))),
        ("table=71,priority=80,udp6,reg5=0x3,in_port=3,tp_src=546,tp_dst=547 actions=resubmit(,73)", Make(71, 80, Port.InPort(3).Udp(AddressFamily.InterNetworkV6).TransportSource(546).TransportDestination(547), FlowAction.Resubmit(73))),
        ("table=71,priority=65,ct_state=-trk,ip,reg5=0x3,in_port=3,dl_src=fa:16:3e:00:00:32,nw_src=10.0.0.5 actions=ct(table=72,zone=NXM_NX_REG6[0..15])", Make(71, 65, Port.InPort(3).CtState(CtStates.None, CtStates.Tracked).EthSrc(Mac).NetworkSource(IPNetwork.Parse("10.0.0.5/32")), FlowAction.Track(72, Zone))),
        ("table=71,priority=110,ct_state=+trk actions=ct_clear,resubmit(,71)", Make(71, 110, FlowMatch.Any.CtState(CtStates.Tracked), FlowAction.ClearTracking, FlowAction.Resubmit(71))),
        ("table=72,priority=74,ct_state=+new-est,ip,reg5=0x3,nw_dst=10.0.0.0/24 actions=resubmit(,73)", Make(72, 74, Port.CtState(CtStates.New, CtStates.Established).NetworkDestination(IPNetwork.Parse("10.0.0.0/24")), FlowAction.Resubmit(73))),
        ("table=72,priority=50,ct_state=+inv+trk actions=resubmit(,93)", Make(72, 50, FlowMatch.Any.CtState(CtStates.Invalid | CtStates.Tracked), FlowAction.Resubmit(93))),
        ("table=72,priority=50,ct_mark=0x1,reg5=0x3 actions=resubmit(,93)", Make(72, 50, Port.CtMark(1), FlowAction.Resubmit(93))),
        ("table=72,priority=50,ct_state=+est-rel+rpl,ct_zone=1,ct_mark=0,reg5=0x3 actions=resubmit(,94)", Make(72, 50, Port.CtState(CtStates.Established | CtStates.Reply, CtStates.Related).CtZone(1).CtMark(0), FlowAction.Resubmit(94))),
        ("table=72,priority=50,ct_state=-new-est+rel-inv,ct_zone=1,ct_mark=0,reg5=0x3 actions=resubmit(,94)", Make(72, 50, Port.CtState(CtStates.Related, CtStates.New | CtStates.Established | CtStates.Invalid).CtZone(1).CtMark(0), FlowAction.Resubmit(94))),
        ("table=72,priority=40,ct_state=+est,ip,reg5=0x3 actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(set_field:0x1->ct_mark))", Make(72, 40, Port.Ip().CtState(CtStates.Established), FlowAction.Commit(Zone, FlowAction.SetField(FlowField.CtMark, 1)))),
        ("table=72,priority=40,ct_state=+est,ipv6,reg5=0x3 actions=ct(commit,zone=7,exec(set_field:0x1->ct_mark))", Make(72, 40, Port.Ipv6().CtState(CtStates.Established), FlowAction.Commit(7, FlowAction.SetField(FlowField.CtMark, 1)))),
        ("table=82,priority=77,ct_state=+new-est,tcp,reg5=0x3,tp_dst=22 actions=ct(commit,zone=NXM_NX_REG6[0..15]),output:3,resubmit(,92)", Make(82, 77, Port.CtState(CtStates.New, CtStates.Established).Tcp().TransportDestination(22), FlowAction.Commit(Zone), FlowAction.Output(3), FlowAction.Resubmit(92))),
        ("table=82,priority=77,ct_state=+est-rel-rpl,sctp,reg5=0x3,tp_dst=0x1388/0xfffe actions=output:3", Make(82, 77, Port.CtState(CtStates.Established, CtStates.Related | CtStates.Reply).Ip().Protocol(132).TransportDestination(5000, 0xfffe), FlowAction.Output(3))),
        ("table=82,priority=77,ip,reg5=0x3,nw_proto=47 actions=output:3", Make(82, 77, Port.Ip().Protocol(47), FlowAction.Output(3))),
        ("table=82,priority=76,icmp,reg5=0x3,icmp_type=8,icmp_code=0 actions=output:3", Make(82, 76, Port.Ip().Protocol(1).IcmpType(8).IcmpCode(0), FlowAction.Output(3))),
        ("table=82,priority=73,ct_state=+new-est,ipv6,reg6=0x1,ipv6_src=2001:db8::/64 actions=conjunction(17,1/2),conjunction(25,1/2)", Make(82, 73, FlowMatch.Any.Register(6, 1).CtState(CtStates.New, CtStates.Established).NetworkSource(IPNetwork.Parse("2001:db8::/64")), FlowAction.Conjunction(17, 1, 2), FlowAction.Conjunction(25, 1, 2))),
        ("table=82,priority=73,conj_id=16,ct_state=+est-rel-rpl,ip,reg5=0x3 actions=output:3", Make(82, 73, Port.Conjunction(16).CtState(CtStates.Established, CtStates.Related | CtStates.Reply).Ip(), FlowAction.Output(3))),
        ("table=82,idle_timeout=30,priority=1 actions=drop", Make(82, 1, FlowMatch.Any) with { IdleTimeout = 30 }),
    ];

    private static Flow Make(byte table, ushort priority, FlowMatch match, params ReadOnlySpan<FlowAction> actions) => new(table, priority, match, EquatableArray.Create(actions));
}
