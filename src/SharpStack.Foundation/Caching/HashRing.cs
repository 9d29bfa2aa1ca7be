using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Foundation.Caching;

/// <summary>Consistent hashing: every process finds a key at the same server, and a server's absence moves its own keys only.</summary>
internal sealed class HashRing
{
    private const int PointsPerServer = 160;

    private readonly (uint Point, int Server)[] points;
    private readonly int count;

    public HashRing(IReadOnlyList<string> servers)
    {
        count = servers.Count;
        points = [.. servers.SelectMany((name, index) => Enumerable.Range(0, PointsPerServer).Select(point => (Hash($"{name}#{point}"), index))).OrderBy(point => point.Item1).ThenBy(point => servers[point.index], StringComparer.Ordinal)];
    }

    /// <summary>The servers for a key, the first choice first.</summary>
    public IEnumerable<int> Order(string key)
    {
        if (count <= 1)
        {
            return count == 0 ? [] : [0];
        }

        return Walk(Hash(key));
    }

    private IEnumerable<int> Walk(uint hash)
    {
        var start = Array.BinarySearch(points, (hash, 0), Comparer<(uint Point, int Server)>.Create((one, other) => one.Point.CompareTo(other.Point)));
        start = start < 0 ? ~start : start;
        var seen = new HashSet<int>();
        for (var i = 0; i < points.Length && seen.Count < count; i++)
        {
            var server = points[(start + i) % points.Length].Server;
            if (seen.Add(server))
            {
                yield return server;
            }
        }
    }

    private static uint Hash(string text)
    {
        Span<byte> digest = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes(text), digest);
        return BinaryPrimitives.ReadUInt32BigEndian(digest);
    }
}
