using System.Net;
using SharpStack.OpenVSwitch.Flows;
using SharpStack.OpenVSwitch.OpenFlow;

namespace SharpStack.OpenVSwitch.Tests.Flows;

public sealed class FlowTests
{
    public static TheoryData<string> Texts => [.. SampleFlows.All.Select(sample => sample.Text)];

    [Theory]
    [MemberData(nameof(Texts))]
    public void A_flow_prints_in_the_words_of_ovs_ofctl(string text)
    {
        var flow = SampleFlows.All.Single(sample => sample.Text == text).Flow;
        Assert.Equal(text, flow.ToString());
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public void A_flow_survives_the_wire(string text)
    {
        var flow = SampleFlows.All.Single(sample => sample.Text == text).Flow with { Cookie = 0x5eed };
        using var buffer = new OpenFlowBuffer();
        OpenFlowSwitch.WriteFlowMod(buffer, 1, new(FlowCommandKind.Add, flow));

        // A flow_mod has its match and instructions at byte 48, as an entry of flow statistics has them.
        using var entry = new OpenFlowBuffer();
        entry.U16(0);
        entry.U8(flow.Table);
        entry.Zeros(9);
        entry.U16(flow.Priority);
        entry.U16(flow.IdleTimeout);
        entry.U16(flow.HardTimeout);
        entry.Zeros(6);
        entry.U64(flow.Cookie);
        entry.Zeros(16);
        entry.Bytes(buffer.Written.Span[48..]);
        entry.PatchLength(0, 0);
        var read = new List<InstalledFlow>();
        OpenFlowSwitch.ReadFlows(entry.Written.Span, read);

        Assert.Equal(flow, Assert.Single(read).Flow);
        Assert.Equal(0, buffer.Length % 8);
    }

    [Fact]
    public void Matches_are_equal_whatever_the_order_they_were_written_in()
    {
        var one = FlowMatch.Any.InPort(3).Register(5, 3).Udp().TransportSource(68);
        var other = FlowMatch.Any.Register(5, 3).Udp().TransportSource(68).InPort(3);
        Assert.Equal(one, other);
        Assert.Equal(one.GetHashCode(), other.GetHashCode());
        Assert.NotEqual(one, other.InPort(4));
    }

    [Fact]
    public void An_empty_mask_and_the_bits_outside_a_mask_do_not_count()
    {
        Assert.Equal(FlowMatch.Any.Ip(), FlowMatch.Any.NetworkSource(IPNetwork.Parse("0.0.0.0/0")));
        Assert.Equal(FlowMatch.Any.VlanTci(0x0003, 0x0fff), FlowMatch.Any.VlanTci(0x1003, 0x0fff));
    }

    [Fact]
    public void A_transport_port_without_a_transport_is_refused() =>
        Assert.Throws<InvalidOperationException>(() => FlowMatch.Any.Ip().TransportDestination(22));

    [Theory]
    [InlineData(22, 22, "22/65535")]
    [InlineData(5000, 5001, "5000/65534")]
    [InlineData(1, 65535, "1/65535 2/65534 4/65532 8/65528 16/65520 32/65504 64/65472 128/65408 256/65280 512/65024 1024/64512 2048/63488 4096/61440 8192/57344 16384/49152 32768/32768")]
    [InlineData(0, 65535, "0/0")]
    [InlineData(1000, 1003, "1000/65532")]
    [InlineData(65535, 65535, "65535/65535")]
    public void Port_ranges_become_masks(int first, int last, string masks) =>
        Assert.Equal(masks, string.Join(' ', PortRange.ToMasks((ushort)first, (ushort)last).Select(mask => $"{mask.Value}/{mask.Mask}")));

    [Fact]
    public void Masks_cover_a_range_exactly_and_without_overlap()
    {
        foreach (var (first, last) in new[] { (1, 65535), (3, 17), (1023, 1025), (30000, 60001) })
        {
            var masks = PortRange.ToMasks((ushort)first, (ushort)last);
            for (var port = 0; port <= 65535; port++)
            {
                var covering = masks.Count(mask => (port & mask.Mask) == mask.Value);
                Assert.Equal(port >= first && port <= last ? 1 : 0, covering);
            }
        }
    }

    [Fact]
    public void The_difference_has_what_is_missing_wrong_and_too_much()
    {
        Flow Make(uint port, uint output) => new(60, 1, FlowMatch.Any.InPort(port), [FlowAction.Output(output)]) { Cookie = 7 };
        var difference = FlowDifference.Between([Make(1, 2), Make(2, 3), Make(3, 4)], [Make(1, 2), Make(2, 9), Make(4, 5)]);
        Assert.Equal([Make(4, 5)], difference.Added);
        Assert.Equal([Make(2, 9)], difference.Changed);
        Assert.Equal([Make(3, 4)], difference.Removed);
        Assert.True(FlowDifference.Between([Make(1, 2)], [Make(1, 2)]).IsEmpty);
    }

    [Theory]
    [InlineData("fa:16:3e:00:00:32", true)]
    [InlineData("FA:16:3E:00:00:32", true)]
    [InlineData("fa:16:3e:00:00", false)]
    [InlineData("fa-16-3e-00-00-32", false)]
    [InlineData("fa:16:3e:00:00:3g", false)]
    [InlineData(null, false)]
    public void Mac_addresses_are_read_strictly(string? text, bool valid)
    {
        Assert.Equal(valid, MacAddress.TryParse(text, out var address));
        Assert.Equal(valid ? "fa:16:3e:00:00:32" : "00:00:00:00:00:00", address.ToString());
    }

    [Theory]
    [InlineData("0004000c0000000000000000")]
    [InlineData("00")]
    [InlineData("00400000")]
    public void A_message_cut_short_is_an_error_and_not_a_crash(string hex) =>
        Assert.Throws<OpenFlowException>(() => OpenFlowSwitch.ReadFlows(Convert.FromHexString(hex), []));
}
