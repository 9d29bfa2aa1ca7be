using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace SharpStack.Machine;

/// <summary>The machine's own addresses and the ranges that it routes.</summary>
internal static class Routes
{
    /// <summary>The IPv4 ranges that the machine routes to, less its default route and those of <paramref name="exceptDevice"/>.</summary>
    public static IReadOnlyList<IPNetwork> Taken(string exceptDevice)
    {
        // One line a route: device, destination and mask as hexadecimal numbers in the machine's byte order.
        const string table = "/proc/net/route";
        return File.Exists(table) ? [.. File.ReadLines(table).Skip(1).Select(line => line.Split('\t')).Where(field => field[0] != exceptDevice).Select(Parse).Where(range => range.PrefixLength > 0)] : [];
    }

    /// <summary>The address by which other machines reach this one, for a catalogue of APIs that listen on all addresses.</summary>
    public static string? OwnAddress() =>
        NetworkInterface.GetAllNetworkInterfaces()
            .Where(card => card.OperationalStatus == OperationalStatus.Up && card.NetworkInterfaceType != NetworkInterfaceType.Loopback
                && card.GetIPProperties().GatewayAddresses.Count > 0)
            .SelectMany(card => card.GetIPProperties().UnicastAddresses)
            .FirstOrDefault(address => address.Address.AddressFamily == AddressFamily.InterNetwork)?.Address.ToString();

    private static IPNetwork Parse(string[] field)
    {
        var address = BitConverter.GetBytes(Convert.ToUInt32(field[1], 16));
        var length = System.Numerics.BitOperations.PopCount(Convert.ToUInt32(field[7], 16));
        return new IPNetwork(new IPAddress(address), length);
    }
}
