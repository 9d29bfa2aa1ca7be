using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Quotas;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using GroupAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.SecurityGroupRow, SharpStack.Neutron.SecurityGroups.SecurityGroupView>;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary><c>/v2.0/security-groups</c>, and each project's default group.</summary>
internal sealed class SecurityGroupResource(NeutronStore store, QuotaEngine quotas) : IResource<SecurityGroupRow, SecurityGroupView>
{
    public string Singular => "security_group";

    public string Plural => "security_groups";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<SecurityGroupRow, SecurityGroupView>> Attributes { get; } =
    [
        .. GroupAttributes.Standard(),
        GroupAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        GroupAttributes.Flag("stateful", static row => row.Stateful, post: true, put: true),
        new("shared") { Write = static (json, view) => json.WriteBooleanValue(view.IsShared), FilterFor = Sharing.Filter },
        GroupAttributes.Shown("security_group_rules", static (json, view) =>
        {
            json.WriteStartArray();
            foreach (var rule in view.Rules)
            {
                SecurityGroupRuleResource.Write(json, rule);
            }

            json.WriteEndArray();
        }),
        GroupAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<SecurityGroupRow> Rows(DataConnection db) => db.GetTable<SecurityGroupRow>();

    public IQueryable<SecurityGroupRow> VisibleTo(IQueryable<SecurityGroupRow> rows, DataConnection db, Caller caller) =>
        Sharing.VisibleTo(rows, db, caller);

    public async Task<List<SecurityGroupView>> LoadAsync(DataConnection db, IReadOnlyList<SecurityGroupRow> rows, CancellationToken cancellationToken)
    {
        if (rows.Count == 0)
        {
            return [];
        }

        var ids = rows.Select(row => row.Id).ToList();
        var rules = (await db.GetTable<SecurityGroupRuleRow>().WhereIn(rule => rule.SecurityGroupId, ids).OrderBy(rule => rule.CreatedAt).ThenBy(rule => rule.Id).ToListAsync(cancellationToken))
            .ToLookup(rule => rule.SecurityGroupId);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        return [.. rows.Select(row => new SecurityGroupView(row, [.. rules[row.Id].Select(rule => new SecurityGroupRuleView(rule, row.ProjectId, row.IsDefault))], [.. tags[row.Id]], [.. targets[row.Id]], row.Shared))];
    }

    public SecurityGroupView For(SecurityGroupView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public async Task PrepareAsync(string projectId, CancellationToken cancellationToken)
    {
        await using (var db = store.Read())
        {
            if (await db.GetTable<DefaultSecurityGroupRow>().AnyAsync(row => row.ProjectId == projectId, cancellationToken))
            {
                return;
            }
        }

        await store.WriteAsync(work => EnsureDefaultAsync(work, projectId), cancellationToken);
    }

    public async Task<IReadOnlyList<string>> CreateAsync(Work work, Caller caller, IReadOnlyList<Body> bodies)
    {
        var rules = await DefaultSecurityGroupRuleResource.ForAsync(work, isDefault: false);
        foreach (var project in bodies.GroupBy(body => body.ProjectId))
        {
            await EnsureDefaultAsync(work, project.Key);
            await quotas.CheckAsync(work, project.Key, "security_group", project.Count());
            await quotas.CheckAsync(work, project.Key, "security_group_rule", rules.Count * project.Count());
        }

        var ids = new List<string>();
        foreach (var body in bodies)
        {
            RefuseDefaultName(body);
            ids.Add(await InsertAsync(work, body.ProjectId, body.Text("name"), body.Text("description"), body.Flag("stateful", true), isDefault: false, rules));
        }

        return ids;
    }

    public async Task UpdateAsync(Work work, Caller caller, SecurityGroupView view, Body body)
    {
        var row = view.Row;
        if (body.Has("name") && body.Text("name") != row.Name)
        {
            RefuseDefaultName(body);
            if (row.IsDefault)
            {
                throw NeutronErrors.Conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.");
            }
        }

        if (body.Flag("stateful", row.Stateful) != row.Stateful)
        {
            if (await work.Db.GetTable<PortSecurityGroupRow>().AnyAsync(bound => bound.SecurityGroupId == row.Id, work.Cancellation))
            {
                throw InUse(row.Id);
            }

            row.Stateful = !row.Stateful;
        }

        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        await TouchAsync(work, row);
    }

    public async Task DeleteAsync(Work work, Caller caller, SecurityGroupView view)
    {
        var row = view.Row;
        if (await work.Db.GetTable<PortSecurityGroupRow>().AnyAsync(bound => bound.SecurityGroupId == row.Id, work.Cancellation))
        {
            throw InUse(row.Id);
        }

        if (row.IsDefault && !caller.IsAdmin)
        {
            throw NeutronErrors.Conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.");
        }

        // Rules of other groups that point here go with it; their groups change.
        var pointing = await work.Db.GetTable<SecurityGroupRuleRow>().Where(rule => rule.RemoteGroupId == row.Id && rule.SecurityGroupId != row.Id)
            .Select(rule => rule.SecurityGroupId).Distinct().ToListAsync(work.Cancellation);
        await work.Db.GetTable<DefaultSecurityGroupRuleRow>().Where(rule => rule.RemoteGroupId == row.Id).DeleteAsync(work.Cancellation);
        await Sharing.CloseAsync(work, row.Id);
        await work.Db.GetTable<SecurityGroupRow>().Where(group => group.Id == row.Id).DeleteAsync(work.Cancellation);
        Tell(work, [row.Id, .. pointing]);
    }

    public CloudException NotFound(string id) => NeutronErrors.SecurityGroupNotFound(id);

    /// <summary>The project's default group, made where it has none.</summary>
    /// <returns>Its id.</returns>
    public async Task<string> EnsureDefaultAsync(Work work, string projectId)
    {
        if (await work.Db.GetTable<DefaultSecurityGroupRow>().Where(row => row.ProjectId == projectId).Select(row => row.SecurityGroupId).FirstOrDefaultAsync(work.Cancellation) is { } existing)
        {
            return existing;
        }

        var id = await InsertAsync(work, projectId, "default", "Default security group", isStateful: true, isDefault: true, await DefaultSecurityGroupRuleResource.ForAsync(work, isDefault: true));
        await work.Db.InsertAsync(new DefaultSecurityGroupRow { ProjectId = projectId, SecurityGroupId = id }, token: work.Cancellation);
        return id;
    }

    /// <summary>The next revision of a group: its rules count into it.</summary>
    public static async Task TouchAsync(Work work, SecurityGroupRow row)
    {
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
        Tell(work, [row.Id]);
    }

    /// <summary>The agents are to look at these groups.</summary>
    public static void Tell(Work work, IReadOnlyList<string> ids) =>
        work.Hint(bus => bus.FanoutAsync(OpenVSwitchContracts.SecurityGroupsChanged, new SecurityGroupsHint(ids)));

    /// <param name="rules">What it begins with.</param>
    private static async Task<string> InsertAsync(Work work, string projectId, string name, string description, bool isStateful, bool isDefault, List<DefaultSecurityGroupRuleRow> rules)
    {
        var row = work.Stamp(new SecurityGroupRow { ProjectId = projectId, Name = name, Description = description, Stateful = isStateful, IsDefault = isDefault, Revision = 1 });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        foreach (var rule in rules)
        {
            await work.Db.InsertAsync(work.Stamp(DefaultSecurityGroupRuleResource.In(row, rule)), token: work.Cancellation);
        }

        return row.Id;
    }

    private static void RefuseDefaultName(Body body)
    {
        if (body.Text("name").Equals("default", StringComparison.OrdinalIgnoreCase))
        {
            throw NeutronErrors.Conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.");
        }
    }

    private static CloudException InUse(string id) => NeutronErrors.Conflict("SecurityGroupInUse", $"Security Group {id} in use.");
}
