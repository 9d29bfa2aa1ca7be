using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Flavors;

/// <summary><c>/flavors</c>, their extra specs and access lists.</summary>
internal sealed partial class FlavorRoutes(FlavorStore flavors)
{
    private const string SpecsIndex = "os_compute_api:os-flavor-extra-specs:index";

    private static readonly string[] Query = ["limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir"];

    private static readonly JsonSchema Disk = JsonSchema.AnyOf(JsonSchema.Integer(0, int.MaxValue), JsonSchema.String(1, 10, Digits()));

    private static readonly JsonSchema Size = JsonSchema.AnyOf(JsonSchema.Integer(1, int.MaxValue), JsonSchema.String(1, 10, Digits()));

    private static readonly JsonSchema Specs = new()
    {
        Types = ["object"],
        AdditionalAllowed = false,
        PatternProperties = [(SpecName(), new JsonSchema { Types = ["string", "number"], MaxLength = 255 })],
    };

    public void Map(NovaRoutes routes)
    {
        routes.Get("/flavors", context => ListAsync(context, false)).ForEveryToken();
        routes.Get("/flavors/detail", context => ListAsync(context, true)).ForEveryToken();
        routes.Get("/flavors/{id}", ShowAsync).ForEveryToken();
        routes.Post("/flavors", CreateAsync).Policy("os_compute_api:os-flavor-manage:create")
            .Body(CreateSchema(false), null, "2.54").Body(CreateSchema(true), "2.55");
        routes.Put("/flavors/{id}", UpdateAsync).Policy("os_compute_api:os-flavor-manage:update").Versions("2.55")
            .Body(JsonSchema.Envelope("flavor", JsonSchema.Object(false, ("description!", JsonSchema.String(0, 65_535).OrNull()))));
        routes.Delete("/flavors/{id}", DeleteAsync).Policy("os_compute_api:os-flavor-manage:delete");
        routes.Post("/flavors/{id}/action", ActAsync).Policy("os_compute_api:os-flavor-access:add_tenant_access", "os_compute_api:os-flavor-access:remove_tenant_access");
        routes.Get("/flavors/{id}/os-flavor-access", AccessAsync).Policy("os_compute_api:os-flavor-access");
        routes.Get("/flavors/{id}/os-extra_specs", ListSpecsAsync).Policy(SpecsIndex);
        routes.Post("/flavors/{id}/os-extra_specs", CreateSpecsAsync).Policy("os_compute_api:os-flavor-extra-specs:create").Body(JsonSchema.Envelope("extra_specs", Specs));
        routes.Get("/flavors/{id}/os-extra_specs/{key}", ShowSpecAsync).Policy("os_compute_api:os-flavor-extra-specs:show");
        routes.Put("/flavors/{id}/os-extra_specs/{key}", UpdateSpecAsync).Policy("os_compute_api:os-flavor-extra-specs:update").Body(Specs with { MinProperties = 1, MaxProperties = 1 });
        routes.Delete("/flavors/{id}/os-extra_specs/{key}", DeleteSpecAsync).Policy("os_compute_api:os-flavor-extra-specs:delete");
    }

    private static JsonSchema CreateSchema(bool description)
    {
        var properties = new List<(string, JsonSchema)>
        {
            ("name!", Schemas.Name),
            ("id", new JsonSchema { Types = ["string", "number", "null"], MinLength = 1, MaxLength = 255, Pattern = FlavorId() }),
            ("ram!", Size),
            ("vcpus!", Size),
            ("disk!", Disk),
            ("OS-FLV-EXT-DATA:ephemeral", Disk),
            ("swap", Disk),
            ("rxtx_factor", JsonSchema.AnyOf(JsonSchema.Number(0.000001, 3.40282e+38), JsonSchema.String(1, null, Factor()))),
            ("os-flavor-access:is_public", Schemas.Boolean),
        };
        if (description)
        {
            properties.Add(("description", JsonSchema.String(0, 65_535).OrNull()));
        }

        return JsonSchema.Envelope("flavor", JsonSchema.Object(false, [.. properties]));
    }

