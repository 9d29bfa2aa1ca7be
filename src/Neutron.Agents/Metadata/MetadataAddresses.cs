using System.Net;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>Where instances ask for metadata: addresses on their own link, the same on every network.</summary>
internal static class MetadataAddresses
{
    public static readonly IPAddress Ipv4 = IPAddress.Parse("169.254.169.254");

    /// <summary>OpenStack's: an instance without an IPv4 address reaches it too, by its link-local address.</summary>
    public static readonly IPAddress Ipv6 = IPAddress.Parse("fe80::a9fe:a9fe");

    /// <summary>As a device has it.</summary>
    public static readonly InterfaceAddress OnLink = new(Ipv6, 64);

    /// <summary>Whether this kernel has IPv6.</summary>
    public static bool HasIpv6 => Directory.Exists("/proc/sys/net/ipv6");
}
