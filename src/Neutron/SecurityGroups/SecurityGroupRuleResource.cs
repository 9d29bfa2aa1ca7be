using System.Globalization;
using System.Linq.Expressions;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Neutron.AddressGroups;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ipam;
using SharpStack.Neutron.Quotas;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using RuleAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.SecurityGroupRuleRow, SharpStack.Neutron.SecurityGroups.SecurityGroupRuleView>;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary><c>/v2.0/security-group-rules</c>.</summary>
internal sealed class SecurityGroupRuleResource(QuotaEngine quotas, SecurityGroupResource groups) : IResource<SecurityGroupRuleRow, SecurityGroupRuleView>
{
    private static readonly ResourceAttribute<SecurityGroupRuleRow, SecurityGroupRuleView>[] All =
    [
        .. RuleAttributes.Standard(),
        RuleAttributes.Text("security_group_id", static row => row.SecurityGroupId, post: true, required: true, check: Checks.Text(36)),
        RuleAttributes.Text("remote_group_id", static row => row.RemoteGroupId, post: true, check: Checks.TextOrNull(36)),
        RuleAttributes.Text("remote_address_group_id", static row => row.RemoteAddressGroupId, post: true, check: Checks.UuidOrNull),
        RuleAttributes.Text("direction", static row => row.Direction, post: true, required: true, check: Checks.OneOf("ingress", "egress")),
        RuleAttributes.Text("protocol", static row => row.Protocol, post: true),
        Port("port_range_min", static row => row.PortRangeMin),
        Port("port_range_max", static row => row.PortRangeMax),
        RuleAttributes.Text("ethertype", static row => row.Ethertype, post: true),
        RuleAttributes.Text("remote_ip_prefix", static row => row.RemoteIpPrefix, post: true),
        RuleAttributes.Shown("normalized_cidr", static (json, view) => json.WriteStringValue(view.Row.RemoteIpPrefix is { } prefix ? Cidr.Parse(prefix).ToString() : null)),
    ];

    private static readonly (JsonEncodedText Name, Action<Utf8JsonWriter, SecurityGroupRuleView> Write)[] Writers =
        [.. All.Where(attribute => attribute.Write is not null).Select(attribute => (JsonEncodedText.Encode(attribute.Name), attribute.Write!))];

    public string Singular => "security_group_rule";

    public string Plural => "security_group_rules";

    public bool CanUpdate => false;

    public IReadOnlyList<ResourceAttribute<SecurityGroupRuleRow, SecurityGroupRuleView>> Attributes => All;

    /// <summary>A rule as it is shown within its group.</summary>
    public static void Write(Utf8JsonWriter json, SecurityGroupRuleView view)
    {
        json.WriteStartObject();
        foreach (var (name, write) in Writers)
        {
            json.WritePropertyName(name);
            write(json, view);
        }

        json.WriteEndObject();
    }

    public IQueryable<SecurityGroupRuleRow> Rows(DataConnection db) => db.GetTable<SecurityGroupRuleRow>();

    public IQueryable<SecurityGroupRuleRow> VisibleTo(IQueryable<SecurityGroupRuleRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId || db.GetTable<SecurityGroupRow>().Any(group => group.Id == row.SecurityGroupId && group.ProjectId == caller.ProjectId));

    public async Task<List<SecurityGroupRuleView>> LoadAsync(DataConnection db, IReadOnlyList<SecurityGroupRuleRow> rows, CancellationToken cancellationToken)
    {
        var ids = rows.Select(row => row.SecurityGroupId).Distinct().ToList();
        var owners = ids.Count == 0 ? [] : await db.GetTable<SecurityGroupRow>().WhereIn(group => group.Id, ids).ToDictionaryAsync(group => group.Id, group => group.ProjectId, cancellationToken);
        return [.. rows.Where(row => owners.ContainsKey(row.SecurityGroupId)).Select(row => new SecurityGroupRuleView(row, owners[row.SecurityGroupId]))];
    }

    public PolicyTarget TargetOf(SecurityGroupRuleView view) => PolicyTarget.Of(
        ("project_id", view.Row.ProjectId), ("tenant_id", view.Row.ProjectId), ("security_group:tenant_id", view.GroupProjectId));

    public Task PrepareAsync(string projectId, CancellationToken cancellationToken) => groups.PrepareAsync(projectId, cancellationToken);

