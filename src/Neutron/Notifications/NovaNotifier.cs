using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Notifications;

/// <summary>
/// Delivers the events that transactions left for Nova, in order and at least once: <c>POST /os-server-external-events</c>. What Nova
/// does not know (404) or take (422) is dropped; while Nova is away everything waits. Of several servers one delivers, the events of all of them.
/// </summary>
internal sealed partial class NovaNotifier : IAsyncDisposable
{
    public const string Key = "nova-events";
    private const int BatchSize = 100;

    private readonly NeutronStore store;
    private readonly NeutronOptions options;
    private readonly ServiceClients clients;
    private readonly NeutronLeases leases;
    private readonly IMessageBus bus;
    private readonly ILogger log;
    private readonly Reconciler<string> reconciler;

    public NovaNotifier(NeutronStore store, NeutronOptions options, ServiceClients clients, NeutronLeases leases, IMessageBus bus, TimeProvider time, ILogger<NovaNotifier> log)
    {
        this.store = store;
        this.options = options;
        this.clients = clients;
        this.leases = leases;
        this.bus = bus;
        this.log = log;
        reconciler = new Reconciler<string>(
            "neutron-nova-events",
            (_, cancellation) => DeliverAsync(cancellation),
            static _ => Task.FromResult<IReadOnlyCollection<string>>([Key]),
            new ReconcilerOptions { Parallelism = 1, LongestRetry = TimeSpan.FromSeconds(10), FullPeriod = TimeSpan.FromSeconds(10) },
            time,
            log);
        store.NovaEventsWritten = TellDelivererAsync;
        leases.NovaEvents.Gained += reconciler.EnqueueAll;
    }

    public void Start() => reconciler.Start();

    /// <summary>Delivers soon, where this server does.</summary>
    public void Look()
    {
        if (leases.NovaEvents.Holds(Key))
        {
            reconciler.Enqueue(Key);
        }
    }

    public ValueTask DisposeAsync() => reconciler.DisposeAsync();

    private ValueTask TellDelivererAsync()
    {
        if (!leases.NovaEvents.Holds(Key))
        {
            return bus.FanoutAsync(ServerHints.WorkToDo, new WorkHint(Key));
        }

        reconciler.Enqueue(Key);
        return ValueTask.CompletedTask;
    }

    private async Task<ReconcileResult> DeliverAsync(CancellationToken cancellationToken)
    {
        using var hold = leases.NovaEvents.TryEnter(Key);
        while (hold is not null)
        {
            List<NovaEventRow> events;
            await using (var db = store.Read())
            {
                events = await db.GetTable<NovaEventRow>().OrderBy(row => row.Id).Take(BatchSize).ToListAsync(cancellationToken);
            }

            if (events.Count == 0)
            {
                return ReconcileResult.Done;
            }

            hold.Lease.ThrowIfLost();
            await PostAsync(events, cancellationToken);
            // Those and no others: an event with a lower id may be committed later than one with a higher.
            var delivered = events.ConvertAll(row => row.Id);
            await store.WriteAsync(work => work.Db.GetTable<NovaEventRow>().Where(row => delivered.Contains(row.Id)).DeleteAsync(work.Cancellation), cancellationToken);
        }

        return ReconcileResult.Done;
    }

    private async Task PostAsync(List<NovaEventRow> events, CancellationToken cancellationToken)
    {
        using var response = await clients.For(options.Config, "nova", "compute").SendAsync(
            HttpMethod.Post, "/os-server-external-events", json => Write(json, events), cancellationToken: cancellationToken);
        var status = (int)response.StatusCode;
        if (status is 200 or 207 or 404 or 422 or 400)
        {
            // 404: Nova knows none of the servers. Nothing that a repetition would change.
            LogDelivered(events.Count, status);
            return;
        }

        throw CloudException.Unavailable($"Nova answered {status} to os-server-external-events: check that Neutron's user in [nova] has the role admin or service.");
    }

    private static void Write(Utf8JsonWriter json, List<NovaEventRow> events)
    {
        json.WriteStartObject();
        json.WriteStartArray("events");
        foreach (var row in events.DistinctBy(row => row.Name == "network-changed" ? (row.ServerId, row.Tag, 0) : (row.ServerId, row.Tag, row.Id)))
        {
            json.WriteStartObject();
            json.WriteString("name", row.Name);
            json.WriteString("server_uuid", row.ServerId);
            json.WriteString("status", row.Status);
            if (row.Tag is not null)
            {
                json.WriteString("tag", row.Tag);
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    [LoggerMessage(EventId = 6001, Level = LogLevel.Debug, Message = "{Count} events delivered to Nova, which answered {Status}")]
    private partial void LogDelivered(int count, int status);
}
