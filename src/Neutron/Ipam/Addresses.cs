using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace SharpStack.Neutron.Ipam;

/// <summary>Addresses as numbers, for both versions of IP.</summary>
internal static class Addresses
{
    public static bool TryParse(string text, out UInt128 number, out int version)
    {
        number = 0;
        version = 0;
        if (!IPAddress.TryParse(text, out var address))
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out var length);
        for (var i = 0; i < length; i++)
        {
            number = (number << 8) | bytes[i];
        }

        version = address.AddressFamily == AddressFamily.InterNetwork ? 4 : 6;
        return true;
    }

    public static (UInt128 Number, int Version) Read(string text) =>
        TryParse(text, out var number, out var version) ? (number, version) : throw new FormatException($"'{text}' is no IP address");

    public static UInt128 Parse(string text) => Read(text).Number;

    public static string Format(UInt128 number, int version)
    {
        Span<byte> bytes = stackalloc byte[16];
        for (var i = 15; i >= 0; i--)
        {
            bytes[i] = (byte)number;
            number >>= 8;
        }

        return new IPAddress(version == 4 ? bytes[12..] : bytes).ToString();
    }

    /// <summary>An address in its one way of writing.</summary>
    public static string Canonical(string text) => IPAddress.Parse(text).ToString();

    /// <summary>A number below <paramref name="count"/>, each as likely as the others.</summary>
    public static UInt128 Random(UInt128 count)
    {
        Span<byte> bytes = stackalloc byte[16];
        RandomNumberGenerator.Fill(bytes);
        UInt128 number = 0;
        foreach (var value in bytes)
        {
            number = (number << 8) | value;
        }

        return number % count;
    }

    /// <summary>The interface's half of an IPv6 address, from the MAC (RFC 4291, appendix A).</summary>
    public static UInt128 Eui64(string mac)
    {
        var octets = mac.Split(':', '-').Select(part => byte.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToArray();
        ulong id = 0;
        foreach (var octet in (byte[])[(byte)(octets[0] ^ 2), octets[1], octets[2], 0xff, 0xfe, octets[3], octets[4], octets[5]])
        {
            id = (id << 8) | octet;
        }

        return id;
    }

    /// <summary>The MAC that a host made its link-local IPv6 address from (RFC 4291, appendix A); null for any other address.</summary>
    public static string? MacOfLinkLocal(string text)
    {
        if (!IPAddress.TryParse(text, out var address) || !address.IsIPv6LinkLocal)
        {
            return null;
        }

        var bytes = address.GetAddressBytes();
        return bytes is [0xfe, 0x80, 0, 0, 0, 0, 0, 0, var first, var second, var third, 0xff, 0xfe, var fourth, var fifth, var sixth]
            ? string.Join(':', ((byte[])[(byte)(first ^ 2), second, third, fourth, fifth, sixth]).Select(octet => octet.ToString("x2", CultureInfo.InvariantCulture))) : null;
    }
}

/// <summary>A network of addresses; host bits are zero.</summary>
internal readonly record struct Cidr(UInt128 First, int PrefixLength, int Version)
{
    private int Bits => Version == 4 ? 32 : 128;

    public UInt128 Size => PrefixLength == 0 && Version == 6 ? UInt128.MaxValue : UInt128.One << (Bits - PrefixLength);

    public UInt128 Last => PrefixLength == 0 && Version == 6 ? UInt128.MaxValue : First + (Size - 1);

    /// <summary>The first address that a host may have: behind the network's own.</summary>
    public UInt128 FirstHost => PrefixLength >= Bits - 1 && Version == 4 ? First : First + 1;

    /// <summary>The last address that a host may have: before the broadcast address.</summary>
    public UInt128 LastHost => Version == 4 && PrefixLength < 31 ? Last - 1 : Last;

    public static Cidr Parse(string text) => TryParse(text, out var cidr) ? cidr : throw new FormatException($"'{text}' is no CIDR");

    /// <summary>An address without a length is a network of one.</summary>
    public static bool TryParse(string text, out Cidr cidr)
    {
        cidr = default;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        if (!Api.Checks.IsIp(slash < 0 ? text : text[..slash]) || !Addresses.TryParse(slash < 0 ? text : text[..slash], out var number, out var version))
        {
            return false;
        }

        var bits = version == 4 ? 32 : 128;
        var length = bits;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length) || length > bits))
        {
            return false;
        }

        var host = length == 0 ? (version == 4 ? uint.MaxValue : UInt128.MaxValue) : (UInt128.One << (bits - length)) - 1;
        cidr = new Cidr(number & ~host, length, version);
        return true;
    }

    public bool Contains(UInt128 address) => address >= First && address <= Last;

    public bool Overlaps(Cidr other) => Version == other.Version && First <= other.Last && other.First <= Last;

    public override string ToString() => $"{Addresses.Format(First, Version)}/{PrefixLength}";
}

/// <summary>Addresses from one to another, both included.</summary>
internal readonly record struct IpRange(UInt128 First, UInt128 Last)
{
    public UInt128 Size => Last - First + 1;

    public bool Contains(UInt128 address) => address >= First && address <= Last;
}
