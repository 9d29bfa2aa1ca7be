using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Bus;

/// <summary>The bus within one process. Messages are serialised all the same, so that nothing is shared that a broker would not share.</summary>
public sealed partial class InProcessBus(TimeProvider time, ILogger<InProcessBus> log) : IMessageBus, IAsyncDisposable
{
    private readonly BusServers servers = new();
    private readonly CancellationTokenSource stopping = new();
    private bool disposed;

    /// <inheritdoc/>
    public event Action? Reconnected;

    /// <summary>As if a broker's connection had been lost and come back: lets tests see that lost hints cost time only.</summary>
    public void RaiseReconnected() => Reconnected?.Invoke();

    /// <summary>Where set, decides whether a cast or fan-out is delivered (0: lost, 1: once, 2: twice): for tests of lost and doubled messages.</summary>
    public Func<string, int>? Chaos { get; set; }

    /// <summary>Where set, what happens to every message on its way.</summary>
    internal BusChaos? BadNetwork { get; set; }

    /// <inheritdoc/>
    public async Task<TReply> CallAsync<TRequest, TReply>(
        BusContract<TRequest, TReply> contract, TRequest request, string? host, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        var body = BusBody.Write(request, contract.Request);
        BusMetrics.Sent(contract.Topic, contract.Method, "call");
        var server = Pick(contract, host);
        if (server.Version.Minor < contract.RequiredMinor)
        {
            throw BusErrors.TooOld(contract.Topic, host, contract.Method, server.Version, contract.RequiredMinor);
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping.Token);
        var limitTime = timeout ?? BusOptions.DefaultResponseTimeout;
        var failed = true;
        try
        {
            // The server's work goes on when the caller gives up, as it would behind a broker.
            var reply = await AskAsync(server, body).WaitAsync(limitTime, time, limit.Token);
            failed = false;
            return BusBody.Read(reply, contract.Reply);
        }
        catch (TimeoutException failure)
        {
            throw BusErrors.TimedOut(contract.Topic, host, contract.Method, limitTime, failure);
        }
        finally
        {
            BusMetrics.Called(contract.Topic, contract.Method, time.GetElapsedTime(started), failed);
        }
    }

    /// <inheritdoc/>
    public ValueTask CastAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host, CancellationToken cancellationToken)
    {
        var body = BusBody.Write(request, contract.Request);
        BusMetrics.Sent(contract.Topic, contract.Method, "cast");
        if (servers.Pick(MethodOf(contract), host) is { } server)
        {
            Deliver(server, body, contract.RequiredMinor);
        }
        else
        {
            BusMetrics.Returned(contract.Topic, contract.Method);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask FanoutAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, CancellationToken cancellationToken)
    {
        var body = BusBody.Write(request, contract.Request);
        BusMetrics.Sent(contract.Topic, contract.Method, "fanout");
        foreach (var server in servers.Find(MethodOf(contract)))
        {
            Deliver(server, body, contract.RequiredMinor);
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public IDisposable Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler) =>
        servers.Add(contract, host, handler);

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

    private static BusMethod MethodOf<TRequest, TReply>(BusContract<TRequest, TReply> contract) => new(contract.Topic, contract.Method, contract.Version.Major);

    private BusServer Pick<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host)
    {
        if (servers.Pick(MethodOf(contract), host) is { } server)
        {
            return server;
        }

        BusMetrics.Returned(contract.Topic, contract.Method);
        var otherVersion = servers.All.Any(other => other.Method.Topic == contract.Topic && other.Method.Name == contract.Method && (host is null || other.Host == host));
        throw otherVersion ? BusErrors.OtherVersion(contract.Topic, host, contract.Method, contract.Version) : BusErrors.NobodyServes(contract.Topic, host);
    }

    private Task<byte[]> AskAsync(BusServer server, byte[] body)
    {
        if (BadNetwork is not { } badNetwork)
        {
            return AnswerAsync(server, body, TimeSpan.Zero);
        }

        // The first answer that arrives counts; one that is lost never does.
        var first = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        foreach (var delay in badNetwork.Plan())
        {
            _ = ArriveAsync(AnswerAsync(server, body, delay), badNetwork.Plan().Count > 0);
        }

        return first.Task;

        async Task ArriveAsync(Task<byte[]> answer, bool arrives)
        {
            try
            {
                var reply = await answer;
                _ = arrives && first.TrySetResult(reply);
            }
            catch (Exception failure)
            {
                _ = arrives && first.TrySetException(failure);
            }
        }
    }

    private async Task<byte[]> AnswerAsync(BusServer server, byte[] body, TimeSpan delay)
    {
        var (topic, method, _) = server.Method;
        try
        {
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, time, stopping.Token);
            }

            BusMetrics.Received(topic, method);
            return await server.HandleAsync(body, stopping.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            throw;
        }
        catch (UnreadableMessageException failure)
        {
            DeadLetter(server, "unreadable", failure);
            throw BusErrors.Unreadable(topic, method, failure.Message);
        }
        catch (Exception failure)
        {
            if (failure is not CloudException)
            {
                LogFailed(topic.Name, method, failure);
            }

            throw BusErrors.OfHandler(topic, method, failure);
        }
    }

    private void Deliver(BusServer server, byte[] body, int requiredMinor)
    {
        for (var times = Chaos?.Invoke(server.Method.Name) ?? 1; times > 0; times--)
        {
            foreach (var delay in BadNetwork?.Plan() ?? [TimeSpan.Zero])
            {
                _ = DeliverAsync(server, body, requiredMinor, delay);
            }
        }
    }

    private async Task DeliverAsync(BusServer server, byte[] body, int requiredMinor, TimeSpan delay)
    {
        var (topic, method, _) = server.Method;
        try
        {
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, time, stopping.Token);
            }

            BusMetrics.Received(topic, method);
            if (server.Version.Minor < requiredMinor)
            {
                DeadLetter(server, "version", BusErrors.TooOld(topic, server.Host, method, server.Version, requiredMinor));
                return;
            }

            try
            {
                await server.HandleAsync(body, stopping.Token);
            }
            catch (Exception failure) when (failure is not (UnreadableMessageException or OperationCanceledException))
            {
                LogFailed(topic.Name, method, failure);
                BusMetrics.Redelivered(topic, method);
                await server.HandleAsync(body, stopping.Token);
            }
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception failure)
        {
            DeadLetter(server, failure is UnreadableMessageException ? "unreadable" : "failed", failure);
        }
    }

    private void DeadLetter(BusServer server, string reason, Exception failure)
    {
        BusMetrics.DeadLetter(server.Method.Topic, server.Method.Name, reason);
        LogDeadLetter(server.Method.Topic.Name, server.Method.Name, reason, failure);
    }

    [LoggerMessage(EventId = 1101, Level = LogLevel.Warning, Message = "Bus: the handler of {Topic} {Method} failed")]
    private partial void LogFailed(string topic, string method, Exception failure);

    [LoggerMessage(EventId = 1102, Level = LogLevel.Warning, Message = "Bus: a message {Topic} {Method} is given up: {Reason}")]
    private partial void LogDeadLetter(string topic, string method, string reason, Exception failure);
}
