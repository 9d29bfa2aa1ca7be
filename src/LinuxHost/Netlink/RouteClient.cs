using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Netlink;

/// <summary>
/// Links, addresses and routes of one network namespace through rtnetlink. Every change is acknowledged by the kernel; a
/// refusal is a <see cref="LinuxException"/> with its error number and text. Safe for several threads.
/// </summary>
public sealed class RouteClient : IDisposable
{
    private const ushort NewLink = 16, DeleteLinkType = 17, GetLinkType = 18;
    private const ushort NewAddress = 20, DeleteAddressType = 21, GetAddressType = 22;
    private const ushort NewRoute = 24, DeleteRouteType = 25, GetRouteType = 26;
    private const ushort Change = NetlinkSocket.Request | NetlinkSocket.Acknowledge;
    private const ushort DumpFlags = NetlinkSocket.Request | NetlinkSocket.Dump;
    private const ushort CreateFlags = Change | NetlinkSocket.Create | NetlinkSocket.Exclusive;

    // Link attributes (IFLA_*).
    private const ushort LinkAddress = 1, LinkName = 3, LinkMtu = 4, LinkMaster = 10, LinkInfo = 18, LinkNamespace = 28;
    private const ushort InfoKind = 1, InfoData = 2, VethPeer = 1;

    // Address attributes (IFA_*).
    private const ushort AddressValue = 1, AddressLocal = 2, AddressBroadcast = 4, AddressFlags = 8;
    private const uint NoDuplicateDetection = 2;

    // Route attributes (RTA_*).
    private const ushort RouteDestination = 1, RouteOutput = 4, RouteGateway = 5, RoutePriority = 6, RouteSource = 7, RouteMultipath = 9, RouteTable = 15;
    private const int NextHopHeader = 8;
    private const byte UniversalScope = 0, LinkScope = 253, AnyScope = 255, Unicast = 1;

    private const uint FlagUp = 1, FlagLowerUp = 0x10000;

    private readonly NetlinkSocket socket;

    private RouteClient(string? networkNamespace)
    {
        NetworkNamespaceName = networkNamespace;
        socket = new NetlinkSocket(networkNamespace);
    }

    /// <summary>The namespace that this client acts in, null for the process's own.</summary>
    public string? NetworkNamespaceName { get; }

    public static RouteClient Open(string? networkNamespace = null) => new(networkNamespace);

    public void Dispose() => socket.Dispose();

    public IReadOnlyList<Link> ListLinks()
    {
        var links = new List<Link>();
        socket.Execute(new NetlinkMessage(GetLinkType, DumpFlags).Header(default(LinkHeader)), "list links",
            payload => links.Add(ReadLink(payload)));
        return links;
    }

    /// <summary>The link of that name, null when there is none.</summary>
    public Link? FindLink(string name)
    {
        Link? link = null;
        try
        {
            socket.Execute(new NetlinkMessage(GetLinkType, Change).Header(default(LinkHeader)).Attribute(LinkName, LinkNameOf(name)),
                $"find link {name}", payload => link = ReadLink(payload));
        }
        catch (LinuxException failure) when (failure.IsNotFound)
        {
            return null;
        }
        return link;
    }

    /// <exception cref="LinuxException">ENODEV: there is no such link.</exception>
    public Link GetLink(string name) => FindLink(name) ?? throw new LinuxException(LinuxError.NoDevice, $"find link {name}{Where}");

    /// <summary>Makes a pair of virtual Ethernet links, the peer in another namespace if asked.</summary>
    public void CreateVeth(string name, string peer, string? peerNamespace = null)
    {
        using var target = peerNamespace is null ? null : NetworkNamespace.OpenHandle(peerNamespace);
        var message = new NetlinkMessage(NewLink, CreateFlags).Header(default(LinkHeader))
            .Attribute(LinkName, LinkNameOf(name))
            .Nested(LinkInfo, info => info
                .Attribute(InfoKind, "veth")
                .Nested(InfoData, data => data.Nested(VethPeer, other =>
                {
                    other.Header(default(LinkHeader)).Attribute(LinkName, LinkNameOf(peer));
                    if (target is not null)
                    {
                        other.Attribute(LinkNamespace, (uint)target.DangerousGetHandle());
                    }
                })));
        socket.Execute(message, $"create veth {name}{Where}");
    }

