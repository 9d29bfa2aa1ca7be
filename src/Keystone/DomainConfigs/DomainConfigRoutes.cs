using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.DomainConfigs;

/// <summary><c>/v3/domains/{domain_id}/config</c>: what a domain has otherwise than <c>keystone.conf</c> says, such as its own LDAP.</summary>
internal sealed class DomainConfigRoutes(KeystoneStore store, ServiceConfig config)
{
    private const string SecurityCompliance = "security_compliance";

    private static readonly ConfigOption[] Readable = [KeystoneOptions.PasswordRegex, KeystoneOptions.PasswordRegexDescription];

    private static readonly JsonSchema Body = JsonSchema.Object(true, ("config", new JsonSchema { Types = ["object"] }));

    private readonly string defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);

    public void Map(ApiRoutes routes)
    {
        const string whole = "/v3/domains/{domain_id}/config";
        routes.Put(whole, CreateAsync).Policy("identity:create_domain_config").Body(Body);
        foreach (var pattern in (string[])[whole, whole + "/{group}", whole + "/{group}/{option}"])
        {
            routes.Read(pattern, ShowAsync, "identity:get_domain_config", "identity:get_security_compliance_domain_config");
            routes.Patch(pattern, UpdateAsync).Policy("identity:update_domain_config").Body(Body);
            routes.Delete(pattern, DeleteAsync).Policy("identity:delete_domain_config");
        }
        foreach (var pattern in (string[])["default", "{group}/default", "{group}/{option}/default"])
        {
            routes.Read("/v3/domains/config/" + pattern, ShowDefaultAsync, "identity:get_domain_config_default");
        }
    }

    private static string? Place(ApiContext context, string name) => context.Http.Request.RouteValues[name] as string;

    private static IQueryable<DomainConfigRow> Rows(DataConnection db, string domainId, string? group, string? option)
    {
        var query = db.DomainConfigs().Where(c => c.DomainId == domainId);
        query = group is null ? query : query.Where(c => c.Group == group);
        return option is null ? query : query.Where(c => c.Option == option);
    }

    private static Task WriteAsync(ApiContext context, int status, IReadOnlyList<DomainConfigRow> rows, bool oneOption) => context.WriteJsonAsync(status, json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("config");
        foreach (var group in rows.GroupBy(static r => r.Group))
        {
            if (!oneOption)
            {
                json.WriteStartObject(group.Key);
            }
            foreach (var row in group)
            {
                json.WritePropertyName(row.Option);
                json.WriteRawValue(row.Value, skipInputValidation: true);
            }
            if (!oneOption)
            {
                json.WriteEndObject();
            }
        }
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private Task WriteAsync(ApiContext context, string group, IEnumerable<ConfigOption> options, bool oneOption) =>
        WriteAsync(context, [(group, options)], oneOption);

    private Task WriteAsync(ApiContext context, IEnumerable<(string Group, IEnumerable<ConfigOption> Options)> groups, bool oneOption) =>
        context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("config");
            foreach (var (group, options) in groups)
            {
                if (!oneOption)
                {
                    json.WriteStartObject(group);
                }
                foreach (var option in options)
                {
                    DomainConfigModel.WriteValue(json, config, option);
                }
                if (!oneOption)
                {
                    json.WriteEndObject();
                }
            }
            json.WriteEndObject();
            json.WriteEndObject();
        });

    private static async Task<JsonElement> ReadAsync(ApiContext context) =>
        (await context.ReadJsonAsync()).TryGetProperty("config", out var config) ? config : default;

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var id = context.Route("domain_id");
        var body = await ReadAsync(context);
        var existed = false;
        List<DomainConfigRow> rows = [];
        await store.WriteAsync(
            async db =>
            {
                await ProjectQueries.RequireDomainAsync(db, id, context.Aborted);
                rows = DomainConfigModel.Read(id, body);
                existed = await db.DomainConfigs().Where(c => c.DomainId == id).DeleteAsync(context.Aborted) > 0;
                foreach (var row in rows)
                {
                    await db.InsertAsync(row, token: context.Aborted);
                }
            },
            context.Aborted);
        await WriteAsync(context, existed ? 200 : 201, rows.FindAll(static r => !r.IsSensitive), false);
    }

    private async Task ShowAsync(ApiContext context)
    {
        var (id, group, option) = (context.Route("domain_id"), Place(context, "group"), Place(context, "option"));
        context.Enforce(context.RouteInfo.Policies[group == SecurityCompliance ? 1 : 0], PolicyTarget.Empty);
        if (group == SecurityCompliance)
        {
            if (id != defaultDomainId)
            {
                throw DomainConfigModel.Invalid("Reading security compliance information for any domain other than the default domain is not allowed or supported.");
            }
            if (option is not null && Readable.All(o => o.Name != option))
            {
                throw DomainConfigModel.Invalid("Reading security compliance values other than password_regex and password_regex_description is not allowed.");
            }
            await WriteAsync(context, group, Readable.Where(o => option is null || o.Name == option), option is not null);
            return;
        }
        await using var db = store.Read();
        await ProjectQueries.RequireDomainAsync(db, id, context.Aborted);
        DomainConfigModel.RequireKnown(group, option);
        var rows = await Rows(db, id, group, option).Where(static c => !c.IsSensitive).OrderBy(static c => c.Group).ThenBy(static c => c.Option)
            .ToListAsync(context.Aborted);
        await WriteAsync(context, 200, rows.Count > 0 ? rows : throw DomainConfigModel.Missing(id, group, option), option is not null);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var (id, group, option) = (context.Route("domain_id"), Place(context, "group"), Place(context, "option"));
        var body = await ReadAsync(context);
        List<DomainConfigRow> after = [];
        await store.WriteAsync(
            async db =>
            {
                await ProjectQueries.RequireDomainAsync(db, id, context.Aborted);
                var rows = option is null ? DomainConfigModel.Read(id, body) : ReadOptions(id, group!, body);
                DomainConfigModel.RequireKnown(group, option);
                RequireOnly(rows, group, option);
                if (group is not null && !await Rows(db, id, group, option).AnyAsync(context.Aborted))
                {
                    throw DomainConfigModel.Missing(id, group, option);
                }
                foreach (var row in rows)
                {
                    await db.InsertOrReplaceAsync(row, token: context.Aborted);
                }
                after = await Rows(db, id, null, null).Where(static c => !c.IsSensitive).OrderBy(static c => c.Group).ThenBy(static c => c.Option)
                    .ToListAsync(context.Aborted);
            },
            context.Aborted);
        await WriteAsync(context, 200, after, false);
    }

    /// <summary>The body for one option has it without its group.</summary>
    private static List<DomainConfigRow> ReadOptions(string domainId, string group, JsonElement body)
    {
        using var wrapped = JsonDocument.Parse($"{{{JsonSerializer.Serialize(group)}: {(body.ValueKind == JsonValueKind.Undefined ? "{}" : body.GetRawText())}}}");
        return DomainConfigModel.Read(domainId, wrapped.RootElement);
    }

    private static void RequireOnly(List<DomainConfigRow> rows, string? group, string? option)
    {
        if (group is null)
        {
            return;
        }
        var groups = rows.Select(static r => r.Group).Distinct().ToList();
        if (groups.Count != 1 || (option is not null && rows.Count != 1))
        {
            throw DomainConfigModel.Invalid(option is not null
                ? $"Trying to update option {option} in group {group}, so that, and only that, option must be specified  in the config"
                : $"Trying to update group {group}, so that, and only that, group must be specified in the config");
        }
        if (groups[0] != group)
        {
            throw DomainConfigModel.Invalid($"request to update group {group}, but config provided contains group {groups[0]} instead");
        }
        if (option is not null && rows[0].Option != option)
        {
            throw DomainConfigModel.Invalid($"Trying to update option {option} in group {group}, but config provided contains option {rows[0].Option} instead");
        }
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var (id, group, option) = (context.Route("domain_id"), Place(context, "group"), Place(context, "option"));
        await store.WriteAsync(
            async db =>
            {
                await ProjectQueries.RequireDomainAsync(db, id, context.Aborted);
                DomainConfigModel.RequireKnown(group, option);
                if (await Rows(db, id, group, option).DeleteAsync(context.Aborted) == 0 && group is not null)
                {
                    throw DomainConfigModel.Missing(id, group, option);
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ShowDefaultAsync(ApiContext context)
    {
        context.Enforce(PolicyTarget.Empty);
        var (group, option) = (Place(context, "group"), Place(context, "option"));
        DomainConfigModel.RequireKnown(group, option);
        if (option is not null && DomainConfigModel.IsSensitive(group!, option))
        {
            throw DomainConfigModel.Invalid($"Reading the default for option {option} in group {group} is not supported");
        }
        await WriteAsync(
            context,
            DomainConfigModel.Groups.Where(g => group is null || g == group)
                .Select(g => (g, DomainConfigModel.OptionsOf(g).Where(o => option is null || o.Name == option))),
            option is not null);
    }
}
