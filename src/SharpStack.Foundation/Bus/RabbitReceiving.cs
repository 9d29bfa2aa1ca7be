using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RabbitMQ.Client;

namespace SharpStack.Foundation.Bus;

/// <summary>What happens to a message that came: handled, answered, tried again, or put aside.</summary>
internal sealed partial class RabbitBus
{
    /// <summary>A message that ended the process (or the connection) of so many handlers is not given to another.</summary>
    private const int MaxAttempts = 3;

    /// <summary>Of a dead letter's body only the beginning is kept.</summary>
    private const int MaxDeadLetterBody = 64 << 10;

    /// <summary>Waits for a free handler (which holds the next deliveries back), then returns while it works.</summary>
    private async Task ReceiveAsync(RabbitSession session, RabbitDelivery delivery)
    {
        try
        {
            await handlers.WaitAsync(session.Closed);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        _ = TakeAsync(session, delivery);
    }

    private async Task TakeAsync(RabbitSession session, RabbitDelivery delivery)
    {
        try
        {
            await HandleAsync(session, delivery);
        }
        catch (RabbitLostException)
        {
            // Not settled: the broker gives it to somebody else, or once more to us.
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (Exception failure)
        {
            LogReceivingFailed(delivery.Queue.Name, failure);
        }
        finally
        {
            handlers.Release();
        }
    }

    private async Task HandleAsync(RabbitSession session, RabbitDelivery delivery)
    {
        if (delivery.Method is not { } method)
        {
            await PutAsideAsync(session, delivery, new BusMethod(new BusTopic("unknown", "unknown"), "unknown", 0), "unknown", "its headers name no method");
            return;
        }

        if (delivery.Redelivered)
        {
            // Whoever had it died or lost the connection before it was done. It is counted, so that what kills its handlers ends somewhere.
            await AgainAsync(session, delivery, method, MaxAttempts, "given back too often", "its handlers' processes ended");
            return;
        }

        ImmutableArray<BusServer> found = delivery.Queue.Kind == RabbitQueueKind.Fanout ? servers.Find(method)
            : servers.Pick(method, delivery.Queue.Host) is { } one ? [one] : [];
        if (found.IsEmpty)
        {
            await NotServedAsync(session, delivery, method);
            return;
        }

        if (found.Any(server => server.Version.Minor < delivery.RequiredMinor))
        {
            var tooOld = BusErrors.TooOld(method.Topic, delivery.Queue.Host, method.Name, found[0].Version, delivery.RequiredMinor);
            if (delivery.Kind == RabbitWire.Call)
            {
                await ReplyAsync(session, delivery, tooOld);
                await session.SettleAsync(delivery.Tag, requeue: false, stopping.Token);
            }
            else
            {
                await PutAsideAsync(session, delivery, method, "version", tooOld.Message);
            }

            return;
        }

        BusMetrics.Received(method.Topic, method.Name);
        byte[] reply = [];
        try
        {
            foreach (var answer in await Task.WhenAll(found.Select(server => server.HandleAsync(delivery.Body, stopping.Token))))
            {
                reply = answer;
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            throw;
        }
        catch (UnreadableMessageException failure)
        {
            await ReplyAsync(session, delivery, BusErrors.Unreadable(method.Topic, method.Name, failure.Message));
            await PutAsideAsync(session, delivery, method, "unreadable", failure.Message);
            return;
        }
        catch (Exception failure)
        {
            await FailedAsync(session, delivery, method, failure);
            return;
        }

        await ReplyAsync(session, delivery, RabbitWire.Reply, reply);
        await session.SettleAsync(delivery.Tag, requeue: false, stopping.Token);
    }

    private async Task FailedAsync(RabbitSession session, RabbitDelivery delivery, BusMethod method, Exception failure)
    {
        if (delivery.Kind != RabbitWire.Call || failure is not CloudException)
        {
            LogFailed(method.Topic.Name, method.Name, failure);
        }

        if (delivery.Kind == RabbitWire.Call)
        {
            // The caller decides whether to ask again.
            await ReplyAsync(session, delivery, BusErrors.OfHandler(method.Topic, method.Name, failure));
            await session.SettleAsync(delivery.Tag, requeue: false, stopping.Token);
            return;
        }

        await AgainAsync(session, delivery, method, 2, "failed", failure is CloudException known ? known.Message : failure.GetType().Name);
    }

    /// <summary>Sends it once more, or puts it aside where it has been tried often enough.</summary>
    private async Task AgainAsync(RabbitSession session, RabbitDelivery delivery, BusMethod method, int attempts, string reason, string detail)
    {
        if (delivery.Attempts + 1 >= attempts)
        {
            await PutAsideAsync(session, delivery, method, reason, detail);
            return;
        }

        BusMetrics.Redelivered(method.Topic, method.Name);
        await session.PublishAsync(delivery.Again(), mandatory: false, stopping.Token);
        await session.SettleAsync(delivery.Tag, requeue: false, stopping.Token);
    }

    private async Task NotServedAsync(RabbitSession session, RabbitDelivery delivery, BusMethod method)
    {
        if (!servers.Knew(method))
        {
            await ReplyAsync(session, delivery, BusErrors.NobodyServes(method.Topic, delivery.Queue.Host));
            await PutAsideAsync(session, delivery, method, "unknown", "no such method here");
            return;
        }

        // Served until a moment ago, and the broker did not know yet: another one may take what is for all.
        var forAll = delivery.Queue.Kind == RabbitQueueKind.Shared;
        if (!forAll)
        {
            await ReplyAsync(session, delivery, BusErrors.NobodyServes(method.Topic, delivery.Queue.Host));
        }

        await session.SettleAsync(delivery.Tag, requeue: forAll, stopping.Token);
    }

    private Task ReplyAsync(RabbitSession session, RabbitDelivery delivery, CloudException error) =>
        ReplyAsync(session, delivery, RabbitWire.Error, BusErrors.Write(error));

    private async Task ReplyAsync(RabbitSession session, RabbitDelivery delivery, string kind, byte[] body)
    {
        if (delivery.Kind != RabbitWire.Call || delivery.ReplyTo is not { Length: > 0 } asker)
        {
            return;
        }

        // The handler may have outlived its connection; the asker then asks again, by the next one.
        foreach (var delay in badNetwork?.Plan() ?? [TimeSpan.Zero])
        {
            if (delay > TimeSpan.Zero)
            {
                await Task.Delay(delay, time, stopping.Token);
            }

            await session.ReplyAsync(asker, new BasicProperties { Type = kind, CorrelationId = delivery.Properties.CorrelationId, AppId = RabbitWire.Prefix }, body, stopping.Token);
        }
    }

    private async Task PutAsideAsync(RabbitSession session, RabbitDelivery delivery, BusMethod method, string reason, string detail)
    {
        BusMetrics.DeadLetter(method.Topic, method.Name, reason);
        LogDeadLetter(method.Topic.Name, method.Name, RabbitWire.DeadLetters, reason, detail);
        await session.DeclareDeadLettersAsync(stopping.Token);
        var properties = new BasicProperties
        {
            AppId = RabbitWire.Prefix,
            Persistent = true,
            Type = delivery.Kind,
            ContentType = delivery.Properties.ContentType,
            CorrelationId = delivery.Properties.CorrelationId,
            Timestamp = new AmqpTimestamp(time.GetUtcNow().ToUnixTimeSeconds()),
            Headers = new Dictionary<string, object?>
            {
                ["reason"] = reason,
                ["detail"] = detail.Length <= 1024 ? detail : detail[..1024],
                ["queue"] = delivery.Queue.Name,
                [RabbitWire.TopicHeader] = $"{method.Topic.Service}/{method.Topic.Name}",
                [RabbitWire.MethodHeader] = method.Name,
                [RabbitWire.VersionHeader] = delivery.Version.ToString(),
                [RabbitWire.AttemptsHeader] = delivery.Attempts + 1,
                ["length"] = delivery.Body.Length,
            },
        };
        var body = delivery.Body.AsMemory(0, Math.Min(delivery.Body.Length, MaxDeadLetterBody));
        await session.PublishAsync("", RabbitWire.DeadLetters, mandatory: false, properties, body, stopping.Token);
        await session.SettleAsync(delivery.Tag, requeue: false, stopping.Token);
    }

    [LoggerMessage(EventId = 1101, Level = LogLevel.Warning, Message = "Bus: the handler of {Topic} {Method} failed")]
    private partial void LogFailed(string topic, string method, Exception failure);

    [LoggerMessage(EventId = 1102, Level = LogLevel.Warning, Message = "Bus: a message {Topic} {Method} went to {Queue}: {Reason} ({Detail})")]
    private partial void LogDeadLetter(string topic, string method, string queue, string reason, string detail);

    [LoggerMessage(EventId = 1116, Level = LogLevel.Warning, Message = "Bus: a message of the queue {Queue} could not be settled")]
    private partial void LogReceivingFailed(string queue, Exception failure);
}
