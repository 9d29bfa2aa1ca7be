using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Trunks;

/// <summary>The subports of a trunk are where the port that carries it is: bound with it, released with it.</summary>
internal static class TrunkBindings
{
    public const string SubPortOwner = "trunk:subport";

    /// <summary>After a port was bound or released: if it carries a trunk, the trunk is still to be wired, and its subports are on the port's host.</summary>
    public static async Task FollowAsync(Work work, PortOperations operations, PortRow parent)
    {
        if (await work.Db.GetTable<TrunkRow>().FirstOrDefaultAsync(row => row.PortId == parent.Id, work.Cancellation) is { } trunk)
        {
            await FollowAsync(work, operations, trunk, parent);
        }
    }

    /// <summary>After ports were put on a trunk, or taken off it.</summary>
    public static async Task ChangedAsync(Work work, PortOperations operations, TrunkRow trunk)
    {
        var parent = await work.Db.GetTable<PortRow>().FirstAsync(row => row.Id == trunk.PortId, work.Cancellation);
        await FollowAsync(work, operations, trunk, parent);
        if (PortOperations.IsBound(parent))
        {
            await operations.TellAsync(work, parent, parent.Host, isDeleted: false);
        }
    }

    /// <summary>After a port could be bound at last: the trunk that waited for it may be whole now.</summary>
    public static async Task ReviewAsync(Work work, PortOperations operations, PortRow port)
    {
        var trunk = await (from sub in work.Db.GetTable<SubPortRow>()
                           where sub.PortId == port.Id
                           join row in work.Db.GetTable<TrunkRow>() on sub.TrunkId equals row.Id
                           select row).FirstOrDefaultAsync(work.Cancellation);
        if (trunk is not null)
        {
            await ChangedAsync(work, operations, trunk);
        }
    }

    /// <summary>Ports that are on no trunk any more are nowhere.</summary>
    public static async Task ReleaseAsync(Work work, PortOperations operations, IReadOnlyList<string> portIds)
    {
        foreach (var port in await work.Db.GetTable<PortRow>().WhereIn(row => row.Id, portIds).ToListAsync(work.Cancellation))
        {
            if (port.DeviceOwner == SubPortOwner)
            {
                port.DeviceOwner = "";
                await MoveAsync(work, operations, port, "");
            }
        }
    }

    private static async Task FollowAsync(Work work, PortOperations operations, TrunkRow trunk, PortRow parent)
    {
        var host = PortOperations.IsBound(parent) ? parent.Host : "";
        var ports = await (from sub in work.Db.GetTable<SubPortRow>()
                           where sub.TrunkId == trunk.Id
                           join port in work.Db.GetTable<PortRow>() on sub.PortId equals port.Id
                           orderby port.Id
                           select port).ToListAsync(work.Cancellation);
        foreach (var port in ports.Where(port => port.Host != host))
        {
            port.DeviceOwner = SubPortOwner;
            await MoveAsync(work, operations, port, host);
        }

        trunk.Status = ports.Exists(port => port.VifType == PortOperations.BindingFailed) ? DeviceTrunk.Error : DeviceTrunk.Down;
        work.Bump(trunk);
        await work.Db.UpdateAsync(trunk, token: work.Cancellation);
    }

    private static async Task MoveAsync(Work work, PortOperations operations, PortRow port, string host)
    {
        var before = port.Host;
        port.Host = host;
        await operations.BindAsync(work, port);
        work.Bump(port);
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        await operations.TellAsync(work, port, before, isDeleted: false);
    }
}
