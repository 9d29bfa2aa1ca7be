using SharpStack.Neutron.Contracts;
using SharpStack.Nova.Contracts;

namespace SharpStack.Audit;

/// <summary>
/// Compares what the services say with each other and with what the hosts have: servers with allocations, ports, guests, files, taps, the switch's ports and the DHCP
/// servers' entries, in both directions. Servers that something is being done with are only looked at for what nobody should have.
/// </summary>
internal sealed class Auditor
{
    private const string Looked = "Look again in a minute";

    /// <summary>nova-compute removes what was unused for a day by default.</summary>
    private static readonly TimeSpan StaleAfter = TimeSpan.FromDays(2);

    private readonly CloudView cloud;
    private readonly DateTimeOffset now;
    private readonly List<Finding> findings = [];
    private readonly ILookup<string, PortView> portsByServer;

    private Auditor(CloudView cloud, DateTimeOffset now)
    {
        this.cloud = cloud;
        this.now = now;
        portsByServer = cloud.Ports.Values.Where(port => port.IsServers).ToLookup(port => port.DeviceId);
    }

    public static IReadOnlyList<Finding> Compare(CloudView cloud, IEnumerable<HostView> hosts, DateTimeOffset now)
    {
        var auditor = new Auditor(cloud, now);
        auditor.CompareProviders();
        auditor.CompareAllocations();
        auditor.ComparePorts();
        foreach (var host in hosts)
        {
            auditor.CompareGuests(host);
            auditor.CompareDevices(host);
            auditor.CompareDhcp(host);
            auditor.CompareRouters(host);
        }

        return [.. auditor.findings.OrderBy(finding => finding.Kind, StringComparer.Ordinal).ThenBy(finding => finding.Host, StringComparer.Ordinal).ThenBy(finding => finding.Id, StringComparer.Ordinal)];
    }

    private void CompareProviders()
    {
        var roots = cloud.Providers.Where(provider => provider.Id == provider.RootId).Select(provider => provider.Id).ToHashSet();
        foreach (var hypervisor in cloud.Hypervisors.Where(hypervisor => hypervisor.IsUp && !roots.Contains(hypervisor.Id)))
        {
            Add("provider-missing", hypervisor.Id, hypervisor.Host, $"hypervisor {hypervisor.Name} has no resource provider: no server is put there",
                "nova-conductor makes it when the host reports: look at its log for what Placement answered");
        }

        var known = cloud.Hypervisors.Select(hypervisor => hypervisor.Id).ToHashSet();
        foreach (var provider in cloud.Providers.Where(provider => provider.Id == provider.RootId && !known.Contains(provider.Id)))
        {
            Add("provider-leaked", provider.Id, null, $"resource provider {provider.Name} is a compute node that Nova does not know",
                $"if its host is gone for good: openstack resource provider delete {provider.Id}");
        }
    }

    private void CompareAllocations()
    {
        var hosts = cloud.Hypervisors.ToDictionary(hypervisor => hypervisor.Id, hypervisor => hypervisor.Host);
        var held = new Dictionary<string, List<(ProviderView Provider, IReadOnlyDictionary<string, long> Resources)>>();
        foreach (var provider in cloud.Providers)
        {
            foreach (var (consumer, resources) in provider.Consumers)
            {
                var host = hosts.GetValueOrDefault(provider.RootId);
                if (!cloud.Servers.TryGetValue(consumer, out var server) || (server.IsSettled && server.Host is null))
                {
                    Add("allocation-leaked", consumer, host, $"Placement holds {Amounts(resources)} of {provider.Name} for {(server is null ? "a server that Nova does not have" : "a server that failed and has no host")}",
                        $"openstack resource provider allocation delete {consumer}");
                }
                else if (server.IsSettled && host != server.Host)
                {
                    Add("allocation-elsewhere", consumer, host, $"Placement holds {Amounts(resources)} of {provider.Name} for a server that is on {server.Host}",
                        $"openstack resource provider allocation show {consumer}, then set it to the provider of {server.Host}");
                }

                (held.TryGetValue(consumer, out var list) ? list : held[consumer] = []).Add((provider, resources));
            }
        }

        foreach (var server in cloud.Servers.Values.Where(server => server.IsSettled && server.Host is not null))
        {
            if (!held.TryGetValue(server.Id, out var parts))
            {
                Add("allocation-missing", server.Id, server.Host, "the server holds nothing in Placement: others may be given what it uses",
                    $"openstack resource provider allocation set {server.Id} with {Amounts(server.Resources)} of the provider of {server.Host}");
                continue;
            }

            var sum = parts.SelectMany(part => part.Resources).GroupBy(resource => resource.Key).ToDictionary(group => group.Key, group => group.Sum(resource => resource.Value));
            if (server.Resources.Any(wanted => sum.TryGetValue(wanted.Key, out var amount) && amount != wanted.Value))
            {
                Add("allocation-differs", server.Id, server.Host, $"Placement holds {Amounts(sum)}, and the server's flavor is {Amounts(server.Resources)}",
                    $"openstack resource provider allocation set {server.Id} with the flavor's amounts");
            }
        }
    }

