using System.Net;
using System.Text.Json;
using SharpStack.Foundation.Identity;

namespace SharpStack.Foundation.Providers;

/// <summary>How much of a resource class a provider has, as Placement's API says it.</summary>
public sealed record ProviderInventory(int Total, int Reserved = 0, double AllocationRatio = 1, int MinUnit = 1, int MaxUnit = int.MaxValue, int StepSize = 1);

/// <summary>
/// Keeps resource providers in Placement as their owner wants them. Nothing is written where nothing differs, and what others changed meanwhile is not overwritten:
/// the generation that was read is sent (409, <c>placement.concurrent_update</c>).
/// </summary>
public sealed class ProviderClient(ServiceClient placement)
{
    private const string Version = "placement 1.36";

    /// <summary>A provider's UUID by its name; null where there is none.</summary>
    public async Task<string?> FindAsync(string name, CancellationToken cancellationToken) =>
        (await ListAsync($"name={Uri.EscapeDataString(name)}", cancellationToken)).Select(provider => provider.Id).FirstOrDefault();

    /// <summary>The providers of the tree that one belongs to.</summary>
    public Task<IReadOnlyList<(string Id, string? ParentId)>> TreeAsync(string id, CancellationToken cancellationToken) => ListAsync($"in_tree={id}", cancellationToken);

    /// <summary>Whether there is a provider of that UUID.</summary>
    public async Task<bool> ExistsAsync(string id, CancellationToken cancellationToken)
    {
        using var found = await placement.SendAsync(HttpMethod.Get, $"/resource_providers/{id}", null, Version, cancellationToken);
        return found.StatusCode != HttpStatusCode.NotFound;
    }

    /// <exception cref="CloudException"><see cref="ErrorKind.Conflict"/>: another one has its name.</exception>
    public async Task CreateAsync(string id, string name, string? parentId, CancellationToken cancellationToken)
    {
        using var created = await placement.CallAsync(
            HttpMethod.Post,
            "/resource_providers",
            json =>
            {
                json.WriteStartObject();
                json.WriteString("uuid", id);
                json.WriteString("name", name);
                if (parentId is not null)
                {
                    json.WriteString("parent_provider_uuid", parentId);
                }

                json.WriteEndObject();
            },
            Version,
            cancellationToken);
    }

    /// <summary>Removes a provider and those below it, where they are still there.</summary>
    /// <exception cref="CloudException"><see cref="ErrorKind.Conflict"/>: somebody holds something of them.</exception>
    public async Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        var children = (await TreeAsync(id, cancellationToken)).ToLookup(provider => provider.ParentId, provider => provider.Id);
        await RemoveBelowAsync(id);

