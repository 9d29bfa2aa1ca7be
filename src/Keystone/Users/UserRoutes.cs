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
using SharpStack.Keystone.Groups;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Users;

internal sealed class UserRoutes(
    UserOperations users, ProjectQueries projects, DirectoryIdentities directories, FederatedGroups federated, KeystoneStore store, Answers answers, ServiceConfig config)
{
    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("name!", Schemas.Name),
        ("domain_id", Schemas.Id),
        ("default_project_id", Schemas.Id.OrNull()),
        ("description", Schemas.Text.OrNull()),
        ("enabled", JsonSchema.Boolean),
        (LinkedIdentities.Attribute, LinkedIdentities.Schema),
        ("password", Schemas.Text.OrNull()),
        ("options", JsonSchema.Object(
            false,
            ("ignore_change_password_upon_first_use", JsonSchema.Boolean.OrNull()),
            ("ignore_password_expiry", JsonSchema.Boolean.OrNull()),
            ("ignore_lockout_failure_attempts", JsonSchema.Boolean.OrNull()),
            ("ignore_user_inactivity", JsonSchema.Boolean.OrNull()),
            ("lock_password", JsonSchema.Boolean.OrNull()),
            ("multi_factor_auth_enabled", JsonSchema.Boolean.OrNull()),
            ("multi_factor_auth_rules", JsonSchema.Array(JsonSchema.Array(Schemas.Text, min: 1, unique: true), unique: true).OrNull()))));

    private static readonly JsonSchema ChangePassword = JsonSchema.Object(false, ("original_password!", Schemas.Text), ("password!", Schemas.Text));

    private readonly string defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/users", ListAsync, "identity:list_users");
        routes.Post("/v3/users", CreateAsync).Policy("identity:create_user").Body(Schemas.Envelope("user", Create));
        routes.Read("/v3/users/{user_id}", ShowAsync, "identity:get_user");
        routes.Patch("/v3/users/{user_id}", UpdateAsync).Policy("identity:update_user").Body(Schemas.Envelope("user", Create.Update()));
        routes.Delete("/v3/users/{user_id}", DeleteAsync).Policy("identity:delete_user");
        // Proven by the password in the body: a token is not needed, and an expired password could not get one.
        routes.Post("/v3/users/{user_id}/password", ChangePasswordAsync).Public().Body(Schemas.Envelope("user", ChangePassword));
        routes.Read("/v3/users/{user_id}/groups", ListGroupsAsync, "identity:list_groups_for_user");
        routes.Read("/v3/users/{user_id}/projects", ListProjectsAsync, "identity:list_user_projects");
    }

    public static void Write(Utf8JsonWriter json, UserView user, string root)
    {
        var row = user.Row;
        json.WriteStartObject();
        json.WriteString("id", row.Id);
        json.WriteString("name", row.Name);
        json.WriteString("domain_id", row.DomainId);
        json.WriteBoolean("enabled", row.Enabled);
        if (row.DefaultProjectId is not null)
        {
            json.WriteString("default_project_id", row.DefaultProjectId);
        }
        json.WriteString("password_expires_at", user.PasswordExpiresAt is { } at ? Timestamps.MicrosNoZone(at) : null);
        LinkedIdentities.Write(json, user.Identities);
        JsonText.WriteOptions(json, row.Options);
        JsonText.WriteMembers(json, row.Extra);
        json.WriteSelfLink($"{root}/users/{row.Id.Escaped()}");
        json.WriteEndObject();
    }

    private static PolicyTarget Target(string id, UserRow? user) => user is null
        ? PolicyTarget.Of(("user_id", id))
        : PolicyTarget.Of(("user_id", id), ("target.user.id", user.Id), ("target.user.domain_id", user.DomainId));

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Of(("target.domain_id", context.Identity.DomainId)));
        var domain = directories.DomainOfList(context);
        if (await directories.OfListAsync(domain, context.Aborted) is { } directory)
        {
            await WriteListAsync(context, await directories.UsersAsync(directory, Answers.NameFilters(context), 0, context.Aborted));
            return;
        }
        await using var db = store.Read();
        var query = LinkedIdentities.Filter(context, db, db.Users()) ?? await NamedAsync(context, db);
        if (domain is not null && domain != context.Query["domain_id"])
        {
            query = query.Where(u => u.DomainId == domain);
        }
        await WriteListAsync(context, db, query);
    }

    /// <summary>Users by name; those of identity providers by the name that these gave, to the letter.</summary>
    private static async Task<IQueryable<UserRow>> NamedAsync(ApiContext context, DataConnection db)
    {
        var query = Answers.WhereName(context, db.Users(), static u => u.NameKey);
        if (context.Query["name"] is not { } name)
        {
            return query;
        }
        // Asked first: with both in one query no index would serve.
        var known = await db.FederatedUsers().Where(f => f.DisplayName == name).Select(static f => f.UserId).Distinct().ToListAsync(context.Aborted);
        var key = Names.Key(name);
        return known.Count == 0 ? query : db.Users().Where(u => u.NameKey == key || known.Contains(u.Id));
    }

    /// <summary>Writes a page of users, filtered by <c>domain_id</c>, <c>enabled</c> and <c>password_expires_at</c> too.</summary>
    public async Task WriteListAsync(ApiContext context, DataConnection db, IQueryable<UserRow> query)
    {
        if (context.Query["domain_id"] is { } domain)
        {
            query = query.Where(u => u.DomainId == domain);
        }
        if (context.Query.Flag("enabled") is { } enabled)
        {
            query = query.Where(u => u.Enabled == enabled);
        }
        var page = await answers.PageAsync(context, ExpiryFilter.Apply(context, db, query), static u => u.Id);
        var views = await users.ViewsAsync(db, page.Items, context.Aborted);
        await answers.CollectionAsync(context, "users", new Page<UserView>(views, page.Truncated, page.NextMarker), Write);
    }

    /// <summary>The same of users that a directory gave, whose names are filtered already.</summary>
    public async Task WriteListAsync(ApiContext context, IReadOnlyList<UserRow> found)
    {
        var enabled = context.Query.Flag("enabled");
        // A directory knows no end of passwords: the filter finds none.
        var asked = context.Query.Has("password_expires_at") ? [] : found.Where(u => enabled is null || u.Enabled == enabled).Select(static u => new UserView(u, null));
        await answers.CollectionAsync(context, "users", answers.Page(context, asked, static u => u.Row.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadMemberAsync("user");
        var user = await users.CreateAsync(body, body.Text("domain_id") ?? context.Identity.DomainId ?? defaultDomainId, context.Aborted);
        await answers.MemberAsync(context, 201, "user", user, Write);
    }

    private async Task<UserView> EnforcedAsync(ApiContext context)
    {
        var id = context.Route("user_id");
        var user = await users.FindAsync(id, context.Aborted);
        context.Enforce(Target(id, user?.Row));
        return user ?? throw Fail.NotFound("user", id);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "user", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var user = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("user", user.Row.Id);
        await answers.MemberAsync(context, 200, "user", await users.UpdateAsync(user.Row.Id, body, context.Aborted), Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        await users.DeleteAsync((await EnforcedAsync(context)).Row.Id, context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ChangePasswordAsync(ApiContext context)
    {
        var body = await context.ReadMemberAsync("user");
        await users.ChangePasswordAsync(context.Route("user_id"), body.Text("original_password")!, body.Text("password")!, context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ListGroupsAsync(ApiContext context)
    {
        var user = (await EnforcedAsync(context)).Row;
        var id = user.Id;
        if (user.LocalId is not null)
        {
            var groups = await directories.GroupsOfUserAsync(user, context.Aborted);
            await answers.CollectionAsync(context, "groups", answers.Page(context, GroupRoutes.Named(context, groups), static g => g.Id), (json, group, root) => GroupRoutes.WriteOfUser(json, group, root, null));
            return;
        }
        await using var db = store.Read();
        var expiring = await federated.ExpiriesAsync(db, id, context.Aborted);
        var ids = expiring.Keys.ToList();
        // One who is a member here too stays one: that membership has no end.
        var lasting = await db.Memberships().Where(m => m.UserId == id && ids.Contains(m.GroupId)).Select(static m => m.GroupId).ToListAsync(context.Aborted);
        var query = Answers.WhereName(
            context, db.Groups().Where(g => ids.Contains(g.Id) || db.Memberships().Any(m => m.UserId == id && m.GroupId == g.Id)), static g => g.NameKey);
        if (context.Identity.DomainId is { } own)
        {
            query = query.Where(g => g.DomainId == own);
        }
        await answers.CollectionAsync(
            context,
            "groups",
            await answers.PageAsync(context, query, static g => g.Id),
            (json, group, root) => GroupRoutes.WriteOfUser(json, group, root, lasting.Contains(group.Id) || !expiring.TryGetValue(group.Id, out var until) ? null : until));
    }

    private async Task ListProjectsAsync(ApiContext context)
    {
        var user = await EnforcedAsync(context);
        await answers.CollectionAsync(context, "projects", await projects.OfUserAsync(user.Row.Id, context, context.Aborted), ProjectRoutes.Write);
    }
}