    private void ComparePorts()
    {
        foreach (var port in cloud.Ports.Values.Where(port => port.IsServers))
        {
            if (!cloud.Servers.TryGetValue(port.DeviceId, out var server) || (server.IsSettled && server.Host is null))
            {
                Add("port-leaked", port.Id, port.Host, $"the port says that it is of server {port.DeviceId}, which {(server is null ? "Nova does not have" : "failed and has no host")}", $"openstack port delete {port.Id}");
            }
            else if (server.IsSettled && port.Host != server.Host)
            {
                Add("port-elsewhere", port.Id, port.Host, $"the port of server {server.Id} is bound to {port.Host ?? "no host"}, and the server is on {server.Host}",
                    $"openstack port set --host {server.Host} {port.Id}, then reboot the server --hard");
            }
            else if (server is { IsSettled: true, Status: "ACTIVE" } && port.VifType is "binding_failed" or "unbound")
            {
                Add("port-unbound", port.Id, port.Host, $"the port of server {server.Id} is not bound ({port.VifType})", "openstack network agent list: see that the host's agent is alive and knows the network's physical network");
            }
            else if (server is { IsSettled: true, Status: "ACTIVE" } && port.Status == "DOWN")
            {
                Add("port-down", port.Id, port.Host, $"server {server.Id} runs, and its port is DOWN", $"look at the log of neutron-openvswitch-agent on {port.Host}");
            }
        }

        foreach (var server in cloud.Servers.Values.Where(server => server.IsSettled && server.Host is not null))
        {
            var addresses = portsByServer[server.Id].SelectMany(port => port.FixedIps).Select(address => address.Ip).ToHashSet();
            foreach (var missing in server.Addresses.Where(address => !addresses.Contains(address)))
            {
                Add("port-missing", server.Id, server.Host, $"the server shows address {missing}, which no port of it has", "detach and attach the interface: openstack server remove fixed ip, openstack server add network");
            }

            foreach (var port in portsByServer[server.Id].Where(port => port.FixedIps.Count > 0 && !port.FixedIps.Any(address => server.Addresses.Contains(address.Ip))))
            {
                Add("port-unlisted", port.Id, port.Host, $"the port says that it is of server {server.Id}, which does not show it", $"if nobody attached it by hand: openstack port delete {port.Id}");
            }
        }
    }

    private void CompareGuests(HostView host)
    {
        if (host.Compute is not { } compute)
        {
            return;
        }

        var here = cloud.Servers.Values.Where(server => server.Host == host.Host).ToDictionary(server => server.Id);
        var guests = compute.Guests.DistinctBy(guest => guest.Id).ToDictionary(guest => guest.Id);
        foreach (var guest in guests.Values.Where(guest => !here.ContainsKey(guest.Id) && !IsMoving(guest.Id)))
        {
            Add("guest-leaked", guest.Id, host.Host, $"guest {guest.Name} is here, and {WhereElse(guest.Id)}",
                $"{Looked}: nova-compute removes it; else, on {host.Host}: virsh destroy {guest.Name}; virsh undefine {guest.Name}");
        }

        foreach (var server in here.Values.Where(server => server.IsSettled && server.Status != "ERROR"))
        {
            if (!guests.TryGetValue(server.Id, out var guest))
            {
                Add("guest-missing", server.Id, host.Host, $"the server is {server.Status}, and the host has no guest of it", $"openstack server reboot --hard {server.Id}");
            }
            else if ((server.Status == "ACTIVE") != (guest.Power is PowerState.Running) && server.Status is "ACTIVE" or "SHUTOFF")
            {
                Add("guest-differs", server.Id, host.Host, $"the server is {server.Status}, and its guest is {guest.Power}", $"openstack server {(server.Status == "ACTIVE" ? "start" : "stop")} {server.Id}");
            }
        }

        if (compute.IsSimulated)
        {
            return;
        }

        var folders = compute.Folders.ToDictionary(folder => folder.Id);
        foreach (var folder in folders.Values.Where(folder => !here.ContainsKey(folder.Id) && !IsMoving(folder.Id)))
        {
            Add("files-leaked", folder.Id, host.Host, $"the instance's folder is here, and {WhereElse(folder.Id)}", $"{Looked}: nova-compute removes it; else delete the folder {folder.Id} below instances_path on {host.Host}");
        }

        foreach (var server in here.Values.Where(server => server.IsSettled && server.Status != "ERROR"))
        {
            if (!folders.TryGetValue(server.Id, out var folder))
            {
                Add("files-missing", server.Id, host.Host, "the host has no folder of the server: its disks are gone", $"openstack server delete {server.Id}, and create it anew");
            }
            else if (!folder.HasBacking)
            {
                Add("image-missing", server.Id, host.Host, $"the server's disk lies over {folder.Backing ?? "a file that cannot be read"}, which is not there",
                    "restore the image in the cache from another host that has it, before the server is started again");
            }
        }

        var used = compute.Folders.Select(folder => folder.Backing).OfType<string>().ToHashSet(StringComparer.Ordinal);
        foreach (var image in compute.CachedImages.Where(image => !used.Contains(image.Path) && now - image.UsedAt > StaleAfter))
        {
            Add("image-stale", image.Path, host.Host, "no disk lies over this file of the image cache, for longer than it should be kept", "see that nova-compute runs (it cleans the cache); else delete the file");
        }
    }

