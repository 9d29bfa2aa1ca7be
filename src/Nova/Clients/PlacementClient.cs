using System.Net;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Providers;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Clients;

/// <summary>Allocations and providers in Placement, with Nova's own credentials. Every call may be repeated.</summary>
internal sealed class PlacementClient(ServiceClients clients, ServiceConfig config)
{
    private const string Version = "placement 1.36";
    private const string DisabledTrait = "COMPUTE_STATUS_DISABLED";

    private readonly ServiceClient placement = clients.For(config, "placement", "placement");
    private readonly ProviderClient providers = new(clients.For(config, "placement", "placement"));

    /// <summary>Makes the instance's allocation the one that the scheduler proposed, whatever it was before.</summary>
    /// <param name="check">Throws where the instance is another conductor's by now. It is asked after the consumer's generation was read: what another one has claimed
    /// since has another generation, and is not overwritten.</param>
    /// <returns>False where the host has no room any more.</returns>
    public async Task<bool> ClaimAsync(InstanceRow row, Destination destination, Func<Task> check, CancellationToken cancellationToken)
    {
        if (await PutAsync(row, destination, null, cancellationToken))
        {
            return true;
        }

        // Refused: because the instance has an allocation already, of a claim before a crash or on a host that failed, or for lack of room.
        using var document = await placement.CallAsync(HttpMethod.Get, $"/allocations/{row.Uuid}", null, Version, cancellationToken);
        if (!document!.RootElement.TryGetProperty("consumer_generation", out var generation))
        {
            return false;
        }

        await check();
        return await PutAsync(row, destination, generation.GetInt64(), cancellationToken);
    }

    public async Task ReleaseAsync(string instanceId, CancellationToken cancellationToken)
    {
        using var response = await placement.SendAsync(HttpMethod.Delete, $"/allocations/{instanceId}", null, Version, cancellationToken);
        if (!response.IsSuccessStatusCode && response.StatusCode != HttpStatusCode.NotFound)
        {
            throw CloudException.Unavailable($"Placement answered {(int)response.StatusCode} when the allocation of instance {instanceId} was removed.");
        }
    }

    /// <summary>The consumers that have something of a provider.</summary>
    public async Task<IReadOnlyList<string>> ConsumersAsync(string providerId, CancellationToken cancellationToken)
    {
        using var response = await placement.SendAsync(HttpMethod.Get, $"/resource_providers/{providerId}/allocations", null, Version, cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            return [];
        }

        using var document = await JsonDocument.ParseAsync(await response.Content.ReadAsStreamAsync(cancellationToken), cancellationToken: cancellationToken);
        return [.. document.RootElement.GetProperty("allocations").EnumerateObject().Select(consumer => consumer.Name)];
    }

    /// <summary>Makes that Placement has a host as it was reported: provider, inventories, traits, aggregates. Nothing is written where nothing differs.</summary>
    /// <param name="node">The host.</param>
    /// <param name="disabled">Whether an administrator keeps the scheduler away from it.</param>
    /// <param name="aggregates">UUIDs of all of Nova's aggregates, and which of them the host is in; others that Placement has stay.</param>
    /// <param name="isStranger">Whether a provider of the same name and this UUID belongs to no host that Nova knows: it is left over from one that was deleted.</param>
    public async Task PublishAsync(
        ComputeNodeRow node, bool disabled, IReadOnlyList<(string Id, bool IsMember)> aggregates, Func<string, bool> isStranger, CancellationToken cancellationToken)
    {
        if (!await providers.ExistsAsync(node.Uuid, cancellationToken))
        {
            await CreateProviderAsync(node, isStranger, cancellationToken);
        }

        // Nova's own: at most the whole of the inventory for one instance.
        var inventories = StoredJson.Inventories(node.Inventories).ToDictionary(
            report => report.ResourceClass,
            report => new ProviderInventory(
                report.Total, report.Reserved, report.AllocationRatio, report.MinUnit, report.MaxUnit == int.MaxValue ? report.Total : report.MaxUnit, report.StepSize));
        await providers.PublishInventoriesAsync(node.Uuid, inventories, cancellationToken);

        // An operator's own traits stay.
        var reported = StoredJson.Texts(node.Traits);
        await providers.PublishTraitsAsync(
            node.Uuid,
            current => reported.Concat(current.Where(trait => trait.StartsWith("CUSTOM_", StringComparison.Ordinal))).Concat(disabled ? [DisabledTrait] : []).ToHashSet(),
            cancellationToken);
        if (aggregates.Count > 0)
        {
            await providers.PublishAggregatesAsync(
                node.Uuid,
                current => current.Except(aggregates.Select(aggregate => aggregate.Id)).Concat(aggregates.Where(aggregate => aggregate.IsMember).Select(aggregate => aggregate.Id)).ToHashSet(),
                cancellationToken);
        }
    }

    /// <summary>Removes the provider of a host that an administrator removed, and what others keep below it: Neutron's agents.</summary>
    public Task RemoveProviderAsync(string providerId, CancellationToken cancellationToken) => providers.RemoveAsync(providerId, cancellationToken);

    private async Task CreateProviderAsync(ComputeNodeRow node, Func<string, bool> isStranger, CancellationToken cancellationToken)
    {
        try
        {
            await providers.CreateAsync(node.Uuid, node.HypervisorHostname, null, cancellationToken);
        }
        catch (CloudException failure) when (failure.Kind == ErrorKind.Conflict)
        {
            // The host was deleted and came back, and the removal of its former provider was cut short.
            if (await providers.FindAsync(node.HypervisorHostname, cancellationToken) is { } other && isStranger(other))
            {
                await RemoveProviderAsync(other, cancellationToken);
            }

            await providers.CreateAsync(node.Uuid, node.HypervisorHostname, null, cancellationToken);
        }
    }

    private async Task<bool> PutAsync(InstanceRow row, Destination destination, long? generation, CancellationToken cancellationToken)
    {
        using var response = await placement.SendAsync(
            HttpMethod.Put,
            $"/allocations/{row.Uuid}",
            json =>
            {
                json.WriteStartObject();
                json.WriteStartObject("allocations");
                foreach (var (provider, resources) in destination.Allocations)
                {
                    json.WriteStartObject(provider);
                    json.WriteStartObject("resources");
                    foreach (var (resource, amount) in resources)
                    {
                        json.WriteNumber(resource, amount);
                    }

                    json.WriteEndObject();
                    json.WriteEndObject();
                }

                json.WriteEndObject();
                json.WriteString("project_id", row.ProjectId);
                json.WriteString("user_id", row.UserId);
                if (generation is { } known)
                {
                    json.WriteNumber("consumer_generation", known);
                }
                else
                {
                    json.WriteNull("consumer_generation");
                }

                json.WriteEndObject();
            },
            Version,
            cancellationToken);
        return response.StatusCode == HttpStatusCode.Conflict ? false
            : response.IsSuccessStatusCode ? true
            : throw new CloudException(
                response.StatusCode >= HttpStatusCode.InternalServerError ? ErrorKind.ServiceUnavailable : (ErrorKind)(int)response.StatusCode,
                $"Placement answered {(int)response.StatusCode} to the claim of instance {row.Uuid}.");
    }
}
