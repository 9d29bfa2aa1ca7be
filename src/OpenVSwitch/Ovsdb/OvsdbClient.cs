using System.Collections.Immutable;
using System.Net.Sockets;
using System.Text.Json;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>
/// One connection to ovsdb-server with a local replica of some tables, kept by <c>monitor_cond_since</c> (or <c>monitor</c> of older servers).
/// A lost connection is made again; the replica stays readable meanwhile and catches up, with change notifications, afterwards.
/// </summary>
public sealed class OvsdbClient : IAsyncDisposable
{
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan SlowestRetry = TimeSpan.FromSeconds(5);
    private const string NoTransaction = "00000000-0000-0000-0000-000000000000";

    private readonly OvsdbEndpoint endpoint;
    private readonly string database;
    private readonly IReadOnlyDictionary<string, IReadOnlyList<string>> monitored;
    private readonly TimeProvider time;
    private readonly CancellationTokenSource stop = new();

    private volatile OvsdbSnapshot snapshot = OvsdbSnapshot.Empty;
    private volatile OvsdbConnection? current;
    private volatile TaskCompletionSource changed = NewSignal();
    private ImmutableDictionary<(string Table, string Column), OvsdbColumn> columns = ImmutableDictionary<(string, string), OvsdbColumn>.Empty;
    private string lastTransaction = NoTransaction;
    private Task running = Task.CompletedTask;

    /// <param name="endpoint">Where the server listens.</param>
    /// <param name="database">The database's name, such as Open_vSwitch.</param>
    /// <param name="monitored">The tables to replicate, with their columns.</param>
    /// <param name="time">For the pauses between attempts.</param>
    public OvsdbClient(OvsdbEndpoint endpoint, string database, IReadOnlyDictionary<string, IReadOnlyList<string>> monitored, TimeProvider time)
    {
        this.endpoint = endpoint;
        this.database = database;
        this.monitored = monitored;
        this.time = time;
    }

    /// <summary>Rows changed; called in order on the reading task, so it must be quick.</summary>
    public event Action<IReadOnlyList<OvsdbChange>>? Changed;

    /// <summary>Connected, with the replica up to date.</summary>
    public event Action? Connected;

    /// <summary>The connection was lost or could not be made, with the reason; another attempt follows.</summary>
    public event Action<Exception>? Disconnected;

    /// <summary>The replica as it is now.</summary>
    public OvsdbSnapshot Snapshot => snapshot;

    /// <summary>Whether there is a connection with an up-to-date replica.</summary>
    public bool IsConnected => current is not null;

    /// <summary>Begins to connect.</summary>
    public void Start() => running = RunAsync();

    /// <summary>Waits for a connection with an up-to-date replica.</summary>
    public Task WaitConnectedAsync(CancellationToken cancellationToken) => WaitAsync(() => current is not null, cancellationToken);

    /// <summary>Waits until the replica satisfies the predicate.</summary>
    public Task WaitUntilAsync(Func<OvsdbSnapshot, bool> predicate, CancellationToken cancellationToken) => WaitAsync(() => predicate(snapshot), cancellationToken);

