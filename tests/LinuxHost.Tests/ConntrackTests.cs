using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Firewall;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.LinuxHost.Tests;

public sealed class ConntrackTests
{
    private const byte Udp = 17;

    [Fact]
    public async Task Connections_are_told_apart_and_forgotten_by_their_addresses()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.SetUp("lo");
        // Without a rule that asks for it the kernel tracks nothing.
        await PacketFilter.ApplyAsync(
            scratch.Name,
            AddressFamily.InterNetwork,
            [new FilterTable("filter", new Dictionary<string, IReadOnlyList<string>> { ["own"] = ["-m conntrack --ctstate INVALID -j DROP"] }, ["INPUT -j own"])],
            chain => chain == "own",
            TestContext.Current.CancellationToken);
        using var socket = NetworkNamespace.OpenSocket(scratch.Name, AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        foreach (var last in new[] { "127.0.0.2", "127.0.0.3" })
        {
            await socket.SendToAsync(new byte[1], new IPEndPoint(IPAddress.Parse(last), 5353), TestContext.Current.CancellationToken);
        }

        using var conntrack = Conntrack.Open(scratch.Name);
        var (one, other) = (IPAddress.Parse("127.0.0.2"), IPAddress.Parse("127.0.0.3"));
        var tracked = Assert.Single(conntrack.List(), connection => connection.Protocol == Udp && one.Equals(connection.Original.Destination));
        Assert.Equal((ushort)5353, tracked.Original.DestinationPort);
        Assert.Equal(one, tracked.Reply.Source);

        Assert.Equal(1, conntrack.Forget(connection => connection.Protocol == Udp && one.Equals(connection.Original.Destination)));
        Assert.DoesNotContain(conntrack.List(), connection => connection.Protocol == Udp && one.Equals(connection.Original.Destination));
        Assert.Contains(conntrack.List(), connection => connection.Protocol == Udp && other.Equals(connection.Original.Destination));
    }
}
