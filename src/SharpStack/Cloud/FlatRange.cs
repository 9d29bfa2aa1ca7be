using System.Net;
using System.Net.Sockets;
using SharpStack.CommandLine;

namespace SharpStack.Cloud;

/// <summary>The address range of the demo's flat network: the host has the first address, the pool the nine after it.</summary>
internal sealed record FlatRange(string Cidr, string Gateway, string First, string Last)
{
    /// <summary>The ranges tried in turn until one overlaps no route of the machine; the first is that of the labs.</summary>
    public static IReadOnlyList<FlatRange> Preferred { get; } =
        [.. new[] { "172.16.0.0/12", "172.16.0.0/24", "192.168.172.0/24", "10.172.16.0/24", "198.18.16.0/24" }.Select(Of)];

    public int PrefixLength => IPNetwork.Parse(Cidr).PrefixLength;

    /// <exception cref="UsageException">No IPv4 range, or one too small for a gateway and nine more.</exception>
    public static FlatRange Of(string cidr)
    {
        if (!IPNetwork.TryParse(cidr, out var network) || network.BaseAddress.AddressFamily != AddressFamily.InterNetwork || network.PrefixLength is < 8 or > 28)
        {
            throw new UsageException($"'{cidr}' is no IPv4 range of a network: write it like 172.16.0.0/24, with a length of 8 to 28");
        }

        return new FlatRange(network.ToString(), Plus(network, 1), Plus(network, 2), Plus(network, 10));
    }

    /// <returns>The first range that overlaps none of <paramref name="taken"/>.</returns>
    public static FlatRange Choose(IReadOnlyList<IPNetwork> taken) =>
        Preferred.FirstOrDefault(range => !taken.Any(other => Overlap(IPNetwork.Parse(range.Cidr), other)))
        ?? throw new CommandException("every range tried for the flat network is routed elsewhere on this machine: choose one with --subnet CIDR");

    public static bool Overlap(IPNetwork one, IPNetwork other) => one.Contains(other.BaseAddress) || other.Contains(one.BaseAddress);

    private static string Plus(IPNetwork network, byte offset)
    {
        var bytes = network.BaseAddress.GetAddressBytes();
        bytes[^1] += offset;
        return new IPAddress(bytes).ToString();
    }
}
