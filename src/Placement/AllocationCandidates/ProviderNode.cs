using System.Buffers;
using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>A provider in memory with all that a search asks of it; never changed, only replaced.</summary>
internal sealed class ProviderNode(ResourceProvider provider, long? parentId, long rootId, NodeInventory[] inventories, int[] traits, string[] aggregates)
{
    private byte[]? summary;

    private ProviderNode[]? alone;

    public ResourceProvider Provider { get; } = provider;

    public long Id => Provider.Id;

    /// <summary>A list of this provider only.</summary>
    public ProviderNode[] Alone => alone ??= [this];

    public long? ParentId { get; } = parentId;

    public long RootId { get; } = rootId;

    public NodeInventory[] Inventories { get; } = inventories;

    /// <summary>In ascending order.</summary>
    public int[] Traits { get; } = traits;

    public string[] Aggregates { get; } = aggregates;

    public JsonEncodedText Uuid { get; } = JsonEncodedText.Encode(provider.Uuid);

    public bool HasTrait(int id) => Array.BinarySearch(Traits, id) >= 0;

    public bool HasAnyTrait(int[] ids)
    {
        foreach (var id in ids)
        {
            if (HasTrait(id))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Whether each set names an aggregate of this provider.</summary>
    public bool IsMemberOf(IReadOnlyList<IReadOnlySet<string>> sets)
    {
        foreach (var set in sets)
        {
            if (!Aggregates.Any(set.Contains))
            {
                return false;
            }
        }

        return true;
    }

    public bool IsMemberOfAny(IReadOnlySet<string> set) => set.Count > 0 && Aggregates.Any(set.Contains);

    public NodeInventory? Inventory(int classId)
    {
        foreach (var inventory in Inventories)
        {
            if (inventory.ClassId == classId)
            {
                return inventory;
            }
        }

        return null;
    }

    /// <summary>Whether this amount can be had of this provider alone.</summary>
    public bool Offers(int classId, long amount) => Inventory(classId) is { } inventory && inventory.Row.Permits(amount) && inventory.Used + amount <= inventory.Capacity;

    /// <summary>The provider's entry in <c>provider_summaries</c> from 1.29 on; written once, for the same provider is asked for again and again.</summary>
    public ReadOnlySpan<byte> Summary(Names names)
    {
        if (summary is null)
        {
            var buffer = new ArrayBufferWriter<byte>(512);
            using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
            {
                json.WriteStartObject();
                WriteResources(json, names, null);
                WriteTraits(json, names);
                json.WriteString("parent_provider_uuid", Provider.ParentUuid);
                json.WriteString("root_provider_uuid", Provider.RootUuid);
                json.WriteEndObject();
            }

            summary = buffer.WrittenSpan.ToArray();
        }

        return summary;
    }

    /// <param name="only">The classes to show; null for all.</param>
    public void WriteResources(Utf8JsonWriter json, Names names, IReadOnlySet<int>? only)
    {
        json.WriteStartObject("resources");
        foreach (var inventory in Inventories)
        {
            if (only is null || only.Contains(inventory.ClassId))
            {
                json.WriteStartObject(names.ClassName(inventory.ClassId));
                json.WriteNumber("capacity", inventory.Capacity);
                json.WriteNumber("used", inventory.Used);
                json.WriteEndObject();
            }
        }

        json.WriteEndObject();
    }

    public void WriteTraits(Utf8JsonWriter json, Names names)
    {
        json.WriteStartArray("traits");
        foreach (var trait in Traits)
        {
            json.WriteStringValue(names.TraitName(trait));
        }

        json.WriteEndArray();
    }
}

/// <summary>An inventory and what is in use of it.</summary>
internal sealed class NodeInventory(InventoryRow row, long used)
{
    public InventoryRow Row { get; } = row;

    public int ClassId { get; } = row.ClassId;

    public long Capacity { get; } = row.Capacity;

    public long Used { get; } = used;
}

/// <summary>A root provider and all below it, by id.</summary>
internal sealed record ProviderTree(ProviderNode Root, ProviderNode[] Nodes);