    /// <summary>Makes a bridge of the kernel's own (not one of Open vSwitch).</summary>
    public void CreateBridge(string name) => socket.Execute(
        new NetlinkMessage(NewLink, CreateFlags).Header(default(LinkHeader)).Attribute(LinkName, LinkNameOf(name))
            .Nested(LinkInfo, info => info.Attribute(InfoKind, "bridge")), $"create bridge {name}{Where}");

    /// <returns>False when there was none.</returns>
    public bool DeleteLink(string name)
    {
        try
        {
            socket.Execute(new NetlinkMessage(DeleteLinkType, Change).Header(default(LinkHeader)).Attribute(LinkName, LinkNameOf(name)),
                $"delete link {name}{Where}");
            return true;
        }
        catch (LinuxException failure) when (failure.IsNotFound)
        {
            return false;
        }
    }

    public void SetUp(string name) => SetFlags(name, FlagUp, $"set {name} up");

    public void SetDown(string name) => SetFlags(name, 0, $"set {name} down");

    public void SetMtu(string name, int mtu) => SetLink(name, $"set the MTU of {name} to {mtu}", link => link.Attribute(LinkMtu, (uint)mtu));

    /// <param name="name">The link.</param>
    /// <param name="mac">Hardware address with colons or dashes.</param>
    public void SetMac(string name, string mac) => SetLink(name, $"set the address of {name} to {mac}",
        link => link.Attribute(LinkAddress, PhysicalAddress.Parse(mac).GetAddressBytes()));

    /// <summary>Renames a link, which must be down on older kernels.</summary>
    public void Rename(string name, string newName) =>
        SetLink(name, $"rename {name} to {newName}", link => link.Attribute(LinkName, LinkNameOf(newName)));

    /// <param name="name">The link.</param>
    /// <param name="bridge">The bridge that takes it in, null to take it out.</param>
    public void SetMaster(string name, string? bridge)
    {
        var master = bridge is null ? 0 : GetLink(bridge).Index;
        SetLink(name, $"attach {name} to {bridge ?? "no bridge"}", link => link.Attribute(LinkMaster, (uint)master));
    }

    /// <summary>Moves a link to another namespace (null: this process's own). It loses its addresses and goes down.</summary>
    public void MoveToNamespace(string name, string? networkNamespace)
    {
        using var target = NetworkNamespace.OpenHandle(networkNamespace);
        SetLink(name, $"move {name} to namespace {networkNamespace ?? "of this process"}",
            link => link.Attribute(LinkNamespace, (uint)target.DangerousGetHandle()));
    }

    /// <param name="name">The link.</param>
    /// <param name="address">Address with prefix length. IPv4 prefixes up to 30 get their broadcast address.</param>
    /// <param name="duplicateDetection">IPv6 only: false makes the address usable at once.</param>
    public void AddAddress(string name, InterfaceAddress address, bool duplicateDetection = true)
    {
        var message = AddressMessage(NewAddress, CreateFlags, name, address);
        if (address.Address.AddressFamily == AddressFamily.InterNetwork)
        {
            if (address.PrefixLength <= 30)
            {
                var bytes = address.Address.GetAddressBytes();
                for (var bit = address.PrefixLength; bit < 32; bit++)
                {
                    bytes[bit / 8] |= (byte)(0x80 >> (bit % 8));
                }
                message.Attribute(AddressBroadcast, bytes);
            }
        }
        else if (!duplicateDetection)
        {
            message.Attribute(AddressFlags, NoDuplicateDetection);
        }
        socket.Execute(message, $"add address {address} to {name}{Where}");
    }

