using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Storage;
using RouterAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Routers.RouterRow, SharpStack.Neutron.Routers.RouterView>;

namespace SharpStack.Neutron.Routers;

/// <summary><c>/v2.0/routers</c>.</summary>
internal sealed class RouterResource(NeutronOptions options, RouterGateway gateways, RouterPorts ports, L3Scheduler scheduler, HaNetworks haNetworks) : IResource<RouterRow, RouterView>
{
    private const string Gateway = "external_gateway_info";

    public string Singular => "router";

    public string Plural => "routers";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<RouterRow, RouterView>> Attributes { get; } =
    [
        .. RouterAttributes.Standard(),
        RouterAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        RouterAttributes.Flag("admin_state_up", static row => row.AdminStateUp, post: true, put: true),
        RouterAttributes.Text("status", static row => row.Status),
        new(Gateway)
        {
            Post = true,
            Put = true,
            Check = gateways.Check,
            Enforced = true,
            EnforcedParts = ["network_id", "enable_snat", "external_fixed_ips"],
            IsDefault = static value => value.ValueKind == JsonValueKind.Null,
            Write = (json, view) => WriteGateway(json, view, options.HasPlugin("qos")),
        },
        RouterAttributes.Raw("routes", static row => row.Routes, put: true, check: Checks.HostRoutes),
        RouterAttributes.Flag("ha", static row => row.IsHa, post: true, put: true, enforced: true),
        new("distributed") { Post = true, Put = true, Check = NotDistributed, Enforced = true, Write = static (json, _) => json.WriteBooleanValue(false) },
        RouterAttributes.Raw("availability_zone_hints", static row => row.AvailabilityZoneHints, post: true, check: Checks.Texts),
        RouterAttributes.Shown("availability_zones", static (json, view) => json.WriteTexts(view.Zones)),
        .. options.HasPlugin("conntrack_helper") ? (ResourceAttribute<RouterRow, RouterView>[])[RouterAttributes.Shown("conntrack_helpers", WriteHelpers)] : [],
        RouterAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<RouterRow> Rows(DataConnection db) => db.GetTable<RouterRow>();

    public IQueryable<RouterRow> VisibleTo(IQueryable<RouterRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public async Task<List<RouterView>> LoadAsync(DataConnection db, IReadOnlyList<RouterRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var gateways = rows.Select(row => row.GatewayPortId).OfType<string>().ToList();
        var networks = gateways.Count == 0 ? [] : await db.GetTable<PortRow>().WhereIn(port => port.Id, gateways).ToDictionaryAsync(port => port.Id, port => port.NetworkId, cancellationToken);
        var ips = (gateways.Count == 0 ? [] : await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, gateways).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        var zones = (await (from bound in db.GetTable<RouterAgentRow>().WhereIn(row => row.RouterId, ids)
                            join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
                            select new { bound.RouterId, agent.AvailabilityZone }).ToListAsync(cancellationToken)).ToLookup(row => row.RouterId, row => row.AvailabilityZone);
        var helpers = (await db.GetTable<ConntrackHelperRow>().WhereIn(row => row.RouterId, ids).OrderBy(row => row.Id).ToListAsync(cancellationToken)).ToLookup(row => row.RouterId);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        return [.. rows.Select(row => new RouterView(
            row, row.GatewayPortId is { } port ? networks.GetValueOrDefault(port) : null, [.. ips[row.GatewayPortId ?? ""]], [.. zones[row.Id].Distinct().Order()], [.. helpers[row.Id]], [.. tags[row.Id]]))];
    }

    public async Task UpdateAsync(Work work, Caller caller, RouterView view, Body body)
    {
        var row = view.Row;
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        if (body.Has("ha") && body.Flag("ha", row.IsHa) != row.IsHa)
        {
            if (row.AdminStateUp)
            {
                throw RouterErrors.Bad("Cannot change HA attribute of active routers. Please set router admin_state_up to False prior to upgrade");
            }

            await ChangeHaAsync(work, row);
        }

        row.AdminStateUp = body.Flag("admin_state_up", row.AdminStateUp);
        if (body.Has(Gateway))
        {
            await gateways.SetAsync(work, caller, row, body.Raw(Gateway));
        }

        if (body.Has("routes"))
        {
            await SetRoutesAsync(work, row, ExtraRoutes.Read(body.Raw("routes")));
        }

        await SaveAsync(work, row);
    }

    /// <summary>Makes a router's extra routes those given. The row is still to be written.</summary>
    public async Task SetRoutesAsync(Work work, RouterRow row, List<(string Destination, string Nexthop)> routes)
    {
        await ExtraRoutes.CheckAsync(work, options, row, routes);
        row.Routes = ExtraRoutes.Write(routes);
    }

    /// <summary>Writes a changed router, has it scheduled where it needs to be, and tells its hosts.</summary>
    public async Task SaveAsync(Work work, RouterRow row)
    {
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await scheduler.EnsureAsync(work, row);
        await RouterHints.TellAsync(work, row.Id);
    }

    public async Task DeleteAsync(Work work, Caller caller, RouterView view)
    {
        var row = view.Row;
        var attached = await RouterPorts.LoadAsync(work.Db, row.Id, work.Cancellation);
        if (attached.FindAll(port => RouterPorts.IsInterface(port.PortType)) is { Count: > 0 } inner)
        {
            throw RouterErrors.InUse(row.Id, $"has ports still attached: {string.Join(", ", inner.Select(port => port.Port.Id))}");
        }

        if (attached.Find(port => port.Port.Id == row.GatewayPortId) is { } gateway)
        {
            await gateways.RemoveAsync(work, row, gateway.Port);
        }

        await RouterHints.TellAsync(work, row.Id);
        await scheduler.UnbindAllAsync(work, row);
        await work.Db.GetTable<RouterRow>().Where(router => router.Id == row.Id).DeleteAsync(work.Cancellation);
        if (row.IsHa)
        {
            await haNetworks.ReleaseAsync(work, row.ProjectId);
        }
    }

    public CloudException NotFound(string id) => RouterErrors.NotFound(id);

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var row = work.Stamp(new RouterRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            AdminStateUp = body.Flag("admin_state_up", true),
            Status = "ACTIVE",
            EnableSnat = options.EnableSnatByDefault,
            IsHa = body.Flag("ha", options.L3Ha),
            AvailabilityZoneHints = JsonText.OfTexts(body.Texts("availability_zone_hints") ?? []),
            Revision = 1,
        });
        await CheckZonesAsync(work, body.Texts("availability_zone_hints") ?? []);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        if (row.IsHa)
        {
            await haNetworks.EnsureAsync(work, row);
        }

        if (body.HasValue(Gateway))
        {
            await gateways.SetAsync(work, caller, row, body.Raw(Gateway));
        }

        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await scheduler.EnsureAsync(work, row);
        return row.Id;
    }