    private async Task ListAsync(ApiContext context, bool detailed)
    {
        context.AllowQuery(Query);
        var admin = context.IsAdmin();
        bool? isPublic = true;
        if (admin && context.Query["is_public"] is { } asked)
        {
            isPublic = asked.ToUpperInvariant() switch
            {
                "NONE" => null,
                "TRUE" or "T" or "1" or "YES" or "Y" or "ON" => true,
                "FALSE" or "F" or "0" or "NO" or "N" or "OFF" => false,
                _ => throw CloudException.BadRequest($"Invalid is_public filter [{asked}]"),
            };
        }

        var minMemory = Filter("minRam");
        var minDisk = Filter("minDisk");
        var limit = context.PageLimit();
        var rows = (await flavors.ListAsync(context.Identity.ProjectId, isPublic, context.Aborted))
            .Where(flavor => (admin || !flavor.Disabled) && flavor.MemoryMb >= minMemory && flavor.RootGb >= minDisk);
        var sorted = Sorted(rows, context.Query["sort_key"] ?? "flavorid", context.Query["sort_dir"] ?? "asc").ToList();
        if (context.Query.Marker is { } marker)
        {
            var index = sorted.FindIndex(flavor => flavor.FlavorId == marker);
            sorted = index < 0 ? throw CloudException.BadRequest($"marker [{marker}] not found") : sorted[(index + 1)..];
        }

        if (sorted.Count > limit)
        {
            sorted = sorted[..limit];
        }

        var specs = detailed && context.Since(61) && context.Can(SpecsIndex);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("flavors");
            foreach (var flavor in sorted)
            {
                if (detailed)
                {
                    FlavorWriter.Write(json, context, flavor, specs);
                }
                else
                {
                    FlavorWriter.WriteBrief(json, context, flavor);
                }
            }

            json.WriteEndArray();
            if (sorted.Count > 0)
            {
                context.WriteNextLink(json, "flavors_links", detailed ? "flavors/detail" : "flavors", sorted.Count, limit, sorted[^1].FlavorId);
            }

            json.WriteEndObject();
        });

        int Filter(string name) => context.Query[name] is not { } text ? 0
            : int.TryParse(text, out var number) ? number
            : throw CloudException.BadRequest($"Invalid {name} filter [{text}]");
    }

    private static IEnumerable<FlavorRow> Sorted(IEnumerable<FlavorRow> rows, string key, string direction)
    {
        Func<FlavorRow, IComparable?> by = key switch
        {
            "flavorid" => flavor => flavor.FlavorId,
            "name" => flavor => flavor.Name,
            "id" => flavor => flavor.Id,
            "memory_mb" => flavor => flavor.MemoryMb,
            "vcpus" => flavor => flavor.Vcpus,
            "root_gb" => flavor => flavor.RootGb,
            "ephemeral_gb" => flavor => flavor.EphemeralGb,
            "swap" => flavor => flavor.SwapMb,
            "rxtx_factor" => flavor => flavor.RxtxFactor,
            "is_public" => flavor => flavor.IsPublic,
            "disabled" => flavor => flavor.Disabled,
            "description" => flavor => flavor.Description,
            "created_at" => flavor => flavor.CreatedAt,
            "updated_at" => flavor => flavor.UpdatedAt,
            _ => throw CloudException.BadRequest($"Invalid input for query parameters sort_key. Value: {key}. '{key}' is not one of the keys that flavors are sorted by"),
        };
        return direction.ToUpperInvariant() switch
        {
            "ASC" => rows.OrderBy(by, Comparer<IComparable?>.Create(Compare)).ThenBy(flavor => flavor.Id),
            "DESC" => rows.OrderByDescending(by, Comparer<IComparable?>.Create(Compare)).ThenByDescending(flavor => flavor.Id),
            _ => throw CloudException.BadRequest($"Unknown sort direction '{direction}', must be 'asc' or 'desc'"),
        };

        static int Compare(IComparable? left, IComparable? right) =>
            left is string text && right is string other ? string.CompareOrdinal(text, other) : left is null ? (right is null ? 0 : -1) : left.CompareTo(right);
    }

    private Task<FlavorRow> FindAsync(ApiContext context) => flavors.GetAsync(context.Route("id"), context.Identity.ProjectId, context.IsAdmin(), context.Aborted);

    private async Task ShowAsync(ApiContext context) => await WriteAsync(context, await FindAsync(context));

    private static Task WriteAsync(ApiContext context, FlavorRow flavor)
    {
        var specs = context.Since(61) && context.Can(SpecsIndex);
        return context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("flavor");
            FlavorWriter.Write(json, context, flavor, specs);
            json.WriteEndObject();
        });
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = (await context.ReadJsonAsync()).GetProperty("flavor");
        var id = body.TryGetProperty("id", out var given) && given.ValueKind != JsonValueKind.Null ? given.ToString() : "auto";
        var row = new FlavorRow
        {
            FlavorId = id is "auto" or "" ? Guid.NewGuid().ToString() : id,
            Name = body.GetProperty("name").GetString()!,
            MemoryMb = Positive("ram"),
            Vcpus = Positive("vcpus"),
            RootGb = Number("disk"),
            EphemeralGb = Number("OS-FLV-EXT-DATA:ephemeral"),
            SwapMb = Number("swap"),
            RxtxFactor = body.TryGetProperty("rxtx_factor", out var factor)
                ? double.Parse(factor.ToString(), System.Globalization.CultureInfo.InvariantCulture) : 1.0,
            IsPublic = !body.TryGetProperty("os-flavor-access:is_public", out var isPublic) || isPublic.Truth(),
            Description = body.Text("description"),
        };
        await WriteAsync(context, await flavors.CreateAsync(row, context.Aborted));

        int Number(string name) => body.TryGetProperty(name, out var value) ? value.Whole(name) : 0;

        int Positive(string name) => Number(name) is > 0 and var number ? number
            : throw CloudException.BadRequest($"Invalid input for field/attribute {name}. Value: {Number(name)}. {Number(name)} is less than the minimum of 1");
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var description = (await context.ReadJsonAsync()).GetProperty("flavor").Text("description");
        await WriteAsync(context, await flavors.UpdateAsync(context.Route("id"), row => row with { Description = description }, context.Aborted));
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        await flavors.DeleteAsync(context.Route("id"), context.Aborted);
        await context.NoContentAsync(202);
    }

    private async Task ActAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        var action = body.ValueKind == JsonValueKind.Object ? body.EnumerateObject().Select(member => member.Name).FirstOrDefault() : null;
        if (action is not ("addTenantAccess" or "removeTenantAccess"))
        {
            throw CloudException.BadRequest($"There is no such action: {action}");
        }

        var add = action == "addTenantAccess";
        context.Enforce(context.RouteInfo.Policies[add ? 0 : 1], context.OwnTarget());
        if (body.GetProperty(action) is not { ValueKind: JsonValueKind.Object } argument || argument.Text("tenant") is not { Length: > 0 and <= 255 } project)
        {
            throw CloudException.BadRequest("Invalid input for field/attribute tenant. Value: None. 'tenant' is a required property");
        }

        var flavor = await flavors.GetAsync(context.Route("id"), null, true, context.Aborted);
        if (add && context.Since(7) && flavor.IsPublic)
        {
            throw CloudException.Conflict("Can not add access to a public flavor.");
        }

        await (add ? flavors.AddAccessAsync(flavor, project, context.Aborted) : flavors.RemoveAccessAsync(flavor, project, context.Aborted));
        await WriteAccessAsync(context, flavor);
    }

    private async Task AccessAsync(ApiContext context)
    {
        context.Enforce();
        var flavor = await FindAsync(context);
        if (flavor.IsPublic)
        {
            throw CloudException.NotFound("Access list not available for public flavors.");
        }

        await WriteAccessAsync(context, flavor);
    }

    private async Task WriteAccessAsync(ApiContext context, FlavorRow flavor)
    {
        var projects = await flavors.ProjectsAsync(flavor.Id, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("flavor_access");
            foreach (var project in projects)
            {
                json.WriteStartObject();
                json.WriteString("flavor_id", flavor.FlavorId);
                json.WriteString("tenant_id", project);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ListSpecsAsync(ApiContext context)
    {
        context.Enforce();
        var flavor = await FindAsync(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("extra_specs");
            json.WriteRawValue(flavor.ExtraSpecs, skipInputValidation: true);
            json.WriteEndObject();
        });
    }

    private async Task CreateSpecsAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadJsonAsync();
        var specs = body.GetProperty("extra_specs");
        await flavors.UpdateExtraSpecsAsync(context.Route("id"), all => Merge(all, specs), context.Aborted);
        await context.WriteJsonAsync(200, body.WriteTo);
    }

    private async Task ShowSpecAsync(ApiContext context)
    {
        context.Enforce();
        var flavor = await FindAsync(context);
        var key = context.Route("key");
        if (!StoredJson.Map(flavor.ExtraSpecs).TryGetValue(key, out var value))
        {
            throw NoSpec(context);
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteString(key, value);
            json.WriteEndObject();
        });
    }

    private async Task UpdateSpecAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadJsonAsync();
        if (!body.TryGetProperty(context.Route("key"), out _))
        {
            throw CloudException.BadRequest("Request body and URI mismatch");
        }

        await flavors.UpdateExtraSpecsAsync(context.Route("id"), all => Merge(all, body), context.Aborted);
        await context.WriteJsonAsync(200, body.WriteTo);
    }

    private async Task DeleteSpecAsync(ApiContext context)
    {
        context.Enforce();
        await flavors.UpdateExtraSpecsAsync(
            context.Route("id"),
            all =>
            {
                if (!all.Remove(context.Route("key")))
                {
                    throw NoSpec(context);
                }
            },
            context.Aborted);
        await context.NoContentAsync(200);
    }

    private static CloudException NoSpec(ApiContext context) =>
        CloudException.NotFound($"Flavor {context.Route("id")} has no extra specs with key {context.Route("key")}.");

    private static void Merge(Dictionary<string, string> all, JsonElement specs)
    {
        foreach (var spec in specs.EnumerateObject())
        {
            all[spec.Name] = spec.Value.ToString();
        }
    }

    [GeneratedRegex("^[0-9]*$")]
    private static partial Regex Digits();

    [GeneratedRegex(@"^(?! )[a-zA-Z0-9. _-]+(?<! )$")]
    private static partial Regex FlavorId();

    [GeneratedRegex(@"^[0-9]+(\.[0-9]+)?$")]
    private static partial Regex Factor();

    [GeneratedRegex("^[a-zA-Z0-9-_:. ]{1,255}$")]
    private static partial Regex SpecName();
}
