using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Bus;

/// <summary>
/// The bus that services see: a message travels by the <c>transport_url</c> of the service that its topic belongs to. Services of one process with the same
/// transport share a connection; without one they speak within the process.
/// </summary>
internal sealed partial class BusRouter(HostOptions host, InProcessBus local, TimeProvider time, ILogger<BusRouter> log) : IMessageBus, IAsyncDisposable
{
    private readonly Lock gate = new();
    private readonly Dictionary<string, Route> routes = [];
    private readonly Dictionary<string, RabbitBus> brokers = [];
    private Action? reconnected;
    private bool disposed;

    private sealed record Route(IMessageBus Bus, TimeSpan ResponseTimeout);

    /// <inheritdoc/>
    public event Action? Reconnected
    {
        add
        {
            reconnected += value;
            local.Reconnected += value;
        }

        remove
        {
            reconnected -= value;
            local.Reconnected -= value;
        }
    }

    /// <summary>Connections to brokers.</summary>
    internal int Connections => brokers.Count;

    /// <inheritdoc/>
    public Task<TReply> CallAsync<TRequest, TReply>(
        BusContract<TRequest, TReply> contract, TRequest request, string? host, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        var route = Find(contract.Topic);
        return route.Bus.CallAsync(contract, request, host, timeout ?? route.ResponseTimeout, cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask CastAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host, CancellationToken cancellationToken) =>
        Find(contract.Topic).Bus.CastAsync(contract, request, host, cancellationToken);

    /// <inheritdoc/>
    public ValueTask FanoutAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, CancellationToken cancellationToken) =>
        Find(contract.Topic).Bus.FanoutAsync(contract, request, cancellationToken);

    /// <inheritdoc/>
    public IDisposable Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler) =>
        Find(contract.Topic).Bus.Serve(contract, host, handler);

    /// <summary>Ends when the brokers know of everything that is served by now.</summary>
    internal Task SettledAsync(CancellationToken cancellationToken) => Task.WhenAll(brokers.Values.Select(broker => broker.SettledAsync(cancellationToken)));

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await Task.WhenAll(brokers.Values.Select(broker => broker.DisposeAsync().AsTask()));
    }

    private Route Find(BusTopic topic)
    {
        lock (gate)
        {
            if (!routes.TryGetValue(topic.Service, out var route))
            {
                routes[topic.Service] = route = Open(topic.Service);
            }

            return route;
        }
    }

    private Route Open(string service)
    {
        var config = host.ConfigOf(service);
        var timeout = TimeSpan.FromSeconds(config.Get(BusOptions.RpcResponseTimeout));
        var chaos = BusChaos.Read(config);
        if (chaos is not null)
        {
            LogChaos(service);
        }

        if (BusOptions.IsInProcess(config.Get(BusOptions.TransportUrl)))
        {
            local.BadNetwork ??= chaos;
            return new Route(local, timeout);
        }

        var transport = RabbitTransport.Read(config);
        if (!brokers.TryGetValue(transport.Key, out var broker))
        {
            brokers[transport.Key] = broker = new RabbitBus(transport, time, log, chaos);
            broker.Reconnected += () => reconnected?.Invoke();
        }

        return new Route(broker, timeout);
    }

    [LoggerMessage(EventId = 1121, Level = LogLevel.Warning, Message = "Bus: [sharpstack] bus_chaos is set for {Service}: messages are lost, doubled and reordered on purpose. Never set it in a cloud that is used")]
    private partial void LogChaos(string service);
}