        async Task RemoveBelowAsync(string parent)
        {
            foreach (var child in children[parent])
            {
                await RemoveBelowAsync(child);
            }

            using var response = await placement.SendAsync(HttpMethod.Delete, $"/resource_providers/{parent}", null, Version, cancellationToken);
            if (!response.IsSuccessStatusCode && response.StatusCode != HttpStatusCode.NotFound)
            {
                throw CloudException.Conflict($"Placement answered {(int)response.StatusCode} when resource provider {parent} was removed: remove its allocations first.");
            }
        }
    }

    public async Task PublishInventoriesAsync(string id, IReadOnlyDictionary<string, ProviderInventory> wanted, CancellationToken cancellationToken)
    {
        var path = $"/resource_providers/{id}/inventories";
        using var now = await placement.CallAsync(HttpMethod.Get, path, null, Version, cancellationToken);
        var current = now!.RootElement.GetProperty("inventories");
        var same = current.EnumerateObject().Count() == wanted.Count
            && wanted.All(want => current.TryGetProperty(want.Key, out var have)
                && have.GetProperty("total").GetInt32() == want.Value.Total
                && have.GetProperty("reserved").GetInt32() == want.Value.Reserved
                && Math.Abs(have.GetProperty("allocation_ratio").GetDouble() - want.Value.AllocationRatio) < 1e-6
                && have.GetProperty("min_unit").GetInt32() == want.Value.MinUnit
                && have.GetProperty("max_unit").GetInt32() == want.Value.MaxUnit
                && have.GetProperty("step_size").GetInt32() == want.Value.StepSize);
        if (same)
        {
            return;
        }

        using var written = await placement.CallAsync(
            HttpMethod.Put,
            path,
            json =>
            {
                json.WriteStartObject();
                json.WriteNumber("resource_provider_generation", now.RootElement.GetProperty("resource_provider_generation").GetInt64());
                json.WriteStartObject("inventories");
                foreach (var (resource, want) in wanted)
                {
                    json.WriteStartObject(resource);
                    json.WriteNumber("total", want.Total);
                    json.WriteNumber("reserved", want.Reserved);
                    json.WriteNumber("min_unit", want.MinUnit);
                    json.WriteNumber("max_unit", want.MaxUnit);
                    json.WriteNumber("step_size", want.StepSize);
                    json.WriteNumber("allocation_ratio", want.AllocationRatio);
                    json.WriteEndObject();
                }

                json.WriteEndObject();
                json.WriteEndObject();
            },
            Version,
            cancellationToken);
    }

    /// <param name="wanted">What the provider is to have, by what it has.</param>
    public Task PublishTraitsAsync(string id, Func<IReadOnlySet<string>, IReadOnlySet<string>> wanted, CancellationToken cancellationToken) =>
        PublishAsync(
            id,
            "traits",
            wanted,
            async added =>
            {
                foreach (var custom in added.Where(trait => trait.StartsWith("CUSTOM_", StringComparison.Ordinal)))
                {
                    using var made = await placement.CallAsync(HttpMethod.Put, $"/traits/{custom}", null, Version, cancellationToken);
                }
            },
            cancellationToken);

    /// <param name="wanted">The UUIDs of the aggregates that the provider is to be in, by those that it is in.</param>
    public Task PublishAggregatesAsync(string id, Func<IReadOnlySet<string>, IReadOnlySet<string>> wanted, CancellationToken cancellationToken) =>
        PublishAsync(id, "aggregates", wanted, static _ => Task.CompletedTask, cancellationToken);

    /// <param name="name">Of the set, in the path and in the bodies.</param>
    /// <param name="prepare">Makes what is new before the provider gets it.</param>
    private async Task PublishAsync(
        string id, string name, Func<IReadOnlySet<string>, IReadOnlySet<string>> wanted, Func<IEnumerable<string>, Task> prepare, CancellationToken cancellationToken)
    {
        var path = $"/resource_providers/{id}/{name}";
        using var now = await placement.CallAsync(HttpMethod.Get, path, null, Version, cancellationToken);
        var current = now!.RootElement.GetProperty(name).EnumerateArray().Select(element => element.GetString()!).ToHashSet();
        var want = wanted(current);
        if (want.SetEquals(current))
        {
            return;
        }

        await prepare(want.Except(current));
        using var written = await placement.CallAsync(
            HttpMethod.Put,
            path,
            json =>
            {
                json.WriteStartObject();
                json.WriteNumber("resource_provider_generation", now.RootElement.GetProperty("resource_provider_generation").GetInt64());
                json.WriteStartArray(name);
                foreach (var element in want.Order(StringComparer.Ordinal))
                {
                    json.WriteStringValue(element);
                }

                json.WriteEndArray();
                json.WriteEndObject();
            },
            Version,
            cancellationToken);
    }

    private async Task<IReadOnlyList<(string Id, string? ParentId)>> ListAsync(string filter, CancellationToken cancellationToken)
    {
        using var listed = await placement.CallAsync(HttpMethod.Get, $"/resource_providers?{filter}", null, Version, cancellationToken);
        return [.. listed!.RootElement.GetProperty("resource_providers").EnumerateArray().Select(provider =>
            (provider.GetProperty("uuid").GetString()!, provider.TryGetProperty("parent_provider_uuid", out var parent) ? parent.GetString() : null))];
    }
}
