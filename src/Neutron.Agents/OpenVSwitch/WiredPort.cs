using System.Net;
using System.Net.Sockets;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>A MAC address with an address or network that may be used with it.</summary>
internal readonly record struct AllowedAddress(MacAddress Mac, IPNetwork Network)
{
    public bool IsIpv6 => Network.BaseAddress.AddressFamily == AddressFamily.InterNetworkV6;
}

/// <summary>A port of the server's that has a device on the integration bridge.</summary>
internal sealed class WiredPort
{
    public WiredPort(DeviceDetails details, string name, uint number, int localVlan)
    {
        Details = details;
        Name = name;
        Number = number;
        LocalVlan = localVlan;
        Mac = MacAddress.Parse(details.MacAddress);
        Allowed =
        [
            .. details.FixedIps.Select(ip => new AllowedAddress(Mac, ReadNetwork(ip.IpAddress)))
                .Concat(details.AllowedAddressPairs.Select(pair => new AllowedAddress(MacAddress.Parse(pair.MacAddress), ReadNetwork(pair.IpAddress))))
                .Distinct(),
        ];
        AllowedMacs = [.. Allowed.Select(allowed => allowed.Mac).Prepend(Mac).Distinct()];
    }

    public DeviceDetails Details { get; }

    /// <summary>The device's name.</summary>
    public string Name { get; }

    /// <summary>The port's OpenFlow number.</summary>
    public uint Number { get; }

    public int LocalVlan { get; }

    public MacAddress Mac { get; }

    /// <summary>Fixed addresses and allowed address pairs.</summary>
    public IReadOnlyList<AllowedAddress> Allowed { get; }

    public IReadOnlyList<MacAddress> AllowedMacs { get; }

    /// <summary>Ports of Neutron's own services may send anything, and so may ports without port security.</summary>
    public bool IsTrusted => !Details.PortSecurityEnabled || Details.DeviceOwner.StartsWith("network:", StringComparison.Ordinal);

    /// <summary>The IPv6 address that a host of this MAC address gives itself on the link (RFC 4291, appendix A).</summary>
    public static IPNetwork LinkLocal(MacAddress mac)
    {
        Span<byte> bytes = stackalloc byte[16];
        bytes.Clear();
        bytes[0] = 0xfe;
        bytes[1] = 0x80;
        bytes[8] = (byte)((mac.Value >> 40) ^ 0x02);
        bytes[9] = (byte)(mac.Value >> 32);
        bytes[10] = (byte)(mac.Value >> 24);
        bytes[11] = 0xff;
        bytes[12] = 0xfe;
        bytes[13] = (byte)(mac.Value >> 16);
        bytes[14] = (byte)(mac.Value >> 8);
        bytes[15] = (byte)mac.Value;
        return new IPNetwork(new IPAddress(bytes), 128);
    }

    /// <summary>Reads an address or a CIDR; bits beyond the prefix are dropped.</summary>
    public static IPNetwork ReadNetwork(string text)
    {
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var address = IPAddress.Parse(slash < 0 ? text : text[..slash]);
        var whole = address.AddressFamily == AddressFamily.InterNetworkV6 ? 128 : 32;
        var prefix = slash < 0 ? whole : int.Parse(text.AsSpan(slash + 1), System.Globalization.CultureInfo.InvariantCulture);
        var bytes = address.GetAddressBytes();
        for (var bit = prefix; bit < whole; bit++)
        {
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        }

        return new IPNetwork(new IPAddress(bytes), prefix);
    }
}