    /// <returns>False when the link has no such address.</returns>
    public bool DeleteAddress(string name, InterfaceAddress address)
    {
        try
        {
            socket.Execute(AddressMessage(DeleteAddressType, Change, name, address), $"delete address {address} from {name}{Where}");
            return true;
        }
        catch (LinuxException failure) when (failure.Errno == LinuxError.AddressNotAvailable)
        {
            return false;
        }
    }

    /// <summary>Addresses of one link, IPv4 and IPv6, link-local ones included.</summary>
    public IReadOnlyList<InterfaceAddress> ListAddresses(string name)
    {
        var index = GetLink(name).Index;
        var addresses = new List<InterfaceAddress>();
        socket.Execute(new NetlinkMessage(GetAddressType, DumpFlags).Header(new AddressHeader { Index = index }),
            $"list addresses of {name}{Where}", payload =>
            {
                var header = MemoryMarshal.Read<AddressHeader>(payload);
                if (header.Index != index)
                {
                    return;
                }
                IPAddress? local = null, value = null;
                var attributes = new NetlinkAttributes(payload[Marshal.SizeOf<AddressHeader>()..]);
                while (attributes.MoveNext())
                {
                    switch (attributes.Type)
                    {
                        case AddressLocal:
                            local = new IPAddress(attributes.Value);
                            break;
                        case AddressValue:
                            value = new IPAddress(attributes.Value);
                            break;
                    }
                }
                if ((local ?? value) is { } address)
                {
                    addresses.Add(new InterfaceAddress(address, header.PrefixLength));
                }
            });
        return addresses;
    }

    /// <summary>Adds the route; fails with EEXIST when one to that destination with that metric exists.</summary>
    public void AddRoute(Route route) => socket.Execute(RouteMessage(NewRoute, CreateFlags, route), Describe("add", route));

    /// <summary>Adds the route or replaces the one to that destination with that metric.</summary>
    public void ReplaceRoute(Route route) =>
        socket.Execute(RouteMessage(NewRoute, Change | NetlinkSocket.Create | NetlinkSocket.Replace, route), Describe("replace", route));

    /// <summary>Adds a route over several gateways at once, or replaces the one to that destination.</summary>
    /// <param name="destination">Null for the default route.</param>
    /// <param name="gateways">At least one, of one family; each is reached through whichever link has it.</param>
    /// <param name="table">The routing table.</param>
    public void ReplaceRoute(IPNetwork? destination, IReadOnlyList<IPAddress> gateways, int table = Route.MainTable)
    {
        if (gateways is [var only])
        {
            ReplaceRoute(new Route(destination, only, Table: table));
            return;
        }

        var first = new Route(destination, gateways[0], Table: table);
        var hops = new byte[gateways.Sum(gateway => NextHopHeader + 4 + gateway.GetAddressBytes().Length)];
        var rest = hops.AsSpan();
        foreach (var gateway in gateways)
        {
            // struct rtnexthop with one attribute: the gateway; the kernel finds the link.
            var address = gateway.GetAddressBytes();
            var size = NextHopHeader + 4 + address.Length;
            MemoryMarshal.Write(rest, (ushort)size);
            MemoryMarshal.Write(rest[NextHopHeader..], (ushort)(4 + address.Length));
            MemoryMarshal.Write(rest[(NextHopHeader + 2)..], RouteGateway);
            address.CopyTo(rest[(NextHopHeader + 4)..]);
            rest = rest[size..];
        }

        socket.Execute(
            RouteMessage(NewRoute, Change | NetlinkSocket.Create | NetlinkSocket.Replace, first, withGateway: false).Attribute(RouteMultipath, hops),
            $"replace route {destination?.ToString() ?? "default"} via {string.Join(", ", gateways)}{Where}");
    }

    /// <returns>False when there is no such route.</returns>
    public bool DeleteRoute(Route route)
    {
        try
        {
            socket.Execute(RouteMessage(DeleteRouteType, Change, route), Describe("delete", route));
            return true;
        }
        catch (LinuxException failure) when (failure.IsNotFound)
        {
            return false;
        }
    }

