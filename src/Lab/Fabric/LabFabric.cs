using SharpStack.Lab.Definitions;
using SharpStack.Lab.Nodes;
using SharpStack.LinuxHost;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.Lab.Fabric;

/// <summary>The wires: a bridge for each network in a namespace of their own, and a pair of links for each node on it. Nodes have nothing else in common.</summary>
public sealed class LabFabric(LabDefinition lab, NodeContainer container)
{
    public const string Name = "fabric";

    /// <summary>Makes the bridges that are missing.</summary>
    public void EnsureBridges()
    {
        using var routes = RouteClient.Open(container.NetworkNamespace);
        foreach (var network in lab.Networks)
        {
            if (routes.FindLink(network.Name) is null)
            {
                routes.CreateBridge(network.Name);
            }

            routes.SetUp(network.Name);
        }
    }

    /// <summary>Gives a node its links with their addresses; those that it has are left as they are.</summary>
    /// <param name="networkNamespace">The file of the node's network namespace.</param>
    /// <returns>Whether links were made.</returns>
    public bool Wire(string node, IEnumerable<LabInterface> interfaces, string networkNamespace)
    {
        using var wires = RouteClient.Open(container.NetworkNamespace);
        using var inside = RouteClient.Open(networkNamespace);
        inside.SetUp("lo");
        var made = false;
        foreach (var link in interfaces)
        {
            var port = Port(link.Network, node);
            if (inside.FindLink(link.Device) is not null && wires.FindLink(port) is not null)
            {
                continue;
            }

            wires.DeleteLink(port);
            wires.CreateVeth(port, link.Device, networkNamespace);
            wires.SetMaster(port, link.Network);
            wires.SetUp(port);
            // A switch in user space passes checksums on as they are: they must be in the frames.
            Offloads.SetTransmitChecksumming(link.Device, false, networkNamespace);
            if (link.Address is { } address)
            {
                Assign(inside, link.Device, address.Contains('/', StringComparison.Ordinal) ? address : $"{address}/{NetworkOf(link).PrefixLength ?? 24}");
            }

            inside.SetUp(link.Device);
            made = true;
        }

        return made;
    }

    /// <summary>Joins what is outside to the public network, with the address that stands for the Internet.</summary>
    /// <param name="networkNamespace">The file of the outside's network namespace.</param>
    public void WireOutside(string name, LabExit exit, string networkNamespace)
    {
        var network = lab.Node(exit.Node).Interfaces.Single(link => link.Device == exit.Device).Network;
        Wire(name, [new LabInterface(network, "eth0", exit.Gateway)], networkNamespace);
        using var inside = RouteClient.Open(networkNamespace);
        Assign(inside, "lo", $"{exit.Internet}/32");
    }

    /// <summary>Has a bridge take over the address of a link that it took in.</summary>
    /// <param name="networkNamespace">The file of the node's network namespace.</param>
    public static void MoveAddress(string networkNamespace, string device, string bridge, string address, int prefixLength)
    {
        using var routes = RouteClient.Open(networkNamespace);
        routes.DeleteAddress(device, InterfaceAddress.Parse($"{address}/{prefixLength}"));
        Assign(routes, bridge, $"{address}/{prefixLength}");
        routes.SetUp(bridge);
    }

    /// <summary>Pulls a node's plug on a network, or puts it back.</summary>
    public void Connect(string node, string network, bool connected)
    {
        using var wires = RouteClient.Open(container.NetworkNamespace);
        if (wires.FindLink(Port(network, node)) is null)
        {
            throw new LabException($"{node} is not on the network {network}");
        }

        if (connected)
        {
            wires.SetUp(Port(network, node));
        }
        else
        {
            wires.SetDown(Port(network, node));
        }
    }

    /// <summary>Whether a node is on a network and its plug is in.</summary>
    public bool IsConnected(string node, string network)
    {
        using var wires = RouteClient.Open(container.NetworkNamespace);
        return wires.FindLink(Port(network, node)) is { IsUp: true };
    }

    private static string Port(string network, string node) => $"{network}-{node}";

    private LabNetwork NetworkOf(LabInterface link) => lab.Networks.Single(network => network.Name == link.Network);

    private static void Assign(RouteClient routes, string device, string address)
    {
        try
        {
            routes.AddAddress(device, InterfaceAddress.Parse(address));
        }
        catch (LinuxException failure) when (failure.IsExists)
        {
        }
    }
}
