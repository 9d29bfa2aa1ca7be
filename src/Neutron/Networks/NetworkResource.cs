using System.Linq.Expressions;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Storage;
using NetworkAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.NetworkRow, SharpStack.Neutron.Networks.NetworkView>;

namespace SharpStack.Neutron.Networks;

/// <summary><c>/v2.0/networks</c>.</summary>
internal sealed class NetworkResource(NeutronOptions options, SegmentManager segments, SecurityGroupResource groups, PortOperations ports, ServerAllocations allocations) : IResource<NetworkRow, NetworkView>
{
    /// <summary>The smallest MTU that IPv4 works with.</summary>
    private const int SmallestMtu = 68;

    public string Singular => "network";

    public string Plural => "networks";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<NetworkRow, NetworkView>> Attributes { get; } =
    [
        .. NetworkAttributes.Standard(),
        NetworkAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        NetworkAttributes.Flag("admin_state_up", static row => row.AdminStateUp, post: true, put: true),
        NetworkAttributes.Text("status", static row => row.Status),
        NetworkAttributes.Number("mtu", static row => row.Mtu, post: true, put: true, check: Checks.Number(0, int.MaxValue)),
        Sharing.Attribute<NetworkRow, NetworkView>(static view => view.IsShared, sort: (Expression<Func<NetworkRow, bool>>)(static row => row.Shared)),
        NetworkAttributes.Flag("router:external", static row => row.External, post: true, put: true, enforced: true, defaultValue: false),
        .. options.HasPortSecurity ? (ResourceAttribute<NetworkRow, NetworkView>[])[NetworkAttributes.Flag("port_security_enabled", static row => row.PortSecurityEnabled, post: true, put: true, enforced: true)] : [],
        Provider("provider:network_type", Checks.TextOrNull(16), static segment => segment.NetworkType),
        Provider("provider:physical_network", Checks.TextOrNull(64), static segment => segment.PhysicalNetwork),
        SegmentationId(),
        SegmentList(),
        new("is_default")
        {
            Post = true,
            Put = true,
            Check = Checks.Flag,
            Enforced = true,
            IsDefault = static value => !Checks.ToFlag(value),
            IsShown = static view => view.Row.External,
            Write = static (json, view) => json.WriteBooleanValue(view.Row.IsDefault),
            Filter = static (rows, _, values) => rows.WhereIn(static row => row.IsDefault, values.ConvertAll(Checks.ToFlag)),
        },
        NetworkAttributes.Text("dns_domain", static row => row.DnsDomain, post: true, put: true, check: DnsChecks.Domain),
        .. QosAttachments.AttributeOf<NetworkRow, NetworkView>(options, static row => row.QosPolicyId),
        NetworkAttributes.Shown("l2_adjacency", static (json, view) => json.WriteBooleanValue(!view.IsRouted)),
        NetworkAttributes.Shown("ipv4_address_scope", static (json, view) => json.WriteStringValue(view.Ipv4AddressScope)),
        NetworkAttributes.Shown("ipv6_address_scope", static (json, view) => json.WriteStringValue(view.Ipv6AddressScope)),
        NetworkAttributes.Raw("availability_zone_hints", static row => row.AvailabilityZoneHints, post: true, check: Checks.Texts),
        NetworkAttributes.Shown("availability_zones", static (json, view) => json.WriteTexts(view.Zones)),
        NetworkAttributes.Shown("subnets", static (json, view) => json.WriteTexts(view.SubnetIds)),
        NetworkAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<NetworkRow> Rows(DataConnection db) => db.GetTable<NetworkRow>();

    public IQueryable<NetworkRow> VisibleTo(IQueryable<NetworkRow> rows, DataConnection db, Caller caller) =>
        Sharing.VisibleTo(rows, db, caller);

    public async Task<List<NetworkView>> LoadAsync(DataConnection db, IReadOnlyList<NetworkRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var subnets = (await db.GetTable<SubnetRow>().WhereIn(row => row.NetworkId, ids).OrderBy(row => row.CreatedAt)
            .Select(row => new { row.NetworkId, row.Id, row.SegmentId, row.SubnetPoolId, row.IpVersion }).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId);
        var pools = subnets.SelectMany(network => network).Select(row => row.SubnetPoolId).OfType<string>().Distinct().ToList();
        var scopes = pools.Count == 0 ? new Dictionary<string, string?>() : await db.GetTable<SubnetPoolRow>().WhereIn(row => row.Id, pools).Where(row => row.AddressScopeId != null).ToDictionaryAsync(row => row.Id, row => row.AddressScopeId, cancellationToken);
        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        var places = (await db.GetTable<SegmentRow>().WhereIn(row => row.NetworkId, ids).OrderBy(row => row.SegmentIndex).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId);
        var zones = (await (from bound in db.GetTable<NetworkDhcpAgentRow>()
                            where ids.Contains(bound.NetworkId)
                            join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
                            select new { bound.NetworkId, agent.AvailabilityZone }).ToListAsync(cancellationToken)).ToLookup(row => row.NetworkId, row => row.AvailabilityZone);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        return [.. rows.Select(row => new NetworkView(
            row,
            [.. subnets[row.Id].Select(subnet => subnet.Id)],
            [.. places[row.Id]],
            [.. tags[row.Id]],
            [.. zones[row.Id].Distinct()],
            [.. targets[row.Id]],
            subnets[row.Id].Any(subnet => subnet.SegmentId is not null),
            ScopeOf(row, 4),
            ScopeOf(row, 6),
            row.Shared))];

        string? ScopeOf(NetworkRow row, int version) =>
            subnets[row.Id].Where(subnet => subnet.IpVersion == version && subnet.SubnetPoolId is not null).Select(subnet => scopes.GetValueOrDefault(subnet.SubnetPoolId!)).FirstOrDefault(scope => scope is not null);
    }

    public NetworkView For(NetworkView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public PolicyTarget TargetOf(NetworkView view) => PolicyTarget.Of(
        ("project_id", view.Row.ProjectId),
        ("tenant_id", view.Row.ProjectId),
        ("network:tenant_id", view.Row.ProjectId),
        ("shared", PolicyTarget.Format(view.IsShared)),
        ("router:external", PolicyTarget.Format(view.Row.External)));

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        await groups.EnsureDefaultAsync(work, body.ProjectId);
        return await InsertAsync(work, caller, body);
    }

    public async Task UpdateAsync(Work work, Caller caller, NetworkView view, Body body)
    {
        var row = view.Row;
        await ChangeProviderAsync(work, view, body);
        if (body.Flag("shared", row.Shared) != row.Shared)
        {
            if (row.Shared)
            {
                await CheckUnsharingAsync(work, view);
                await Sharing.CloseAsync(work, row.Id, Sharing.AsShared, Sharing.Everyone);
            }
            else
            {
                await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsShared);
            }

            row.Shared = !row.Shared;
        }

        if (row.External && !body.Flag("router:external", true)
            && await work.Db.GetTable<PortRow>().AnyAsync(port => port.NetworkId == row.Id && (port.DeviceOwner == "network:router_gateway" || port.DeviceOwner == "network:floatingip"), work.Cancellation))
        {
            throw NeutronErrors.Conflict("ExternalNetworkInUse", $"External network {row.Id} cannot be updated to be made non-external, since it has existing gateway ports.");
        }

        if (body.Flag("router:external", row.External) != row.External)
        {
            row.External = !row.External;
            await (row.External ? Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsExternal) : Sharing.CloseAsync(work, row.Id, Sharing.AsExternal));
        }

        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.AdminStateUp = body.Flag("admin_state_up", row.AdminStateUp);
        row.PortSecurityEnabled = body.Flag("port_security_enabled", row.PortSecurityEnabled);
        row.DnsDomain = body.Text("dns_domain", row.DnsDomain);
        row.Mtu = MtuOf(body, view.WireSegments, row.Mtu);
        if (body.Flag("is_default", row.IsDefault) != row.IsDefault)
        {
            row.IsDefault = !row.IsDefault;
            await CheckDefaultAsync(work, row);
        }

