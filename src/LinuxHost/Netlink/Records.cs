using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace SharpStack.LinuxHost.Netlink;

/// <summary>A network interface as the kernel reports it.</summary>
/// <param name="Kind">veth, bridge, tun ...; null for a device of hardware or loopback.</param>
/// <param name="MasterIndex">The bridge it belongs to, 0 for none.</param>
/// <param name="IsUp">Administratively up.</param>
/// <param name="HasCarrier">Something is at the other end.</param>
public sealed record Link(int Index, string Name, string? Kind, PhysicalAddress Mac, int Mtu, bool IsUp, bool HasCarrier, int MasterIndex)
{
    /// <summary>The hardware address as fa:16:3e:00:00:01.</summary>
    public string MacText => string.Join(':', Mac.GetAddressBytes().Select(part => part.ToString("x2")));
}

/// <summary>An address with the length of its subnet's prefix: 192.0.2.10/24.</summary>
public sealed record InterfaceAddress(IPAddress Address, int PrefixLength)
{
    public static InterfaceAddress Parse(string text)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var address = IPAddress.Parse(slash < 0 ? text : text[..slash]);
        var longest = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        var prefix = slash < 0 ? longest : int.Parse(text[(slash + 1)..]);
        return prefix >= 0 && prefix <= longest
            ? new InterfaceAddress(address, prefix)
            : throw new FormatException($"{text} is not an address with a prefix length of at most {longest}.");
    }

    public override string ToString() => $"{Address}/{PrefixLength}";
}

/// <summary>A unicast route.</summary>
/// <param name="Destination">Null for the default route.</param>
/// <param name="Gateway">Null for a destination on the link itself.</param>
/// <param name="Device">Name of the outgoing interface; may be null where the gateway decides it.</param>
/// <param name="Metric">Lower wins; 0 is the kernel's default.</param>
/// <param name="Source">Preferred source address.</param>
/// <param name="Table">Routing table, 254 is main.</param>
/// <param name="Protocol">Who made it: 2 kernel, 4 static.</param>
public sealed record Route(IPNetwork? Destination, IPAddress? Gateway = null, string? Device = null, int Metric = 0,
    IPAddress? Source = null, int Table = Route.MainTable, byte Protocol = Route.StaticProtocol)
{
    public const int MainTable = 254;
    public const byte KernelProtocol = 2;
    public const byte StaticProtocol = 4;

    public AddressFamily Family => Destination?.BaseAddress.AddressFamily ?? Gateway?.AddressFamily ?? AddressFamily.InterNetwork;
}
