using System.Net;
using System.Text.Json.Nodes;
using SharpStack.Foundation;
using SharpStack.Foundation.Identity;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.PlacementReports;

/// <summary>What servers hold in Placement, where it follows the policies of their ports.</summary>
internal sealed class ServerAllocations(ServiceClients clients, NeutronOptions options)
{
    private const string Version = "placement 1.36";

    /// <summary>How often a server's allocation is read anew because somebody else changed it.</summary>
    private const int Attempts = 10;

    /// <summary>Has servers hold more or less: all of it, or nothing where one cannot.</summary>
    /// <returns>Takes it back.</returns>
    /// <exception cref="CloudException"><see cref="ErrorKind.Conflict"/>: a provider has not so much left, or the server holds nothing.</exception>
    public async Task<Func<Task>> ChangeAsync(IReadOnlyList<(string ServerId, AllocationChange Change)> changes, CancellationToken cancellationToken)
    {
        var done = new Stack<(string ServerId, AllocationChange Change)>();
        try
        {
            foreach (var (server, change) in changes)
            {
                await ApplyAsync(server, change, 1, cancellationToken);
                done.Push((server, change));
            }
        }
        catch
        {
            await UndoAsync();
            throw;
        }

        return UndoAsync;

        async Task UndoAsync()
        {
            while (done.TryPop(out var one))
            {
                await ApplyAsync(one.ServerId, one.Change, -1, CancellationToken.None);
            }
        }
    }

    private async Task ApplyAsync(string serverId, AllocationChange change, int sign, CancellationToken cancellationToken)
    {
        if (change.Difference.Count == 0)
        {
            return;
        }

        var placement = clients.For(options.Config, "placement", "placement");
        for (var attempt = 1; ; attempt++)
        {
            JsonObject held;
            using (var document = await placement.CallAsync(HttpMethod.Get, $"/allocations/{serverId}", null, Version, cancellationToken))
            {
                held = JsonNode.Parse(document!.RootElement.GetRawText())!.AsObject();
            }

            if (held["allocations"]!.AsObject().Count == 0)
            {
                throw CloudException.BadRequest($"Resource allocation is deleted for consumer {serverId}", "PlacementAllocationRemoved");
            }

            Add(held["allocations"]!.AsObject(), change, sign);
            using var response = await placement.SendAsync(HttpMethod.Put, $"/allocations/{serverId}", json => held.WriteTo(json), Version, cancellationToken);
            if (response.IsSuccessStatusCode)
            {
                return;
            }

            var answer = await response.Content.ReadAsStringAsync(cancellationToken);
            if (response.StatusCode != HttpStatusCode.Conflict)
            {
                throw CloudException.Unavailable($"Placement answered {(int)response.StatusCode} when the allocation of server {serverId} was changed.");
            }

            if (!answer.Contains("placement.concurrent_update", StringComparison.Ordinal) || attempt == Attempts)
            {
                throw NeutronErrors.Conflict(
                    "QosPlacementAllocationUpdateConflict",
                    $"Updating placement allocation with {Shown(change)} for consumer {serverId} failed. The requested resources would exceed the capacity available.");
            }
        }
    }

    private static void Add(JsonObject allocations, AllocationChange change, int sign)
    {
        foreach (var (provider, amounts) in change.Difference)
        {
            var resources = allocations[provider]?["resources"] as JsonObject ?? [];
            foreach (var (resource, amount) in amounts)
            {
                var sum = ((int?)resources[resource] ?? 0) + (sign * amount);
                resources.Remove(resource);
                if (sum > 0)
                {
                    resources[resource] = sum;
                }
            }

            allocations.Remove(provider);
            if (resources.Count > 0)
            {
                allocations[provider] = new JsonObject { ["resources"] = resources.DeepClone() };
            }
        }
    }

    private static string Shown(AllocationChange change) =>
        $"{{{string.Join(", ", change.Difference.Select(pair => $"'{pair.Key}': {{{string.Join(", ", pair.Value.Select(amount => $"'{amount.Key}': {amount.Value}"))}}}"))}}}";
}
