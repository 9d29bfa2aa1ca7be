using System.Collections.Immutable;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Bus;

/// <summary>The bus within one process. Messages are serialised all the same, so that nothing is shared that a broker would not share.</summary>
public sealed partial class InProcessBus(TimeProvider time, ILogger<InProcessBus> log) : IMessageBus, IAsyncDisposable
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private readonly Lock gate = new();
    private readonly CancellationTokenSource stopping = new();
    private ImmutableDictionary<(BusTopic Topic, string Method), ImmutableArray<Server>> servers = ImmutableDictionary<(BusTopic, string), ImmutableArray<Server>>.Empty;
    private int turn;
    private bool disposed;

    /// <summary>Serves a contract at one place.</summary>
    private sealed record Server(string? Host, Func<byte[], CancellationToken, Task<byte[]>> Handle);

    private sealed class Registration(Action remove) : IDisposable
    {
        public void Dispose() => remove();
    }

    /// <inheritdoc/>
    public event Action? Reconnected;

    /// <summary>As if a broker's connection had been lost and come back: lets tests see that lost hints cost time only.</summary>
    public void RaiseReconnected() => Reconnected?.Invoke();

    /// <summary>Where set, decides whether a cast or fan-out is delivered (0: lost, 1: once, 2: twice): for tests of lost and doubled messages.</summary>
    public Func<string, int>? Chaos { get; set; }

    /// <inheritdoc/>
    public async Task<TReply> CallAsync<TRequest, TReply>(
        BusContract<TRequest, TReply> contract, TRequest request, string? host, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        var server = Pick(contract.Topic, contract.Method, host)
            ?? throw CloudException.Unavailable(
                host is null ? $"Nobody serves {contract.Topic} at the moment." : $"{contract.Topic} on host {host} is not running.");
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping.Token);
        var limitTime = timeout ?? DefaultTimeout;
        try
        {
            // The server's work goes on when the caller gives up, as it would behind a broker.
            var reply = await server.Handle(JsonSerializer.SerializeToUtf8Bytes(request, contract.Request), stopping.Token).WaitAsync(limitTime, time, limit.Token);
            return JsonSerializer.Deserialize(reply, contract.Reply)!;
        }
        catch (TimeoutException failure)
        {
            throw CloudException.Unavailable($"{contract.Topic}{(host is null ? "" : $" on host {host}")} did not answer {contract.Method} within {limitTime.TotalSeconds:0} s.", inner: failure);
        }
    }

    /// <inheritdoc/>
    public ValueTask CastAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host, CancellationToken cancellationToken)
    {
        if (Pick(contract.Topic, contract.Method, host) is { } server)
        {
            Deliver(contract.Method, server, JsonSerializer.SerializeToUtf8Bytes(request, contract.Request));
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask FanoutAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, CancellationToken cancellationToken)
    {
        if (servers.TryGetValue((contract.Topic, contract.Method), out var all))
        {
            var body = JsonSerializer.SerializeToUtf8Bytes(request, contract.Request);
            foreach (var server in all)
            {
                Deliver(contract.Method, server, body);
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public IDisposable Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler)
    {
        var key = (contract.Topic, contract.Method);
        var server = new Server(host, async (body, cancellation) =>
        {
            // Off the caller's stack: a handler that blocks does not block who asks.
            await Task.Yield();
            var reply = await handler(JsonSerializer.Deserialize(body, contract.Request)!, cancellation);
            return JsonSerializer.SerializeToUtf8Bytes(reply, contract.Reply);
        });
        lock (gate)
        {
            servers = servers.SetItem(key, servers.GetValueOrDefault(key, []).Add(server));
        }

        return new Registration(() =>
        {
            lock (gate)
            {
                servers = servers.SetItem(key, servers.GetValueOrDefault(key, []).Remove(server));
            }
        });
    }

    /// <summary>May be called again: the container knows the bus by two names and disposes it for each.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await stopping.CancelAsync();
        stopping.Dispose();
    }

    private Server? Pick(BusTopic topic, string method, string? host)
    {
        if (!servers.TryGetValue((topic, method), out var all))
        {
            return null;
        }

        if (host is not null)
        {
            return all.FirstOrDefault(server => server.Host == host);
        }

        return all.Length == 0 ? null : all[(int)((uint)Interlocked.Increment(ref turn) % (uint)all.Length)];
    }

    private void Deliver(string method, Server server, byte[] body)
    {
        for (var times = Chaos?.Invoke(method) ?? 1; times > 0; times--)
        {
            _ = DeliverAsync(method, server, body);
        }
    }

    private async Task DeliverAsync(string method, Server server, byte[] body)
    {
        try
        {
            await server.Handle(body, stopping.Token);
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception failure)
        {
            LogFailed(method, failure);
        }
    }

    [LoggerMessage(EventId = 1101, Level = LogLevel.Warning, Message = "Bus: the handler of {Method} failed")]
    private partial void LogFailed(string method, Exception failure);
}
