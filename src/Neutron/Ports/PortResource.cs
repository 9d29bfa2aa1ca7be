using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Networks;
using SharpStack.Neutron.PlacementReports;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.SecurityGroups;
using SharpStack.Neutron.Storage;
using SharpStack.Neutron.Trunks;
using PortAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.PortRow, SharpStack.Neutron.Ports.PortView>;

namespace SharpStack.Neutron.Ports;

/// <summary><c>/v2.0/ports</c>.</summary>
internal sealed class PortResource(NeutronOptions options, SecurityGroupResource groups, IpAllocator ipam, PortOperations operations, ServerAllocations allocations) : IResource<PortRow, PortView>
{
    public static readonly string[] VnicTypes =
        ["normal", "direct", "direct-physical", "macvtap", "baremetal", "virtio-forwarder", "smart-nic", "vdpa", "accelerator-direct", "accelerator-direct-physical", "remote-managed"];

    public string Singular => "port";

    public string Plural => "ports";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<PortRow, PortView>> Attributes { get; } =
    [
        .. PortAttributes.Standard(),
        PortAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        PortAttributes.Text("network_id", static row => row.NetworkId, post: true, required: true, check: Checks.Uuid),
        PortAttributes.Flag("admin_state_up", static row => row.AdminStateUp, post: true, put: true),
        PortAttributes.Text("status", static row => row.Status),
        PortAttributes.Text("mac_address", static row => row.MacAddress, post: true, put: true, check: static value => value.ValueKind == JsonValueKind.Null ? null : Checks.Mac(value), enforced: true),
        PortAttributes.Text("device_id", static row => row.DeviceId, post: true, put: true, check: Checks.Text(255)),
        PortAttributes.Text("device_owner", static row => row.DeviceOwner, post: true, put: true, check: Checks.Text(255), enforced: true, isDefault: static value => value.GetString()!.Length == 0),
        FixedIps(),
        PortAttributes.Raw("allowed_address_pairs", static row => row.AllowedAddressPairs, post: true, put: true, check: Checks.AddressPairs, enforced: true, parts: ["mac_address", "ip_address"]),
        PortAttributes.Raw("extra_dhcp_opts", static row => row.ExtraDhcpOpts, post: true, put: true, check: Checks.DhcpOptions),
        new("security_groups")
        {
            Post = true,
            Put = true,
            Check = Checks.Uuids,
            Write = static (json, view) => json.WriteTexts(view.SecurityGroupIds),
            Filter = static (rows, db, values) => rows.Where(row => db.GetTable<PortSecurityGroupRow>().Any(bound => bound.PortId == row.Id && values.Contains(bound.SecurityGroupId))),
        },
        .. options.HasPortSecurity ? (ResourceAttribute<PortRow, PortView>[])[PortAttributes.Flag("port_security_enabled", static row => row.PortSecurityEnabled, post: true, put: true, enforced: true)] : [],
        PortAttributes.Text("binding:host_id", static row => row.Host, post: true, put: true, check: Checks.TextOrNull(255), enforced: true),
        PortAttributes.Text("binding:vnic_type", static row => row.VnicType, post: true, put: true, check: Checks.OneOf(VnicTypes), enforced: true, isDefault: static value => value.GetString() == "normal"),
        PortAttributes.Raw("binding:profile", static row => row.Profile, post: true, put: true, check: Checks.Object, enforced: true),
        PortAttributes.Text("binding:vif_type", static row => row.VifType),
        PortAttributes.Raw("binding:vif_details", static row => row.VifDetails),
        PortAttributes.Text("data_plane_status", static row => row.DataPlaneStatus, put: true, check: static value => value.ValueKind == JsonValueKind.Null ? null : Checks.OneOf("ACTIVE", "DOWN")(value), enforced: true),
        PortAttributes.Flag("propagate_uplink_status", static row => row.PropagateUplinkStatus, post: true),
        PortAttributes.Text("ip_allocation", static row => row.IpAllocation),
        PortAttributes.Text("dns_name", static row => row.DnsName, post: true, put: true, check: DnsChecks.Name),
        PortAttributes.Text("dns_domain", static row => row.DnsDomain, post: true, put: true, check: DnsChecks.Domain),
        PortAttributes.Shown("dns_assignment", (json, view) => PortNames.Write(json, view, options.DnsDomain)),
        .. QosAttachments.AttributeOf(
            options,
            static row => row.QosPolicyId,
            PortAttributes.Shown("qos_network_policy_id", static (json, view) => json.WriteStringValue(view.Network.QosPolicyId), static (rows, db, values) =>
                rows.Where(row => db.GetTable<NetworkRow>().Any(network => network.Id == row.NetworkId && values.Contains(network.QosPolicyId!))))),
        .. options.HasPlugin("qos") ? (ResourceAttribute<PortRow, PortView>[])[PortAttributes.Shown(ResourceRequests.Attribute, static (json, view) => ResourceRequests.Write(json, view.ResourceRequest))] : [],
        .. options.HasPlugin("trunk")
            ? (ResourceAttribute<PortRow, PortView>[])[new("trunk_details") { Write = static (json, view) => view.Trunk!.Write(json), IsShown = static view => view.Trunk is not null }] : [],
        new("tags") { Post = true, Check = Checks.Texts, Write = static (json, view) => json.WriteTexts(view.Tags) },
    ];