    private void CompareDevices(HostView host)
    {
        var bound = cloud.Ports.Values.Where(port => port.Host == host.Host).ToList();
        // A guest that is off has no taps, and one that is being made or removed may have them or not.
        var running = bound.Where(port => port.IsServers && port.VifType == "ovs"
            && cloud.Servers.GetValueOrDefault(port.DeviceId) is { IsSettled: true, Status: "ACTIVE" } server && server.Host == host.Host).ToList();
        if (host.Compute is { IsSimulated: false } compute)
        {
            var taps = bound.Where(port => port.IsServers).Select(port => port.Tap).ToHashSet(StringComparer.Ordinal);
            foreach (var tap in compute.Taps.Where(tap => !taps.Contains(tap)))
            {
                Add("tap-leaked", tap, host.Host, "the device is of no port that is bound to this host", $"on {host.Host}: ovs-vsctl --if-exists del-port {tap}; ip link delete {tap}");
            }

            foreach (var port in running.Where(port => !compute.Taps.Contains(port.Tap)))
            {
                Add("tap-missing", port.Tap, host.Host, $"server {port.DeviceId} runs without the device of port {port.Id}", $"openstack server reboot --hard {port.DeviceId}");
            }
        }

        if (host.Switch is not { } vswitch)
        {
            return;
        }

        // A router on several hosts has its ports on each of them, and is bound to the one that serves.
        var routers = RoutersOf(host.Host);
        var ports = bound.Concat(cloud.Ports.Values.Where(port => port.IsRouters && port.Host != host.Host && routers.Contains(port.DeviceId))).ToDictionary(port => port.Id);
        foreach (var device in vswitch.Ports.Where(device => device.PortId is not null))
        {
            if (!ports.TryGetValue(device.PortId!, out var owner))
            {
                Add("switch-port-leaked", device.Name, host.Host, $"the switch has it for port {device.PortId}, which is {(cloud.Ports.TryGetValue(device.PortId!, out var port) ? $"bound to {port.Host ?? "no host"}" : "unknown to Neutron")}",
                    $"on {host.Host}: ovs-vsctl --if-exists del-port {device.Name}");
            }
            else if (device.Error is not null)
            {
                Add("switch-port-broken", device.Name, host.Host, $"the switch cannot use it: {device.Error}", $"openstack server reboot --hard {owner.DeviceId}");
            }
        }

        var plugged = vswitch.Ports.Select(device => device.PortId).ToHashSet();
        foreach (var port in running.Where(port => !plugged.Contains(port.Id)))
        {
            Add("switch-port-missing", port.Id, host.Host, $"server {port.DeviceId} runs, and the switch does not have its port", $"openstack server reboot --hard {port.DeviceId}");
        }

        CompareTrunks(host.Host, vswitch, ports, running);
    }

