using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.LinuxHost.Links;

/// <summary>
/// Tells a link's neighbours that an address is here now, so that none goes on with what it remembers: gratuitous ARP (RFC 5227), or an unsolicited
/// neighbour advertisement (RFC 4861, 7.2.6).
/// </summary>
public static unsafe class Announcement
{
    private const int HeaderSize = 14;
    private const int LinkAddressSize = 20;
    private const ushort ArpType = 0x0806, Ipv6Type = 0x86dd;
    private const byte IcmpForIpv6 = 58, Advertisement = 136, IsRouter = 0x80, Overrides = 0x20;

    /// <summary>Sends it once.</summary>
    /// <param name="link">The link's name; it must be up.</param>
    /// <param name="address">An address of the link.</param>
    /// <param name="isRouter">Whether IPv6 neighbours are told that it routes.</param>
    /// <param name="networkNamespace">Null for this process's own.</param>
    public static void Send(string link, IPAddress address, bool isRouter, string? networkNamespace = null)
    {
        using var links = RouteClient.Open(networkNamespace);
        var here = links.GetLink(link);
        var mac = here.Mac.GetAddressBytes();
        var operation = $"announce {address} on {link}";
        using var socket = NetworkNamespace.Run(networkNamespace, () =>
        {
            var handle = Libc.Socket(Libc.AddressFamilyPacket, Libc.SocketRaw | Libc.SocketCloseOnExec, 0);
            return handle.IsInvalid ? throw LinuxException.Last(operation) : handle;
        });
        // struct sockaddr_ll: of it only the family and the link's index matter for whole frames.
        var target = stackalloc byte[LinkAddressSize];
        new Span<byte>(target, LinkAddressSize).Clear();
        *(ushort*)target = Libc.AddressFamilyPacket;
        *(int*)(target + 4) = here.Index;
        foreach (var frame in address.AddressFamily == AddressFamily.InterNetwork ? new[] { Arp(mac, address, 1), Arp(mac, address, 2) } : [NeighbourAdvertisement(mac, address, isRouter)])
        {
            fixed (byte* start = frame)
            {
                if (Libc.SendTo(socket, start, (nuint)frame.Length, 0, target, LinkAddressSize) < 0)
                {
                    throw LinuxException.Last(operation);
                }
            }
        }
    }

    /// <param name="mac">Of the link.</param>
    /// <param name="address">Both sender's and target's.</param>
    /// <param name="operation">1 request, 2 reply: some stacks heed only the one, some only the other.</param>
    private static byte[] Arp(byte[] mac, IPAddress address, ushort operation)
    {
        var frame = new byte[HeaderSize + 28];
        Header(frame, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], mac, ArpType);
        var arp = frame.AsSpan(HeaderSize);
        BinaryPrimitives.WriteUInt16BigEndian(arp, 1);
        BinaryPrimitives.WriteUInt16BigEndian(arp[2..], 0x0800);
        (arp[4], arp[5]) = (6, 4);
        BinaryPrimitives.WriteUInt16BigEndian(arp[6..], operation);
        mac.CopyTo(arp[8..]);
        address.TryWriteBytes(arp[14..], out _);
        (operation == 2 ? mac : new byte[6]).CopyTo(arp[18..]);
        address.TryWriteBytes(arp[24..], out _);
        return frame;
    }

    private static byte[] NeighbourAdvertisement(byte[] mac, IPAddress address, bool isRouter)
    {
        const int AdvertisementSize = 32;
        var everybody = IPAddress.Parse("ff02::1").GetAddressBytes();
        var frame = new byte[HeaderSize + 40 + AdvertisementSize];
        Header(frame, [0x33, 0x33, 0, 0, 0, 1], mac, Ipv6Type);
        var packet = frame.AsSpan(HeaderSize);
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet[4..], AdvertisementSize);
        (packet[6], packet[7]) = (IcmpForIpv6, 255);
        address.TryWriteBytes(packet[8..], out _);
        everybody.CopyTo(packet[24..]);
        var message = packet[40..];
        message[0] = Advertisement;
        message[4] = (byte)(Overrides | (isRouter ? IsRouter : 0));
        address.TryWriteBytes(message[8..], out _);
        (message[24], message[25]) = (2, 1);
        mac.CopyTo(message[26..]);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], Checksum(packet[8..40], message));
        return frame;
    }

    private static void Header(Span<byte> frame, ReadOnlySpan<byte> destination, ReadOnlySpan<byte> source, ushort type)
    {
        destination.CopyTo(frame);
        source.CopyTo(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], type);
    }

    /// <summary>RFC 8200, 8.1: over both addresses, the length, the next header and the message.</summary>
    private static ushort Checksum(ReadOnlySpan<byte> addresses, ReadOnlySpan<byte> message)
    {
        var sum = (uint)message.Length + IcmpForIpv6;
        foreach (var part in new[] { addresses.ToArray(), message.ToArray() })
        {
            for (var i = 0; i < part.Length; i += 2)
            {
                sum += BinaryPrimitives.ReadUInt16BigEndian(part.AsSpan(i));
            }
        }
        while (sum > 0xffff)
        {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (ushort)~sum;
    }
}