    public async Task<IReadOnlyList<string>> CreateAsync(Work work, Caller caller, IReadOnlyList<Body> bodies)
    {
        if (bodies.DistinctBy(body => body.Text("security_group_id")).Count() > 1)
        {
            throw CloudException.BadRequest("Only allowed to update rules for one security profile at a time", "SecurityGroupNotSingleGroupRules");
        }

        if (bodies.DistinctBy(body => body.ProjectId).Count() > 1)
        {
            throw CloudException.BadRequest("Multiple tenant_ids in bulk security group rule create not allowed", "SecurityGroupRulesNotSingleTenant");
        }

        var group = await FindGroupAsync(work, caller, bodies[0].Text("security_group_id"));
        await quotas.CheckAsync(work, bodies[0].ProjectId, "security_group_rule", bodies.Count);
        var existing = await work.Db.GetTable<SecurityGroupRuleRow>().Where(rule => rule.SecurityGroupId == group.Id).ToListAsync(work.Cancellation);
        var keys = existing.GroupBy(KeyOf).ToDictionary(same => same.Key, same => same.First().Id);
        var ids = new List<string>();
        foreach (var body in bodies)
        {
            var row = Read(body);
            if (row.RemoteGroupId is { } remote && !await Sharing.VisibleTo(work.Db.GetTable<SecurityGroupRow>(), work.Db, caller).AnyAsync(other => other.Id == remote, work.Cancellation))
            {
                throw NeutronErrors.SecurityGroupNotFound(remote);
            }

            if (row.RemoteAddressGroupId is { } addresses
                && !await Sharing.VisibleTo(work.Db.GetTable<AddressGroupRow>(), work.Db, caller).AnyAsync(other => other.Id == addresses, work.Cancellation))
            {
                throw AddressGroupResource.GroupNotFound(addresses);
            }

            work.Stamp(row);
            if (!keys.TryAdd(KeyOf(row), row.Id))
            {
                throw keys[KeyOf(row)] is var known && ids.Contains(known)
                    ? NeutronErrors.Conflict("DuplicateSecurityGroupRuleInPost", "Duplicate Security Group Rule in POST.")
                    : NeutronErrors.Conflict("SecurityGroupRuleExists", $"Security group rule already exists. Rule id is {known}.");
            }

            await work.Db.InsertAsync(row, token: work.Cancellation);
            ids.Add(row.Id);
        }

        await SecurityGroupResource.TouchAsync(work, group);
        return ids;
    }

    public Task UpdateAsync(Work work, Caller caller, SecurityGroupRuleView view, Body body) => throw new InvalidOperationException("Rules have no update.");