    private void CompareTrunks(string host, SwitchView vswitch, Dictionary<string, PortView> here, List<PortView> running)
    {
        var restart = $"{Looked}; else restart neutron-openvswitch-agent on {host}";
        var trunks = cloud.Trunks.Where(trunk => here.ContainsKey(trunk.PortId)).ToDictionary(trunk => trunk.PortId);
        var bridges = vswitch.Trunks.ToDictionary(bridge => bridge.Name, StringComparer.Ordinal);
        foreach (var bridge in bridges.Keys.Except(trunks.Values.Select(trunk => trunk.Bridge)))
        {
            Add("trunk-leaked", bridge, host, "the bridge is of no trunk that is on this host", $"{Looked}: neutron-openvswitch-agent removes it; else, on {host}: ovs-vsctl del-br {bridge}");
        }

        foreach (var (port, trunk) in running.Where(port => trunks.ContainsKey(port.Id)).Select(port => (port, trunks[port.Id])))
        {
            if (!bridges.TryGetValue(trunk.Bridge, out var bridge) || bridge.PortId != trunk.PortId)
            {
                Add("trunk-missing", trunk.Id, host, $"server {port.DeviceId} runs, and its port {port.Id} is not plugged into {trunk.Bridge}", $"openstack server reboot --hard {port.DeviceId}");
            }
            else if (!bridge.SubPorts.ToHashSet().SetEquals(trunk.SubPorts))
            {
                Add("trunk-differs", trunk.Id, host, $"{trunk.Bridge} has the tags {Tags(bridge.SubPorts)}, and the trunk {Tags(trunk.SubPorts)}", restart);
            }
        }

        static string Tags(IEnumerable<TrunkSubPortView> subPorts) => subPorts.Any() ? string.Join(", ", subPorts.OrderBy(sub => sub.Vlan).Select(sub => $"{sub.Vlan} of port {sub.PortId}")) : "none";
    }

    private void CompareDhcp(HostView host)
    {
        if (host.Dhcp is not { } dhcp)
        {
            return;
        }

        var agent = cloud.Agents.FirstOrDefault(agent => agent.Type == AgentTypes.Dhcp && agent.Host == host.Host);
        var scheduled = agent?.Networks.ToHashSet(StringComparer.Ordinal) ?? [];
        var served = dhcp.Networks.ToDictionary(server => server.NetworkId);
        foreach (var server in served.Values.Where(server => !scheduled.Contains(server.NetworkId)))
        {
            Add("dhcp-leaked", server.NetworkId, host.Host, "a DHCP server, or what is left of one, is here for a network that is not this host's",
                $"{Looked}: neutron-dhcp-agent removes it; else, on {host.Host}: end its dnsmasq and delete the namespace qdhcp-{server.NetworkId}");
        }

        var withDhcp = cloud.Subnets.Values.Where(subnet => subnet.HasDhcp).ToLookup(subnet => subnet.NetworkId);
        foreach (var network in scheduled.Where(network => withDhcp.Contains(network)))
        {
            if (!served.TryGetValue(network, out var server) || !server.HasNamespace || !server.IsRunning)
            {
                Add("dhcp-missing", network, host.Host, $"the network's DHCP server should run here, and {(server is { HasNamespace: true } ? "its dnsmasq does not" : "has no namespace")}",
                    $"look at the log of neutron-dhcp-agent on {host.Host}");
                continue;
            }

            var subnets = withDhcp[network].Where(subnet => subnet.IpVersion == 4).Select(subnet => subnet.Id).ToHashSet();
            var wanted = cloud.Ports.Values
                .Where(port => port.NetworkId == network && DhcpNames.IsServed(port.DeviceOwner))
                .SelectMany(port => port.FixedIps.Where(address => subnets.Contains(address.SubnetId)).Select(address => new DhcpEntryView(port.MacAddress, address.Ip)))
                .ToHashSet();
            foreach (var entry in wanted.Except(server.Entries))
            {
                Add("dhcp-entry-missing", entry.IpAddress, host.Host, $"the DHCP server of network {network} does not give {entry.IpAddress} to {entry.MacAddress}", $"{Looked}; else restart neutron-dhcp-agent on {host.Host}");
            }

            foreach (var entry in server.Entries.Except(wanted))
            {
                Add("dhcp-entry-leaked", entry.IpAddress, host.Host, $"the DHCP server of network {network} gives {entry.IpAddress} to {entry.MacAddress}, which no port has", $"{Looked}; else restart neutron-dhcp-agent on {host.Host}");
            }
        }
    }

    private HashSet<string> RoutersOf(string host) => [.. cloud.Agents.Where(agent => agent.Type == AgentTypes.L3 && agent.Host == host).SelectMany(agent => agent.Routers)];