        var policy = await QosAttachments.ReadAsync(work, caller, body, row.QosPolicyId);
        if (policy != row.QosPolicyId)
        {
            foreach (var (port, change) in await FollowAsync(work.Db, row, policy, work.Cancellation))
            {
                port.Profile = change.Profile;
                work.Bump(port);
                await work.Db.UpdateAsync(port, token: work.Cancellation);
            }

            row.QosPolicyId = policy;
            await QosAttachments.CheckNetworkAsync(work, row);
        }

        await TouchAsync(work, row);
        work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.NetworkChanged, new NetworkHint(row.Id)));
        await ports.TellDhcpAsync(work, row.Id);
        await RouterHints.TellOfNetworkAsync(work, row.Id);
    }

    public async Task DeleteAsync(Work work, Caller caller, NetworkView view)
    {
        var id = view.Row.Id;
        var attached = await work.Db.GetTable<PortRow>().Where(port => port.NetworkId == id).ToListAsync(work.Cancellation);
        // Floating IPs that lead nowhere go with their network, as in OpenStack.
        var idle = await work.Db.GetTable<FloatingIpRow>().Where(floating => floating.FloatingNetworkId == id && floating.FixedPortId == null && floating.RouterId == null).ToListAsync(work.Cancellation);
        var idlePorts = idle.Select(floating => floating.FloatingPortId).ToHashSet();
        if (attached.Any(port => port.DeviceOwner != DhcpNames.DeviceOwner && !idlePorts.Contains(port.Id)))
        {
            throw NeutronErrors.Conflict("NetworkInUse", $"Unable to complete operation on network {id}. There are one or more ports still in use on the network.");
        }

        var idleIds = idle.ConvertAll(floating => floating.Id);
        await work.Db.GetTable<TagRow>().Where(tag => idleIds.Contains(tag.ResourceId)).DeleteAsync(work.Cancellation);
        await work.Db.GetTable<FloatingIpRow>().Where(floating => idleIds.Contains(floating.Id)).DeleteAsync(work.Cancellation);
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

        await Sharing.CloseAsync(work, id);
        await work.Db.GetTable<NetworkRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
    }

    /// <summary>A network that the caller may see: its own, one that is shared with it, or an external one.</summary>
    public static async Task<NetworkRow> FindAsync(Work work, Caller caller, string id)
    {
        var found = await work.Db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation);
        return found is not null && (caller.SeesAll || found.ProjectId == caller.ProjectId || found.Shared
            || await Sharing.OpenTo(work.Db, caller).AnyAsync(policy => policy.ObjectId == id, work.Cancellation)) ? found : throw NeutronErrors.NetworkNotFound(id);
    }

    /// <summary>The next revision of a network: its subnets count into it.</summary>
    public static async Task TouchAsync(Work work, NetworkRow row)
    {
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task<Func<Task>?> BeforeUpdateAsync(DataConnection db, Caller caller, NetworkView view, Body body, CancellationToken cancellationToken)
    {
        if (!await QosAttachments.IsChangedAsync(db, caller, body, view.Row.QosPolicyId, cancellationToken))
        {
            return null;
        }

        var changes = await FollowAsync(db, view.Row, body.TextOrNull(QosAttachments.Attribute), cancellationToken);
        return changes.Count == 0 ? null : await allocations.ChangeAsync(changes.ConvertAll(pair => (pair.Port.DeviceId, pair.Change)), cancellationToken);
    }

    public CloudException NotFound(string id) => NeutronErrors.NetworkNotFound(id);

    /// <summary>One network, also of no project.</summary>
    public async Task<string> InsertAsync(Work work, Caller caller, Body body)
    {
        var placed = new List<Segment>();
        foreach (var wanted in WantedSegments(body))
        {
            placed.Add(wanted is null ? await segments.AllocateTenantAsync(work, body.ProjectId) : await segments.ReserveProviderAsync(work, body.ProjectId, wanted));
        }

        var row = work.Stamp(new NetworkRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            AdminStateUp = body.Flag("admin_state_up", true),
            Status = "ACTIVE",
            Mtu = MtuOf(body, placed, segments.MaxMtu(placed)),
            Shared = body.Flag("shared", false),
            External = body.Flag("router:external", false),
            IsDefault = body.Flag("is_default", false),
            DnsDomain = body.Text("dns_domain"),
            PortSecurityEnabled = body.Flag("port_security_enabled", true),
            QosPolicyId = await QosAttachments.ReadAsync(work, caller, body, null) ?? await QosAttachments.DefaultOfAsync(work, body.ProjectId),
            AvailabilityZoneHints = JsonText.OfTexts(body.Texts("availability_zone_hints") ?? []),
            Revision = 1,
        });
        await CheckDefaultAsync(work, row);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        if (row.Shared)
        {
            await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsShared);
        }

        if (row.External)
        {
            await Sharing.OpenToAllAsync(work, Singular, row, Sharing.AsExternal);
        }

        var segmentRows = new List<SegmentRow>();
        for (var i = 0; i < placed.Count; i++)
        {
            segmentRows.Add(await SegmentManager.AddAsync(work, row.Id, placed[i], i));
        }

        await QosAttachments.CheckNetworkAsync(work, row);
        work.Remember(row.Id, new NetworkView(row, [], segmentRows, [], [], [], IsRouted: false, null, null, row.Shared));
        return row.Id;
    }

    /// <summary>The ports of servers that follow the network's policy.</summary>
    private static async Task<List<(PortRow Port, AllocationChange Change)>> FollowAsync(DataConnection db, NetworkRow row, string? policy, CancellationToken cancellationToken)
    {
        var followers = await db.GetTable<PortRow>().Where(port => port.NetworkId == row.Id && port.QosPolicyId == null && port.DeviceOwner.StartsWith("compute:")).ToListAsync(cancellationToken);
        return await ResourceRequests.FollowAsync(db, row.Id, followers.Where(PortOperations.IsOfServer), row.QosPolicyId, policy, cancellationToken);
    }

    /// <summary>The segments that an administrator asks for; one null where the configuration is to decide.</summary>
    private static List<Segment?> WantedSegments(Body body)
    {
        var type = body.TextOrNull("provider:network_type");
        var physical = body.TextOrNull("provider:physical_network");
        var id = body.Number("provider:segmentation_id");
        if (!body.HasValue("segments"))
        {
            return type is not null ? [new Segment(type, physical, id)]
                : physical is not null || id is not null ? throw NeutronErrors.InvalidInput("network_type required")
                : [null];
        }

        if (type is not null || physical is not null || id is not null)
        {
            throw CloudException.BadRequest("Segments and provider values cannot both be set.", "SegmentsSetInConjunctionWithProviders");
        }

        var wanted = body.Items("segments").Select(item => new Segment(
            TextOf(item, "provider:network_type") ?? throw NeutronErrors.InvalidInput("network_type required"),
            TextOf(item, "provider:physical_network"),
            item.TryGetProperty("provider:segmentation_id", out var number) ? Checks.ToNumber(number) : null)).ToList();
        return wanted.Where(segment => segment.SegmentationId is not null || segment.PhysicalNetwork is not null).GroupBy(segment => segment).Any(same => same.Count() > 1)
            ? throw CloudException.BadRequest("Duplicate segment entry in request.", "SegmentsContainDuplicateEntry")
            : wanted.Count == 0 ? [null] : [.. wanted];

        static string? TextOf(JsonElement item, string name) => item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
    }

    /// <summary>Of the provider attributes only the id can change, on a network with one segment that no port is bound to.</summary>
    private async Task ChangeProviderAsync(Work work, NetworkView view, Body body)
    {
        var only = view.OnlySegment;
        var isOther = (body.Has("provider:network_type") && body.TextOrNull("provider:network_type") != only?.NetworkType)
            || (body.Has("provider:physical_network") && body.TextOrNull("provider:physical_network") != only?.PhysicalNetwork)
            || body.Has("segments");
        var id = body.Has("provider:segmentation_id") ? body.Number("provider:segmentation_id") : only?.SegmentationId;
        if (!isOther && id == only?.SegmentationId)
        {
            return;
        }

        if (isOther || only is null || id is null)
        {
            throw NeutronErrors.InvalidInput("Plugin does not support updating the following provider network attributes: provider:network_type, provider:physical_network, provider:segmentation_id");
        }

        if (await work.Db.GetTable<PortRow>().AnyAsync(
            port => port.NetworkId == view.Row.Id && port.VifType != PortOperations.Unbound && port.VifType != PortOperations.BindingFailed, work.Cancellation))
        {
            throw NeutronErrors.InvalidInput("Provider network attribute provider:segmentation_id cannot be updated while ports of the network are bound");
        }

        var before = view.WireSegments.First();
        await segments.ReleaseAsync(work, before);
        only.SegmentationId = (await segments.ReserveProviderAsync(work, view.Row.ProjectId, before with { SegmentationId = id })).SegmentationId;
        work.Bump(only);
        await work.Db.UpdateAsync(only, token: work.Cancellation);
    }

    /// <summary>One external network is the default, for topologies that are allocated by themselves.</summary>
    private static async Task CheckDefaultAsync(Work work, NetworkRow row)
    {
        if (row.IsDefault && await work.Db.GetTable<NetworkRow>().Where(other => other.IsDefault && other.Id != row.Id).Select(other => other.Id).FirstOrDefaultAsync(work.Cancellation) is { } other)
        {
            throw NeutronErrors.Conflict("DefaultExternalNetworkExists", $"A default external network already exists: {other}.");
        }
    }

    private int MtuOf(Body body, IEnumerable<Segment> placed, int otherwise)
    {
        if (body.Number("mtu") is not ({ } wanted and > 0))
        {
            return otherwise;
        }

        var max = segments.MaxMtu(placed);
        return wanted > max ? throw NeutronErrors.InvalidInput($"Requested MTU is too big, maximum is {max}")
            : wanted < SmallestMtu ? throw NeutronErrors.InvalidInput($"Requested MTU is too small, minimum is {SmallestMtu}")
            : wanted;
    }

    private static async Task CheckUnsharingAsync(Work work, NetworkView view)
    {
        var users = await RbacObjectTypes.Network.UsersAsync(work, view.Row.Id, Sharing.AsShared);
        if (users.Exists(user => user != view.Row.ProjectId && !view.SharedWith.Contains(user)))
        {
            throw NeutronErrors.Conflict("InvalidSharedSetting", $"Unable to reconfigure sharing settings for network {view.Row.Id}. Multiple tenants are using it.");
        }
    }

    private static ResourceAttribute<NetworkRow, NetworkView> Provider(string name, AttributeCheck check, Func<SegmentRow, string?> get) =>
        new(name)
        {
            Post = true,
            Put = true,
            Enforced = true,
            Check = check,
            IsShown = static view => !view.HasManySegments,
            Write = (json, view) => json.WriteStringValue(view.OnlySegment is { } segment ? get(segment) : null),
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
            IsShown = static view => !view.HasManySegments,
            Write = static (json, view) => WriteId(json, view.OnlySegment?.SegmentationId),
            Filter = static (rows, db, values) =>
            {
                var ids = Checks.ToNumbers("provider:segmentation_id", values).ConvertAll(id => (int?)id);
                return rows.Where(row => db.GetTable<SegmentRow>().Any(segment => segment.NetworkId == row.Id && ids.Contains(segment.SegmentationId)));
            },
        };

    /// <summary>Shown in place of the provider attributes where there are several.</summary>
    private static ResourceAttribute<NetworkRow, NetworkView> SegmentList() =>
        new("segments")
        {
            Post = true,
            Put = true,
            Enforced = true,
            Check = Checks.Segments,
            IsShown = static view => view.HasManySegments,
            Write = static (json, view) =>
            {
                json.WriteStartArray();
                foreach (var segment in view.Segments)
                {
                    json.WriteStartObject();
                    json.WriteString("provider:network_type", segment.NetworkType);
                    json.WriteString("provider:physical_network", segment.PhysicalNetwork);
                    json.WritePropertyName("provider:segmentation_id");
                    WriteId(json, segment.SegmentationId);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            },
        };

    private static void WriteId(Utf8JsonWriter json, int? id)
    {
        if (id is { } number)
        {
            json.WriteNumberValue(number);
        }
        else
        {
            json.WriteNullValue();
        }
    }
}