    /// <summary>Unicast routes of a table, both families; one over several gateways is told once for each of them.</summary>
    public IReadOnlyList<Route> ListRoutes(int table = Route.MainTable)
    {
        var names = ListLinks().ToDictionary(link => link.Index, link => link.Name);
        var routes = new List<Route>();
        foreach (var family in new byte[] { Libc.AddressFamilyInet, Libc.AddressFamilyInet6 })
        {
            socket.Execute(new NetlinkMessage(GetRouteType, DumpFlags).Header(new RouteHeader { Family = family }), $"list routes{Where}",
                payload =>
                {
                    routes.AddRange(ReadRoutes(payload, names).Where(route => route.Table == table));
                });
        }
        return routes;
    }

    private string Where => NetworkNamespaceName is null ? "" : $" in {NetworkNamespaceName}";

    private static string LinkNameOf(string name) =>
        Encoding.UTF8.GetByteCount(name) is > 0 and <= 15 && !name.AsSpan().ContainsAny("/ \t\n\0")
            ? name
            : throw new ArgumentException($"'{name}' cannot name a link: 1 to 15 characters without slash or space.", nameof(name));

    private void SetFlags(string name, uint flags, string operation) => socket.Execute(
        new NetlinkMessage(NewLink, Change).Header(new LinkHeader { Index = GetLink(name).Index, Flags = flags, Change = FlagUp }), operation + Where);

    private void SetLink(string name, string operation, Action<NetlinkMessage> attributes)
    {
        var message = new NetlinkMessage(NewLink, Change).Header(new LinkHeader { Index = GetLink(name).Index });
        attributes(message);
        socket.Execute(message, operation + Where);
    }

    private NetlinkMessage AddressMessage(ushort type, ushort flags, string name, InterfaceAddress address)
    {
        var bytes = address.Address.GetAddressBytes();
        var message = new NetlinkMessage(type, flags).Header(new AddressHeader
        {
            Family = FamilyOf(address.Address.AddressFamily),
            PrefixLength = (byte)address.PrefixLength,
            Index = GetLink(name).Index,
        });
        return message.Attribute(AddressLocal, bytes).Attribute(AddressValue, bytes);
    }

    private NetlinkMessage RouteMessage(ushort type, ushort flags, Route route, bool withGateway = true)
    {
        var deleting = type == DeleteRouteType;
        var message = new NetlinkMessage(type, flags).Header(new RouteHeader
        {
            Family = FamilyOf(route.Family),
            DestinationLength = (byte)(route.Destination?.PrefixLength ?? 0),
            Table = route.Table < 256 ? (byte)route.Table : (byte)0,
            Protocol = deleting ? (byte)0 : route.Protocol,
            Scope = deleting ? AnyScope
                : route.Gateway is not null || route.Family != AddressFamily.InterNetwork ? UniversalScope : LinkScope,
            Kind = deleting ? (byte)0 : Unicast,
        });
        message.Attribute(RouteTable, (uint)route.Table);
        if (route.Destination is { } destination)
        {
            message.Attribute(RouteDestination, destination.BaseAddress.GetAddressBytes());
        }
        if (withGateway && route.Gateway is not null)
        {
            message.Attribute(RouteGateway, route.Gateway.GetAddressBytes());
        }
        if (route.Device is not null)
        {
            message.Attribute(RouteOutput, (uint)GetLink(route.Device).Index);
        }
        if (route.Metric != 0)
        {
            message.Attribute(RoutePriority, (uint)route.Metric);
        }
        if (route.Source is not null)
        {
            message.Attribute(RouteSource, route.Source.GetAddressBytes());
        }
        return message;
    }

    private string Describe(string verb, Route route) =>
        $"{verb} route {route.Destination?.ToString() ?? "default"}{(route.Gateway is null ? "" : $" via {route.Gateway}")}"
        + $"{(route.Device is null ? "" : $" on {route.Device}")}{Where}";

