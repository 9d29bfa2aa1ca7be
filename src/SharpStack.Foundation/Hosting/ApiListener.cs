using System.Net;
using System.Net.Sockets;

namespace SharpStack.Foundation.Hosting;

/// <summary>Where an API listens.</summary>
/// <param name="Host">An address or a name of this machine; <c>0.0.0.0</c> for all of IPv4, <c>::</c> for all.</param>
/// <param name="Port">0 for one that the kernel chooses.</param>
public sealed record ApiListener(string Host, int Port)
{
    /// <summary>The files of its certificate; null for plain HTTP.</summary>
    public CertificateFiles? Certificate { get; init; }

    /// <summary>Whether a proxy before it may say how the client reached it (<c>X-Forwarded-Proto</c> and its like).</summary>
    public bool TrustsProxy { get; init; }

    /// <summary>What callers without a token are told (<c>www_authenticate_uri</c>); null for the process's own.</summary>
    public string? IdentityUrl { get; init; }

    /// <summary>The host parts of URLs that lead here from the same machine.</summary>
    internal IEnumerable<string> LocalNames => Host is "0.0.0.0" or "::" ? ["127.0.0.1", "localhost"] : [Host];

    /// <summary>Every address of the name.</summary>
    /// <exception cref="CloudException">The name has none.</exception>
    internal IReadOnlyList<IPEndPoint> EndPoints()
    {
        var text = Host.Trim('[', ']');
        if (IPAddress.TryParse(text, out var address))
        {
            return [new IPEndPoint(address, Port)];
        }

        try
        {
            return [.. Dns.GetHostAddresses(text).Distinct().Select(found => new IPEndPoint(found, Port))];
        }
        catch (Exception failure) when (failure is SocketException or ArgumentException)
        {
            throw CloudException.Unavailable($"'{Host}', where the service is to listen, is no address and no name that this machine knows: {failure.Message}", inner: failure);
        }
    }
}

/// <summary>The PEM files of a server's certificate (its chain after it), of its key, and of the authorities whose certificates clients must have (null: none is asked for).</summary>
public sealed record CertificateFiles(string Certificate, string Key, string? ClientAuthorities = null);
