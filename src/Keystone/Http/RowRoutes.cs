using System.Linq.Expressions;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone;

/// <summary>
/// The five routes of a resource that is one row with the key <c>Id</c>, and whose policies look at the token alone:
/// <c>identity:list_…s</c>, <c>create_…</c>, <c>get_…</c>, <c>update_…</c>, <c>delete_…</c>.
/// </summary>
/// <param name="collection">As in the list's JSON: <c>services</c>.</param>
/// <param name="member">As in one's JSON: <c>service</c>.</param>
/// <param name="noun">As in messages.</param>
internal abstract class RowRoutes<TRow>(KeystoneStore store, Answers answers, string collection, string member, string noun)
    where TRow : class
{
    private static readonly Expression<Func<TRow, string>> IdOf = MakeIdOf();

    protected KeystoneStore Store { get; } = store;

    protected Answers Answers { get; } = answers;

    private string IdName => member + "_id";

    protected void MapRows(ApiRoutes routes, string path, JsonSchema create)
    {
        var one = $"{path}/{{{IdName}}}";
        routes.Read(path, ListAsync, $"identity:list_{collection}");
        routes.Post(path, CreateAsync).Policy($"identity:create_{member}").Body(Schemas.Envelope(member, create));
        routes.Read(one, ShowAsync, $"identity:get_{member}");
        routes.Patch(one, UpdateAsync).Policy($"identity:update_{member}").Body(Schemas.Envelope(member, create.Update()));
        routes.Delete(one, DeleteAsync).Policy($"identity:delete_{member}");
    }

    protected abstract void Write(Utf8JsonWriter json, TRow row, string root);

    protected abstract IQueryable<TRow> Filter(ApiContext context, IQueryable<TRow> query);

    /// <summary>A new row of a checked body.</summary>
    protected abstract TRow Create(ApiContext context, JsonElement body);

    /// <summary>The answer where the row's key or name is taken.</summary>
    protected virtual CloudException Duplicate(TRow row) => Fail.Conflict(noun, "Duplicate entry");

    protected abstract TRow Change(TRow current, JsonElement body);

    /// <summary>Refuses, within the write, a row that points to what does not exist.</summary>
    protected virtual Task CheckAsync(DataConnection db, TRow row, JsonElement body, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>That there is no such row is told before who may ask for it.</summary>
    protected virtual bool IsAbsenceOpen => false;

    protected virtual Task DeleteRowsAsync(DataConnection db, TRow row, CancellationToken cancellationToken) => db.DeleteAsync(row, token: cancellationToken);

    protected async Task<TRow> FindAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        await db.GetTable<TRow>().FirstOrDefaultAsync(HasId(id), cancellationToken) ?? throw Fail.NotFound(noun, id);

    protected async Task<TRow> EnforcedAsync(ApiContext context)
    {
        if (!IsAbsenceOpen)
        {
            context.Enforce(PolicyTarget.Empty);
        }
        await using var db = Store.Read();
        var row = await FindAsync(db, context.Route(IdName), context.Aborted);
        if (IsAbsenceOpen)
        {
            context.Enforce(PolicyTarget.Empty);
        }
        return row;
    }

    protected async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = await context.ReadMemberAsync(member);
        var row = Create(context, body);
        try
        {
            await Store.WriteAsync(
                async db =>
                {
                    await CheckAsync(db, row, body, context.Aborted);
                    await db.InsertAsync(row, token: context.Aborted);
                },
                context.Aborted);
        }
        catch (UniqueConstraintException)
        {
            throw Duplicate(row);
        }
        await Answers.MemberAsync(context, 201, member, row, Write);
    }

    private static Expression<Func<TRow, string>> MakeIdOf()
    {
        var row = Expression.Parameter(typeof(TRow), "row");
        return Expression.Lambda<Func<TRow, string>>(Expression.Property(row, "Id"), row);
    }

    private static Expression<Func<TRow, bool>> HasId(string id)
    {
        // Through a field, so that the value becomes a parameter of the SQL.
        Expression<Func<string>> value = () => id;
        return Expression.Lambda<Func<TRow, bool>>(Expression.Equal(IdOf.Body, value.Body), IdOf.Parameters);
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = Store.Read();
        await Answers.CollectionAsync(context, collection, await Answers.PageAsync(context, Filter(context, db.GetTable<TRow>()), IdOf), Write);
    }

    private async Task ShowAsync(ApiContext context) => await Answers.MemberAsync(context, 200, member, await EnforcedAsync(context), Write);

    private async Task UpdateAsync(ApiContext context)
    {
        await EnforcedAsync(context);
        var id = context.Route(IdName);
        var body = await context.ReadMemberAsync(member, id);
        var after = await Store.WriteAsync(
            async db =>
            {
                var changed = Change(await FindAsync(db, id, context.Aborted), body);
                await CheckAsync(db, changed, body, context.Aborted);
                await db.UpdateAsync(changed, token: context.Aborted);
                return changed;
            },
            context.Aborted);
        await Answers.MemberAsync(context, 200, member, after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        var row = await EnforcedAsync(context);
        await Store.WriteAsync(db => DeleteRowsAsync(db, row, context.Aborted), context.Aborted);
        await context.NoContentAsync();
    }
}
