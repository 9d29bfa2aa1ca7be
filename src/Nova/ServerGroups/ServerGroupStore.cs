using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using LinqToDB.Mapping;
using SharpStack.Foundation;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.ServerGroups;

[Table("server_groups")]
internal sealed record ServerGroupRow
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("uuid")]
    public required string Uuid { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("project_id")]
    public required string ProjectId { get; init; }

    [Column("user_id")]
    public required string UserId { get; init; }

    /// <summary><c>affinity</c>, <c>anti-affinity</c>, or one of these with <c>soft-</c>.</summary>
    [Column("policy")]
    public required string Policy { get; init; }

    /// <summary>The rule <c>max_server_per_host</c>; null where none was given.</summary>
    [Column("max_per_host")]
    public int? MaxPerHost { get; init; }
}

/// <summary>An instance is in one group at most.</summary>
[Table("server_group_members")]
internal sealed record ServerGroupMemberRow
{
    [Column("instance_id"), PrimaryKey]
    public required string InstanceId { get; init; }

    [Column("group_id")]
    public long GroupId { get; init; }
}

/// <summary>Groups of servers that are to be together or apart.</summary>
internal static class ServerGroupStore
{
    public static ITable<ServerGroupRow> Groups(NovaSession session) => session.Db.GetTable<ServerGroupRow>();

    public static ITable<ServerGroupMemberRow> Members(NovaSession session) => session.Db.GetTable<ServerGroupMemberRow>();

    /// <summary>Adds new instances to the group of scheduler hint <c>group</c>.</summary>
    /// <param name="group">The hint's value.</param>
    /// <param name="most">The quota <c>server_group_members</c>; -1 for any number.</param>
    /// <exception cref="CloudException">400 where there is no such group in the project, 403 where it would have too many members.</exception>
    public static async Task JoinAsync(
        NovaSession session, string group, string projectId, IReadOnlyList<string> instances, int most, CancellationToken cancellationToken)
    {
        var row = await Groups(session).FirstOrDefaultAsync(row => row.Uuid == group && row.ProjectId == projectId, cancellationToken)
            ?? throw CloudException.BadRequest($"Instance group {group} could not be found: the scheduler hint 'group' takes the UUID of a server group of this project.");
        var members = await MemberIds(session, row.Id).CountAsync(cancellationToken);
        if (most >= 0 && members + instances.Count > most)
        {
            throw CloudException.Forbidden("Quota exceeded, too many servers in group");
        }

        await session.Db.BulkCopyAsync(instances.Select(instance => new ServerGroupMemberRow { InstanceId = instance, GroupId = row.Id }), cancellationToken);
    }

    /// <summary>The group that an instance is in; null for none.</summary>
    public static Task<string?> UuidOfAsync(NovaSession session, string instanceId, CancellationToken cancellationToken) =>
        (from member in Members(session)
         join row in Groups(session) on member.GroupId equals row.Id
         where member.InstanceId == instanceId
         select row.Uuid).FirstOrDefaultAsync(cancellationToken);

    /// <summary>What the group of an instance asks of its host; null for an instance without a group.</summary>
    public static async Task<GroupRule?> RuleOfAsync(NovaSession session, string instanceId, CancellationToken cancellationToken)
    {
        var own = await (
            from member in Members(session)
            join row in Groups(session) on member.GroupId equals row.Id
            where member.InstanceId == instanceId
            select row).FirstOrDefaultAsync(cancellationToken);
        if (own is null)
        {
            return null;
        }

        var others = await (
            from member in Members(session)
            join instance in session.Instances on member.InstanceId equals instance.Uuid
            where member.GroupId == own.Id && member.InstanceId != instanceId && instance.DeletedAt == null
            select new { instance.Uuid, instance.Host }).ToListAsync(cancellationToken);
        return new GroupRule(own.Policy, own.MaxPerHost ?? 1, [.. others.Select(other => other.Uuid)], [.. others.Select(other => other.Host).OfType<string>()]);
    }

    /// <summary>Checks a chosen host once more where no other member can be given one at the same time.</summary>
    /// <exception cref="CloudException">503 where another member was quicker: the scheduler is to be asked again.</exception>
    public static async Task CheckAsync(NovaSession session, string instanceId, string host, CancellationToken cancellationToken)
    {
        var rule = await RuleOfAsync(session, instanceId, cancellationToken);
        var broken = rule?.Policy switch
        {
            "anti-affinity" => rule.Hosts.Count(other => other == host) >= rule.MaxPerHost,
            "affinity" => rule.Hosts.Count > 0 && !rule.Hosts.Contains(host),
            _ => false,
        };
        if (broken)
        {
            throw CloudException.Unavailable($"Another member of the server group of instance {instanceId} was placed first: host {host} no longer fits.");
        }
    }

    /// <summary>UUIDs of the members that are not deleted.</summary>
    public static IQueryable<string> MemberIds(NovaSession session, long groupId) =>
        from member in Members(session)
        join instance in session.Instances on member.InstanceId equals instance.Uuid
        where member.GroupId == groupId && instance.DeletedAt == null
        orderby instance.Id
        select instance.Uuid;
}