    /// <summary>
    /// Does the transaction. When it returns, the replica shows its effect on the database (not yet what the switch then reports).
    /// </summary>
    /// <exception cref="OvsdbOperationException">The database refused; nothing was done.</exception>
    /// <exception cref="OvsdbException">There is no connection, or it was lost: whether the transaction was done is not known then.</exception>
    public async Task<IReadOnlyList<OvsdbResult>> TransactAsync(OvsdbTransaction transaction, CancellationToken cancellationToken)
    {
        var connection = current ?? throw new OvsdbException($"There is no connection to the Open vSwitch database at {endpoint.Text}: check that ovsdb-server runs and listens there.");
        var reply = await connection.CallAsync(
            "transact",
            json =>
            {
                json.WriteStringValue(database);
                transaction.Write(json);
            },
            cancellationToken);
        var results = new List<OvsdbResult>(transaction.Count);
        foreach (var result in reply.EnumerateArray())
        {
            // Null stands for operations after a failed one: the failure itself comes first or, for the commit, last.
            if (result.ValueKind != JsonValueKind.Object)
            {
                continue;
            }

            if (result.TryGetProperty("error"u8, out var error))
            {
                var details = result.TryGetProperty("details"u8, out var more) ? more.GetString() : null;
                throw new OvsdbOperationException(error.GetString()!, details, results.Count, transaction.Describe(results.Count));
            }

            results.Add(new(
                result.TryGetProperty("count"u8, out var count) ? count.GetInt64() : 0,
                result.TryGetProperty("uuid"u8, out var uuid) ? uuid[1].GetGuid() : null,
                result.TryGetProperty("rows"u8, out var rows) ? [.. rows.EnumerateArray()] : []));
        }

        return results;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        stop.Dispose();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task WaitAsync(Func<bool> predicate, CancellationToken cancellationToken)
    {
        while (true)
        {
            var signal = changed.Task;
            if (predicate())
            {
                return;
            }

            await signal.WaitAsync(cancellationToken);
        }
    }

    private void Signal() => Interlocked.Exchange(ref changed, NewSignal()).SetResult();

    private async Task RunAsync()
    {
        var pause = FirstRetry;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await ConverseAsync(() => pause = FirstRetry);
            }
            catch (Exception e) when (!stop.IsCancellationRequested)
            {
                Disconnected?.Invoke(e);
            }
            catch (Exception e) when (e is OperationCanceledException or OvsdbException or IOException or SocketException)
            {
                return;
            }

            try
            {
                await Task.Delay(pause, time, stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            pause = pause * 2 < SlowestRetry ? pause * 2 : SlowestRetry;
        }
    }

    /// <summary>One connection from its beginning to its end, which is always an exception.</summary>
    private async Task ConverseAsync(Action connected)
    {
        var socket = await endpoint.ConnectAsync(stop.Token);
        await using var connection = new OvsdbConnection(new NetworkStream(socket, ownsSocket: true), OnNotification);
        using var lifetime = CancellationTokenSource.CreateLinkedTokenSource(stop.Token);
        var reading = connection.RunAsync(lifetime.Token);
        try
        {
            var schema = await connection.CallAsync("get_schema", json => json.WriteStringValue(database), stop.Token);
            columns = ReadSchema(schema);
            await MonitorAsync(connection);
            current = connection;
            connected();
            Connected?.Invoke();
            Signal();
            await reading;
        }
        finally
        {
            current = null;
            await lifetime.CancelAsync();
            await reading.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private async Task MonitorAsync(OvsdbConnection connection)
    {
        try
        {
            await connection.CallAsync(
                "monitor_cond_since",
                json =>
                {
                    WriteMonitor(json);
                    json.WriteStringValue(lastTransaction);
                },
                stop.Token,
                reply =>
                {
                    // Unless the server still has the history since the transaction named, it sends everything anew.
                    ApplyUpdate2(reply[2], whole: !reply[0].GetBoolean());
                    lastTransaction = reply[1].GetString()!;
                });
        }
        catch (OvsdbOperationException)
        {
            await connection.CallAsync("monitor", WriteMonitor, stop.Token, reply => ApplyUpdate(reply, whole: true));
        }
    }

    private void WriteMonitor(Utf8JsonWriter json)
    {
        json.WriteStringValue(database);
        json.WriteStringValue("replica"u8);
        json.WriteStartObject();
        foreach (var (table, names) in monitored)
        {
            json.WriteStartArray(table);
            json.WriteStartObject();
            json.WriteStartArray("columns"u8);
            foreach (var name in names.Where(name => columns.ContainsKey((table, name))))
            {
                json.WriteStringValue(name);
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private void OnNotification(string method, JsonElement parameters)
    {
        switch (method)
        {
            case "update3":
                ApplyUpdate2(parameters[2], whole: false);
                lastTransaction = parameters[1].GetString()!;
                break;
            case "update2":
                ApplyUpdate2(parameters[1], whole: false);
                break;
            case "update":
                ApplyUpdate(parameters[1], whole: false);
                break;
        }
    }

    /// <summary>Row updates of monitor_cond (ovsdb-server(7), 4.1.14): initial, insert, delete, modify.</summary>
    private void ApplyUpdate2(JsonElement updates, bool whole) => Publish(updates, whole, (table, before, uuid, update) =>
    {
        if (update.TryGetProperty("initial"u8, out var row) || update.TryGetProperty("insert"u8, out row))
        {
            return ReadRow(table, uuid, row);
        }

        if (update.TryGetProperty("modify"u8, out row) && before is not null)
        {
            foreach (var property in row.EnumerateObject())
            {
                var column = columns.GetValueOrDefault((table, property.Name));
                var difference = OvsdbValue.Read(property.Value, column);
                before = before.With(property.Name, column.Composite ? before[property.Name].Modify(difference) : difference);
            }

            return before;
        }

        return null;
    });

    /// <summary>Row updates of monitor (RFC 7047, 4.1.6): whole rows as they are afterwards.</summary>
    private void ApplyUpdate(JsonElement updates, bool whole) => Publish(updates, whole, (table, _, uuid, update) =>
        update.TryGetProperty("new"u8, out var row) ? ReadRow(table, uuid, row) : null);

    private void Publish(JsonElement updates, bool whole, Func<string, OvsdbRow?, Guid, JsonElement, OvsdbRow?> after)
    {
        var old = snapshot;
        var next = whole ? OvsdbSnapshot.Empty : old;
        var changes = new List<OvsdbChange>();
        foreach (var tableUpdates in updates.EnumerateObject())
        {
            var content = next[tableUpdates.Name];
            foreach (var update in tableUpdates.Value.EnumerateObject())
            {
                var uuid = Guid.Parse(update.Name);
                var before = old[tableUpdates.Name].Find(uuid);
                var row = after(tableUpdates.Name, before, uuid, update.Value);
                if (row is not null)
                {
                    content = content.With(row);
                    changes.Add(new(tableUpdates.Name, before, row));
                }
                else if (before is not null)
                {
                    content = content.Without(before);
                    changes.Add(new(tableUpdates.Name, before, null));
                }
            }

            next = next.With(tableUpdates.Name, content);
        }

        if (whole)
        {
            changes.AddRange(
                from table in old.Tables
                from row in table.Value.Rows
                where next[table.Key].Find(row.Uuid) is null
                select new OvsdbChange(table.Key, row, null));
        }

        snapshot = next;
        Signal();
        if (changes.Count > 0)
        {
            Changed?.Invoke(changes);
        }
    }

    private OvsdbRow ReadRow(string table, Guid uuid, JsonElement json)
    {
        var row = ImmutableDictionary.CreateBuilder<string, OvsdbValue>(StringComparer.Ordinal);
        foreach (var property in json.EnumerateObject())
        {
            row[property.Name] = OvsdbValue.Read(property.Value, columns.GetValueOrDefault((table, property.Name)));
        }

        return new(uuid, row.ToImmutable());
    }

    private static ImmutableDictionary<(string Table, string Column), OvsdbColumn> ReadSchema(JsonElement schema)
    {
        var columns = ImmutableDictionary.CreateBuilder<(string, string), OvsdbColumn>();
        foreach (var table in schema.GetProperty("tables"u8).EnumerateObject())
        {
            foreach (var column in table.Value.GetProperty("columns"u8).EnumerateObject())
            {
                var type = column.Value.GetProperty("type"u8);
                var complex = type.ValueKind == JsonValueKind.Object;
                var max = complex && type.TryGetProperty("max"u8, out var limit) ? limit : default;
                columns[(table.Name, column.Name)] = new(
                    RealKeys: IsReal(complex ? type.GetProperty("key"u8) : type),
                    RealValues: complex && type.TryGetProperty("value"u8, out var value) && IsReal(value),
                    Composite: max.ValueKind == JsonValueKind.String || (max.ValueKind == JsonValueKind.Number && max.GetInt64() > 1));
            }
        }

        return columns.ToImmutable();
    }

    private static bool IsReal(JsonElement baseType) =>
        (baseType.ValueKind == JsonValueKind.Object ? baseType.GetProperty("type"u8) : baseType).ValueEquals("real"u8);
}
