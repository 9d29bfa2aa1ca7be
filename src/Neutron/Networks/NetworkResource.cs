using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Quotas;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Storage;
using NetworkAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.NetworkRow, SharpStack.Neutron.Networks.NetworkView>;

namespace SharpStack.Neutron.Networks;

/// <summary><c>/v2.0/networks</c>.</summary>
internal sealed class NetworkResource(NeutronOptions options, SegmentManager segments, QuotaEngine quotas, SecurityGroupResource groups, PortOperations ports) : IResource<NetworkRow, NetworkView>
{
    /// <summary>The smallest MTU that IPv4 works with.</summary>
    private const int SmallestMtu = 68;

    public string Singular => "network";

    public string Plural => "networks";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<NetworkRow, NetworkView>> Attributes { get; } =
    [
        .. NetworkAttributes.Standard(),
        NetworkAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        NetworkAttributes.Flag("admin_state_up", static row => row.AdminStateUp, post: true, put: true),
        NetworkAttributes.Text("status", static row => row.Status),
        NetworkAttributes.Number("mtu", static row => row.Mtu, post: true, put: true, check: Checks.Number(0, int.MaxValue)),
        NetworkAttributes.Flag("shared", static row => row.Shared, post: true, put: true, enforced: true, defaultValue: false),
        NetworkAttributes.Flag("router:external", static row => row.External, post: true, put: true, enforced: true, defaultValue: false),
        .. options.HasPortSecurity ? (ResourceAttribute<NetworkRow, NetworkView>[])[NetworkAttributes.Flag("port_security_enabled", static row => row.PortSecurityEnabled, post: true, put: true, enforced: true)] : [],
        Provider("provider:network_type", Checks.TextOrNull(16), static segment => segment.NetworkType),
        Provider("provider:physical_network", Checks.TextOrNull(64), static segment => segment.PhysicalNetwork),
        SegmentationId(),
        NetworkAttributes.Raw("availability_zone_hints", static row => row.AvailabilityZoneHints, post: true, check: Checks.Texts),
        NetworkAttributes.Shown("availability_zones", static (json, view) => json.WriteTexts(view.Zones)),
        NetworkAttributes.Shown("subnets", static (json, view) => json.WriteTexts(view.SubnetIds)),
        NetworkAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<NetworkRow> Rows(DataConnection db) => db.GetTable<NetworkRow>();

    public IQueryable<NetworkRow> VisibleTo(IQueryable<NetworkRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId || row.Shared || row.External);

    public async Task<List<NetworkView>> LoadAsync(DataConnection db, IReadOnlyList<NetworkRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var subnets = (await db.GetTable<SubnetRow>().WhereIn(row => row.NetworkId, ids).OrderBy(row => row.CreatedAt).Select(row => new { row.NetworkId, row.Id }).ToListAsync(cancellationToken))
            .ToLookup(row => row.NetworkId, row => row.Id);
        var places = (await db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, ids).OrderBy(row => row.SegmentIndex).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId);
        var zones = (await (from bound in db.GetTable<NetworkDhcpAgentRow>()
                            where ids.Contains(bound.NetworkId)
                            join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
                            select new { bound.NetworkId, agent.AvailabilityZone }).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId, row => row.AvailabilityZone);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        return [.. rows.Select(row => new NetworkView(row, [.. subnets[row.Id]], [.. places[row.Id]], [.. tags[row.Id]], [.. zones[row.Id].Distinct()]))];
    }

    public PolicyTarget TargetOf(NetworkView view) => PolicyTarget.Of(
        ("project_id", view.Row.ProjectId),
        ("tenant_id", view.Row.ProjectId),
        ("network:tenant_id", view.Row.ProjectId),
        ("shared", PolicyTarget.Format(view.Row.Shared)),
        ("router:external", PolicyTarget.Format(view.Row.External)));

