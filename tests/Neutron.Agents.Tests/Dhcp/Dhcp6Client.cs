using System.Buffers.Binary;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.Neutron.Agents.Tests.Dhcp;

/// <summary>As much of a DHCPv6 client (RFC 8415) as asks a server once and reads its answer.</summary>
internal static class Dhcp6Client
{
    public const byte Solicit = 1, InformationRequest = 11;

    private const ushort ClientId = 1, IdentityAssociation = 3, IdentityAddress = 5, OptionRequest = 6, ElapsedTime = 8, NameServers = 23, DomainList = 24;

    /// <summary>Sends the message until it is answered, at most so many times, a second apart.</summary>
    /// <returns>The addresses offered and the name servers told; null where nobody answered.</returns>
    public static async Task<(IReadOnlyList<IPAddress> Addresses, IReadOnlyList<IPAddress> NameServers)?> AskAsync(string place, byte message, int tries)
    {
        int index;
        byte[] mac;
        using (var links = RouteClient.Open(place))
        {
            var link = links.GetLink("eth0");
            (index, mac) = (link.Index, PhysicalAddress.Parse(link.MacText.ToUpperInvariant().Replace(':', '-')).GetAddressBytes());
        }

        using var socket = NetworkNamespace.OpenSocket(place, AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.IPv6Any, 546));
        var servers = IPAddress.Parse("ff02::1:2");
        servers.ScopeId = index;
        var buffer = new byte[2048];
        for (var attempt = 0; attempt < tries; attempt++)
        {
            await socket.SendToAsync(Message(message, mac), new IPEndPoint(servers, 547));
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            try
            {
                var read = await socket.ReceiveAsync(buffer, limit.Token);
                return Read(buffer.AsSpan(4, read - 4));
            }
            catch (OperationCanceledException)
            {
                // A lost packet is sent again.
            }
        }

        return null;
    }

    private static byte[] Message(byte type, byte[] mac)
    {
        var bytes = new List<byte> { type, 1, 2, 3 };
        // A DUID by link-layer address: type 3, hardware 1.
        Add(ClientId, [0, 3, 0, 1, .. mac]);
        Add(ElapsedTime, [0, 0]);
        Add(OptionRequest, [0, (byte)NameServers, 0, (byte)DomainList]);
        if (type == Solicit)
        {
            Add(IdentityAssociation, [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        }

        return [.. bytes];

        void Add(ushort option, byte[] value)
        {
            bytes.AddRange([(byte)(option >> 8), (byte)option, (byte)(value.Length >> 8), (byte)value.Length]);
            bytes.AddRange(value);
        }
    }

    private static (IReadOnlyList<IPAddress>, IReadOnlyList<IPAddress>) Read(ReadOnlySpan<byte> options)
    {
        var addresses = new List<IPAddress>();
        var servers = new List<IPAddress>();
        while (options.Length >= 4)
        {
            var option = BinaryPrimitives.ReadUInt16BigEndian(options);
            var value = options.Slice(4, BinaryPrimitives.ReadUInt16BigEndian(options[2..]));
            switch (option)
            {
                case IdentityAssociation:
                    addresses.AddRange(Read(value[12..]).Item1);
                    break;
                case IdentityAddress:
                    addresses.Add(new IPAddress(value[..16]));
                    break;
                case NameServers:
                    for (var at = 0; at < value.Length; at += 16)
                    {
                        servers.Add(new IPAddress(value.Slice(at, 16)));
                    }

                    break;
            }

            options = options[(4 + value.Length)..];
        }

        return (addresses, servers);
    }
}
