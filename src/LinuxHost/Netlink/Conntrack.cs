using System.Buffers.Binary;
using System.Net;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Netlink;

/// <summary>A connection as the kernel tracks it: what its first packet was, and what an answer to it is.</summary>
/// <param name="Protocol">IANA's number: 1 ICMP, 6 TCP, 17 UDP.</param>
public sealed record TrackedConnection(byte Protocol, TrackedTuple Original, TrackedTuple Reply)
{
    /// <summary>How the kernel wrote the first packet's addresses; names the connection in a request.</summary>
    internal byte[] Key { get; init; } = [];

    internal byte Family { get; init; }
}

/// <param name="SourcePort">0 for protocols without ports.</param>
public readonly record struct TrackedTuple(IPAddress? Source, IPAddress? Destination, ushort SourcePort, ushort DestinationPort);

/// <summary>The connections that the kernel tracks in one network namespace (NETLINK_NETFILTER, nfnetlink_conntrack). Safe for several threads.</summary>
public sealed class Conntrack : IDisposable
{
    private const int NetfilterProtocol = 12;
    private const ushort Get = (1 << 8) | 1, Remove = (1 << 8) | 2;
    private const ushort Nested = 0x8000;

    // CTA_*
    private const ushort TupleOriginal = 1, TupleReply = 2;
    private const ushort TupleAddresses = 1, TupleProtocol = 2;
    private const ushort Source4 = 1, Destination4 = 2, Source6 = 3, Destination6 = 4;
    private const ushort ProtocolNumber = 1, ProtocolSourcePort = 2, ProtocolDestinationPort = 3;

    private readonly NetlinkSocket socket;

    private Conntrack(string? networkNamespace) => socket = new NetlinkSocket(networkNamespace, NetfilterProtocol);

    public static Conntrack Open(string? networkNamespace = null) => new(networkNamespace);

    public void Dispose() => socket.Dispose();

    /// <summary>All connections, both families.</summary>
    public IReadOnlyList<TrackedConnection> List()
    {
        var found = new List<TrackedConnection>();
        foreach (var family in new byte[] { Libc.AddressFamilyInet, Libc.AddressFamilyInet6 })
        {
            socket.Execute(
                new NetlinkMessage(Get, NetlinkSocket.Request | NetlinkSocket.Dump).Header((uint)family),
                "list tracked connections",
                payload => found.Add(Read(payload, family)));
        }
        return found;
    }

    /// <summary>The kernel forgets the connections for which the predicate holds: their next packet is a first one.</summary>
    /// <returns>How many there were.</returns>
    public int Forget(Func<TrackedConnection, bool> predicate)
    {
        var forgotten = 0;
        foreach (var connection in List().Where(predicate))
        {
            try
            {
                socket.Execute(
                    new NetlinkMessage(Remove, NetlinkSocket.Request | NetlinkSocket.Acknowledge).Header((uint)connection.Family)
                        .Attribute(TupleOriginal | Nested, connection.Key),
                    "forget a tracked connection");
                forgotten++;
            }
            catch (LinuxException failure) when (failure.IsNotFound)
            {
                // It ended meanwhile.
            }
        }
        return forgotten;
    }

    private static TrackedConnection Read(ReadOnlySpan<byte> payload, byte family)
    {
        byte protocol = 0;
        TrackedTuple original = default, reply = default;
        byte[] key = [];
        var attributes = new NetlinkAttributes(payload[4..]);
        while (attributes.MoveNext())
        {
            switch (attributes.Type)
            {
                case TupleOriginal:
                    key = attributes.Value.ToArray();
                    original = ReadTuple(attributes.Value, ref protocol);
                    break;
                case TupleReply:
                    reply = ReadTuple(attributes.Value, ref protocol);
                    break;
            }
        }
        return new TrackedConnection(protocol, original, reply) { Key = key, Family = family };
    }

    private static TrackedTuple ReadTuple(ReadOnlySpan<byte> tuple, ref byte protocol)
    {
        IPAddress? source = null, destination = null;
        ushort sourcePort = 0, destinationPort = 0;
        var parts = new NetlinkAttributes(tuple);
        while (parts.MoveNext())
        {
            var inner = new NetlinkAttributes(parts.Value);
            while (inner.MoveNext())
            {
                switch ((parts.Type, inner.Type))
                {
                    case (TupleAddresses, Source4 or Source6):
                        source = new IPAddress(inner.Value);
                        break;
                    case (TupleAddresses, Destination4 or Destination6):
                        destination = new IPAddress(inner.Value);
                        break;
                    case (TupleProtocol, ProtocolNumber):
                        protocol = inner.Value[0];
                        break;
                    case (TupleProtocol, ProtocolSourcePort):
                        sourcePort = BinaryPrimitives.ReadUInt16BigEndian(inner.Value);
                        break;
                    case (TupleProtocol, ProtocolDestinationPort):
                        destinationPort = BinaryPrimitives.ReadUInt16BigEndian(inner.Value);
                        break;
                }
            }
        }
        return new TrackedTuple(source, destination, sourcePort, destinationPort);
    }
}
