using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.Inventories;

/// <summary>What a request says of one inventory; what it leaves out has Placement's defaults.</summary>
internal sealed record Inventory(string ResourceClass, int Total, int Reserved, int MinUnit, int MaxUnit, int StepSize, double AllocationRatio)
{
    private static readonly JsonSchema Natural = JsonSchema.Integer(1, int.MaxValue);

    private static readonly (string Name, JsonSchema Schema)[] Fields =
    [
        ("resource_provider_generation", JsonSchema.Integer()),
        ("total!", Natural),
        ("reserved", JsonSchema.Integer(0, int.MaxValue)),
        ("min_unit", Natural),
        ("max_unit", Natural),
        ("step_size", Natural),
        // The largest single-precision float, which some databases store.
        ("allocation_ratio", JsonSchema.Number(max: 3.40282e+38)),
    ];

    /// <summary>One inventory whose class is in the path.</summary>
    public static readonly JsonSchema OneSchema = JsonSchema.Object(false, [.. Fields[1..], ("resource_provider_generation!", JsonSchema.Integer())]);

    /// <summary>One inventory that names its class.</summary>
    public static readonly JsonSchema NewSchema = JsonSchema.Object(false, [.. Fields, ("resource_class!", JsonSchema.String(pattern: PlacementApi.NamePattern))]);

    /// <summary>All inventories of a provider.</summary>
    public static readonly JsonSchema AllSchema = JsonSchema.Object(
        false,
        ("resource_provider_generation!", JsonSchema.Integer()),
        ("inventories!", new JsonSchema { Types = ["object"], AdditionalAllowed = false, PatternProperties = [(PlacementApi.NamePattern, JsonSchema.Object(false, Fields))] }));

    public static Inventory Read(string resourceClass, JsonElement json)
    {
        int Field(string name, int otherwise) => json.TryGetProperty(name, out var value) ? (int)value.Whole() : otherwise;
        return new Inventory(
            resourceClass,
            Field("total", 0),
            Field("reserved", 0),
            Field("min_unit", 1),
            Field("max_unit", int.MaxValue),
            Field("step_size", 1),
            json.TryGetProperty("allocation_ratio", out var ratio) ? ratio.GetDouble() : 1.0);
    }

    /// <summary>The inventories of a body in <see cref="AllSchema"/>.</summary>
    public static List<Inventory> ReadAll(JsonElement body) =>
        [.. body.GetProperty("inventories").EnumerateObject().Select(property => Read(property.Name, property.Value))];

    public InventoryRow Row(long provider, int classId, long now) => new()
    {
        ProviderId = provider,
        ClassId = classId,
        Total = Total,
        Reserved = Reserved,
        MinUnit = MinUnit,
        MaxUnit = MaxUnit,
        StepSize = StepSize,
        AllocationRatio = AllocationRatio,
        UpdatedAt = now,
    };

    public static void WriteFields(Utf8JsonWriter json, InventoryRow row)
    {
        json.WriteNumber("total", row.Total);
        json.WriteNumber("reserved", row.Reserved);
        json.WriteNumber("min_unit", row.MinUnit);
        json.WriteNumber("max_unit", row.MaxUnit);
        json.WriteNumber("step_size", row.StepSize);
        json.WriteFloat("allocation_ratio", row.AllocationRatio);
    }
}

/// <summary>Inventories as write transactions change them.</summary>
internal static class InventoryWrites
{
    public static Task<List<InventoryRow>> OfAsync(DataConnection session, long provider, CancellationToken cancellationToken) =>
        session.GetTable<InventoryRow>().Where(row => row.ProviderId == provider).OrderBy(row => row.ClassId).ToListAsync(cancellationToken);

    /// <summary>Refuses inventories that leave nothing to allocate: before 1.26 a capacity of 0, from then on only a negative one.</summary>
    public static void CheckCapacity(IEnumerable<Inventory> inventories, string provider, Microversion version, string before)
    {
        foreach (var inventory in inventories)
        {
            var capacity = inventory.Row(0, 0, 0).Capacity;
            if (version.AtLeast(26) ? capacity < 0 : capacity <= 0)
            {
                var why = version.AtLeast(26) ? "The reserved value is greater than total." : "The reserved value is greater than or equal to total.";
                throw CloudException.BadRequest($"{before} {provider}: Invalid inventory for '{inventory.ResourceClass}' on resource provider '{provider}'. {why}");
            }
        }
    }

    /// <summary>Makes these the provider's inventories, and raises its generation.</summary>
    /// <exception cref="InventoryInUseException">One that is to go has allocations.</exception>
    public static async Task ReplaceAsync(WriteSession write, ResourceProvider provider, IReadOnlyList<InventoryRow> wanted, Names names)
    {
        var existing = await OfAsync(write.Db, provider.Id, write.Cancelled);
        var removed = existing.Select(row => row.ClassId).Except(wanted.Select(row => row.ClassId)).ToList();
        await RemoveAsync(write, provider, removed, names);
        var known = existing.ToDictionary(row => row.ClassId);
        foreach (var row in wanted)
        {
            if (!known.TryGetValue(row.ClassId, out var former))
            {
                await write.Db.InsertAsync(row, token: write.Cancelled);
            }
            else if (former with { UpdatedAt = row.UpdatedAt } != row)
            {
                await write.Db.UpdateAsync(row, token: write.Cancelled);
            }
        }

        await write.TouchAsync([provider.Id], raiseGeneration: true);
    }

    public static async Task RemoveAsync(WriteSession write, ResourceProvider provider, IReadOnlyCollection<int> classes, Names names)
    {
        if (classes.Count == 0)
        {
            return;
        }

        var used = await write.Db.GetTable<AllocationRow>().Where(row => row.ProviderId == provider.Id && classes.Contains(row.ClassId))
            .Select(row => row.ClassId).Distinct().ToListAsync(write.Cancelled);
        if (used.Count > 0)
        {
            throw new InventoryInUseException($"Inventory for '{string.Join(", ", used.Select(names.ClassName))}' on resource provider '{provider.Uuid}' in use.");
        }

        await write.Db.GetTable<InventoryRow>().Where(row => row.ProviderId == provider.Id && classes.Contains(row.ClassId)).DeleteAsync(write.Cancelled);
    }
}

/// <summary>An inventory that is to be removed has allocations.</summary>
internal sealed class InventoryInUseException(string message) : CloudException(ErrorKind.Conflict, message, ErrorCodes.InventoryInUse);
