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
        .. Traffic.Columns<SecurityGroupRuleRow, SecurityGroupRuleView>(Checks.TextOrNull(36)),
        RuleAttributes.Shown("normalized_cidr", static (json, view) => json.WriteStringValue(view.Row.RemoteIpPrefix is { } prefix ? Cidr.Parse(prefix).ToString() : null)),
        RuleAttributes.Shown("belongs_to_default_sg", static (json, view) => json.WriteBooleanValue(view.IsOfDefault), static (rows, db, values) =>
        {
            var wanted = values.ConvertAll(Checks.ToFlag);
            return rows.Where(row => wanted.Contains(db.GetTable<SecurityGroupRow>().Any(group => group.Id == row.SecurityGroupId && group.IsDefault)));
        }),
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
        var groupsById = ids.Count == 0 ? [] : await db.GetTable<SecurityGroupRow>().WhereIn(group => group.Id, ids).ToDictionaryAsync(group => group.Id, cancellationToken);
        return [.. rows.Where(row => groupsById.ContainsKey(row.SecurityGroupId)).Select(row => new SecurityGroupRuleView(row, groupsById[row.SecurityGroupId].ProjectId, groupsById[row.SecurityGroupId].IsDefault))];
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
        var keys = existing.GroupBy(Traffic.KeyOf).ToDictionary(same => same.Key, same => same.First().Id);
        var ids = new List<string>();
        foreach (var body in bodies)
        {
            var row = Traffic.Read(body, new SecurityGroupRuleRow { ProjectId = body.ProjectId, Description = body.Text("description"), SecurityGroupId = body.Text("security_group_id") });
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
            if (!keys.TryAdd(Traffic.KeyOf(row), row.Id))
            {
                throw keys[Traffic.KeyOf(row)] is var known && ids.Contains(known)
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
}