    public Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken) =>
        Task.FromResult(PolicyTarget.Of(("project_id", body.ProjectId), ("tenant_id", body.ProjectId)));

    public async Task<IReadOnlyList<string>> CreateAsync(Work work, Caller caller, IReadOnlyList<Body> bodies)
    {
        foreach (var project in bodies.GroupBy(body => body.ProjectId))
        {
            await quotas.CheckAsync(work, project.Key, "network", project.Count());
            await groups.EnsureDefaultAsync(work, project.Key);
        }

        var ids = new List<string>();
        foreach (var body in bodies)
        {
            ids.Add(await CreateOneAsync(work, body));
        }

        return ids;
    }

    public async Task UpdateAsync(Work work, Caller caller, NetworkView view, Body body)
    {
        if (body.Has("provider:network_type") || body.Has("provider:physical_network") || body.Has("provider:segmentation_id"))
        {
            throw NeutronErrors.InvalidInput("Plugin does not support updating the following provider network attributes: provider:network_type, provider:physical_network, provider:segmentation_id");
        }

        var row = view.Row;
        if (row.Shared && !body.Flag("shared", true))
        {
            await CheckUnsharingAsync(work, row);
        }

        if (row.External && !body.Flag("router:external", true)
            && await work.Db.GetTable<PortRow>().AnyAsync(port => port.NetworkId == row.Id && (port.DeviceOwner == "network:router_gateway" || port.DeviceOwner == "network:floatingip"), work.Cancellation))
        {
            throw NeutronErrors.Conflict("ExternalNetworkInUse", $"External network {row.Id} cannot be updated to be made non-external, since it has existing gateway ports.");
        }

        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.AdminStateUp = body.Flag("admin_state_up", row.AdminStateUp);
        row.Shared = body.Flag("shared", row.Shared);
        row.External = body.Flag("router:external", row.External);
        row.PortSecurityEnabled = body.Flag("port_security_enabled", row.PortSecurityEnabled);
        row.Mtu = MtuOf(body, view.WireSegments.First(), row.Mtu);
        await TouchAsync(work, row);
        work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.NetworkChanged, new NetworkHint(row.Id)));
        await ports.TellDhcpAsync(work, row.Id);
    }

    public async Task DeleteAsync(Work work, Caller caller, NetworkView view)
    {
        var id = view.Row.Id;
        var attached = await work.Db.GetTable<PortRow>().Where(port => port.NetworkId == id).ToListAsync(work.Cancellation);
        if (attached.Any(port => port.DeviceOwner != DhcpNames.DeviceOwner))
        {
            throw NeutronErrors.Conflict("NetworkInUse", $"Unable to complete operation on network {id}. There are one or more ports still in use on the network.");
        }

        await ports.TellDhcpAsync(work, id);
        foreach (var port in attached)
        {
            await ports.DeleteAsync(work, port);
        }

        await work.Db.GetTable<TagRow>().Where(tag => view.SubnetIds.ToList().Contains(tag.ResourceId)).DeleteAsync(work.Cancellation);
        await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.NetworkId == id).DeleteAsync(work.Cancellation);
        foreach (var segment in view.WireSegments)
        {
            await segments.ReleaseAsync(work, segment);
        }

        await work.Db.GetTable<NetworkRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
    }

    /// <summary>The next revision of a network: its subnets count into it.</summary>
    public static async Task TouchAsync(Work work, NetworkRow row)
    {
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public CloudException NotFound(string id) => NeutronErrors.NetworkNotFound(id);

    private async Task<string> CreateOneAsync(Work work, Body body)
    {
        var type = body.TextOrNull("provider:network_type");
        var physical = body.TextOrNull("provider:physical_network");
        var id = body.Number("provider:segmentation_id");
        if (type is null && (physical is not null || id is not null))
        {
            throw NeutronErrors.InvalidInput("network_type required");
        }

        var segment = type is null ? await segments.AllocateTenantAsync(work) : await segments.ReserveProviderAsync(work, new Segment(type, physical, id));
        var row = work.Stamp(new NetworkRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            AdminStateUp = body.Flag("admin_state_up", true),
            Status = "ACTIVE",
            Mtu = MtuOf(body, segment, segments.MaxMtu(segment)),
            Shared = body.Flag("shared", false),
            External = body.Flag("router:external", false),
            PortSecurityEnabled = body.Flag("port_security_enabled", true),
            AvailabilityZoneHints = JsonText.OfTexts(body.Texts("availability_zone_hints") ?? []),
            Revision = 1,
        });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await work.Db.InsertAsync(
            new SegmentRow
            {
                Id = Guid.NewGuid().ToString("D"),
                NetworkId = row.Id,
                NetworkType = segment.NetworkType,
                PhysicalNetwork = segment.PhysicalNetwork,
                SegmentationId = segment.SegmentationId,
            },
            token: work.Cancellation);
        return row.Id;
    }

    private int MtuOf(Body body, Segment segment, int otherwise)
    {
        if (body.Number("mtu") is not ({ } wanted and > 0))
        {
            return otherwise;
        }

        var max = segments.MaxMtu(segment);
        return wanted > max ? throw NeutronErrors.InvalidInput($"Requested MTU is too big, maximum is {max}")
            : wanted < SmallestMtu ? throw NeutronErrors.InvalidInput($"Requested MTU is too small, minimum is {SmallestMtu}")
            : wanted;
    }

    private static async Task CheckUnsharingAsync(Work work, NetworkRow row)
    {
        var isUsedByOthers = await work.Db.GetTable<PortRow>().AnyAsync(
                port => port.NetworkId == row.Id && port.ProjectId != row.ProjectId && !port.DeviceOwner.StartsWith("network:"), work.Cancellation)
            || await work.Db.GetTable<SubnetRow>().AnyAsync(subnet => subnet.NetworkId == row.Id && subnet.ProjectId != row.ProjectId, work.Cancellation);
        if (isUsedByOthers)
        {
            throw NeutronErrors.Conflict("InvalidSharedSetting", $"Unable to reconfigure sharing settings for network {row.Id}. Multiple tenants are using it.");
        }
    }

    private static ResourceAttribute<NetworkRow, NetworkView> Provider(string name, AttributeCheck check, Func<SegmentRow, string?> get) =>
        new(name)
        {
            Post = true,
            Put = true,
            Enforced = true,
            Check = check,
            Write = (json, view) => json.WriteStringValue(get(view.Segments[0])),
            Filter = name == "provider:network_type"
                ? static (rows, db, values) => rows.Where(row => db.GetTable<SegmentRow>().Any(segment => segment.NetworkId == row.Id && values.Contains(segment.NetworkType)))
                : static (rows, db, values) => rows.Where(row => db.GetTable<SegmentRow>().Any(segment => segment.NetworkId == row.Id && values.Contains(segment.PhysicalNetwork!))),
        };

    private static ResourceAttribute<NetworkRow, NetworkView> SegmentationId() =>
        new("provider:segmentation_id")
        {
            Post = true,
            Put = true,
            Enforced = true,
            Check = static value => value.ValueKind == JsonValueKind.Null ? null : Checks.Number(1, int.MaxValue)(value),
            Write = static (json, view) =>
            {
                if (view.Segments[0].SegmentationId is { } id)
                {
                    json.WriteNumberValue(id);
                }
                else
                {
                    json.WriteNullValue();
                }
            },
            Filter = static (rows, db, values) =>
            {
                var ids = Checks.ToNumbers("provider:segmentation_id", values).ConvertAll(id => (int?)id);
                return rows.Where(row => db.GetTable<SegmentRow>().Any(segment => segment.NetworkId == row.Id && ids.Contains(segment.SegmentationId)));
            },
        };
}
