using System.Collections.Frozen;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Roles;

internal sealed class RoleRoutes(KeystoneStore store, IdentityCache cache, Answers answers)
{
    private static readonly FrozenSet<string> Columns = FrozenSet.ToFrozenSet(["id", "name", "domain_id", "description", "options", "links"]);

    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("name!", Schemas.Name),
        ("description", Schemas.Text.OrNull()),
        ("domain_id", Schemas.Id.OrNull()),
        ("options", Schemas.ImmutableOption));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/roles", ListAsync, "identity:list_roles", "identity:list_domain_roles");
        routes.Post("/v3/roles", CreateAsync).Policy("identity:create_role", "identity:create_domain_role").Body(Schemas.Envelope("role", Create));
        routes.Read("/v3/roles/{role_id}", ShowAsync, "identity:get_role", "identity:get_domain_role");
        routes.Patch("/v3/roles/{role_id}", UpdateAsync).Policy("identity:update_role", "identity:update_domain_role")
            .Body(Schemas.Envelope("role", Create.Update()));
        routes.Delete("/v3/roles/{role_id}", DeleteAsync).Policy("identity:delete_role", "identity:delete_domain_role");
    }

    public static void Write(Utf8JsonWriter json, RoleRow role, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", role.Id);
        json.WriteString("name", role.Name);
        json.WriteString("domain_id", role.DomainId.Length == 0 ? null : role.DomainId);
        json.WriteString("description", role.Description);
        JsonText.WriteOptions(json, role.Options);
        JsonText.WriteMembers(json, role.Extra);
        json.WriteSelfLink($"{root}/roles/{role.Id.Escaped()}");
        json.WriteEndObject();
    }

    public static async Task DeleteRowsAsync(DataConnection db, IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        await Delegations.DeleteOfRolesAsync(db, ids, cancellationToken);
        await db.Assignments().Where(a => ids.Contains(a.RoleId)).DeleteAsync(cancellationToken);
        await db.ImpliedRoles().Where(i => ids.Contains(i.PriorRoleId) || ids.Contains(i.ImpliedRoleId)).DeleteAsync(cancellationToken);
        await db.Roles().Where(r => ids.Contains(r.Id)).DeleteAsync(cancellationToken);
    }

    /// <summary>A role of a domain has policies of its own. That there is no such role is told before who may ask.</summary>
    private async Task<RoleRow> EnforcedAsync(ApiContext context)
    {
        var id = context.Route("role_id");
        var role = (await cache.Current.RolesAsync(context.Aborted)).ById.GetValueOrDefault(id) ?? throw Fail.NotFound("role", id);
        var ofDomain = role.DomainId.Length > 0;
        context.Enforce(context.RouteInfo.Policies[ofDomain ? 1 : 0], ofDomain ? PolicyTarget.Of(("target.role.domain_id", role.DomainId)) : PolicyTarget.Empty);
        return role;
    }

    private async Task ListAsync(ApiContext context)
    {
        var domainId = context.Query["domain_id"] ?? "";
        context.Enforce(context.RouteInfo.Policies[domainId.Length > 0 ? 1 : 0], PolicyTarget.Empty);
        await using var db = store.Read();
        var query = Answers.WhereName(context, db.Roles().Where(r => r.DomainId == domainId), static r => r.NameKey);
        await answers.CollectionAsync(context, "roles", await answers.PageAsync(context, query, static r => r.Id), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        var body = await context.ReadMemberAsync("role");
        var domainId = body.Text("domain_id") ?? "";
        context.Enforce(context.RouteInfo.Policies[domainId.Length > 0 ? 1 : 0], PolicyTarget.Empty);
        var name = body.Text("name")!.Trim();
        var role = new RoleRow
        {
            Id = Names.NewId(),
            Name = name,
            NameKey = Names.Key(name),
            DomainId = domainId,
            Description = body.Text("description"),
            Extra = JsonText.Merge(JsonText.Empty, body, Columns),
            Options = body.TryGetProperty("options", out var options) ? JsonText.Merge(JsonText.Empty, options, dropNull: true) : JsonText.Empty,
        };
        await WriteAsync(
            name,
            domainId,
            async db =>
            {
                if (domainId.Length > 0)
                {
                    await ProjectQueries.RequireDomainAsync(db, domainId, context.Aborted);
                }
                await db.InsertAsync(role, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, "role", role, Write);
    }

    private async Task ShowAsync(ApiContext context) => await answers.MemberAsync(context, 200, "role", await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        var before = await EnforcedAsync(context);
        var body = await context.ReadMemberAsync("role", before.Id);
        if (body.Has("domain_id") && (body.Text("domain_id") ?? "") != before.DomainId)
        {
            throw CloudException.BadRequest("Update of `domain_id` is not allowed.");
        }
        var name = (body.Text("name") ?? before.Name).Trim();
        var after = before;
        await WriteAsync(
            name,
            before.DomainId,
            async db =>
            {
                var current = await db.Roles().FirstOrDefaultAsync(r => r.Id == before.Id, context.Aborted) ?? throw Fail.NotFound("role", before.Id);
                if (JsonText.IsImmutable(current.Options) && !JsonText.Unlocks(body))
                {
                    throw Fail.Immutable("update", "role", current.Id);
                }
                var newName = body.Has("name") ? name : current.Name;
                after = current with
                {
                    Name = newName,
                    NameKey = Names.Key(newName),
                    Description = body.TextOr("description", current.Description),
                    Extra = JsonText.Merge(current.Extra, body, Columns),
                    Options = body.TryGetProperty("options", out var options) ? JsonText.Merge(current.Options, options, dropNull: true) : current.Options,
                };
                await db.UpdateAsync(after, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, "role", after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var role = await EnforcedAsync(context);
        if (JsonText.IsImmutable(role.Options))
        {
            throw Fail.Immutable("delete", "role", role.Id);
        }
        await store.WriteAsync(db => DeleteRowsAsync(db, [role.Id], context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }

    private async Task WriteAsync(string name, string domainId, Func<DataConnection, Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await store.WriteAsync(work, cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Duplicate("role", name, domainId.Length == 0 ? null : domainId);
        }
    }
}
