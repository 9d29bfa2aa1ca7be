using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Placement.Allocations;

/// <summary>What a consumer is to have, instead of whatever it has now; nothing where <see cref="Allocations"/> is empty.</summary>
/// <param name="Consumer">Its UUID.</param>
/// <param name="ProjectId">Null before 1.8: the configured project of incomplete consumers.</param>
/// <param name="Type">Null before 1.38: left as it is.</param>
/// <param name="ExpectedGeneration">Null for a consumer that must not have allocations yet; not looked at before 1.28.</param>
/// <param name="Allocations">Amounts by class, by provider UUID.</param>
internal sealed record Claim(
    string Consumer,
    string? ProjectId,
    string? UserId,
    string? Type,
    bool ChecksGeneration,
    long? ExpectedGeneration,
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, long>> Allocations)
{
    private static readonly JsonSchema Resources = new()
    {
        Types = ["object"], MinProperties = 1, AdditionalAllowed = false, PatternProperties = [(PlacementApi.NamePattern, JsonSchema.Integer(1))],
    };

    private static readonly JsonSchema Id = JsonSchema.String(1, 255);

    private static readonly JsonSchema Mappings = new()
    {
        Types = ["object"], MinProperties = 1, PatternProperties = [(AllocationCandidates.RequestGroup.SuffixPattern, JsonSchema.Array(JsonSchema.Uuid, min: 1))],
    };

    /// <summary>The body of <c>PUT /allocations/{consumer}</c> at a version of that minor number.</summary>
    public static JsonSchema Schema(int minor) => Schema(minor, mayBeEmpty: minor >= 28);

    /// <summary>The body of <c>POST /allocations</c>: the former, by consumer.</summary>
    public static JsonSchema ManySchema(int minor, int minimum = 1) => new()
    {
        Types = ["object"], MinProperties = minimum, AdditionalAllowed = false, PatternProperties = [(PlacementApi.UuidPattern, Schema(minor, mayBeEmpty: true))],
    };

    public static Claim Read(string consumer, JsonElement json, Microversion version)
    {
        string? Text(string name) => json.TryGetProperty(name, out var value) ? value.GetString() : null;
        var allocations = new Dictionary<string, IReadOnlyDictionary<string, long>>();
        if (version.AtLeast(12))
        {
            foreach (var property in json.GetProperty("allocations").EnumerateObject())
            {
                allocations[property.Name] = Amounts(property.Value);
            }
        }
        else
        {
            foreach (var item in json.GetProperty("allocations").EnumerateArray())
            {
                allocations[item.GetProperty("resource_provider").GetProperty("uuid").GetString()!] = Amounts(item);
            }
        }

        var generation = json.TryGetProperty("consumer_generation", out var given) && given.ValueKind == JsonValueKind.Number ? given.Whole() : (long?)null;
        return new Claim(consumer, Text("project_id"), Text("user_id"), Text("consumer_type"), version.AtLeast(28), generation, allocations);
    }

    public static List<Claim> ReadMany(JsonElement json, Microversion version) =>
        [.. json.EnumerateObject().Select(property => Read(property.Name, property.Value, version))];

    private static Dictionary<string, long> Amounts(JsonElement json) =>
        json.GetProperty("resources").EnumerateObject().ToDictionary(property => property.Name, property => property.Value.Whole());

    private static JsonSchema Schema(int minor, bool mayBeEmpty)
    {
        if (minor < 12)
        {
            var provider = JsonSchema.Object(false, ("uuid!", JsonSchema.Uuid));
            var list = ("allocations!", JsonSchema.Array(JsonSchema.Object(false, ("resource_provider!", provider), ("resources!", Resources)), min: 1));
            return minor < 8 ? JsonSchema.Object(false, list) : JsonSchema.Object(false, list, ("project_id!", Id), ("user_id!", Id));
        }

        var fields = new List<(string, JsonSchema)>
        {
            ("allocations!", new JsonSchema
            {
                Types = ["object"],
                MinProperties = mayBeEmpty ? null : 1,
                AdditionalAllowed = false,
                PatternProperties = [(PlacementApi.UuidPattern, JsonSchema.Object(false, ("generation", JsonSchema.Integer()), ("resources!", Resources)))],
            }),
            ("project_id!", Id),
            ("user_id!", Id),
        };
        if (minor >= 28)
        {
            fields.Add(("consumer_generation!", JsonSchema.Integer().OrNull()));
        }

        if (minor >= 34)
        {
            fields.Add(("mappings", Mappings));
        }

        if (minor >= 38)
        {
            fields.Add(("consumer_type!", JsonSchema.String(1, 255, PlacementApi.NamePattern)));
        }

        return JsonSchema.Object(false, [.. fields]);
    }
}

/// <summary>The amount is not to be had: no inventory, a size it does not permit, or no capacity left.</summary>
internal sealed class AllocationRefusedException(string message) : CloudException(ErrorKind.Conflict, message);
