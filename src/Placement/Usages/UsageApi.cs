using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Usages;

/// <summary>What is in use: of a provider, and by a project (and user).</summary>
internal sealed class UsageApi(PlacementStore store, NameCatalog catalog)
{
    private const string OfProvider = "placement:resource_providers:usages";
    private const string OfProject = "placement:usages";
    private const string Unknown = "unknown";

    public static readonly PolicyRule[] Policies =
    [
        PlacementPolicy.Reading(OfProvider, "List resource provider usages."),
        PlacementPolicy.ReadingOwn(OfProject, "List total resource usages for a given project."),
    ];

    public void Map(ApiRoutes routes)
    {
        routes.Get("/resource_providers/{uuid}/usages", OfProviderAsync).Policy(OfProvider);
        routes.Get("/usages", OfProjectAsync).Policy(OfProject).Versions("1.9");
    }

    private async Task OfProviderAsync(ApiContext context)
    {
        context.Enforce();
        context.CheckAccept();
        var uuid = context.Route("uuid");
        await using var session = store.Read();
        var provider = await ResourceProviderStore.FindAsync(session, uuid, context.Aborted) ?? throw ResourceProviderStore.NotFoundFor(uuid);
        var usages = await (
            from inventory in session.GetTable<InventoryRow>()
            where inventory.ProviderId == provider.Id
            orderby inventory.ClassId
            select new
            {
                inventory.ClassId,
                Used = session.GetTable<AllocationRow>().Where(row => row.ProviderId == provider.Id && row.ClassId == inventory.ClassId).Sum(row => (long?)row.Used),
            }).ToListAsync(context.Aborted);
        var names = await catalog.CurrentAsync(session, context.Aborted);
        await context.SendAsync(json =>
        {
            json.WriteStartObject();
            json.WriteNumber("resource_provider_generation", provider.Generation);
            json.WriteStartObject("usages");
            foreach (var usage in usages)
            {
                json.WriteNumber(names.ClassName(usage.ClassId), usage.Used ?? 0);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task OfProjectAsync(ApiContext context)
    {
        var project = context.Query["project_id"];
        var user = context.Query["user_id"];
        context.Enforce(PolicyTarget.Of(("project_id", project)));
        context.CheckAccept();
        var withTypes = context.Version.AtLeast(38);
        context.CheckQuery(name => name is "project_id" or "user_id" || (withTypes && name == "consumer_type"));
        CheckLength("project_id", project ?? throw CloudException.BadRequest("Invalid query string parameters: 'project_id' is a required property"));
        CheckLength("user_id", user);
        var type = context.Query["consumer_type"];
        CheckLength("consumer_type", type);
        if (type is not (null or "all" or Unknown) && !PlacementApi.NamePattern.IsMatch(type))
        {
            throw CloudException.BadRequest($"Invalid query string parameters: '{type}' does not match '^[A-Z0-9_]+$|^all|^unknown$'");
        }

        await using var session = store.Read();
        var consumers = session.GetTable<ConsumerRow>().Where(row => row.ProjectId == project);
        if (user is not null)
        {
            consumers = consumers.Where(row => row.UserId == user);
        }

        if (type is not (null or "all"))
        {
            var stored = type == Unknown ? null : type;
            consumers = consumers.Where(row => row.ConsumerType == stored);
        }

        var usages = await (
            from consumer in consumers
            join allocation in session.GetTable<AllocationRow>() on consumer.Id equals allocation.ConsumerId
            group allocation by new { consumer.ConsumerType, allocation.ClassId } into used
            orderby used.Key.ClassId
            select new { used.Key.ConsumerType, used.Key.ClassId, Used = used.Sum(row => row.Used) }).ToListAsync(context.Aborted);
        var counts = !withTypes ? [] : await (
            from consumer in consumers
            where session.GetTable<AllocationRow>().Any(row => row.ConsumerId == consumer.Id)
            group consumer by consumer.ConsumerType into typed
            select new { Type = typed.Key, Count = typed.Count() }).ToListAsync(context.Aborted);
        var names = await catalog.CurrentAsync(session, context.Aborted);
        var groups = usages
            .GroupBy(row => !withTypes || type == "all" ? "all" : row.ConsumerType ?? Unknown)
            .Select(group => (
                Type: group.Key,
                Count: counts.Where(row => group.Key == "all" || (row.Type ?? Unknown) == group.Key).Sum(row => row.Count),
                Amounts: group.GroupBy(row => row.ClassId).Select(amounts => (Name: names.ClassName(amounts.Key), Used: amounts.Sum(row => row.Used))).ToList()))
            .ToList();
        await context.SendAsync(json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("usages");
            foreach (var (name, count, amounts) in groups)
            {
                if (withTypes)
                {
                    json.WriteStartObject(name);
                    json.WriteNumber("consumer_count", count);
                }

                foreach (var (resourceClass, used) in amounts)
                {
                    json.WriteNumber(resourceClass, used);
                }

                if (withTypes)
                {
                    json.WriteEndObject();
                }
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static void CheckLength(string name, string? value)
    {
        if (value is { Length: 0 or > 255 })
        {
            throw CloudException.BadRequest($"Invalid query string parameters: the {name} must have 1 to 255 characters");
        }
    }
}
