using System.Collections.Concurrent;
using System.Globalization;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RabbitMQ.Client;

namespace SharpStack.Foundation.Bus;

/// <summary>
/// The bus through RabbitMQ. Queues are classic, go with their last consumer, and hold hints and questions only; a call or cast that no queue takes comes back at
/// once. A lost connection is opened anew, at the next broker of the URL, with everything declared again; calls under way are sent again then.
/// See docs/contributors/bus.md for the names at the broker.
/// </summary>
internal sealed partial class RabbitBus : IMessageBus, IAsyncDisposable
{
    /// <summary>How long a call waits for a connection before it fails; shorter than its own limit, as people wait for some.</summary>
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(15);

    /// <summary>After a reconnect the servers may need that long to be back.</summary>
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan SettlingPause = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan FullQueuePatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FlushTime = TimeSpan.FromSeconds(2);

    private const int MaxQueuedHints = 10_000;
    private const int MaxHintsInFlight = 128;

    private readonly RabbitTransport transport;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly BusChaos? badNetwork;
    private readonly BusServers servers = new();
    private readonly ConcurrentDictionary<string, PendingCall> calls = new(StringComparer.Ordinal);
    private readonly Channel<(RabbitOutgoing Message, long Version)> hints = Channel.CreateBounded<(RabbitOutgoing, long)>(MaxQueuedHints);
    private readonly SemaphoreSlim hintsInFlight = new(MaxHintsInFlight);
    private readonly SemaphoreSlim handlers;
    private readonly CancellationTokenSource stopping = new();
    private readonly Channel<bool> changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock starting = new();
    private TaskCompletionSource<RabbitSession> connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task? running;
    private Task pumping = Task.CompletedTask;
    private long version;
    private bool disposed;

    public RabbitBus(RabbitTransport transport, TimeProvider time, ILogger log, BusChaos? badNetwork = null)
    {
        this.transport = transport;
        this.time = time;
        this.log = log;
        this.badNetwork = badNetwork;
        handlers = new SemaphoreSlim(transport.Concurrency);
        servers.Changed += () =>
        {
            Interlocked.Increment(ref version);
            changes.Writer.TryWrite(true);
        };
    }

    /// <inheritdoc/>
    public event Action? Reconnected;

    /// <summary>How long a process that stops waits for its handlers.</summary>
    internal TimeSpan DrainTime { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// After which time a question is asked again, and then after twice as long each time: it, or its answer, may have been lost with a process or a queue, of which nobody is told.
    /// </summary>
    internal TimeSpan AnswerPatience { get; set; } = TimeSpan.FromSeconds(5);

    private enum OutcomeKind
    {
        Reply,
        Error,
        Returned,
        Lost,
    }

    private readonly record struct Outcome(OutcomeKind Kind, byte[]? Body = null);

    /// <summary>A call that waits; each sending has an arrival of its own.</summary>
    private sealed class PendingCall
    {
        private volatile TaskCompletionSource<Outcome> arrival = New();

        public RabbitSession? Session { get; private set; }

        public TaskCompletionSource<Outcome> Expect(RabbitSession session)
        {
            Session = session;
            return arrival = New();
        }

        public void Arrived(Outcome outcome) => arrival.TrySetResult(outcome);

        private static TaskCompletionSource<Outcome> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <inheritdoc/>
    public async Task<TReply> CallAsync<TRequest, TReply>(
        BusContract<TRequest, TReply> contract, TRequest request, string? host, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        var limit = timeout ?? BusOptions.DefaultResponseTimeout;
        var id = Guid.NewGuid().ToString("N");
        var message = Outgoing(contract, host, request, RabbitWire.Call) with { CorrelationId = id };
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping.Token);
        var call = calls[id] = new PendingCall();
        var failed = true;
        try
        {
            var reply = await AskAsync(contract.Topic, host, contract.Version, message, call, () => limit - time.GetElapsedTime(started), ending.Token);
            failed = false;
            return BusBody.Read(reply, contract.Reply);
        }
        catch (TimeoutException failure)
        {
            throw BusErrors.TimedOut(contract.Topic, host, contract.Method, limit, failure);
        }
        finally
        {
            calls.TryRemove(id, out _);
            BusMetrics.Called(contract.Topic, contract.Method, time.GetElapsedTime(started), failed);
        }
    }

    /// <inheritdoc/>
    public ValueTask CastAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host, CancellationToken cancellationToken) =>
        HintAsync(Outgoing(contract, host, request, RabbitWire.Cast), cancellationToken);