    public async Task DeleteAsync(Work work, Caller caller, SecurityGroupRuleView view)
    {
        await work.Db.GetTable<SecurityGroupRuleRow>().Where(rule => rule.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        var group = await work.Db.GetTable<SecurityGroupRow>().FirstAsync(row => row.Id == view.Row.SecurityGroupId, work.Cancellation);
        await SecurityGroupResource.TouchAsync(work, group);
    }

    public CloudException NotFound(string id) => NeutronErrors.NotFound("SecurityGroupRuleNotFound", $"Security group rule {id} does not exist");

    private static async Task<SecurityGroupRow> FindGroupAsync(Work work, Caller caller, string id) =>
        await work.Db.GetTable<SecurityGroupRow>().FirstOrDefaultAsync(row => row.Id == id && (caller.SeesAll || row.ProjectId == caller.ProjectId), work.Cancellation)
        ?? throw NeutronErrors.SecurityGroupNotFound(id);

    private static SecurityGroupRuleRow Read(Body body)
    {
        var ethertype = body.TextOrNull("ethertype") ?? "IPv4";
        ethertype = ethertype.Equals("IPv4", StringComparison.OrdinalIgnoreCase) ? "IPv4" : ethertype.Equals("IPv6", StringComparison.OrdinalIgnoreCase) ? "IPv6"
            : throw CloudException.BadRequest($"Security group rule for ethertype '{ethertype}' not supported. Allowed values are ['IPv4', 'IPv6']", "SecurityGroupRuleInvalidEtherType");
        var row = new SecurityGroupRuleRow
        {
            ProjectId = body.ProjectId,
            Description = body.Text("description"),
            SecurityGroupId = body.Text("security_group_id"),
            RemoteGroupId = body.TextOrNull("remote_group_id"),
            RemoteAddressGroupId = body.TextOrNull("remote_address_group_id"),
            Direction = body.Text("direction"),
            Ethertype = ethertype,
            Protocol = IpProtocols.Canonical(IpProtocols.Read(body.Get("protocol")), ethertype),
            PortRangeMin = ReadPort(body, "port_range_min"),
            PortRangeMax = ReadPort(body, "port_range_max"),
            RemoteIpPrefix = ReadPrefix(body.TextOrNull("remote_ip_prefix"), ethertype),
        };
        if (row.PortRangeMin == 1 && row.PortRangeMax == 65535)
        {
            row.PortRangeMin = row.PortRangeMax = null;
        }

        CheckPorts(row);
        if (ethertype == "IPv4" && IpProtocols.IsIpv6Only(row.Protocol))
        {
            throw CloudException.BadRequest($"Invalid ethertype {ethertype} for protocol {row.Protocol}.", "SecurityGroupEthertypeConflictWithProtocol");
        }

        return new[] { row.RemoteGroupId, row.RemoteAddressGroupId, row.RemoteIpPrefix }.Count(remote => remote is not null) > 1
            ? throw CloudException.BadRequest("Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.", "SecurityGroupMultipleRemoteEntites")
            : row;
    }

    private static int? ReadPort(Body body, string name) =>
        body.Get(name) is not { } value ? null
        : Checks.ToNumber(value) is { } port and >= 0 and <= 65535 ? port
        : throw CloudException.BadRequest($"Invalid value for port {Checks.Shown(value)}", "SecurityGroupInvalidPortValue");

    private static string? ReadPrefix(string? text, string ethertype)
    {
        if (string.IsNullOrEmpty(text))
        {
            return null;
        }

        if (!Cidr.TryParse(text, out var cidr))
        {
            throw CloudException.BadRequest($"Invalid CIDR {text} given as IP prefix.", "InvalidCIDR");
        }

        return cidr.Version != (ethertype == "IPv4" ? 4 : 6)
            ? throw CloudException.BadRequest($"Conflicting value ethertype {ethertype} for CIDR {text}", "SecurityGroupRuleParameterConflict")
            : text.Contains('/', StringComparison.Ordinal) ? text : cidr.ToString();
    }

    private static void CheckPorts(SecurityGroupRuleRow row)
    {
        var (min, max) = (row.PortRangeMin, row.PortRangeMax);
        if (min is null && max is null)
        {
            return;
        }

        if (row.Protocol is null)
        {
            throw CloudException.BadRequest("Must also specify protocol if port range is given.", "SecurityGroupProtocolRequiredWithPorts");
        }

        var number = IpProtocols.NumberOf(row.Protocol)!.Value;
        if (IpProtocols.WithPorts.Contains(number))
        {
            if (min == 0 || max == 0)
            {
                throw CloudException.BadRequest("Invalid value for port 0", "SecurityGroupInvalidPortValue");
            }

            if (min is null || max is null || min > max)
            {
                throw CloudException.BadRequest("For TCP/UDP protocols, port_range_min must be <= port_range_max", "SecurityGroupInvalidPortRange");
            }
        }
        else if (number is IpProtocols.Icmp or IpProtocols.Icmpv6)
        {
            foreach (var (name, field, value) in (ReadOnlySpan<(string, string, int?)>)[("port_range_min", "type", min), ("port_range_max", "code", max)])
            {
                if (value > 255)
                {
                    throw CloudException.BadRequest($"Invalid value for ICMP {field} ({name}) {value}. It must be 0 to 255.", "SecurityGroupInvalidIcmpValue");
                }
            }

            if (min is null)
            {
                throw CloudException.BadRequest($"ICMP code (port-range-max) {max} is provided but ICMP type (port-range-min) is missing.", "SecurityGroupMissingIcmpType");
            }
        }
        else
        {
            throw CloudException.BadRequest(
                $"Ports cannot be specified for protocol {number}. Ports are only supported for DCCP, SCTP, TCP, UDP, UDPLITE.", "SecurityGroupInvalidProtocolForPort");
        }
    }

    /// <summary>What makes two rules of a group the same.</summary>
    private static string KeyOf(SecurityGroupRuleRow row)
    {
        var prefix = row.RemoteIpPrefix is "0.0.0.0/0" or "::/0" ? null : row.RemoteIpPrefix;
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{row.Direction}_{row.Ethertype}_{IpProtocols.NumberOf(row.Protocol)}_{row.PortRangeMin}_{row.PortRangeMax}_{row.RemoteGroupId}_{row.RemoteAddressGroupId}_{prefix}");
    }

    private static ResourceAttribute<SecurityGroupRuleRow, SecurityGroupRuleView> Port(string name, Expression<Func<SecurityGroupRuleRow, int?>> column)
    {
        var get = column.Compile();
        return new(name)
        {
            Post = true,
            Write = (json, view) =>
            {
                if (get(view.Row) is { } port)
                {
                    json.WriteNumberValue(port);
                }
                else
                {
                    json.WriteNullValue();
                }
            },
            Filter = (rows, _, values) => rows.WhereIn(column, Checks.ToNumbers(name, values).ConvertAll(number => (int?)number)),
        };
    }
}
