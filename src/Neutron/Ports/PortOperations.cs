using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Neutron.Agents;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Subnets;
using SharpStack.Neutron.Trunks;

namespace SharpStack.Neutron.Ports;

/// <summary>What happens to ports, whoever asks for it: binding, provisioning, status, and whom to tell.</summary>
internal sealed class PortOperations(NeutronOptions options, AgentDirectory agents, IEnumerable<IMechanismDriver> known)
{
    public const string Active = "ACTIVE";
    public const string Down = "DOWN";
    public const string Unbound = "unbound";
    public const string BindingFailed = "binding_failed";
    public const string L2 = "L2";
    public const string Dhcp = "DHCP";

    private readonly IMechanismDriver[] drivers =
        [.. options.MechanismDrivers.Select(name => known.FirstOrDefault(driver => driver.Name == name)
            ?? throw new FormatException($"[ml2] mechanism_drivers: there is no mechanism driver '{name}', only {string.Join(", ", known.Select(driver => driver.Name))}"))];

    /// <summary>Ports of the network's own services: no security groups, no port security.</summary>
    public static bool IsTrusted(string deviceOwner) => deviceOwner.StartsWith("network:", StringComparison.Ordinal);

    public static bool IsBound(PortRow port) => port.VifType is not (Unbound or BindingFailed);

    /// <summary>Tries to bind a port to its host and says what is still to be done before it is ACTIVE. The row is still to be written.</summary>
    public async Task BindAsync(Work work, PortRow port)
    {
        await RebindAsync(work, port);
        await TrunkBindings.FollowAsync(work, this, port);
    }

    /// <summary>How the port would be plugged on its host, and to which segment; null where no mechanism driver can.</summary>
    public async Task<(PortBinding? Binding, string? SegmentId)> TryBindAsync(Work work, PortRow port)
    {
        var there = await agents.OnHostAsync(work.Db, port.Host, work.Cancellation);
        var trunkId = await work.Db.GetTable<TrunkRow>().Where(trunk => trunk.PortId == port.Id).Select(trunk => trunk.Id).FirstOrDefaultAsync(work.Cancellation);
        foreach (var row in await work.Db.GetTable<SegmentRow>().Where(row => row.NetworkId == port.NetworkId).OrderBy(row => row.SegmentIndex).ToListAsync(work.Cancellation))
        {
            var segment = new Segment(row.NetworkType, row.PhysicalNetwork, row.SegmentationId);
            if (drivers.Select(driver => driver.TryBind(port, segment, there, trunkId)).FirstOrDefault(found => found is not null) is { } binding)
            {
                return (binding, row.Id);
            }
        }

        return (null, null);
    }

    /// <summary>An agent did its part. The port is ACTIVE when nothing else is open.</summary>
    public async Task ProvisionedAsync(Work work, PortRow port, bool byDhcp)
    {
        var entity = byDhcp ? Dhcp : L2;
        await work.Db.GetTable<ProvisioningBlockRow>().Where(block => block.PortId == port.Id && block.Entity == entity).DeleteAsync(work.Cancellation);
        var open = await work.Db.GetTable<ProvisioningBlockRow>().Where(block => block.PortId == port.Id).Select(block => block.Entity).ToListAsync(work.Cancellation);
        if (open is [Dhcp] && !await HasLiveDhcpAsync(work, port))
        {
            // Nobody is left who could serve DHCP: the instance must not wait for it.
            await work.Db.GetTable<ProvisioningBlockRow>().Where(block => block.PortId == port.Id).DeleteAsync(work.Cancellation);
            open = [];
        }

        if (open.Count == 0 && IsBound(port) && port.AdminStateUp && port.Status != Active)
        {
            await SetStatusAsync(work, port, Active);
            work.Bump(port);
            await work.Db.UpdateAsync(port, token: work.Cancellation);
        }
    }