    /// <inheritdoc/>
    public ValueTask FanoutAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, CancellationToken cancellationToken) =>
        HintAsync(Outgoing(contract, null, request, RabbitWire.Fanout), cancellationToken);

    /// <inheritdoc/>
    public IDisposable Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler)
    {
        var registration = servers.Add(contract, host, handler);
        EnsureStarted();
        return registration;
    }

    /// <summary>Ends when the broker knows of everything that is served by now.</summary>
    internal async Task SettledAsync(CancellationToken cancellationToken)
    {
        EnsureStarted();
        var session = await Volatile.Read(ref connected).Task.WaitAsync(cancellationToken);
        await session.AppliedAsync(Interlocked.Read(ref version), cancellationToken);
    }

    /// <summary>Sends the hints that wait, lets the handlers under way end (both within a bound), then closes the connection.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        hints.Writer.TryComplete();
        if (connected.Task is { IsCompletedSuccessfully: true } current)
        {
            var session = await current;
            using var flush = new CancellationTokenSource(FlushTime, time);
            await pumping.WaitAsync(flush.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await TakeAllAsync(hintsInFlight, MaxHintsInFlight, flush.Token);
            await session.StopConsumingAsync(CancellationToken.None);
            using var drain = new CancellationTokenSource(DrainTime, time);
            await TakeAllAsync(handlers, transport.Concurrency, drain.Token);
        }

        await stopping.CancelAsync();
        await (running ?? Task.CompletedTask);
        await pumping;
    }

    /// <summary>Waits until nobody holds a slot any more, or the time is up.</summary>
    private static async Task TakeAllAsync(SemaphoreSlim slots, int count, CancellationToken limit)
    {
        try
        {
            for (var taken = 0; taken < count; taken++)
            {
                await slots.WaitAsync(limit);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static RabbitOutgoing Outgoing<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, TRequest request, string kind)
    {
        var method = new BusMethod(contract.Topic, contract.Method, contract.Version.Major);
        var (exchange, key) = kind == RabbitWire.Fanout ? (RabbitWire.Direct, RabbitWire.FanoutKey(method))
            : host is not null ? (RabbitWire.Direct, RabbitWire.HostKey(method, host))
            : ("", RabbitWire.SharedQueue(method));
        BusMetrics.Sent(contract.Topic, contract.Method, kind);
        return new RabbitOutgoing(method, contract.Version, contract.RequiredMinor, kind, exchange, key, BusBody.Write(request, contract.Request));
    }

    private async Task<byte[]> AskAsync(
        BusTopic topic, string? host, BusVersion wanted, RabbitOutgoing message, PendingCall call, Func<TimeSpan> left, CancellationToken cancellationToken)
    {
        var patience = ConnectPatience;
        while (true)
        {
            var session = await ConnectedAsync(left() < patience ? left() : patience, cancellationToken);
            await session.AppliedAsync(Interlocked.Read(ref version), cancellationToken).WaitAsync(Positive(left()), time, cancellationToken);
            var outcome = await AskAsync(session, message, call, left, cancellationToken);
            switch (outcome.Kind)
            {
                case OutcomeKind.Reply:
                    return outcome.Body!;
                case OutcomeKind.Error:
                    throw BusErrors.Read(outcome.Body);
                case OutcomeKind.Lost:
                    // Every call may be repeated: it is asked again on the next connection, whenever in its time that comes.
                    patience = TimeSpan.MaxValue;
                    await session.Replaced.WaitAsync(Positive(left()), time, cancellationToken);
                    break;
                default:
                    if (session.IsReturn && time.GetElapsedTime(session.StartedAt) < Settling)
                    {
                        await Task.Delay(SettlingPause, time, cancellationToken);
                        break;
                    }

                    BusMetrics.Returned(topic, message.Method.Name);
                    throw await IsOtherVersionAsync(session, message.Method, host, cancellationToken)
                        ? BusErrors.OtherVersion(topic, host, message.Method.Name, wanted)
                        : BusErrors.NobodyServes(topic, host);
            }
        }
    }

    /// <summary>Asks on one connection until something arrives.</summary>
    private async Task<Outcome> AskAsync(RabbitSession session, RabbitOutgoing message, PendingCall call, Func<TimeSpan> left, CancellationToken cancellationToken)
    {
        var arrival = call.Expect(session).Task;
        for (var patience = AnswerPatience; ; patience *= 2)
        {
            var remaining = Positive(left());
            var wait = remaining < patience ? remaining : patience;
            // What no server has taken until then leaves its queue: servers that are slow are not given more to do by those who wait.
            var sending = message with { ReplyTo = session.ReplyQueue, Expiration = Milliseconds(wait) };
            foreach (var delay in badNetwork?.Plan() ?? [TimeSpan.Zero])
            {
                _ = SendCallAsync(session, sending, call, delay);
            }

            try
            {
                return await arrival.WaitAsync(wait, time, cancellationToken);
            }
            catch (TimeoutException) when (wait < remaining)
            {
            }
        }
    }

    private async Task SendCallAsync(RabbitSession session, RabbitOutgoing message, PendingCall call, TimeSpan delay)
    {
        try
        {
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, time, stopping.Token);
            }

            await session.PublishAsync(message, mandatory: true, stopping.Token);
        }
        catch (RabbitReturnedException)
        {
            call.Arrived(new Outcome(OutcomeKind.Returned));
        }
        catch (RabbitLostException)
        {
            call.Arrived(new Outcome(OutcomeKind.Lost));
        }
        catch (OperationCanceledException)
        {
        }
    }

    private void OnReply(string correlationId, ReadOnlyMemory<byte> body, IReadOnlyBasicProperties properties)
    {
        if (calls.TryGetValue(correlationId, out var call))
        {
            call.Arrived(new Outcome(properties.Type == RabbitWire.Error ? OutcomeKind.Error : OutcomeKind.Reply, body.ToArray()));
        }
    }

    /// <summary>Whether the server is there, but serves the method in another version only.</summary>
    private static async Task<bool> IsOtherVersionAsync(RabbitSession session, BusMethod method, string? host, CancellationToken cancellationToken) =>
        host is not null
            ? await session.ExistsAsync(RabbitWire.HostQueue(method.Topic, host), cancellationToken)
            : await session.ExistsAsync(RabbitWire.SharedQueue(method with { Major = method.Major + 1 }), cancellationToken)
                || (method.Major > 1 && await session.ExistsAsync(RabbitWire.SharedQueue(method with { Major = method.Major - 1 }), cancellationToken));

    private async Task<RabbitSession> ConnectedAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        EnsureStarted();
        try
        {
            return await Volatile.Read(ref connected).Task.WaitAsync(Positive(patience), time, cancellationToken);
        }
        catch (TimeoutException failure)
        {
            throw CloudException.Unavailable($"The message broker {transport.DisplayName} cannot be reached; the log says why.", inner: failure);
        }
    }

    private async ValueTask HintAsync(RabbitOutgoing message, CancellationToken cancellationToken)
    {
        EnsureStarted();
        var item = (message, Interlocked.Read(ref version));
        if (hints.Writer.TryWrite(item) || disposed)
        {
            return;
        }

        // The queue is full: wait a little where it moves; without a broker a hint more or less changes nothing, as all is looked at when it is back.
        if (Volatile.Read(ref connected).Task.IsCompletedSuccessfully)
        {
            using var patience = new CancellationTokenSource(FullQueuePatience, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
            try
            {
                await hints.Writer.WriteAsync(item, either.Token);
                return;
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
            }
            catch (ChannelClosedException)
            {
            }
        }

        BusMetrics.Dropped(message.Method.Topic, message.Method.Name);
    }

    private async Task PumpAsync()
    {
        try
        {
            await foreach (var (message, atVersion) in hints.Reader.ReadAllAsync(stopping.Token))
            {
                foreach (var delay in badNetwork?.Plan() ?? [TimeSpan.Zero])
                {
                    await hintsInFlight.WaitAsync(stopping.Token);
                    _ = SendHintAsync(message, atVersion, delay);
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task SendHintAsync(RabbitOutgoing message, long atVersion, TimeSpan delay)
    {
        try
        {
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, time, stopping.Token);
            }

            while (true)
            {
                var session = await Volatile.Read(ref connected).Task.WaitAsync(stopping.Token);
                await session.AppliedAsync(atVersion, stopping.Token);
                try
                {
                    await session.PublishAsync(message, mandatory: message.Kind == RabbitWire.Cast, stopping.Token);
                    return;
                }
                catch (RabbitLostException)
                {
                    await session.Replaced.WaitAsync(stopping.Token);
                }
            }
        }
        catch (RabbitReturnedException)
        {
            BusMetrics.Returned(message.Method.Topic, message.Method.Name);
        }
        catch (OperationCanceledException)
        {
        }
        finally
        {
            hintsInFlight.Release();
        }
    }

    private void EnsureStarted()
    {
        if (Volatile.Read(ref running) is not null)
        {
            return;
        }

        lock (starting)
        {
            if (running is null && !disposed)
            {
                running = Task.Run(RunAsync);
                pumping = Task.Run(PumpAsync);
            }
        }
    }

    /// <summary>Connects, serves until the connection is lost, and begins again.</summary>
    private async Task RunAsync()
    {
        BusMetrics.Connected(transport.DisplayName, 0);
        var name = $"{RabbitWire.Prefix}:{Environment.MachineName}:{Environment.ProcessId}";
        var hosts = transport.Hosts.ToArray();
        if (transport.Shuffle)
        {
            Random.Shared.Shuffle(hosts);
        }

        var next = 0;
        var failures = 0;
        var isReturn = false;
        while (!stopping.IsCancellationRequested)
        {
            var host = hosts[next++ % hosts.Length];
            RabbitSession session;
            try
            {
                session = await OpenAsync(host, name, isReturn || failures > 0);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                break;
            }
            catch (Exception failure)
            {
                // The innermost words say it (refused, unknown host, login refused); none of them has the password.
                LogUnreachable(host, failure.GetBaseException().Message);
                failures++;
                if (failures % hosts.Length == 0)
                {
                    await PauseAsync(failures / hosts.Length);
                }

                continue;
            }

            isReturn |= failures > 0;
            failures = 0;
            await UseAsync(session, isReturn);
            isReturn = true;
            if (time.GetElapsedTime(session.StartedAt) < Settling)
            {
                // A connection that breaks as soon as it is there is not opened in a tight loop.
                await PauseAsync(1);
            }
        }
    }

    private async Task<RabbitSession> OpenAsync(RabbitHost host, string name, bool isReturn)
    {
        var session = await RabbitSession.OpenAsync(
            transport, host, name, isReturn, time, OnReply, reason => LogBlocked(host, reason), stopping.Token);
        try
        {
            await session.ApplyAsync(servers, Interlocked.Read(ref version), ReceiveAsync, stopping.Token);
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    private async Task UseAsync(RabbitSession session, bool isReturn)
    {
        LogConnected(session.Host);
        BusMetrics.Connected(transport.DisplayName, 1);
        connected.TrySetResult(session);
        var applying = ApplyChangesAsync(session);
        if (isReturn)
        {
            BusMetrics.Reconnected(transport.DisplayName);
            TellReconnected();
        }

        var reason = "the process stops";
        try
        {
            reason = await session.Lost.WaitAsync(stopping.Token);
        }
        catch (OperationCanceledException)
        {
        }

        Volatile.Write(ref connected, new TaskCompletionSource<RabbitSession>(TaskCreationOptions.RunContinuationsAsynchronously));
        session.Fail(reason);
        session.MarkReplaced();
        BusMetrics.Connected(transport.DisplayName, -1);
        if (!stopping.IsCancellationRequested)
        {
            LogLost(session.Host, reason);
        }

        foreach (var call in calls.Values.Where(call => call.Session == session))
        {
            call.Arrived(new Outcome(OutcomeKind.Lost));
        }

        await applying;
        await session.DisposeAsync();
    }

    private async Task ApplyChangesAsync(RabbitSession session)
    {
        try
        {
            while (true)
            {
                // What changed between the opening's look and now is seen by the first turn.
                await session.ApplyAsync(servers, Interlocked.Read(ref version), ReceiveAsync, session.Closed);
                await changes.Reader.ReadAsync(session.Closed);
            }
        }
        catch (OperationCanceledException) when (session.Closed.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            session.Fail(failure.GetBaseException().Message);
        }
    }

    private void TellReconnected()
    {
        try
        {
            Reconnected?.Invoke();
        }
        catch (Exception failure)
        {
            LogReconnectedFailed(failure);
        }
    }

    private async Task PauseAsync(int turn)
    {
        var pause = transport.RetryInterval + (transport.RetryBackoff * (turn - 1));
        pause = pause < transport.RetryMax ? pause : transport.RetryMax;
        try
        {
            // A little apart from the others, who lost the broker at the same moment.
            await Task.Delay(pause * (0.8 + (Random.Shared.NextDouble() * 0.2)), time, stopping.Token);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static TimeSpan Positive(TimeSpan left) => left > TimeSpan.Zero ? left : TimeSpan.Zero;

    private static string Milliseconds(TimeSpan left) => ((long)Math.Max(1, left.TotalMilliseconds)).ToString(CultureInfo.InvariantCulture);

    [LoggerMessage(EventId = 1111, Level = LogLevel.Information, Message = "Bus: connected to RabbitMQ at {Host}")]
    private partial void LogConnected(RabbitHost host);

    [LoggerMessage(EventId = 1112, Level = LogLevel.Warning, Message = "Bus: RabbitMQ at {Host} cannot be reached and will be tried again: {Reason}")]
    private partial void LogUnreachable(RabbitHost host, string reason);

    [LoggerMessage(EventId = 1113, Level = LogLevel.Warning, Message = "Bus: the connection to RabbitMQ at {Host} was lost: {Reason}")]
    private partial void LogLost(RabbitHost host, string reason);

    [LoggerMessage(EventId = 1114, Level = LogLevel.Warning, Message = "Bus: RabbitMQ at {Host} takes no messages at the moment: {Reason}")]
    private partial void LogBlocked(RabbitHost host, string reason);

    [LoggerMessage(EventId = 1115, Level = LogLevel.Error, Message = "Bus: what is to be done after a reconnect failed")]
    private partial void LogReconnectedFailed(Exception failure);
}