    public IQueryable<PortRow> Rows(DataConnection db) => db.GetTable<PortRow>();

    public IQueryable<PortRow> VisibleTo(IQueryable<PortRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId
            || db.GetTable<NetworkRow>().Any(network => network.Id == row.NetworkId && network.ProjectId == caller.ProjectId));

    public async Task<List<PortView>> LoadAsync(DataConnection db, IReadOnlyList<PortRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var networkIds = rows.Select(row => row.NetworkId).Distinct().ToList();
        var networks = await db.GetTable<NetworkRow>().WhereIn(row => row.Id, networkIds).ToDictionaryAsync(row => row.Id, cancellationToken);
        var addresses = (await db.GetTable<IpAllocationRow>().WhereIn(ip => ip.PortId, ids).OrderBy(ip => ip.Position).ToListAsync(cancellationToken)).ToLookup(ip => ip.PortId);
        var bound = (await db.GetTable<PortSecurityGroupRow>().WhereIn(row => row.PortId, ids).OrderBy(row => row.SecurityGroupId).ToListAsync(cancellationToken)).ToLookup(row => row.PortId, row => row.SecurityGroupId);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        var targets = await Sharing.TargetsAsync(db, networks.Values, cancellationToken);
        var requests = options.HasPlugin("qos") ? await ResourceRequests.LoadAsync(db, rows, networks, cancellationToken) : [];
        var trunks = options.HasPlugin("trunk") ? await TrunkDetails.LoadAsync(db, ids, cancellationToken) : [];
        return [.. rows.Where(row => networks.ContainsKey(row.NetworkId)).Select(row =>
            new PortView(row, [.. addresses[row.Id]], [.. bound[row.Id]], [.. tags[row.Id]], networks[row.NetworkId], [.. targets[row.NetworkId]], networks[row.NetworkId].Shared)
            {
                Trunk = trunks.GetValueOrDefault(row.Id),
                ResourceRequest = requests.GetValueOrDefault(row.Id),
            })];
    }

