using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Bus;

/// <summary>The connection ended while it was used; the same thing can be tried on the next one.</summary>
internal sealed class RabbitLostException(string message, Exception inner) : Exception(message, inner);

/// <summary>The broker has no queue for the message.</summary>
internal sealed class RabbitReturnedException(Exception inner) : Exception("nobody serves it", inner);

/// <summary>
/// One connection, from its opening to its loss. It does not heal: whatever goes wrong with a channel or a queue ends the session, and the next one
/// declares everything anew.
/// </summary>
internal sealed class RabbitSession : IAsyncDisposable
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(2);

    private readonly RabbitTransport transport;
    private readonly IConnection connection;
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource replaced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource closed = new();
    private readonly string id = Guid.NewGuid().ToString("N");
    private readonly Dictionary<string, string> consumers = [];
    private readonly HashSet<(string Queue, string Key)> bindings = [];
    private readonly long openedAt;
    private TaskCompletionSource appliedChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long applied = -1;

    private RabbitSession(RabbitTransport transport, RabbitHost host, IConnection connection, TimeProvider time)
    {
        this.transport = transport;
        this.connection = connection;
        Host = host;
        StartedAt = time.GetTimestamp();
        openedAt = time.GetUtcNow().ToUnixTimeMilliseconds();
    }

    public RabbitHost Host { get; }

    /// <summary>The clock's time stamp of the opening.</summary>
    public long StartedAt { get; }

    /// <summary>Whether it is not the first one of its bus: then servers may not be back yet.</summary>
    public bool IsReturn { get; init; }

    /// <summary>Ends when the session has, with the reason.</summary>
    public Task<string> Lost => lost.Task;

    /// <summary>Ends when the bus has taken notice of the loss.</summary>
    public Task Replaced => replaced.Task;

    public CancellationToken Closed => closed.Token;

    public string ReplyQueue => $"{RabbitWire.Prefix}.reply.{id}";

    private string FanoutQueue => $"{RabbitWire.Prefix}.fanout.{id}";

    private IChannel Publishing { get; set; } = null!;

    private IChannel Replying { get; set; } = null!;

    private IChannel Consuming { get; set; } = null!;

    /// <summary>Connects to one broker and is ready for calls; nothing is served yet.</summary>
    public static async Task<RabbitSession> OpenAsync(
        RabbitTransport transport, RabbitHost host, string name, bool isReturn, TimeProvider time, Action<string, ReadOnlyMemory<byte>, IReadOnlyBasicProperties> onReply, Action<string> onBlocked, CancellationToken cancellationToken)
    {
        var factory = new ConnectionFactory
        {
            UserName = host.User,
            Password = host.Password,
            VirtualHost = transport.VirtualHost,
            AutomaticRecoveryEnabled = false,
            TopologyRecoveryEnabled = false,
            RequestedHeartbeat = transport.Heartbeat,
            RequestedConnectionTimeout = ConnectTimeout,
            HandshakeContinuationTimeout = ConnectTimeout,
            ContinuationTimeout = TimeSpan.FromSeconds(20),
            // What is larger than our own bound is put aside, not a reason to end the connection.
            MaxInboundMessageBodySize = 256 << 20,
        };
        var connection = await factory.CreateConnectionAsync([new AmqpTcpEndpoint(host.Name, host.Port, Tls(transport, host))], name, cancellationToken);
        var session = new RabbitSession(transport, host, connection, time) { IsReturn = isReturn };
        try
        {
            connection.ConnectionShutdownAsync += session.OnShutdownAsync;
            connection.ConnectionBlockedAsync += (_, blocked) =>
            {
                onBlocked(blocked.Reason);
                return Task.CompletedTask;
            };
            session.Publishing = await session.ChannelAsync(new CreateChannelOptions(true, true, outstandingPublisherConfirmationsRateLimiter: null), cancellationToken);
            session.Replying = await session.ChannelAsync(null, cancellationToken);
            session.Consuming = await session.ChannelAsync(null, cancellationToken);
            await session.Consuming.BasicQosAsync(0, transport.Prefetch > 0 ? transport.Prefetch : (ushort)Math.Min(transport.Concurrency, ushort.MaxValue), global: false, cancellationToken);
            await session.Replying.QueueDeclareAsync(session.ReplyQueue, durable: false, exclusive: true, autoDelete: true, cancellationToken: cancellationToken);
            var replies = new Consumer(session, session.Replying, session.ReplyQueue, (_, _, properties, body) =>
            {
                onReply(properties.CorrelationId ?? "", body, properties);
                return Task.CompletedTask;
            });
            await session.Replying.BasicConsumeAsync(session.ReplyQueue, autoAck: true, replies, cancellationToken);
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends the session: the bus opens another.</summary>
    public void Fail(string reason)
    {
        if (lost.TrySetResult(reason))
        {
            closed.Cancel();
        }
    }

    /// <summary>The bus knows of the loss: whoever asks it from now on waits for the next session.</summary>
    public void MarkReplaced() => replaced.TrySetResult();

    /// <summary>Makes queues, bindings and consumers what the servers of this process need.</summary>
    /// <param name="version">The number of the change of <paramref name="servers"/> that is seen at least.</param>
    public async Task ApplyAsync(BusServers servers, long version, Func<RabbitSession, RabbitDelivery, Task> onMessage, CancellationToken cancellationToken)
    {
        var all = servers.All.ToList();
        var queues = new Dictionary<string, RabbitQueue>();
        var wanted = new HashSet<(string Queue, string Key)>();
        foreach (var server in all)
        {
            var shared = RabbitWire.SharedQueue(server.Method);
            queues[shared] = new RabbitQueue(shared, RabbitQueueKind.Shared, null);
            queues[FanoutQueue] = new RabbitQueue(FanoutQueue, RabbitQueueKind.Fanout, null);
            wanted.Add((FanoutQueue, RabbitWire.FanoutKey(server.Method)));
            if (server.Host is { } host)
            {
                var queue = RabbitWire.HostQueue(server.Method.Topic, host);
                queues[queue] = new RabbitQueue(queue, RabbitQueueKind.Host, host);
                wanted.Add((queue, RabbitWire.HostKey(server.Method, host)));
            }
        }

        foreach (var (queue, key) in bindings.Where(binding => !wanted.Contains(binding)).ToList())
        {
            if (queues.ContainsKey(queue))
            {
                await Consuming.QueueUnbindAsync(queue, RabbitWire.Direct, key, cancellationToken: cancellationToken);
            }

            bindings.Remove((queue, key));
        }

        foreach (var (queue, tag) in consumers.Where(consumer => !queues.ContainsKey(consumer.Key)).ToList())
        {
            // The queue goes with its last consumer: from then on senders hear that nobody serves it.
            await Consuming.BasicCancelAsync(tag, cancellationToken: cancellationToken);
            consumers.Remove(queue);
        }

        foreach (var queue in queues.Values.Where(queue => !consumers.ContainsKey(queue.Name)))
        {
            await DeclareAsync(queue, cancellationToken);
        }

        var missing = wanted.Where(binding => !bindings.Contains(binding)).ToList();
        for (var i = 0; i < missing.Count; i++)
        {
            // One answer is enough: the broker takes a channel's commands in their order.
            var (queue, key) = missing[i];
            await Consuming.QueueBindAsync(queue, RabbitWire.Direct, key, noWait: i < missing.Count - 1, cancellationToken: cancellationToken);
            bindings.Add((queue, key));
        }

        foreach (var queue in queues.Values.Where(queue => !consumers.ContainsKey(queue.Name)))
        {
            await ConsumeAsync(queue, onMessage, cancellationToken);
        }

        Interlocked.Exchange(ref applied, version);
        Interlocked.Exchange(ref appliedChanged, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }

    /// <summary>Ends when that change of the servers has been applied, or the session has ended.</summary>
    public async Task AppliedAsync(long version, CancellationToken cancellationToken)
    {
        while (!Lost.IsCompleted)
        {
            var change = Volatile.Read(ref appliedChanged).Task;
            if (Interlocked.Read(ref applied) >= version)
            {
                return;
            }

            await Task.WhenAny(change, Lost).WaitAsync(cancellationToken);
        }
    }

    /// <summary>Publishes and waits for the broker's word that it has the message.</summary>
    /// <exception cref="RabbitReturnedException">No queue takes it (where <paramref name="mandatory"/>), or the broker refused it.</exception>
    /// <exception cref="RabbitLostException">The session ended before the broker's word came.</exception>
    public Task PublishAsync(RabbitOutgoing message, bool mandatory, CancellationToken cancellationToken) =>
        PublishAsync(message.Exchange, message.RoutingKey, mandatory, message.Properties(), message.Body, cancellationToken);

    public async Task PublishAsync(string exchange, string key, bool mandatory, BasicProperties properties, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        try
        {
            await Publishing.BasicPublishAsync(exchange, key, mandatory, properties, body, cancellationToken);
        }
        catch (PublishException failure) when (!Lost.IsCompleted)
        {
            throw new RabbitReturnedException(failure);
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            throw Failed(failure);
        }
    }

    /// <summary>Answers, without waiting for the broker's word; an asker that has gone is no failure.</summary>
    public async Task ReplyAsync(string queue, BasicProperties properties, ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        try
        {
            await Replying.BasicPublishAsync("", queue, mandatory: false, properties, body, cancellationToken);
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            throw Failed(failure);
        }
    }

    /// <summary>Tells the broker that a delivery is done with, or is to be given to another.</summary>
    public async Task SettleAsync(ulong tag, bool requeue, CancellationToken cancellationToken)
    {
        try
        {
            if (requeue)
            {
                await Consuming.BasicNackAsync(tag, multiple: false, requeue: true, cancellationToken);
            }
            else
            {
                await Consuming.BasicAckAsync(tag, multiple: false, cancellationToken);
            }
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            throw Failed(failure);
        }
    }

    /// <summary>Whether a queue of that name is there; asked on a channel of its own, as the broker closes it where not.</summary>
    public async Task<bool> ExistsAsync(string queue, CancellationToken cancellationToken)
    {
        try
        {
            await using var channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken);
            await channel.QueueDeclarePassiveAsync(queue, cancellationToken);
            return true;
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            return false;
        }
    }

    /// <summary>Declares the queue of dead letters. One of another size that is there already serves as well.</summary>
    public async Task DeclareDeadLettersAsync(CancellationToken cancellationToken)
    {
        try
        {
            await using var channel = await connection.CreateChannelAsync(cancellationToken: cancellationToken);
            await channel.QueueDeclareAsync(
                RabbitWire.DeadLetters, durable: true, exclusive: false, autoDelete: false,
                new Dictionary<string, object?> { ["x-max-length"] = RabbitWire.MaxDeadLetters, ["x-overflow"] = "drop-head" }, cancellationToken: cancellationToken);
        }
        catch (OperationInterruptedException failure) when (failure.ShutdownReason?.ReplyCode == Constants.PreconditionFailed)
        {
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            throw Failed(failure);
        }
    }

    /// <summary>Takes no new messages; those under way can still be answered.</summary>
    public async Task StopConsumingAsync(CancellationToken cancellationToken)
    {
        try
        {
            foreach (var tag in consumers.Values)
            {
                await Consuming.BasicCancelAsync(tag, cancellationToken: cancellationToken);
            }
        }
        catch (Exception failure) when (IsLoss(failure))
        {
            Fail(failure.Message);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Fail("closed");
        try
        {
            await connection.CloseAsync(Constants.ReplySuccess, "bye", CloseTimeout, abort: true);
        }
        finally
        {
            await connection.DisposeAsync();
        }
    }

    private static bool IsLoss(Exception failure) =>
        failure is AlreadyClosedException or OperationInterruptedException or IOException or ObjectDisposedException or PublishException or TimeoutException or RabbitMQClientException;

    private static SslOption Tls(RabbitTransport transport, RabbitHost host)
    {
        if (!transport.Ssl)
        {
            return new SslOption { Enabled = false };
        }

        var ssl = new SslOption { Enabled = true, ServerName = host.Name };
        if (transport.CertFile.Length > 0)
        {
            ssl.Certs = [X509Certificate2.CreateFromPemFile(transport.CertFile, transport.KeyFile.Length > 0 ? transport.KeyFile : null)];
        }

        if (transport.CaFile.Length > 0)
        {
            var authorities = ServerCertificate.Load(transport.CaFile);
            ssl.CertificateValidationCallback = (_, certificate, chain, errors) => IsTrusted(transport, authorities, certificate, chain, errors);
        }

        return ssl;
    }

    private static bool IsTrusted(RabbitTransport transport, X509Certificate2Collection authorities, X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        if (certificate is null || (transport.EnforceHostname && errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch)))
        {
            return false;
        }

        using var chain = new X509Chain { ChainPolicy = ServerCertificate.PolicyOf(authorities) };
        foreach (var element in presented?.ChainElements.Skip(1) ?? [])
        {
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        }

        using var leaf = X509CertificateLoader.LoadCertificate(certificate.GetRawCertData());
        return chain.Build(leaf);
    }

    private async Task<IChannel> ChannelAsync(CreateChannelOptions? options, CancellationToken cancellationToken)
    {
        var channel = await connection.CreateChannelAsync(options, cancellationToken);
        channel.ChannelShutdownAsync += OnShutdownAsync;
        return channel;
    }

    private Task OnShutdownAsync(object sender, ShutdownEventArgs reason)
    {
        Fail(reason.ReplyText);
        return Task.CompletedTask;
    }

    private RabbitLostException Failed(Exception failure)
    {
        Fail(failure.Message);
        return new RabbitLostException(failure.Message, failure);
    }

    private Task<QueueDeclareOk> DeclareAsync(RabbitQueue queue, CancellationToken cancellationToken)
    {
        var own = queue.Kind == RabbitQueueKind.Fanout;
        return Consuming.QueueDeclareAsync(
            queue.Name, durable: transport.Durable && !own, exclusive: own, autoDelete: true,
            new Dictionary<string, object?> { ["x-max-length"] = RabbitWire.MaxQueueLength, ["x-overflow"] = "drop-head" }, cancellationToken: cancellationToken);
    }

    private async Task ConsumeAsync(RabbitQueue queue, Func<RabbitSession, RabbitDelivery, Task> onMessage, CancellationToken cancellationToken)
    {
        // A host's newest connection is the living one: the broker may not know yet that an older one is dead, and would go on sending to it.
        var arguments = queue.Kind == RabbitQueueKind.Host ? new Dictionary<string, object?> { ["x-priority"] = openedAt } : null;
        var consumer = new Consumer(this, Consuming, queue.Name, (tag, redelivered, properties, body) =>
            onMessage(this, new RabbitDelivery(queue, tag, redelivered, properties, body.ToArray())));
        consumers[queue.Name] = await Consuming.BasicConsumeAsync(queue.Name, autoAck: false, "", noLocal: false, exclusive: false, arguments, consumer, cancellationToken);
    }

    private delegate Task Deliver(ulong tag, bool redelivered, IReadOnlyBasicProperties properties, ReadOnlyMemory<byte> body);

    private sealed class Consumer(RabbitSession session, IChannel channel, string queue, Deliver deliver) : AsyncDefaultBasicConsumer(channel)
    {
        public override Task HandleBasicDeliverAsync(
            string consumerTag, ulong deliveryTag, bool redelivered, string exchange, string routingKey, IReadOnlyBasicProperties properties, ReadOnlyMemory<byte> body, CancellationToken cancellationToken = default) =>
            deliver(deliveryTag, redelivered, properties, body);

        /// <summary>Not asked for by us: somebody deleted the queue.</summary>
        public override Task HandleBasicCancelAsync(string consumerTag, CancellationToken cancellationToken = default)
        {
            session.Fail($"the queue {queue} was deleted");
            return Task.CompletedTask;
        }
    }
}
