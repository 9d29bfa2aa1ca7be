using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.OpenVSwitch;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents;

/// <summary>A port of Neutron's that an agent has as a device of its own in a namespace.</summary>
/// <param name="Name">The device's name, at most 15 characters.</param>
/// <param name="Mtu">In bytes; 0 where it is left as it is.</param>
internal sealed record NamespaceDevice(string Name, string PortId, string MacAddress, int Mtu);

/// <summary>Internal ports of the integration bridge that live in network namespaces: made, moved there, found again after a restart of the switch, and taken away.</summary>
internal sealed class NamespaceDevices(VSwitch vswitch, string bridge, string? switchNamespace)
{
    /// <summary>Where a port is that the OVS agent has not wired yet: it reaches nobody.</summary>
    private const int DeadVlan = 4095;

    private const int NameLength = 14;

    /// <summary>The name of a port's device: <c>qr-3c1a9f1e-5b</c>.</summary>
    public static string NameOf(string prefix, string portId) => string.Concat(prefix, portId)[..NameLength];

    /// <summary>These devices are in the namespace, up, and no others whose names begin with one of the prefixes.</summary>
    /// <returns>The names of those that are new: without addresses, and unknown to whoever used the ones before them.</returns>
    public async Task<IReadOnlySet<string>> EnsureAsync(string place, IReadOnlyList<NamespaceDevice> devices, IReadOnlyList<string> prefixes, CancellationToken cancellationToken)
    {
        await RemoveAsync(place, prefixes, [.. devices.Select(device => device.Name)], cancellationToken);
        await EnsurePortsAsync(place, devices, cancellationToken);
        var moved = Move(place, devices);
        using var links = RouteClient.Open(place);
        foreach (var device in devices)
        {
            var link = links.GetLink(device.Name);
            if (device.Mtu > 0 && link.Mtu != device.Mtu)
            {
                links.SetMtu(device.Name, device.Mtu);
            }

            if (!link.IsUp)
            {
                links.SetUp(device.Name);
            }
        }

        return moved;
    }

    /// <summary>Takes the devices whose names begin with one of the prefixes from the namespace and the switch, but for those to keep.</summary>
    public async Task RemoveAsync(string place, IReadOnlyList<string> prefixes, IReadOnlyCollection<string> keep, CancellationToken cancellationToken)
    {
        using var links = RouteClient.Open(place);
        var others = links.ListLinks().Select(link => link.Name)
            .Where(name => prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) && !keep.Contains(name)).ToList();
        if (others.Count == 0)
        {
            return;
        }

        // The switch spins on a port whose device went away before it.
        await vswitch.ChangeAsync(changes => others.ForEach(name => changes.DeletePort(name)), cancellationToken);
        others.ForEach(name => links.DeleteLink(name));
    }

    /// <summary>Whether the OVS agent has given the device its network.</summary>
    public bool IsWired(string name) => vswitch.FindPort(name) is { Tag: not DeadVlan };

    private async Task EnsurePortsAsync(string place, IReadOnlyList<NamespaceDevice> devices, CancellationToken cancellationToken)
    {
        HashSet<string> there;
        using (var inside = RouteClient.Open(place))
        using (var outside = RouteClient.Open(switchNamespace))
        {
            there = [.. inside.ListLinks().Concat(outside.ListLinks()).Select(link => link.Name)];
        }

        var dead = devices.Where(device => !there.Contains(device.Name) && vswitch.FindPort(device.Name) is not null).ToList();
        if (dead.Count > 0)
        {
            // The devices are gone though their ports are not. Only two transactions bring them back.
            await vswitch.ChangeAsync(changes => dead.ForEach(device => changes.DeletePort(device.Name)), cancellationToken);
        }

        var known = devices.Where(device => vswitch.FindPort(device.Name) is not null).Select(device => device.Name).ToHashSet();
        await vswitch.ChangeAsync(
            changes =>
            {
                foreach (var device in devices)
                {
                    changes.EnsurePort(bridge, device.Name, new PortSettings
                    {
                        Type = "internal",
                        Tag = known.Contains(device.Name) ? null : DeadVlan,
                        Mac = MacAddress.Parse(device.MacAddress),
                        ExternalIds = new Dictionary<string, string> { ["iface-id"] = device.PortId, ["iface-status"] = "active", ["attached-mac"] = device.MacAddress },
                    });
                }
            },
            cancellationToken);
    }

    private HashSet<string> Move(string place, IReadOnlyList<NamespaceDevice> devices)
    {
        var moved = new HashSet<string>();
        using var outside = RouteClient.Open(switchNamespace);
        var arrived = outside.ListLinks().Select(link => link.Name).ToHashSet();
        foreach (var device in devices.Where(device => arrived.Contains(device.Name)))
        {
            using (var inside = RouteClient.Open(place))
            {
                // A restarted switch has made the device anew; the one in the namespace is dead.
                inside.DeleteLink(device.Name);
            }

            outside.MoveToNamespace(device.Name, place);
            moved.Add(device.Name);
        }

        return moved;
    }
}
