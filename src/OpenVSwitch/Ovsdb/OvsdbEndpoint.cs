using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>Where ovsdb-server listens, in its own notation: <c>unix:/path</c> or <c>tcp:host:port</c>.</summary>
public sealed record OvsdbEndpoint(string Text)
{
    /// <summary>Connects a new socket.</summary>
    /// <exception cref="FormatException">The text is of neither form.</exception>
    internal async Task<Socket> ConnectAsync(CancellationToken cancellationToken)
    {
        var address = Parse();
        var socket = address is UnixDomainSocketEndPoint ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(address, cancellationToken);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private EndPoint Parse()
    {
        if (Text.StartsWith("unix:", StringComparison.Ordinal))
        {
            return new UnixDomainSocketEndPoint(Text["unix:".Length..]);
        }

        var colon = Text.LastIndexOf(':');
        if (Text.StartsWith("tcp:", StringComparison.Ordinal) && colon > 4 && ushort.TryParse(Text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
        {
            var host = Text[4..colon].Trim('[', ']');
            return IPAddress.TryParse(host, out var ip) ? new IPEndPoint(ip, port) : new DnsEndPoint(host, port);
        }

        throw new FormatException($"'{Text}' does not say where ovsdb-server is: unix:/path or tcp:host:port is expected.");
    }
}