    private static byte FamilyOf(AddressFamily family) =>
        family == AddressFamily.InterNetworkV6 ? (byte)Libc.AddressFamilyInet6 : (byte)Libc.AddressFamilyInet;

    private static Link ReadLink(ReadOnlySpan<byte> payload)
    {
        var header = MemoryMarshal.Read<LinkHeader>(payload);
        var name = "";
        var mac = PhysicalAddress.None;
        string? kind = null;
        int mtu = 0, master = 0;
        var attributes = new NetlinkAttributes(payload[Marshal.SizeOf<LinkHeader>()..]);
        while (attributes.MoveNext())
        {
            switch (attributes.Type)
            {
                case LinkName:
                    name = attributes.Text;
                    break;
                case LinkAddress:
                    mac = new PhysicalAddress(attributes.Value.ToArray());
                    break;
                case LinkMtu:
                    mtu = (int)attributes.UInt32;
                    break;
                case LinkMaster:
                    master = (int)attributes.UInt32;
                    break;
                case LinkInfo:
                    var info = new NetlinkAttributes(attributes.Value);
                    while (info.MoveNext())
                    {
                        if (info.Type == InfoKind)
                        {
                            kind = info.Text;
                        }
                    }
                    break;
            }
        }
        return new Link(header.Index, name, kind, mac, mtu, (header.Flags & FlagUp) != 0,
            (header.Flags & FlagLowerUp) != 0, master);
    }

    private static List<Route> ReadRoutes(ReadOnlySpan<byte> payload, Dictionary<int, string> names)
    {
        var header = MemoryMarshal.Read<RouteHeader>(payload);
        if (header.Kind != Unicast)
        {
            return [];
        }
        IPAddress? destination = null, source = null;
        var hops = new List<(IPAddress? Gateway, string? Device)>();
        IPAddress? gateway = null;
        string? device = null;
        int metric = 0, table = header.Table;
        var attributes = new NetlinkAttributes(payload[Marshal.SizeOf<RouteHeader>()..]);
        while (attributes.MoveNext())
        {
            switch (attributes.Type)
            {
                case RouteDestination:
                    destination = new IPAddress(attributes.Value);
                    break;
                case RouteGateway:
                    gateway = new IPAddress(attributes.Value);
                    break;
                case RouteSource:
                    source = new IPAddress(attributes.Value);
                    break;
                case RouteOutput:
                    device = names.GetValueOrDefault((int)attributes.UInt32);
                    break;
                case RoutePriority:
                    metric = (int)attributes.UInt32;
                    break;
                case RouteTable:
                    table = (int)attributes.UInt32;
                    break;
                case RouteMultipath:
                    ReadHops(attributes.Value, names, hops);
                    break;
            }
        }
        if (hops.Count == 0)
        {
            hops.Add((gateway, device));
        }
        var any = header.Family == Libc.AddressFamilyInet6 ? IPAddress.IPv6Any : IPAddress.Any;
        return hops.ConvertAll(hop => new Route(header.DestinationLength == 0 && hop.Gateway is not null ? null : new IPNetwork(destination ?? any, header.DestinationLength),
            hop.Gateway, hop.Device, metric, source, table, header.Protocol));
    }

    private static void ReadHops(ReadOnlySpan<byte> rest, Dictionary<int, string> names, List<(IPAddress? Gateway, string? Device)> hops)
    {
        while (rest.Length >= NextHopHeader)
        {
            var size = MemoryMarshal.Read<ushort>(rest);
            if (size < NextHopHeader || size > rest.Length)
            {
                return;
            }
            IPAddress? gateway = null;
            var attributes = new NetlinkAttributes(rest[NextHopHeader..size]);
            while (attributes.MoveNext())
            {
                if (attributes.Type == RouteGateway)
                {
                    gateway = new IPAddress(attributes.Value);
                }
            }
            hops.Add((gateway, names.GetValueOrDefault(MemoryMarshal.Read<int>(rest[4..]))));
            rest = rest[Math.Min((size + 3) & ~3, rest.Length)..];
        }
    }
}
