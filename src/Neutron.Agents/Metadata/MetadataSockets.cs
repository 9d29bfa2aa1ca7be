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
/// The metadata service's sockets: at 169.254.169.254 and fe80::a9fe:a9fe in each network's namespace that has the addresses, and at the port of each router's that requests are redirected to.
/// </summary>
internal sealed partial class MetadataSockets(NamespaceListeners listeners, DhcpFolders folders, RouterFolders routers, ILogger<MetadataSockets> log)
{
    private const int Port = 80;

    private readonly Lock changing = new();

    public void Open(string networkNamespace) => Open(networkNamespace, AddressesIn(networkNamespace));

    /// <param name="networkNamespace">A router's.</param>
    /// <param name="port">Where its packet filter redirects requests to.</param>
    public void OpenRouter(string networkNamespace, int port) => Open(networkNamespace, AnyAddress(port));

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

    /// <summary>The namespace has these sockets and no others.</summary>
    private void Open(string networkNamespace, IReadOnlyCollection<IPEndPoint> addresses)
    {
        lock (changing)
        {
            foreach (var (name, address) in listeners.Addresses.Where(listening => listening.Namespace == networkNamespace && !addresses.Contains(listening.Address)))
            {
                listeners.Remove(name, address);
            }

            foreach (var address in addresses.Where(address => listeners.Add(networkNamespace, address)))
            {
                LogOpened(networkNamespace, address);
            }
        }
    }

    private void ScanAlone()
    {
        // Another cloud on this machine has networks too: only those are ours that the agents have folders for.
        var there = folders.Ids().Select(DhcpDevice.NamespaceOf).Where(NetworkNamespace.Exists).ToDictionary(name => name, name => (Func<IReadOnlyCollection<IPEndPoint>>)(() => AddressesIn(name)));
        foreach (var (routerId, port) in Routers())
        {
            there[RouterNames.NamespaceOf(routerId)] = () => AnyAddress(port);
        }

        foreach (var name in listeners.Addresses.Select(listening => listening.Namespace).OfType<string>().Distinct().Where(name => !there.ContainsKey(name)))
        {
            Close(name);
        }

        foreach (var (name, addresses) in there)
        {
            try
            {
                Open(name, addresses());
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

    private static List<IPEndPoint> AnyAddress(int port) =>
        MetadataAddresses.HasIpv6 ? [new IPEndPoint(IPAddress.Any, port), new IPEndPoint(IPAddress.IPv6Any, port)] : [new IPEndPoint(IPAddress.Any, port)];

    /// <summary>The service's addresses that a network's namespace has; a link-local one says nothing without its link.</summary>
    private static List<IPEndPoint> AddressesIn(string networkNamespace)
    {
        using var links = RouteClient.Open(networkNamespace);
        return
        [
            .. from link in links.ListLinks()
               from address in links.ListAddresses(link.Name)
               where address.Address.Equals(MetadataAddresses.Ipv4) || address.Address.Equals(MetadataAddresses.Ipv6)
               select new IPEndPoint(address.Address.IsIPv6LinkLocal ? new IPAddress(address.Address.GetAddressBytes(), link.Index) : address.Address, Port),
        ];
    }

    [LoggerMessage(EventId = 6301, Level = LogLevel.Information, Message = "Metadata is served in {Namespace} at {Address}")]
    private partial void LogOpened(string @namespace, IPEndPoint address);

    [LoggerMessage(EventId = 6302, Level = LogLevel.Debug, Message = "Metadata is not served in {Namespace}: {Reason}")]
    private partial void LogNotOpened(string @namespace, string reason);
}
