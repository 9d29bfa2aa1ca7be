using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Users;

namespace SharpStack.Keystone.Groups;

internal sealed class GroupRoutes(
    KeystoneStore store, IdentityCache cache, UserRoutes users, DirectoryIdentities directories, FederatedGroups federated, Answers answers, ServiceConfig config)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "name", "domain_id", "description", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true, ("name!", Schemas.Name), ("domain_id", Schemas.Id), ("description", Schemas.Text.OrNull()));

    private readonly string defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/groups", ListAsync, "identity:list_groups");
        routes.Post("/v3/groups", CreateAsync).Policy("identity:create_group").Body(Schemas.Envelope("group", Create));
        routes.Read("/v3/groups/{group_id}", ShowAsync, "identity:get_group");
        routes.Patch("/v3/groups/{group_id}", UpdateAsync).Policy("identity:update_group").Body(Schemas.Envelope("group", Create.Update()));
        routes.Delete("/v3/groups/{group_id}", DeleteAsync).Policy("identity:delete_group");
        routes.Read("/v3/groups/{group_id}/users", ListUsersAsync, "identity:list_users_in_group");
        routes.Read("/v3/groups/{group_id}/users/{user_id}", CheckUserAsync, "identity:check_user_in_group");
        routes.Put("/v3/groups/{group_id}/users/{user_id}", AddUserAsync).Policy("identity:add_user_to_group");
        routes.Delete("/v3/groups/{group_id}/users/{user_id}", RemoveUserAsync).Policy("identity:remove_user_from_group");
    }

    public static void Write(Utf8JsonWriter json, GroupRow group, string root)
    {
        json.WriteStartObject();
        WriteMembers(json, group, root);
        json.WriteEndObject();
    }

    /// <summary>The group in the list of a user's groups.</summary>
    /// <param name="until">When a membership that a mapping gave ends, in microseconds; null where it does not.</param>
    public static void WriteOfUser(Utf8JsonWriter json, GroupRow group, string root, long? until)
    {
        json.WriteStartObject();
        WriteMembers(json, group, root);
        json.WriteString("membership_expires_at", until is { } at ? Timestamps.MicrosNoZone(at) : null);
        json.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter json, GroupRow group, string root)
    {
        json.WriteString("id", group.Id);
        json.WriteString("name", group.Name);
        json.WriteString("domain_id", group.DomainId);
        json.WriteString("description", group.Description);
        JsonText.WriteMembers(json, group.Extra);
        json.WriteSelfLink($"{root}/groups/{group.Id.Escaped()}");
    }

    /// <summary>Groups in memory, filtered by name as the database filters.</summary>
    public static IEnumerable<GroupRow> Named(ApiContext context, IEnumerable<GroupRow> groups) =>
        Answers.NameFilters(context).Aggregate(groups, static (left, filter) => left.Where(g => filter.Method switch
        {
            "contains" => g.NameKey.Contains(Names.Key(filter.Value), StringComparison.Ordinal),
            "startswith" => g.NameKey.StartsWith(Names.Key(filter.Value), StringComparison.Ordinal),
            "endswith" => g.NameKey.EndsWith(Names.Key(filter.Value), StringComparison.Ordinal),
            _ => g.NameKey == Names.Key(filter.Value),
        }));

    /// <summary>Refuses (403) to change what a directory has.</summary>
    private static void RequireWritable(GroupRow group, UserRow? user = null)
    {
        if (group.LocalId is not null || user?.LocalId is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
    }

    public static async Task DeleteRowsAsync(DataConnection db, IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        await db.Memberships().Where(m => ids.Contains(m.GroupId)).DeleteAsync(cancellationToken);
        await db.ExpiringMemberships().Where(m => ids.Contains(m.GroupId)).DeleteAsync(cancellationToken);
        await db.Assignments().Where(a => a.ActorType == AssignmentRow.Group && ids.Contains(a.ActorId)).DeleteAsync(cancellationToken);
        await db.Groups().Where(g => ids.Contains(g.Id)).DeleteAsync(cancellationToken);
    }

    /// <param name="absenceIsOpen">That there is no such group is told before who may ask.</param>
    private async Task<GroupRow> EnforcedAsync(ApiContext context, bool absenceIsOpen = false)
    {
        var id = context.Route("group_id");
        var group = await cache.Current.GroupAsync(id, context.Aborted);
        if (group is not null || !absenceIsOpen)
        {
            context.Enforce(group is null ? PolicyTarget.Empty : PolicyTarget.Of(("target.group.id", group.Id), ("target.group.domain_id", group.DomainId)));
        }
        return group ?? throw Fail.NotFound("group", id);
    }

    /// <summary>The group and the user of a membership's path.</summary>
    private async Task<(GroupRow Group, UserRow User)> EnforcedPairAsync(ApiContext context)
    {
        var (groupId, userId) = (context.Route("group_id"), context.Route("user_id"));
        var group = await cache.Current.GroupAsync(groupId, context.Aborted);
        var user = await cache.Current.UserAsync(userId, context.Aborted);
        context.Enforce(PolicyTarget.Of(("target.group.domain_id", group?.DomainId), ("target.user.domain_id", user?.DomainId)));
        return (group ?? throw Fail.NotFound("group", groupId), user ?? throw Fail.NotFound("user", userId));
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Of(("target.group.domain_id", context.Identity.DomainId)));
        var domain = directories.DomainOfList(context);
        if (await directories.OfListAsync(domain, context.Aborted) is { } directory)
        {
            var found = await directories.GroupsAsync(directory, Answers.NameFilters(context), 0, context.Aborted);
            await answers.CollectionAsync(context, "groups", answers.Page(context, found, static g => g.Id), Write);
            return;
        }
        await using var db = store.Read();
        var query = Answers.WhereName(context, db.Groups(), static g => g.NameKey);
        if (domain is not null)
        {
            query = query.Where(g => g.DomainId == domain);
        }
        await answers.CollectionAsync(context, "groups", await answers.PageAsync(context, query, static g => g.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadMemberAsync("group");
        var domainId = body.Text("domain_id") ?? context.Identity.DomainId ?? defaultDomainId;
        if (await directories.OfDomainAsync(domainId, context.Aborted) is not null)
        {
            throw DirectoryIdentities.ReadOnly();
        }
        var name = body.Text("name")!.Trim();
        var group = new GroupRow
        {
            Id = Names.NewId(),
            DomainId = domainId,
            Name = name,
            NameKey = Names.Key(name),
            Description = body.TextOr("description", ""),
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
        };
        await WriteAsync(
            name,
            domainId,
            async db =>
            {
                await ProjectQueries.RequireDomainAsync(db, domainId, context.Aborted);
                await db.InsertAsync(group, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, "group", group, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "group", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("group", before.Id);
        RequireWritable(before);
        if (body.Text("domain_id") is { } domain && domain != before.DomainId)
        {
            throw CloudException.BadRequest("Cannot change Domain ID");
        }
        var name = (body.Text("name") ?? before.Name).Trim();
        var after = before;
        await WriteAsync(
            name,
            before.DomainId,
            async db =>
            {
                var current = await db.Groups().FirstOrDefaultAsync(g => g.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("group", before.Id);
                var newName = body.Has("name") ? name : current.Name;
                after = current with
                {
                    Name = newName,
                    NameKey = Names.Key(newName),
                    Description = body.TextOr("description", current.Description),
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                };
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "group", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var group = await EnforcedAsync(context, absenceIsOpen: true);
        RequireWritable(group);
        await store.WriteAsync(db => DeleteRowsAsync(db, [group.Id], context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListUsersAsync(ApiContext context)
    {
        var group = await EnforcedAsync(context);
        if (group.LocalId is not null)
        {
            await users.WriteListAsync(context, await directories.UsersInGroupAsync(group, context.Aborted));
            return;
        }
        await using var db = store.Read();
        var query = Answers.WhereName(
            context,
            db.Users().Where(u => db.Memberships().Any(m => m.GroupId == group.Id && m.UserId == u.Id)),
            static u => u.NameKey);
        if (context.Identity.DomainId is { } own)
        {
            query = query.Where(u => u.DomainId == own);
        }
        await users.WriteListAsync(context, db, query);
    }

    private async Task CheckUserAsync(ApiContext context)
    {
        var (group, user) = await EnforcedPairAsync(context);
        if (group.LocalId is not null)
        {
            // Reads the members anew, and so knows them below.
            await directories.UsersInGroupAsync(group, context.Aborted);
        }
        await using var db = store.Read();
        if (!await db.Memberships().AnyAsync(m => m.GroupId == group.Id && m.UserId == user.Id, context.Aborted)
            && !(await federated.ExpiriesAsync(db, user.Id, context.Aborted)).ContainsKey(group.Id))
        {
            throw NotMember(group, user);
        }
        await context.NoContentAsync();
    }

    private async Task AddUserAsync(ApiContext context)
    {
        var (group, user) = await EnforcedPairAsync(context);
        RequireWritable(group, user);
        var membership = new MembershipRow { GroupId = group.Id, UserId = user.Id };
        await store.WriteAsync(
            async db =>
            {
                if (!await db.Users().AnyAsync(u => u.Id == user.Id, context.Aborted))
                {
                    throw Fail.NotFound("user", user.Id);
                }
                if (!await db.Groups().AnyAsync(g => g.Id == group.Id, context.Aborted))
                {
                    throw Fail.NotFound("group", group.Id);
                }
                if (!await db.Memberships().AnyAsync(m => m.GroupId == group.Id && m.UserId == user.Id, context.Aborted))
                {
                    await db.InsertAsync(membership, token: context.Aborted);
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task RemoveUserAsync(ApiContext context)
    {
        var (group, user) = await EnforcedPairAsync(context);
        RequireWritable(group, user);
        var removed = await store.WriteAsync(
            db => db.Memberships().Where(m => m.GroupId == group.Id && m.UserId == user.Id).DeleteAsync(context.Aborted), context.Aborted);
        if (removed == 0)
        {
            throw NotMember(group, user);
        }
        await context.NoContentAsync();
    }

    private static CloudException NotMember(GroupRow group, UserRow user) =>
        CloudException.NotFound($"User '{user.Id}' not found in group '{group.Id}'");

    private async Task WriteAsync(string name, string domainId, Func<DataConnection, Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(work, cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Duplicate("group", name, domainId);
        }
    }
}
