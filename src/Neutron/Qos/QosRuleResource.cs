using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Rbac;
using SharpStack.Neutron.Storage;
using RuleAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Qos.QosRuleRow, SharpStack.Neutron.Qos.QosRuleView>;

namespace SharpStack.Neutron.Qos;

internal sealed record QosRuleView(QosRuleRow Row) : IResourceView<QosRuleRow>;

/// <summary>The rules of one kind: <c>/v2.0/qos/policies/{parent}/bandwidth_limit_rules</c>, or by their ids alone: <c>/v2.0/qos/alias-bandwidth-limit-rules</c>.</summary>
internal sealed class QosRuleResource(QosRuleKind kind, bool isAlias) : ChildResource<QosRuleRow, QosRuleView, QosPolicyRow>
{
    private const string DefaultDirection = "egress";

    public override string Singular { get; } = $"{(isAlias ? "alias_" : "")}{kind.Type}_rule";

    public override string Path => isAlias ? $"/v2.0/qos/{Plural.Replace('_', '-')}" : $"/v2.0/qos/policies/{{parent}}/{Plural}";

    public override string RuleName => isAlias ? Singular : $"policy_{Singular}";

    public override bool IsReachedByIdOnly => isAlias;

    public override bool HidesParentFromThoseWithoutRights => false;

    public override IReadOnlyList<ResourceAttribute<QosRuleRow, QosRuleView>> Attributes { get; } =
    [
        .. Common(),
        RuleAttributes.Number(kind.Amount, static row => row.Amount, post: true, put: true, required: true, check: kind.CheckAmount),
        .. kind.Burst is null ? (ResourceAttribute<QosRuleRow, QosRuleView>[])[] : [RuleAttributes.OptionalNumber(kind.Burst, static row => row.Burst, post: true, put: true, check: Checks.Number(0, int.MaxValue))],
        .. kind.Directions.Count == 0 ? (ResourceAttribute<QosRuleRow, QosRuleView>[])[] : [RuleAttributes.Text("direction", static row => row.Direction, post: true, put: true, check: Checks.OneOf([.. kind.Directions]))],
    ];

    public override IQueryable<QosRuleRow> VisibleTo(IQueryable<QosRuleRow> rows, DataConnection db, Caller caller)
    {
        var policies = ParentsOf(db, caller);
        var type = kind.Type;
        return rows.Where(row => row.Type == type && policies.Any(policy => policy.Id == row.PolicyId));
    }

    public override async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var policy = await ParentAsync(work, body.ParentId);
        var row = work.Stamp(new QosRuleRow { ProjectId = policy.ProjectId, PolicyId = policy.Id, Type = kind.Type });
        await ReadAsync(work, row, body);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await ChangedAsync(work, policy);
        return row.Id;
    }

    public override async Task UpdateAsync(Work work, Caller caller, QosRuleView view, Body body)
    {
        await ReadAsync(work, view.Row, body);
        work.Bump(view.Row);
        await work.Db.UpdateAsync(view.Row, token: work.Cancellation);
        await ChangedAsync(work, await ParentAsync(work, view.Row.PolicyId));
    }

    public override async Task DeleteAsync(Work work, Caller caller, QosRuleView view)
    {
        if (kind.IsGuarantee)
        {
            await QosAttachments.CheckRuleAsync(work, kind, view.Row.PolicyId);
        }

        await work.Db.GetTable<QosRuleRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        await ChangedAsync(work, await ParentAsync(work, view.Row.PolicyId));
    }

    public override CloudException NotFound(string id) => QosErrors.RuleNotFound("", id);

    protected override Expression<Func<QosRuleRow, string>> ParentId { get; } = static row => row.PolicyId;

    protected override IQueryable<QosPolicyRow> ParentsOf(DataConnection db, Caller caller) => Sharing.VisibleTo(db.GetTable<QosPolicyRow>(), db, caller);

    protected override CloudException ParentNotFound(string id) => QosErrors.PolicyNotFound(id);

    protected override QosRuleView ViewOf(QosRuleRow row) => new(row);

    private async Task ReadAsync(Work work, QosRuleRow row, Body body)
    {
        row.Amount = body.Number(kind.Amount) ?? row.Amount;
        row.Burst = kind.Burst is null ? null : body.Number(kind.Burst) ?? row.Burst ?? 0;
        row.Direction = kind.Directions.Count == 0 ? null : body.Text("direction", row.Direction ?? DefaultDirection);
        foreach (var other in await work.Db.GetTable<QosRuleRow>().Where(other => other.PolicyId == row.PolicyId && other.Id != row.Id).ToListAsync(work.Cancellation))
        {
            CheckBeside(row, other);
        }

        await QosAttachments.CheckRuleAsync(work, kind, row.PolicyId);
    }

    /// <summary>Two rules of one policy must not contradict each other.</summary>
    private static void CheckBeside(QosRuleRow row, QosRuleRow other)
    {
        if (row.Type == QosRuleKind.BandwidthLimit.Type && other.Type == QosRuleKind.MinimumBandwidth.Type && other.Amount > row.Amount)
        {
            throw QosErrors.ConflictingValue(row.Amount, other, other.Amount);
        }

        if (row.Type == QosRuleKind.MinimumBandwidth.Type && other.Type == QosRuleKind.BandwidthLimit.Type && other.Amount < row.Amount)
        {
            throw QosErrors.ConflictingValue(row.Amount, other, other.Amount);
        }

        if (row.Type != other.Type)
        {
            return;
        }

        if (row.Direction == other.Direction)
        {
            throw QosErrors.Conflicts(row.Type, other);
        }

        if (row.Direction == QosRuleKind.AnyDirection || other.Direction == QosRuleKind.AnyDirection)
        {
            throw QosErrors.ConflictingValue(row.Direction!, other, other.Direction!);
        }
    }

    private static async Task ChangedAsync(Work work, QosPolicyRow policy)
    {
        work.Bump(policy);
        await work.Db.UpdateAsync(policy, token: work.Cancellation);
        await QosAttachments.TellAsync(work, policy.Id);
    }
}
