using System.Net;
using System.Net.Sockets;

namespace SharpStack.TestKit;

/// <summary>TCP ports of the loopback that nobody has at the moment.</summary>
public static class FreePorts
{
    public static int One()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <returns>The first of so many, one after the other.</returns>
    public static int Row(int count)
    {
        for (var start = Random.Shared.Next(20_000, 50_000); ; start += count)
        {
            if (Enumerable.Range(start, count).All(IsFree))
            {
                return start;
            }
        }
    }

    private static bool IsFree(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
