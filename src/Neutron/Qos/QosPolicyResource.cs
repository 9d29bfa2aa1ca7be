using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;
using PolicyAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Qos.QosPolicyRow, SharpStack.Neutron.Qos.QosPolicyView>;

namespace SharpStack.Neutron.Qos;

internal sealed record QosPolicyView(QosPolicyRow Row, IReadOnlyList<QosRuleRow> Rules, IReadOnlyList<string> Tags, IReadOnlyList<string> SharedWith, bool IsShared) : IResourceView<QosPolicyRow>, ISharedView;

/// <summary><c>/v2.0/qos/policies</c>.</summary>
internal sealed class QosPolicyResource : IResource<QosPolicyRow, QosPolicyView>
{
    public string Singular => "policy";

    public string Plural => "policies";

    public string Path => "/v2.0/qos/policies";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<QosPolicyRow, QosPolicyView>> Attributes { get; } =
    [
        .. PolicyAttributes.Standard(),
        PolicyAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        Sharing.Attribute<QosPolicyRow, QosPolicyView>(static view => view.IsShared, enforced: false),
        PolicyAttributes.Flag("is_default", static row => row.IsDefault, post: true, put: true),
        PolicyAttributes.Shown("rules", static (json, view) =>
        {
            json.WriteStartArray();
            foreach (var rule in view.Rules)
            {
                json.WriteStartObject();
                json.WriteString("id", rule.Id);
                json.WriteString("qos_policy_id", rule.PolicyId);
                QosRuleKind.Of(rule).WriteParts(json, rule);
                json.WriteString("type", rule.Type);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }),
        PolicyAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<QosPolicyRow> Rows(DataConnection db) => db.GetTable<QosPolicyRow>();

    public IQueryable<QosPolicyRow> VisibleTo(IQueryable<QosPolicyRow> rows, DataConnection db, Caller caller) => Sharing.VisibleTo(rows, db, caller);

    public async Task<List<QosPolicyView>> LoadAsync(DataConnection db, IReadOnlyList<QosPolicyRow> rows, CancellationToken cancellationToken)
    {
        var ids = rows.Select(row => row.Id).ToList();
        var rules = await QosAttachments.RulesAsync(db, ids, cancellationToken);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        var targets = await Sharing.TargetsAsync(db, rows, cancellationToken);
        return [.. rows.Select(row => new QosPolicyView(row, [.. rules[row.Id]], [.. tags[row.Id]], [.. targets[row.Id]], row.Shared))];
    }

    public QosPolicyView For(QosPolicyView view, Caller caller) => view with { IsShared = Sharing.Sees(view.Row, view.SharedWith, caller) };

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var row = work.Stamp(new QosPolicyRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            Shared = body.Flag("shared", false),
            IsDefault = body.Flag("is_default", false),
        });
        await CheckDefaultAsync(work, row);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        if (row.Shared)
        {
            await Sharing.OpenToAllAsync(work, RbacObjectTypes.QosPolicy.Name, row, Sharing.AsShared);
        }

        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, QosPolicyView view, Body body)
    {
        var row = view.Row;
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        row.IsDefault = body.Flag("is_default", row.IsDefault);
        await CheckDefaultAsync(work, row);
        if (body.Flag("shared", row.Shared) != row.Shared)
        {
            if (row.Shared)
            {
                await Sharing.CloseAsync(work, row.Id, Sharing.AsShared, Sharing.Everyone);
                await RbacObjectTypes.QosPolicy.CheckUsersAsync(work, row.Id, Sharing.AsShared, Sharing.Everyone);
            }
            else
            {
                await Sharing.OpenToAllAsync(work, RbacObjectTypes.QosPolicy.Name, row, Sharing.AsShared);
            }

            row.Shared = !row.Shared;
        }

        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, QosPolicyView view)
    {
        var id = view.Row.Id;
        foreach (var (type, users) in ((string, IQueryable<string>)[])
        [
            ("port", work.Db.GetTable<PortRow>().Where(row => row.QosPolicyId == id).Select(row => row.Id)),
            ("network", work.Db.GetTable<NetworkRow>().Where(row => row.QosPolicyId == id).Select(row => row.Id)),
            ("fip", work.Db.GetTable<FloatingIpRow>().Where(row => row.QosPolicyId == id).Select(row => row.Id)),
            ("router", work.Db.GetTable<RouterRow>().Where(row => row.GatewayQosPolicyId == id).Select(row => row.Id)),
        ])
        {
            if (await users.FirstOrDefaultAsync(work.Cancellation) is { } user)
            {
                throw QosErrors.InUse(id, type, user);
            }
        }

        await Sharing.CloseAsync(work, id);
        await work.Db.GetTable<QosPolicyRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => QosErrors.PolicyNotFound(id);

    private static async Task CheckDefaultAsync(Work work, QosPolicyRow row)
    {
        if (row.IsDefault && await work.Db.GetTable<QosPolicyRow>().AnyAsync(other => other.ProjectId == row.ProjectId && other.IsDefault && other.Id != row.Id, work.Cancellation))
        {
            throw QosErrors.DefaultExists(row.ProjectId);
        }
    }
}
