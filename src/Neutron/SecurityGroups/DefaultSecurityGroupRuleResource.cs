using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.AddressGroups;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;
using RuleAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.DefaultSecurityGroupRuleRow, SharpStack.Neutron.SecurityGroups.DefaultSecurityGroupRuleView>;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary>A rule that new groups begin with.</summary>
internal sealed record DefaultSecurityGroupRuleView(DefaultSecurityGroupRuleRow Row) : IResourceView<DefaultSecurityGroupRuleRow>;

/// <summary><c>/v2.0/default-security-group-rules</c>: what new security groups begin with, whoever makes them. Groups that are there already keep what they have.</summary>
internal sealed class DefaultSecurityGroupRuleResource : IResource<DefaultSecurityGroupRuleRow, DefaultSecurityGroupRuleView>
{
    public string Singular => "default_security_group_rule";

    public string Plural => "default_security_group_rules";

    public bool CanUpdate => false;

    public IReadOnlyList<ResourceAttribute<DefaultSecurityGroupRuleRow, DefaultSecurityGroupRuleView>> Attributes { get; } =
    [
        RuleAttributes.Text("id", static row => row.Id),
        RuleAttributes.Taken("project_id", Checks.Text(255)),
        RuleAttributes.Taken("tenant_id", Checks.Text(255)),
        RuleAttributes.Text("description", static row => row.Description, post: true, check: Checks.Text(255)),
        .. Traffic.Columns<DefaultSecurityGroupRuleRow, DefaultSecurityGroupRuleView>(
            static value => value.ValueKind == JsonValueKind.String && value.GetString() == DefaultSecurityGroupRuleRow.Parent ? null : Checks.UuidOrNull(value)),
        RuleAttributes.Flag("used_in_default_sg", static row => row.UsedInDefault, post: true),
        RuleAttributes.Flag("used_in_non_default_sg", static row => row.UsedInOthers, post: true),
    ];

    /// <summary>The rules that groups begin with.</summary>
    /// <param name="isDefault">Whether these are the projects' default groups.</param>
    public static Task<List<DefaultSecurityGroupRuleRow>> ForAsync(Work work, bool isDefault)
    {
        var all = work.Db.GetTable<DefaultSecurityGroupRuleRow>();
        return (isDefault ? all.Where(row => row.UsedInDefault) : all.Where(row => row.UsedInOthers)).OrderBy(row => row.CreatedAt).ThenBy(row => row.Id).ToListAsync(work.Cancellation);
    }

    /// <summary>The rule as one of a group.</summary>
    public static SecurityGroupRuleRow In(SecurityGroupRow group, DefaultSecurityGroupRuleRow rule) => new()
    {
        ProjectId = group.ProjectId,
        SecurityGroupId = group.Id,
        RemoteGroupId = rule.RemoteGroupId == DefaultSecurityGroupRuleRow.Parent ? group.Id : rule.RemoteGroupId,
        RemoteAddressGroupId = rule.RemoteAddressGroupId,
        Direction = rule.Direction,
        Ethertype = rule.Ethertype,
        Protocol = rule.Protocol,
        PortRangeMin = rule.PortRangeMin,
        PortRangeMax = rule.PortRangeMax,
        RemoteIpPrefix = rule.RemoteIpPrefix,
    };

    public IQueryable<DefaultSecurityGroupRuleRow> Rows(DataConnection db) => db.GetTable<DefaultSecurityGroupRuleRow>();

    public IQueryable<DefaultSecurityGroupRuleRow> VisibleTo(IQueryable<DefaultSecurityGroupRuleRow> rows, DataConnection db, Caller caller) => rows;

    public Task<List<DefaultSecurityGroupRuleView>> LoadAsync(DataConnection db, IReadOnlyList<DefaultSecurityGroupRuleRow> rows, CancellationToken cancellationToken) =>
        Task.FromResult(rows.Select(row => new DefaultSecurityGroupRuleView(row)).ToList());

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var row = Traffic.Read(body, new DefaultSecurityGroupRuleRow
        {
            Description = body.Text("description"),
            UsedInDefault = body.Flag("used_in_default_sg", false),
            UsedInOthers = body.Flag("used_in_non_default_sg", true),
        });
        if (row.RemoteGroupId is { } remote and not DefaultSecurityGroupRuleRow.Parent && !await work.Db.GetTable<SecurityGroupRow>().AnyAsync(group => group.Id == remote, work.Cancellation))
        {
            throw NeutronErrors.SecurityGroupNotFound(remote);
        }

        if (row.RemoteAddressGroupId is { } addresses && !await work.Db.GetTable<AddressGroupRow>().AnyAsync(group => group.Id == addresses, work.Cancellation))
        {
            throw AddressGroupResource.GroupNotFound(addresses);
        }

        // A group that began with both would have the same rule twice.
        var same = (await work.Db.GetTable<DefaultSecurityGroupRuleRow>().ToListAsync(work.Cancellation))
            .Find(other => ((other.UsedInDefault && row.UsedInDefault) || (other.UsedInOthers && row.UsedInOthers)) && Traffic.KeyOf(other) == Traffic.KeyOf(row));
        if (same is not null)
        {
            throw NeutronErrors.Conflict("DefaultSecurityGroupRuleExists", $"Default Security group rule already exists. Rule id is {same.Id}.");
        }

        await work.Db.InsertAsync(work.Stamp(row), token: work.Cancellation);
        return row.Id;
    }

    public Task UpdateAsync(Work work, Caller caller, DefaultSecurityGroupRuleView view, Body body) => throw new InvalidOperationException("Rules have no update.");

    public Task DeleteAsync(Work work, Caller caller, DefaultSecurityGroupRuleView view) =>
        work.Db.GetTable<DefaultSecurityGroupRuleRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);

    public CloudException NotFound(string id) => NeutronErrors.NotFound("DefaultSecurityGroupRuleNotFound", $"Default Security Group rule {id} does not exist");
}
