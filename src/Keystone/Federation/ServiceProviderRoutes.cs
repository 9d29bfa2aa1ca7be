using System.Buffers;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Federation;

/// <summary><c>/v3/OS-FEDERATION/service_providers</c>: other clouds that accept what this one vouches for.</summary>
internal sealed class ServiceProviderRoutes(KeystoneStore store, Answers answers, ServiceConfig config)
{
    private const string Member = "service_provider";

    private static readonly JsonSchema Create = JsonSchema.Object(
        false,
        ("auth_url!", Schemas.Url),
        ("sp_url!", Schemas.Url),
        ("description", Schemas.Text.OrNull()),
        ("enabled", JsonSchema.Boolean),
        ("relay_state_prefix", JsonSchema.String(0, 256).OrNull()));

    private readonly string relayStatePrefix = config.Get(FederationOptions.RelayStatePrefix);

    public void Map(ApiRoutes routes)
    {
        const string collection = "/v3/OS-FEDERATION/service_providers";
        const string one = collection + "/{sp_id}";
        routes.Read(collection, ListAsync, "identity:list_service_providers");
        routes.Read(one, ShowAsync, "identity:get_service_provider");
        routes.Put(one, CreateAsync).Policy("identity:create_service_provider").Body(Schemas.Envelope(Member, Create));
        routes.Patch(one, UpdateAsync).Policy("identity:update_service_provider").Body(Schemas.Envelope(Member, Create.Update()));
        routes.Delete(one, DeleteAsync).Policy("identity:delete_service_provider");
    }

    /// <exception cref="CloudException">There is none of that id (404).</exception>
    public static async Task<ServiceProviderRow> GetAsync(DataConnection db, string id, CancellationToken cancellationToken) =>
        await db.ServiceProviders().FirstOrDefaultAsync(p => p.Id == id, cancellationToken) ?? throw Fail.NotFound("Service Provider", id);

    /// <summary>What tokens tell of them: a JSON array; empty bytes where there are none.</summary>
    public static byte[] WriteForTokens(IReadOnlyList<ServiceProviderRow> providers)
    {
        if (providers.Count == 0)
        {
            return [];
        }
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            json.WriteStartArray();
            foreach (var provider in providers)
            {
                json.WriteStartObject();
                json.WriteString("id", provider.Id);
                json.WriteString("auth_url", provider.AuthUrl);
                json.WriteString("sp_url", provider.SpUrl);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ServiceProviderRow provider, string root)
    {
        json.WriteStartObject();
        json.WriteString("id", provider.Id);
        json.WriteString("auth_url", provider.AuthUrl);
        json.WriteString("sp_url", provider.SpUrl);
        json.WriteBoolean("enabled", provider.Enabled);
        json.WriteString("description", provider.Description);
        json.WriteString("relay_state_prefix", provider.RelayStatePrefix);
        json.WriteSelfLink($"{root}/OS-FEDERATION/service_providers/{provider.Id.Escaped()}");
        json.WriteEndObject();
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        IQueryable<ServiceProviderRow> query = db.ServiceProviders();
        if (context.Query["id"] is { } id)
        {
            query = query.Where(p => p.Id == id);
        }
        if (context.Query.Flag("enabled") is { } enabled)
        {
            query = query.Where(p => p.Enabled == enabled);
        }
        await answers.CollectionAsync(context, "service_providers", await answers.PageAsync(context, query, static p => p.Id), Write);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        await using var db = store.Read();
        await answers.MemberAsync(context, 200, Member, await GetAsync(db, context.Route("sp_id"), context.Aborted), Write);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        var row = new ServiceProviderRow
        {
            Id = Ids.Checked(context.Route("sp_id"), "service provider"),
            AuthUrl = body.Text("auth_url")!,
            SpUrl = body.Text("sp_url")!,
            Enabled = body.Flag("enabled") ?? false,
            Description = body.Text("description"),
            RelayStatePrefix = body.Text("relay_state_prefix") ?? relayStatePrefix,
        };
        await store.WriteAsync(
            async db =>
            {
                if (await db.ServiceProviders().AnyAsync(p => p.Id == row.Id, context.Aborted))
                {
                    throw Fail.Conflict(Member, $"Duplicate entry found with ID {row.Id}");
                }
                await db.InsertAsync(row, token: context.Aborted);
            },
            context.Aborted);
        await answers.MemberAsync(context, 201, Member, row, Write);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("sp_id");
        var body = (await context.ReadJsonAsync()).GetProperty(Member);
        var after = await store.WriteAsync(
            async db =>
            {
                var current = await GetAsync(db, id, context.Aborted);
                var changed = current with
                {
                    AuthUrl = body.Text("auth_url") ?? current.AuthUrl,
                    SpUrl = body.Text("sp_url") ?? current.SpUrl,
                    Enabled = body.Flag("enabled") ?? current.Enabled,
                    Description = body.TextOr("description", current.Description),
                    RelayStatePrefix = body.Text("relay_state_prefix") ?? current.RelayStatePrefix,
                };
                await db.UpdateAsync(changed, token: context.Aborted);
                return changed;
            },
            context.Aborted);
        await answers.MemberAsync(context, 200, Member, after, Write);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("sp_id");
        await store.WriteAsync(
            async db =>
            {
                var provider = await GetAsync(db, id, context.Aborted);
                await db.DeleteAsync(provider, token: context.Aborted);
            },
            context.Aborted);
        await context.NoContentAsync();
    }
}