    /// <summary>The agent took the port's wiring away, or the port is switched off.</summary>
    public async Task UnprovisionedAsync(Work work, PortRow port)
    {
        if (port.Status == Down)
        {
            return;
        }

        await BlockAsync(work, port);
        await SetStatusAsync(work, port, Down);
        work.Bump(port);
        await work.Db.UpdateAsync(port, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, PortRow port)
    {
        var groups = await GroupsOfAsync(work, port.Id);
        await FloatingIpLinks.ForgetAsync(work, port.Id, isDeleted: true);
        await TellAsync(work, port, port.Host, isDeleted: true);
        await TellMembersAsync(work, groups);
        await work.Db.GetTable<TagRow>().Where(tag => tag.ResourceId == port.Id).DeleteAsync(work.Cancellation);
        await work.Db.GetTable<PortRow>().Where(row => row.Id == port.Id).DeleteAsync(work.Cancellation);
        if (IsOfServer(port) && options.NotifyNovaOfStatus)
        {
            await work.TellNovaAsync("network-vif-deleted", port.DeviceId, port.Id);
        }
    }

    /// <summary>The next revision of a port whose parts changed, with its hints.</summary>
    public async Task TouchAsync(Work work, PortRow port)
    {
        work.Bump(port);
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        await TellAsync(work, port, port.Host, isDeleted: false);
        await TellMembersAsync(work, await GroupsOfAsync(work, port.Id));
        if (IsOfServer(port) && options.NotifyNovaOfData)
        {
            await work.TellNovaAsync("network-changed", port.DeviceId, port.Id);
        }
    }

    /// <summary>Gives each port of a network an address of its new subnet with automatic addresses.</summary>
    public async Task AddAutoAddressesAsync(Work work, SubnetRow subnet)
    {
        foreach (var port in (await work.Db.GetTable<PortRow>().Where(port => port.NetworkId == subnet.NetworkId).ToListAsync(work.Cancellation)).Where(port => IpAllocator.FollowsMac(port, subnet)))
        {
            await IpAllocator.AddAutoAddressAsync(work, port, subnet);
            await TouchAsync(work, port);
        }
    }

    /// <summary>The agents that care for a port: the OVS agents of its hosts, the DHCP agents of its network.</summary>
    public async Task TellAsync(Work work, PortRow port, string previousHost, bool isDeleted)
    {
        TellDrivers(work, port, port.Status);
        var hint = new PortHint(port.Id, port.NetworkId, port.Revision);
        foreach (var host in new HashSet<string> { port.Host, previousHost }.Where(host => host.Length > 0))
        {
            var contract = isDeleted ? OpenVSwitchContracts.PortDeleted : OpenVSwitchContracts.PortChanged;
            work.Hint(bus => bus.CastAsync(contract, hint, host));
        }

        foreach (var agent in await agents.DhcpOfAsync(work.Db, port.NetworkId, work.Cancellation))
        {
            work.Hint(bus => bus.CastAsync(DhcpContracts.PortChanged, hint, agent.Host));
        }
    }

    /// <summary>The DHCP agents of a network are to look at it.</summary>
    public async Task TellDhcpAsync(Work work, string networkId)
    {
        foreach (var agent in await agents.DhcpOfAsync(work.Db, networkId, work.Cancellation))
        {
            work.Hint(bus => bus.CastAsync(DhcpContracts.NetworkChanged, new NetworkHint(networkId), agent.Host));
        }
    }

    /// <summary>Rules that name these groups as remote groups match other addresses now.</summary>
    public static async Task TellMembersAsync(Work work, List<string> groupIds)
    {
        if (groupIds.Count > 0 && await work.Db.GetTable<SecurityGroupRuleRow>().AnyAsync(rule => groupIds.Contains(rule.RemoteGroupId!), work.Cancellation))
        {
            work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.SecurityGroupsChanged, new SecurityGroupsHint(groupIds)));
        }
    }

    public static Task<List<string>> GroupsOfAsync(Work work, string portId) =>
        work.Db.GetTable<PortSecurityGroupRow>().Where(row => row.PortId == portId).Select(row => row.SecurityGroupId).ToListAsync(work.Cancellation);

    /// <summary>Whether Nova is to hear of it.</summary>
    public static bool IsOfServer(PortRow port) =>
        port.DeviceOwner.StartsWith("compute:", StringComparison.Ordinal) && Checks.IsUuid(port.DeviceId);

    private async Task RebindAsync(Work work, PortRow port)
    {
        await work.Db.GetTable<ProvisioningBlockRow>().Where(block => block.PortId == port.Id).DeleteAsync(work.Cancellation);
        if (port.Host.Length == 0)
        {
            (port.VifType, port.VifDetails, port.BoundSegmentId) = (Unbound, "{}", null);
            await SetStatusAsync(work, port, Down);
            return;
        }

        var (binding, segmentId) = await TryBindAsync(work, port);
        (port.VifType, port.VifDetails, port.BoundSegmentId) = binding is null ? (BindingFailed, "{}", null) : (binding.VifType, binding.VifDetails, segmentId);
        await SetStatusAsync(work, port, Down);
        if (binding is not null)
        {
            await BlockAsync(work, port);
        }
    }

    /// <summary>Sets the status and leaves Nova the event that goes with the change.</summary>
    private async Task SetStatusAsync(Work work, PortRow port, string status)
    {
        var before = port.Status;
        port.Status = status;
        if (before != status)
        {
            TellDrivers(work, port, before);
        }

        if (before == status || !IsOfServer(port) || !options.NotifyNovaOfStatus)
        {
            return;
        }

        if (status == Active)
        {
            await work.TellNovaAsync("network-vif-plugged", port.DeviceId, port.Id);
        }
        else if (before == Active)
        {
            await work.TellNovaAsync("network-vif-unplugged", port.DeviceId, port.Id);
        }
    }

    private void TellDrivers(Work work, PortRow port, string previousStatus)
    {
        foreach (var driver in drivers)
        {
            driver.PortChanged(work, port, previousStatus);
        }
    }

    private async Task BlockAsync(Work work, PortRow port)
    {
        await work.Db.GetTable<ProvisioningBlockRow>().Where(block => block.PortId == port.Id).DeleteAsync(work.Cancellation);
        await work.Db.InsertAsync(new ProvisioningBlockRow { PortId = port.Id, Entity = L2 }, token: work.Cancellation);
        if (!IsTrusted(port.DeviceOwner) && await HasDhcpAddressAsync(work, port) && await HasLiveDhcpAsync(work, port))
        {
            await work.Db.InsertAsync(new ProvisioningBlockRow { PortId = port.Id, Entity = Dhcp }, token: work.Cancellation);
        }
    }

    private static Task<bool> HasDhcpAddressAsync(Work work, PortRow port) =>
        (from ip in work.Db.GetTable<IpAllocationRow>()
         where ip.PortId == port.Id
         join subnet in work.Db.GetTable<SubnetRow>() on ip.SubnetId equals subnet.Id
         where subnet.EnableDhcp
         select ip).AnyAsync(work.Cancellation);

    private async Task<bool> HasLiveDhcpAsync(Work work, PortRow port) =>
        (await agents.DhcpOfAsync(work.Db, port.NetworkId, work.Cancellation)).Exists(agents.IsAlive);
}