    private static async Task CheckZonesAsync(Work work, List<string> hints)
    {
        if (hints.Count > 0)
        {
            var zones = await work.Db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.L3).Select(row => row.AvailabilityZone).Distinct().ToListAsync(work.Cancellation);
            if (hints.Find(hint => !zones.Contains(hint)) is { } unknown)
            {
                throw NeutronErrors.NotFound("AvailabilityZoneNotFound", $"AvailabilityZone {unknown} could not be found.");
            }
        }
    }

    /// <summary>From one host to several, or back: its ports change their owner, its agents are chosen anew.</summary>
    private async Task ChangeHaAsync(Work work, RouterRow row)
    {
        await RouterHints.TellAsync(work, row.Id);
        await scheduler.UnbindAllAsync(work, row);
        row.IsHa = !row.IsHa;
        var owner = RouterPorts.OwnerOf(row);
        foreach (var port in (await RouterPorts.LoadAsync(work.Db, row.Id, work.Cancellation)).Where(port => RouterPorts.IsInterface(port.PortType)))
        {
            port.Port.DeviceOwner = owner;
            await ports.TouchAsync(work, port.Port);
            await work.Db.GetTable<RouterPortRow>().Where(own => own.PortId == port.Port.Id).Set(own => own.PortType, owner).UpdateAsync(work.Cancellation);
        }

        await work.Db.UpdateAsync(row, token: work.Cancellation);
        if (row.IsHa)
        {
            await haNetworks.EnsureAsync(work, row);
        }
        else
        {
            await work.Db.GetTable<HaVirtualRouterRow>().Where(own => own.RouterId == row.Id).DeleteAsync(work.Cancellation);
            await haNetworks.ReleaseAsync(work, row.ProjectId);
        }
    }

    private static string? NotDistributed(JsonElement value) =>
        value.ValueKind == JsonValueKind.Null || !Checks.ToFlag(value) ? null : "distributed routers are not offered by this cloud";

    private static void WriteGateway(Utf8JsonWriter json, RouterView view, bool hasQos)
    {
        if (view.GatewayNetworkId is null)
        {
            json.WriteNullValue();
            return;
        }

        json.WriteStartObject();
        json.WriteString("network_id", view.GatewayNetworkId);
        json.WriteStartArray("external_fixed_ips");
        foreach (var ip in view.GatewayIps)
        {
            json.WriteStartObject();
            json.WriteString("subnet_id", ip.SubnetId);
            json.WriteString("ip_address", ip.IpAddress);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteBoolean("enable_snat", view.Row.EnableSnat);
        if (hasQos)
        {
            json.WriteString(QosAttachments.Attribute, view.Row.GatewayQosPolicyId);
        }

        json.WriteEndObject();
    }

    private static void WriteHelpers(Utf8JsonWriter json, RouterView view)
    {
        json.WriteStartArray();
        foreach (var helper in view.ConntrackHelpers)
        {
            json.WriteStartObject();
            json.WriteString("protocol", helper.Protocol);
            json.WriteNumber("port", helper.Port);
            json.WriteString("helper", helper.Helper);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
