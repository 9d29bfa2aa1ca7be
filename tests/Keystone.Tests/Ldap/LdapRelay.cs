using System.Net;
using System.Net.Sockets;
using System.Text;

namespace SharpStack.Keystone.Tests.Ldap;

/// <summary>Passes connections on to a directory and remembers what clients sent.</summary>
internal sealed class LdapRelay : IAsyncDisposable
{
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stopping = new();
    private readonly MemoryStream sent = new();
    private readonly Lock gate = new();
    private readonly Task accepting;

    public LdapRelay(int port)
    {
        listener.Start();
        accepting = AcceptAsync(port);
    }

    public string Url => $"ldap://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";

    /// <summary>What is within a filter by a matching rule, <c>(attribute:rule:=value)</c>, as it is on the wire (RFC 4511, extensibleMatch).</summary>
    public static byte[] Extensible(string rule, string attribute, string value) =>
        [.. Tagged(0x81, Encoding.UTF8.GetBytes(rule)), .. Tagged(0x82, Encoding.UTF8.GetBytes(attribute)), .. Tagged(0x83, Encoding.UTF8.GetBytes(value))];

    public bool Asked(ReadOnlySpan<byte> part)
    {
        lock (gate)
        {
            return sent.ToArray().AsSpan().IndexOf(part) >= 0;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        listener.Stop();
        await accepting;
        stopping.Dispose();
        await sent.DisposeAsync();
    }

    // All lengths here are below 128: one byte.
    private static byte[] Tagged(byte tag, byte[] content) => [tag, checked((byte)content.Length), .. content];

    private async Task AcceptAsync(int port)
    {
        var passing = new List<Task>();
        try
        {
            while (true)
            {
                passing.Add(PassAsync(await listener.AcceptTcpClientAsync(stopping.Token), port));
            }
        }
        catch (Exception failure) when (failure is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(passing);
        }
    }

    private async Task PassAsync(TcpClient client, int port)
    {
        using var from = client;
        using var to = new TcpClient();
        try
        {
            await to.ConnectAsync(IPAddress.Loopback, port, stopping.Token);
            await Task.WhenAny(CopyAsync(from.GetStream(), to.GetStream(), remembers: true), CopyAsync(to.GetStream(), from.GetStream(), remembers: false));
        }
        catch (Exception failure) when (failure is OperationCanceledException or SocketException or IOException)
        {
            // The test is over.
        }
    }

    private async Task CopyAsync(NetworkStream from, NetworkStream to, bool remembers)
    {
        var buffer = new byte[16384];
        while (await from.ReadAsync(buffer, stopping.Token) is var length and > 0)
        {
            if (remembers)
            {
                lock (gate)
                {
                    sent.Write(buffer, 0, length);
                }
            }
            await to.WriteAsync(buffer.AsMemory(0, length), stopping.Token);
        }
    }
}
