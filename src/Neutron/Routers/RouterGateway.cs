using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Routers;

/// <summary>Gives routers their external gateways, and takes them away.</summary>
internal sealed class RouterGateway(NeutronOptions options, RouterPorts ports, IpAllocator ipam)
{
    public string? Check(JsonElement value)
    {
        if (IsNone(value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            return $"'{Checks.Shown(value)}' is not a dictionary";
        }

        if (!value.TryGetProperty("network_id", out var network))
        {
            return $"Expected keys not found. Expected: '{{'network_id'}}', Provided: '{Checks.Shown(value)}'";
        }

        foreach (var member in value.EnumerateObject())
        {
            var reason = member.Name switch
            {
                "network_id" => Checks.Uuid(network),
                "enable_snat" => Checks.Flag(member.Value),
                "external_fixed_ips" => Checks.FixedIps(member.Value),
                QosAttachments.Attribute when options.HasPlugin("qos") => Checks.UuidOrNull(member.Value),
                _ => $"Unexpected keys supplied: {member.Name}",
            };
            if (reason is not null)
            {
                return reason;
            }
        }

        return null;
    }

    /// <summary>Makes the gateway what was sent. The row is still to be written.</summary>
    /// <param name="sent">Null or <c>{}</c> for none.</param>
    public async Task SetAsync(Work work, Caller caller, RouterRow router, JsonElement sent)
    {
        var isNone = IsNone(sent);
        var networkId = isNone ? null : sent.GetProperty("network_id").GetString();
        router.EnableSnat = !isNone && sent.TryGetProperty("enable_snat", out var snat) ? Checks.ToFlag(snat) : options.EnableSnatByDefault;
        List<FixedIpWish> wishes = isNone || !sent.TryGetProperty("external_fixed_ips", out var ips) || ips.ValueKind != JsonValueKind.Array ? []
            : [.. ips.EnumerateArray().Select(wish => new FixedIpWish(TextOf(wish, "subnet_id"), TextOf(wish, "ip_address")))];
        if (isNone || sent.TryGetProperty(QosAttachments.Attribute, out _))
        {
            // Who takes the gateway away may take away what was said of it.
            router.GatewayQosPolicyId = isNone ? null : await QosAttachments.ChangeAsync(work, caller, router.GatewayQosPolicyId, TextOf(sent, QosAttachments.Attribute));
        }

        var attached = await RouterPorts.LoadAsync(work.Db, router.Id, work.Cancellation);
        var current = attached.Find(port => port.Port.Id == router.GatewayPortId);
        var subnets = networkId is null ? [] : await CheckNetworkAsync(work, caller, networkId, wishes);
        if (current is not null && current.Port.NetworkId == networkId)
        {
            if (wishes.Count > 0 && await ipam.ChangeAsync(work, current.Port, wishes))
            {
                await ports.TouchAsync(work, current.Port);
            }
        }
        else
        {
            if (current is not null)
            {
                await RemoveAsync(work, router, current.Port);
                attached.Remove(current);
            }

            if (networkId is not null)
            {
                await RouterInterfaces.CheckOverlapAsync(work, attached, subnets);
                router.GatewayPortId = (await ports.CreateAsync(work, router, "", networkId, RouterPortOwners.Gateway, wishes.Count > 0 ? wishes : null)).Id;
            }
        }

        if (router.Routes != "[]")
        {
            await ExtraRoutes.CheckAsync(work, options, router, ExtraRoutes.Read(router.Routes));
        }
    }

    /// <summary>Takes a router's gateway away; floating IPs that need it keep it there.</summary>
    public async Task RemoveAsync(Work work, RouterRow router, PortRow port)
    {
        if (await work.Db.GetTable<FloatingIpRow>().AnyAsync(row => row.RouterId == router.Id, work.Cancellation))
        {
            throw RouterErrors.GatewayInUse(router.Id, port.NetworkId);
        }

        router.GatewayPortId = null;
        await ports.DeleteAsync(work, port);
    }

    private static async Task<List<SubnetRow>> CheckNetworkAsync(Work work, Caller caller, string networkId, List<FixedIpWish> wishes)
    {
        var network = await NetworkResource.FindAsync(work, caller, networkId);
        if (!network.External)
        {
            throw RouterErrors.Bad($"Network {networkId} is not an external network");
        }

        var subnets = await work.Db.GetTable<SubnetRow>().Where(row => row.NetworkId == networkId).ToListAsync(work.Cancellation);
        if (wishes.Find(wish => wish.IpAddress is not null && subnets.Exists(subnet => subnet.GatewayIp == wish.IpAddress)) is { } taken)
        {
            throw RouterErrors.Bad($"External IP {taken.IpAddress} is the same as the gateway IP");
        }

        return subnets;
    }

    private static bool IsNone(JsonElement value) => value.ValueKind == JsonValueKind.Null || (value.ValueKind == JsonValueKind.Object && !value.EnumerateObject().Any());

    private static string? TextOf(JsonElement wish, string name) => wish.TryGetProperty(name, out var value) ? value.GetString() : null;
}
