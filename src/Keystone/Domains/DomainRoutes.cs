using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Domains;

internal sealed class DomainRoutes(ProjectOperations projects, ProjectQueries queries, KeystoneStore store, Answers answers)
{
    private static readonly JsonSchema Create = JsonSchema.Object(
        true,
        ("name!", Schemas.ProjectName),
        ("enabled", JsonSchema.Boolean),
        ("description", Schemas.Text.OrNull()),
        ("tags", Schemas.Tags),
        ("options", Schemas.ImmutableOption),
        ("explicit_domain_id", JsonSchema.Uuid));

    public void Map(ApiRoutes routes)
    {
        routes.Read("/v3/domains", ListAsync, "identity:list_domains");
        routes.Post("/v3/domains", CreateAsync).Policy("identity:create_domain").Body(Schemas.Envelope("domain", Create));
        routes.Read("/v3/domains/{domain_id}", ShowAsync, "identity:get_domain");
        routes.Patch("/v3/domains/{domain_id}", UpdateAsync).Policy("identity:update_domain").Body(Schemas.Envelope("domain", Create.Update()));
        routes.Delete("/v3/domains/{domain_id}", DeleteAsync).Policy("identity:delete_domain");
    }

    /// <param name="absenceIsOpen">That there is no such domain is told before who may ask.</param>
    private async Task<ProjectView> EnforcedAsync(ApiContext context, bool absenceIsOpen)
    {
        var id = context.Route("domain_id");
        var domain = await queries.FindAsync(id, context.Aborted) is { Row.IsDomain: true } found ? found : null;
        if (domain is not null || !absenceIsOpen)
        {
            context.Enforce(PolicyTarget.Of(("target.domain.id", id)));
        }
        return domain ?? throw Fail.NotFound("domain", id);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        await using var db = store.Read();
        var query = ProjectQueries.Filter(db, context, db.Projects().Where(static p => p.IsDomain));
        if (context.Query["id"] is { } id)
        {
            query = query.Where(p => p.Id == id);
        }
        var page = await answers.PageAsync(context, query, static p => p.Id);
        var views = await ProjectQueries.WithTagsAsync(db, page.Items, context.Aborted);
        await answers.CollectionAsync(context, "domains", new Page<ProjectView>(views, page.Truncated, page.NextMarker), ProjectRoutes.WriteDomain);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadMemberAsync("domain");
        var id = body.Text("explicit_domain_id") is { } given ? Guid.Parse(given).ToString("N") : null;
        await answers.MemberAsync(context, 201, "domain", await projects.CreateDomainAsync(body, id, "domain", context.Aborted), ProjectRoutes.WriteDomain);
    }

    private async Task ShowAsync(ApiContext context) =>
        await answers.MemberAsync(context, 200, "domain", await EnforcedAsync(context, absenceIsOpen: false), ProjectRoutes.WriteDomain);

    private async Task UpdateAsync(ApiContext context)
    {
        var domain = await EnforcedAsync(context, absenceIsOpen: true);
        var body = await context.ReadMemberAsync("domain", domain.Row.Id);
        await answers.MemberAsync(context, 200, "domain", await projects.UpdateAsync(domain.Row.Id, body, "domain", context.Aborted), ProjectRoutes.WriteDomain);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        await projects.DeleteDomainAsync((await EnforcedAsync(context, absenceIsOpen: true)).Row, context.Aborted);
        await context.NoContentAsync();
    }
}