    private void CompareRouters(HostView host)
    {
        if (host.Routers is not { } found)
        {
            return;
        }

        var scheduled = RoutersOf(host.Host);
        var here = found.Routers.ToDictionary(router => router.RouterId);
        foreach (var router in here.Keys.Where(id => !scheduled.Contains(id)))
        {
            Add("router-leaked", router, host.Host, "a router, or what is left of one, is here that is not this host's",
                $"{Looked}: neutron-l3-agent removes it; else, on {host.Host}: ovs-vsctl del-port its qr- and qg- devices, then ip netns delete qrouter-{router}");
        }

        foreach (var router in scheduled.Select(id => cloud.Routers.GetValueOrDefault(id)).OfType<RouterInfo>().Where(router => router.AdminStateUp))
        {
            if (!here.TryGetValue(router.Id, out var view) || !view.HasNamespace)
            {
                Add("router-missing", router.Id, host.Host, $"the router should be here, and has no namespace qrouter-{router.Id}", $"look at the log of neutron-l3-agent on {host.Host}");
                continue;
            }

            CompareRouter(host.Host, router, view);
        }
    }

    private void CompareRouter(string host, RouterInfo router, RouterView view)
    {
        var restart = $"{Looked}; else restart neutron-l3-agent on {host}";
        // Of ports among the router's hosts each has its own.
        var devices = cloud.Ports.Values.Where(port => port.IsRouters && port.DeviceId == router.Id && port.FixedIps.Count > 0 && (port.DeviceOwner != RouterPortOwners.HaPort || port.Host == host))
            .Select(port => port.RouterDevice).ToHashSet(StringComparer.Ordinal);
        foreach (var device in devices.Except(view.Devices))
        {
            Add("router-device-missing", device, host, $"router {router.Id} has no device {device} in its namespace", restart);
        }

        foreach (var device in view.Devices.Except(devices))
        {
            Add("router-device-leaked", device, host, $"router {router.Id} has the device {device}, which is of no port of it", restart);
        }

        var floating = router.HasGateway ? cloud.FloatingIps.Where(each => each.RouterId == router.Id).ToList() : [];
        var wanted = floating.Where(each => each.Fixed is not null).Select(each => new FloatingIpView(each.Floating, each.Fixed!)).ToHashSet();
        foreach (var translation in wanted.Except(view.FloatingIps))
        {
            Add("nat-missing", translation.FloatingAddress, host, $"router {router.Id} does not lead {translation.FloatingAddress} to {translation.FixedAddress}", restart);
        }

        foreach (var translation in view.FloatingIps.Except(wanted))
        {
            Add("nat-leaked", translation.FloatingAddress, host, $"router {router.Id} leads {translation.FloatingAddress} to {translation.FixedAddress}, which no floating IP does", restart);
        }

        if (router.HasSnat != view.SourceAddresses.Count > 0)
        {
            Add("snat-differs", router.Id, host, router.HasSnat ? "the router does not hide inner addresses, and should" : "the router hides inner addresses, and should not", restart);
        }

        if (router.IsHa)
        {
            // VRRP says which of its hosts has the addresses.
            return;
        }

        foreach (var missing in floating.Where(each => each.Status == "ACTIVE" && !view.OuterAddresses.Contains(each.Floating)))
        {
            Add("floating-ip-missing", missing.Floating, host, $"the floating IP is ACTIVE, and router {router.Id} does not have the address", restart);
        }

        var known = floating.Select(each => each.Floating)
            .Concat(cloud.Ports.Values.Where(port => port.DeviceId == router.Id && port.DeviceOwner == RouterPortOwners.Gateway).SelectMany(port => port.FixedIps).Select(address => address.Ip)).ToHashSet();
        foreach (var leaked in view.OuterAddresses.Where(address => !known.Contains(address)))
        {
            Add("floating-ip-leaked", leaked, host, $"router {router.Id} has an outer address that is none of its", restart);
        }
    }

    /// <summary>Something is being done with the server: it may be on its way to a host or from it.</summary>
    private bool IsMoving(string id) => cloud.Servers.TryGetValue(id, out var server) && !server.IsSettled;

    private string WhereElse(string id) => cloud.Servers.TryGetValue(id, out var server) ? $"its server is on {server.Host ?? "no host"}" : "Nova does not have its server";

    private static string Amounts(IEnumerable<KeyValuePair<string, long>> resources) =>
        string.Join(", ", resources.OrderBy(resource => resource.Key, StringComparer.Ordinal).Select(resource => $"{resource.Key}={resource.Value}"));

    private void Add(string kind, string id, string? host, string message, string advice) => findings.Add(new Finding(kind, id, host, message, advice));
}
