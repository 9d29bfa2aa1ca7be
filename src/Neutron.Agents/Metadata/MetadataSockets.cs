using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Kestrel;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.L3;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>
/// The metadata service's sockets: at 169.254.169.254 in each network's namespace that has the address, and at the port of each router's that requests are redirected to.
/// </summary>
internal sealed partial class MetadataSockets(NamespaceListeners listeners, DhcpFolders folders, RouterFolders routers, ILogger<MetadataSockets> log)
{
    private static readonly IPEndPoint Address = new(IPAddress.Parse("169.254.169.254"), 80);

    private readonly Lock changing = new();

    public void Open(string networkNamespace) => Open(networkNamespace, Address);

    /// <param name="networkNamespace">A router's.</param>
    /// <param name="port">Where its packet filter redirects requests to.</param>
    public void OpenRouter(string networkNamespace, int port) => Open(networkNamespace, new IPEndPoint(IPAddress.Any, port));

    public void Close(string networkNamespace)
    {
        lock (changing)
        {
            listeners.RemoveAll(networkNamespace);
        }
    }

    /// <summary>Namespaces of this host's networks that have the address get a socket, those that are gone lose theirs.</summary>
    public void Scan()
    {
        // What was read must still hold when it is acted on: hints of namespaces wait.
        lock (changing)
        {
            ScanAlone();
        }
    }

    private void Open(string networkNamespace, IPEndPoint address)
    {
        lock (changing)
        {
            if (listeners.Add(networkNamespace, address))
            {
                LogOpened(networkNamespace);
            }
        }
    }

    private void ScanAlone()
    {
        // Another cloud on this machine has networks too: only those are ours that the agents have folders for.
        var there = folders.Ids().Select(DhcpDevice.NamespaceOf).Where(NetworkNamespace.Exists).ToDictionary(name => name, _ => Address);
        foreach (var (routerId, port) in Routers())
        {
            there[RouterNames.NamespaceOf(routerId)] = new IPEndPoint(IPAddress.Any, port);
        }

        foreach (var (name, address) in listeners.Addresses)
        {
            if (name is not null && (!there.TryGetValue(name, out var wanted) || !wanted.Equals(address)))
            {
                Close(name);
            }
        }

        var open = listeners.Addresses.Select(listening => listening.Namespace).ToHashSet();
        foreach (var (name, address) in there.Where(pair => !open.Contains(pair.Key)))
        {
            try
            {
                if (!address.Equals(Address) || HasAddress(name))
                {
                    Open(name, address);
                }
            }
            catch (Exception failure) when (failure is LinuxException or SocketException)
            {
                // It goes away at this moment, or another process serves it.
                LogNotOpened(name, failure.Message);
            }
        }
    }

    private IEnumerable<(string RouterId, int Port)> Routers()
    {
        foreach (var routerId in routers.Ids().Where(id => NetworkNamespace.Exists(RouterNames.NamespaceOf(id))))
        {
            var mark = routers.MetadataMark(routerId);
            if (File.Exists(mark) && int.TryParse(File.ReadAllText(mark), out var port))
            {
                yield return (routerId, port);
            }
        }
    }

    private static bool HasAddress(string networkNamespace)
    {
        using var links = RouteClient.Open(networkNamespace);
        return links.ListLinks().Any(link => links.ListAddresses(link.Name).Any(address => address.Address.Equals(Address.Address)));
    }

    [LoggerMessage(EventId = 6301, Level = LogLevel.Information, Message = "Metadata is served in {Namespace}")]
    private partial void LogOpened(string @namespace);

    [LoggerMessage(EventId = 6302, Level = LogLevel.Debug, Message = "Metadata is not served in {Namespace}: {Reason}")]
    private partial void LogNotOpened(string @namespace, string reason);
}