    public PortView For(PortView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Network, view.SharedWith, caller) };

    public PolicyTarget TargetOf(PortView view) => Target(view.Row.ProjectId, view.Network.ProjectId, view.IsShared, view.Row.DeviceOwner);

    public PolicyTarget TargetOfUpdate(PortView view, Body body) =>
        Target(view.Row.ProjectId, view.Network.ProjectId, view.IsShared, body.Text("device_owner", view.Row.DeviceOwner));

    public async Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken)
    {
        var networkId = body.Text("network_id");
        var network = await db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == networkId, cancellationToken) ?? throw NeutronErrors.NetworkNotFound(networkId);
        return Target(body.ProjectId, network.ProjectId, await Sharing.IsSharedAsync(db, network, body.ProjectId, cancellationToken), body.Text("device_owner"));
    }

    public async Task<Func<Task>?> BeforeUpdateAsync(DataConnection db, Caller caller, PortView view, Body body, CancellationToken cancellationToken)
    {
        if (!PortOperations.IsOfServer(view.Row) || !await QosAttachments.IsChangedAsync(db, caller, body, view.Row.QosPolicyId, cancellationToken))
        {
            return null;
        }

        var changes = await FollowAsync(db, view.Row, view.Network, body.TextOrNull(QosAttachments.Attribute), cancellationToken);
        return changes.Count == 0 ? null : await allocations.ChangeAsync(changes.ConvertAll(pair => (pair.Port.DeviceId, pair.Change)), cancellationToken);
    }

    public async Task UpdateAsync(Work work, Caller caller, PortView view, Body body)
    {
        var row = view.Row;
        var previousHost = row.Host;
        var before = (row.DeviceId, row.DeviceOwner, row.VnicType, row.MacAddress, row.AdminStateUp);
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.AdminStateUp = body.Flag("admin_state_up", row.AdminStateUp);
        row.DeviceId = body.Text("device_id", row.DeviceId);
        row.DeviceOwner = body.Text("device_owner", row.DeviceOwner);
        row.VnicType = body.Text("binding:vnic_type", row.VnicType);
        row.Host = body.Has("binding:host_id") ? body.Text("binding:host_id") : row.Host;
        row.Profile = body.Has("binding:profile") ? body.Get("binding:profile")?.GetRawText() ?? "{}" : row.Profile;
        row.DataPlaneStatus = body.Has("data_plane_status") ? body.TextOrNull("data_plane_status") : row.DataPlaneStatus;
        row.DnsName = body.Has("dns_name") ? PortNames.Checked(body.Text("dns_name"), options.DnsDomain) : row.DnsName;
        row.DnsDomain = body.Has("dns_domain") ? body.Text("dns_domain") : row.DnsDomain;
        var policy = await QosAttachments.ReadAsync(work, caller, body, row.QosPolicyId);
        if (policy != row.QosPolicyId)
        {
            foreach (var (_, change) in await FollowAsync(work.Db, row, view.Network, policy, work.Cancellation))
            {
                row.Profile = change.Profile;
            }

            row.QosPolicyId = policy;
            await QosAttachments.CheckPortAsync(work, row, view.Network);
        }

        if (body.Has("mac_address"))
        {
            await ChangeMacAsync(work, row, body.TextOrNull("mac_address"));
        }

        if (body.Has("extra_dhcp_opts"))
        {
            row.ExtraDhcpOpts = MergedDhcpOptions(row.ExtraDhcpOpts, body);
        }

        if ((row.DeviceId, row.DeviceOwner) != (before.DeviceId, before.DeviceOwner))
        {
            await CheckDeviceAsync(work, caller, row);
        }

        var addressesChanged = body.Has("fixed_ips") && await ipam.ChangeAsync(work, row, WishesOf(body) ?? []);
        if (addressesChanged)
        {
            await RouterPorts.RefuseAddressesAsync(work, row);
        }

        if (body.HasValue("fixed_ips"))
        {
            row.IpAllocation = body.Items("fixed_ips").Any() ? IpAllocator.Immediate : IpAllocator.None;
        }
        else if (row.IpAllocation == IpAllocator.Deferred && row.Host.Length > 0)
        {
            // Only now it is known which segment the port is on.
            await ipam.AllocateAsync(work, row, null);
            addressesChanged = true;
        }

        if (addressesChanged)
        {
            await FloatingIpLinks.ForgetAsync(work, row.Id, isDeleted: false);
        }

        var groupsNow = await ChangeSecurityAsync(work, caller, view, body);
        var mustBind = row.Host != previousHost || before.VnicType != row.VnicType || before.MacAddress != row.MacAddress
            || (row.VifType == PortOperations.BindingFailed && (body.Has("binding:host_id") || body.Has("binding:profile")));
        if (mustBind)
        {
            await operations.BindAsync(work, row);
        }
        else if (before.AdminStateUp && !row.AdminStateUp)
        {
            await operations.UnprovisionedAsync(work, row);
        }

        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        await operations.TellAsync(work, row, previousHost, isDeleted: false);
        if (addressesChanged || body.Has("security_groups") || body.Has("allowed_address_pairs"))
        {
            await PortOperations.TellMembersAsync(work, [.. view.SecurityGroupIds.Union(groupsNow)]);
        }

        if (options.NotifyNovaOfData && addressesChanged && PortOperations.IsOfServer(row))
        {
            await work.TellNovaAsync("network-changed", row.DeviceId, row.Id);
        }
    }

    public async Task DeleteAsync(Work work, Caller caller, PortView view)
    {
        if (await RouterPorts.IsNeededAsync(work, view.Row.Id))
        {
            throw NeutronErrors.Conflict("ServicePortInUse", $"Port {view.Row.Id} cannot be deleted directly via the port API: has device owner {view.Row.DeviceOwner}.");
        }

        if (options.HasPlugin("trunk"))
        {
            await TrunkRules.CheckDeletionAsync(work, view.Row.Id);
        }

        await operations.DeleteAsync(work, view.Row);
    }

    public CloudException NotFound(string id) => NeutronErrors.PortNotFound(id);

    /// <summary>Inserts a port with a free MAC where it has none; for the API and for the agents' own ports.</summary>
    /// <returns>Its addresses.</returns>
    public async Task<IReadOnlyList<IpAllocationRow>> InsertAsync(Work work, PortRow row, IReadOnlyList<FixedIpWish>? wishes, IReadOnlyList<string> groupIds)
    {
        work.Stamp(row);
        row.Revision = 1;
        row.Status = PortOperations.Down;
        row.MacAddress = row.MacAddress.Length == 0 ? await FreeMacAsync(work, row.NetworkId) : await CheckedMacAsync(work, row.NetworkId, row.MacAddress, row.Id);
        (row.VifType, row.VifDetails) = (PortOperations.Unbound, "{}");
        row.IpAllocation = wishes is { Count: 0 } ? IpAllocator.None : IpAllocator.Immediate;
        await work.Db.InsertAsync(row, token: work.Cancellation);
        var addresses = await ipam.AllocateAsync(work, row, wishes);
        foreach (var group in groupIds)
        {
            await work.Db.InsertAsync(new PortSecurityGroupRow { PortId = row.Id, SecurityGroupId = group }, token: work.Cancellation);
        }

        if (row.Host.Length > 0 || row.IpAllocation == IpAllocator.Deferred)
        {
            await operations.BindAsync(work, row);
            await work.Db.UpdateAsync(row, token: work.Cancellation);
        }

        await operations.TellAsync(work, row, row.Host, isDeleted: false);
        await PortOperations.TellMembersAsync(work, [.. groupIds]);
        return addresses;
    }

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var networkId = body.Text("network_id");
        var network = await NetworkResource.FindAsync(work, caller, networkId);
        var owner = body.Text("device_owner");
        var isSecured = !PortOperations.IsTrusted(owner) && body.Flag("port_security_enabled", network.PortSecurityEnabled);
        var wishes = WishesOf(body);
        var groupIds = body.Texts("security_groups") is { } wished ? await CheckedGroupsAsync(work, caller, wished)
            : isSecured ? [await groups.EnsureDefaultAsync(work, body.ProjectId)] : [];
        if (!isSecured && groupIds.Count > 0)
        {
            throw NeutronErrors.InvalidInput("Port security must be enabled and port must have an IP address in order to use security groups", "PortSecurityAndIPRequiredForSecurityGroups");
        }

        var row = new PortRow
        {
            Id = Guid.NewGuid().ToString("D"),
            ProjectId = body.ProjectId,
            NetworkId = networkId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            AdminStateUp = body.Flag("admin_state_up", true),
            MacAddress = body.HasValue("mac_address") ? CanonicalMac(body.Text("mac_address")) : "",
            DeviceId = body.Text("device_id"),
            DeviceOwner = owner,
            PortSecurityEnabled = isSecured,
            ExtraDhcpOpts = MergedDhcpOptions("[]", body),
            AllowedAddressPairs = "[]",
            Host = body.Text("binding:host_id"),
            VnicType = body.Text("binding:vnic_type", "normal"),
            Profile = body.Get("binding:profile")?.GetRawText() ?? "{}",
            PropagateUplinkStatus = body.Flag("propagate_uplink_status", false),
            DnsName = PortNames.Checked(body.Text("dns_name"), options.DnsDomain),
            DnsDomain = body.Text("dns_domain"),
            QosPolicyId = await QosAttachments.ReadAsync(work, caller, body, null),
        };
        await QosAttachments.CheckPortAsync(work, row, network);
        await CheckDeviceAsync(work, caller, row);
        var addresses = await InsertAsync(work, row, wishes, groupIds);
        List<string> tags = [.. (body.Texts("tags") ?? []).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        foreach (var tag in tags)
        {
            await work.Db.InsertAsync(new TagRow { ResourceId = row.Id, Tag = tag }, token: work.Cancellation);
        }

        if (body.HasValue("allowed_address_pairs"))
        {
            row.AllowedAddressPairs = PairsOf(body, row);
            await work.Db.UpdateAsync(row, token: work.Cancellation);
        }

        var targets = await Sharing.TargetsAsync(work.Db, [network], work.Cancellation);
        var requests = options.HasPlugin("qos") ? await ResourceRequests.LoadAsync(work.Db, [row], new Dictionary<string, NetworkRow> { [network.Id] = network }, work.Cancellation) : [];
        work.Remember(row.Id, new PortView(row, addresses, [.. groupIds.Order(StringComparer.Ordinal)], tags, network, [.. targets[network.Id]], network.Shared)
        {
            ResourceRequest = requests.GetValueOrDefault(row.Id),
        });
        return row.Id;
    }

    /// <summary>A port that says that it is a router's must not name another project's.</summary>
    private static async Task CheckDeviceAsync(Work work, Caller caller, PortRow row)
    {
        if (!caller.IsAdmin && RouterPorts.IsInterface(row.DeviceOwner)
            && await work.Db.GetTable<RouterRow>().AnyAsync(router => router.Id == row.DeviceId && router.ProjectId != row.ProjectId, work.Cancellation))
        {
            throw NeutronErrors.Conflict("DeviceIDNotOwnedByTenant", $"The following device_id {row.DeviceId} is not owned by your tenant or matches another tenants router.");
        }
    }

    private static Task<List<(PortRow Port, AllocationChange Change)>> FollowAsync(DataConnection db, PortRow row, NetworkRow network, string? policy, CancellationToken cancellationToken) =>
        !PortOperations.IsOfServer(row) ? Task.FromResult<List<(PortRow, AllocationChange)>>([])
        : ResourceRequests.FollowAsync(db, network.Id, [row], QosAttachments.EffectiveOf(row, network), policy ?? network.QosPolicyId, cancellationToken);

    /// <returns>The port's groups after the change.</returns>
    private async Task<IReadOnlyList<string>> ChangeSecurityAsync(Work work, Caller caller, PortView view, Body body)
    {
        var row = view.Row;
        row.PortSecurityEnabled = body.Flag("port_security_enabled", row.PortSecurityEnabled);
        if (body.Has("allowed_address_pairs"))
        {
            row.AllowedAddressPairs = PairsOf(body, row);
        }
        else if (!row.PortSecurityEnabled && row.AllowedAddressPairs != "[]")
        {
            throw PairsNeedSecurity();
        }

        var wished = body.Texts("security_groups");
        if (!row.PortSecurityEnabled && (wished ?? view.SecurityGroupIds).Count > 0)
        {
            throw wished is null
                ? NeutronErrors.Conflict("PortSecurityPortHasSecurityGroup", "Port has security group associated. Cannot disable port security or IP address until security group is removed.")
                : NeutronErrors.InvalidInput("Port security must be enabled and port must have an IP address in order to use security groups", "PortSecurityAndIPRequiredForSecurityGroups");
        }

        if (wished is null)
        {
            return view.SecurityGroupIds;
        }

        await CheckedGroupsAsync(work, caller, wished);
        await work.Db.GetTable<PortSecurityGroupRow>().Where(bound => bound.PortId == row.Id).DeleteAsync(work.Cancellation);
        foreach (var group in wished)
        {
            await work.Db.InsertAsync(new PortSecurityGroupRow { PortId = row.Id, SecurityGroupId = group }, token: work.Cancellation);
        }

        return wished;
    }

    /// <param name="wished">Null for another one, whichever.</param>
    private async Task ChangeMacAsync(Work work, PortRow row, string? wished)
    {
        var mac = wished is null ? await FreeMacAsync(work, row.NetworkId) : CanonicalMac(wished);
        if (mac == row.MacAddress)
        {
            return;
        }

        if (PortOperations.IsTrusted(row.DeviceOwner))
        {
            throw NeutronErrors.Conflict("UnsupportedPortDeviceOwner", $"Operation mac address update is not supported for device_owner {row.DeviceOwner} on port {row.Id}.");
        }

        if (PortOperations.IsBound(row))
        {
            throw NeutronErrors.Conflict(
                "PortBound", $"Unable to complete operation on port {row.Id}, port is already bound, port type: {row.VifType}, old_mac {row.MacAddress}, new_mac {mac}.");
        }

        row.MacAddress = await CheckedMacAsync(work, row.NetworkId, mac, row.Id);
        await ipam.FollowMacAsync(work, row);
    }

    private static async Task<List<string>> CheckedGroupsAsync(Work work, Caller caller, List<string> wished)
    {
        var found = await Sharing.VisibleTo(work.Db.GetTable<SecurityGroupRow>().WhereIn(row => row.Id, wished), work.Db, caller).ToListAsync(work.Cancellation);
        var missing = wished.Except(found.Select(row => row.Id)).ToList();
        return missing.Count > 0 ? throw NeutronErrors.SecurityGroupNotFound(string.Join(", ", missing))
            : found.DistinctBy(row => row.Stateful).Count() > 1
                ? throw NeutronErrors.Conflict(
                    "SecurityGroupConflict",
                    "Error Cannot apply both stateful and stateless security groups on the same port at the same time while attempting the operation.")
                : wished;
    }

    /// <summary>Adds pairs to those of a port, or takes some away; those that are there, or are not, change nothing.</summary>
    public Task ChangePairsAsync(Work work, Caller caller, PortView view, Body sent, bool isRemoval)
    {
        var row = view.Row;
        var (old, changed) = (JsonText.Pairs(row.AllowedAddressPairs, "mac_address", "ip_address"), ReadPairs(sent, row));
        var after = JsonText.OfPairs("mac_address", "ip_address", isRemoval ? old.Except(changed) : old.Union(changed));
        return UpdateAsync(work, caller, view, Body.Of(row.ProjectId, json =>
        {
            json.WritePropertyName("allowed_address_pairs");
            json.WriteRawValue(after, skipInputValidation: true);
        }));
    }

    private static List<(string Mac, string Ip)> ReadPairs(Body body, PortRow row) =>
    [
        .. body.Items("allowed_address_pairs").Select(pair =>
            (pair.TryGetProperty("mac_address", out var mac) && mac.ValueKind == JsonValueKind.String ? CanonicalMac(mac.GetString()!) : row.MacAddress, pair.GetProperty("ip_address").GetString()!)),
    ];

    private string PairsOf(Body body, PortRow row)
    {
        var pairs = ReadPairs(body, row);
        if (pairs.Count > options.MaxAddressPairs)
        {
            throw CloudException.BadRequest($"The number of allowed address pair exceeds the maximum {options.MaxAddressPairs}.", "AllowedAddressPairExhausted");
        }

        if (pairs.GroupBy(pair => pair).FirstOrDefault(same => same.Count() > 1) is { } twice)
        {
            throw NeutronErrors.InvalidInput($"Request contains duplicate address pair: mac_address {twice.Key.Mac} ip_address {twice.Key.Ip}", "DuplicateAddressPairInRequest");
        }

        return pairs.Count > 0 && !row.PortSecurityEnabled ? throw PairsNeedSecurity() : JsonText.OfPairs("mac_address", "ip_address", pairs);
    }

    private static CloudException PairsNeedSecurity() =>
        NeutronErrors.Conflict("AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs on a port.");

    /// <summary>Sent options replace those of the same name and version; one without a value goes.</summary>
    private static string MergedDhcpOptions(string current, Body body)
    {
        var options = JsonText.Read(current, static item => (Name: item.GetProperty("opt_name").GetString()!, Value: item.GetProperty("opt_value").GetString(), Version: item.GetProperty("ip_version").GetInt32()));
        foreach (var item in body.Items("extra_dhcp_opts"))
        {
            var name = item.GetProperty("opt_name").GetString()!;
            var version = item.TryGetProperty("ip_version", out var sent) ? Checks.ToNumber(sent) ?? 4 : 4;
            var value = item.TryGetProperty("opt_value", out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;
            options.RemoveAll(option => option.Name == name && option.Version == version);
            if (value is not null)
            {
                options.Add((name, value, version));
            }
        }

        return JsonText.OfList(options, static (json, option) =>
        {
            json.WriteStartObject();
            json.WriteString("opt_name", option.Name);
            json.WriteString("opt_value", option.Value);
            json.WriteNumber("ip_version", option.Version);
            json.WriteEndObject();
        });
    }

    private static List<FixedIpWish>? WishesOf(Body body) =>
        !body.HasValue("fixed_ips") ? null
        : [.. body.Items("fixed_ips").Select(wish => new FixedIpWish(
            wish.TryGetProperty("subnet_id", out var subnet) ? subnet.GetString() : null, wish.TryGetProperty("ip_address", out var ip) ? ip.GetString() : null))];

    private async Task<string> FreeMacAsync(Work work, string networkId)
    {
        var fixedOctets = options.BaseMac.Split(':') is [_, _, _, "00", ..] and var parts ? parts[..3] : options.BaseMac.Split(':')[..4];
        var octets = new byte[6 - fixedOctets.Length];
        while (true)
        {
            RandomNumberGenerator.Fill(octets);
            var mac = string.Join(':', fixedOctets.Concat(octets.Select(octet => octet.ToString("x2", CultureInfo.InvariantCulture))));
            if (!await work.Db.GetTable<PortRow>().AnyAsync(port => port.NetworkId == networkId && port.MacAddress == mac, work.Cancellation))
            {
                return mac;
            }
        }
    }

    private static async Task<string> CheckedMacAsync(Work work, string networkId, string mac, string portId) =>
        await work.Db.GetTable<PortRow>().AnyAsync(port => port.NetworkId == networkId && port.MacAddress == mac && port.Id != portId, work.Cancellation)
            ? throw NeutronErrors.Conflict("MacAddressInUse", $"Unable to complete operation for network {networkId}. The mac address {mac} is in use.")
            : mac;

    private static string CanonicalMac(string mac) => mac.Replace('-', ':').ToLowerInvariant();

    private static PolicyTarget Target(string projectId, string networkProjectId, bool isShared, string deviceOwner) => PolicyTarget.Of(
        ("project_id", projectId), ("tenant_id", projectId), ("network:tenant_id", networkProjectId), ("shared", PolicyTarget.Format(isShared)), ("device_owner", deviceOwner));

    private static ResourceAttribute<PortRow, PortView> FixedIps() =>
        new("fixed_ips")
        {
            Post = true,
            Put = true,
            Check = Checks.FixedIps,
            Enforced = true,
            EnforcedParts = ["ip_address", "subnet_id"],
            Write = static (json, view) =>
            {
                json.WriteStartArray();
                foreach (var ip in view.FixedIps)
                {
                    json.WriteStartObject();
                    json.WriteString("subnet_id", ip.SubnetId);
                    json.WriteString("ip_address", ip.IpAddress);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            },
            Filter = FilterByAddress,
        };

    /// <summary><c>fixed_ips=ip_address=A</c>, <c>subnet_id=S</c>, <c>ip_address_substr=10.0.</c>; values of one key are alternatives, keys add up.</summary>
    private static IQueryable<PortRow> FilterByAddress(IQueryable<PortRow> rows, DataConnection db, List<string> values)
    {
        foreach (var key in values.Select(value => value.Split('=', 2)).GroupBy(pair => pair[0], pair => pair.Length > 1 ? pair[1] : ""))
        {
            var wanted = key.ToList();
            switch (key.Key)
            {
                case "ip_address":
                    wanted = wanted.ConvertAll(text => Checks.IsIp(text) ? Addresses.Canonical(text) : text);
                    rows = rows.Where(row => db.GetTable<IpAllocationRow>().Any(ip => ip.PortId == row.Id && wanted.Contains(ip.IpAddress)));
                    break;
                case "subnet_id":
                    rows = rows.Where(row => db.GetTable<IpAllocationRow>().Any(ip => ip.PortId == row.Id && wanted.Contains(ip.SubnetId)));
                    break;
                case "ip_address_substr":
                    foreach (var part in wanted)
                    {
                        rows = rows.Where(row => db.GetTable<IpAllocationRow>().Any(ip => ip.PortId == row.Id && ip.IpAddress.Contains(part)));
                    }

                    break;
                default:
                    throw NeutronErrors.InvalidInput($"'{string.Join('=', key.Key, wanted[0])}' is not of the form <key>=[value] with ip_address, ip_address_substr or subnet_id as key");
            }
        }

        return rows;
    }
}
