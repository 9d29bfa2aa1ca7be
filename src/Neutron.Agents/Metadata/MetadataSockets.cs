using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Kestrel;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.Dhcp;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>The metadata service's sockets at 169.254.169.254, one in each namespace that has the address.</summary>
internal sealed partial class MetadataSockets(NamespaceListeners listeners, DhcpFolders folders, ILogger<MetadataSockets> log)
{
    private static readonly IPEndPoint Address = new(IPAddress.Parse("169.254.169.254"), 80);

    private readonly Lock changing = new();

    public void Open(string networkNamespace)
    {
        lock (changing)
        {
            if (listeners.Add(networkNamespace, Address))
            {
                LogOpened(networkNamespace);
            }
        }
    }

    public void Close(string networkNamespace)
    {
        lock (changing)
        {
            listeners.Remove(networkNamespace, Address);
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

    private void ScanAlone()
    {
        // Another cloud on this machine has networks too: only those are ours that the DHCP agent has a folder for.
        var there = folders.Networks().Select(DhcpDevice.NamespaceOf).Where(NetworkNamespace.Exists).ToHashSet();
        foreach (var (name, _) in listeners.Addresses)
        {
            if (name is not null && !there.Contains(name))
            {
                Close(name);
            }
        }

        foreach (var name in there.Where(name => !listeners.Addresses.Contains((name, Address))))
        {
            try
            {
                if (HasAddress(name))
                {
                    Open(name);
                }
            }
            catch (Exception failure) when (failure is LinuxException or SocketException)
            {
                // It goes away at this moment, or another process serves it.
                LogNotOpened(name, failure.Message);
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
