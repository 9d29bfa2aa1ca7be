using System.Diagnostics.Metrics;
using System.Text;
using RabbitMQ.Client;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Foundation.Tests.Bus;

/// <summary>What can go wrong with a broker, and with what it carries.</summary>
public sealed class RabbitBusTests : IAsyncDisposable
{
    private readonly BusTopic topic = new("test", $"oracle-{Guid.NewGuid():N}");
    private readonly LogLines log = new();
    private readonly List<RabbitBus> buses = [];

    private BusContract<Question, Answer> Ask => new(topic, "ask", 1, BusTestJson.Default.Question, BusTestJson.Default.Answer);

    private BusContract<Question, Ack> Tell => new(topic, "tell", 1, BusTestJson.Default.Question, BusTestJson.Default.Ack);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        foreach (var bus in buses)
        {
            await bus.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_service_starts_without_a_broker_and_is_there_when_the_broker_is()
    {
        await using var broker = RabbitBroker.Prepare();
        var (client, server) = (Open(broker.Url), Open(broker.Url));
        var resyncs = 0;
        server.Reconnected += () => Interlocked.Increment(ref resyncs);
        using var served = server.Serve(Ask, "one", (question, _) => Task.FromResult(new Answer(question.Text)));
        var failure = await Assert.ThrowsAsync<CloudException>(() => client.CallAsync(Ask, new Question("why"), "one", TimeSpan.FromSeconds(1), Cancelled));
        Assert.Equal((ErrorKind.ServiceUnavailable, $"The message broker 127.0.0.1:{broker.Port}/ cannot be reached; the log says why."), (failure.Kind, failure.Message));
        Assert.Contains(log.Lines, line => line.Contains($"RabbitMQ at 127.0.0.1:{broker.Port} cannot be reached", StringComparison.Ordinal));

        await broker.StartAgainAsync();
        await Eventually.TrueAsync(() => resyncs == 1, "the reconnect", TimeSpan.FromSeconds(60));
        Assert.Equal("why", (await client.CallAsync(Ask, new Question("why"), "one", TimeSpan.FromSeconds(60), Cancelled)).Text);
    }

    [Fact]
    public async Task After_a_brokers_crash_calls_go_on_and_everything_is_looked_at()
    {
        await using var broker = await RabbitBroker.StartAsync();
        var (client, server) = (Open(broker.Url), Open(broker.Url));
        var resyncs = 0;
        server.Reconnected += () => Interlocked.Increment(ref resyncs);
        var entered = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        using var served = server.Serve(Ask, "one", async (question, _) =>
        {
            entered.TrySetResult();
            if (question.Text == "slow")
            {
                await goOn.Task;
            }

            return new Answer(question.Text);
        });
        await server.SettledAsync(Cancelled);
        var slow = client.CallAsync(Ask, new Question("slow"), "one", TimeSpan.FromMinutes(3), Cancelled);
        await entered.Task.WaitAsync(Cancelled);
        await broker.KillAsync();
        await Eventually.TrueAsync(() => log.Lines.Count(line => line.Contains("was lost", StringComparison.Ordinal)) == 2, "both notice");
        await broker.StartAgainAsync();
        goOn.SetResult();
        // The call that was under way is asked again, and answered, though the broker forgot everything.
        Assert.Equal("slow", (await slow).Text);
        Assert.Equal("quick", (await client.CallAsync(Ask, new Question("quick"), "one", TimeSpan.FromMinutes(1), Cancelled)).Text);
        Assert.Equal(1, resyncs);
    }

    [Fact]
    public async Task A_question_whose_answer_is_lost_is_asked_again()
    {
        var broker = await RabbitBroker.SharedAsync();
        var (client, server) = (Open(broker.Url), Open(broker.Url));
        client.AnswerPatience = TimeSpan.FromMilliseconds(200);
        var asked = 0;
        var never = new TaskCompletionSource();
        // The first ones are as if the server had died with them.
        using var served = server.Serve(Ask, null, async (question, _) =>
        {
            if (Interlocked.Increment(ref asked) < 3)
            {
                await never.Task;
            }

            return new Answer(question.Text);
        });
        await server.SettledAsync(Cancelled);
        Assert.Equal("why", (await client.CallAsync(Ask, new Question("why"), null, TimeSpan.FromMinutes(2), Cancelled)).Text);
        Assert.True(asked >= 3);
        never.SetResult();
    }

    [Fact]
    public async Task The_next_broker_of_the_url_takes_over()
    {
        await using var first = await RabbitBroker.StartAsync();
        var second = await RabbitBroker.SharedAsync();
        var url = $"{first.Url},127.0.0.1:{second.Port}";
        var (client, server) = (Open(url), Open(url));
        using var served = server.Serve(Ask, "one", (question, _) => Task.FromResult(new Answer(question.Text)));
        await server.SettledAsync(Cancelled);
        Assert.Equal("before", (await client.CallAsync(Ask, new Question("before"), "one", TimeSpan.FromSeconds(60), Cancelled)).Text);
        await first.KillAsync();
        await Eventually.TrueAsync(
            () => log.Lines.Count(line => line.Contains($"connected to RabbitMQ at 127.0.0.1:{second.Port}", StringComparison.Ordinal)) == 2, "both on the second", TimeSpan.FromSeconds(60));
        Assert.Equal("after", (await client.CallAsync(Ask, new Question("after"), "one", TimeSpan.FromSeconds(60), Cancelled)).Text);
    }

    [Fact]
    public async Task A_queue_that_somebody_deletes_is_made_again()
    {
        var broker = await RabbitBroker.SharedAsync();
        var (client, server) = (Open(broker.Url), Open(broker.Url));
        var resyncs = 0;
        server.Reconnected += () => Interlocked.Increment(ref resyncs);
        using var served = server.Serve(Ask, "one", (question, _) => Task.FromResult(new Answer(question.Text)));
        await server.SettledAsync(Cancelled);
        var method = new BusMethod(topic, "ask", 1);
        await using var operators = await ConnectAsync(broker);
        await using var channel = await operators.CreateChannelAsync(cancellationToken: Cancelled);
        foreach (var (queue, turn) in ((string, int)[])[(RabbitWire.HostQueue(topic, "one"), 1), (RabbitWire.SharedQueue(method), 2)])
        {
            await channel.QueueDeleteAsync(queue, cancellationToken: Cancelled);
            await Eventually.TrueAsync(() => resyncs == turn, "the new queue", TimeSpan.FromSeconds(60));
            Assert.Equal("host", (await client.CallAsync(Ask, new Question("host"), "one", TimeSpan.FromSeconds(30), Cancelled)).Text);
            Assert.Equal("all", (await client.CallAsync(Ask, new Question("all"), null, TimeSpan.FromSeconds(30), Cancelled)).Text);
        }
    }

    [Fact]
    public async Task What_cannot_be_handled_is_put_aside_with_its_reason_and_stops_nothing()
    {
        var broker = await RabbitBroker.SharedAsync();
        var (client, server) = (Open(broker.Url), Open(broker.Url));
        var handled = 0;
        using var served = server.Serve(Tell, "one", (question, _) =>
        {
            Interlocked.Increment(ref handled);
            return question.Text == "bad" ? throw new InvalidOperationException("no") : Task.FromResult(Ack.Ok);
        });
        await server.SettledAsync(Cancelled);
        await using var stranger = await ConnectAsync(broker);
        await using var channel = await stranger.CreateChannelAsync(cancellationToken: Cancelled);
        var queue = RabbitWire.HostQueue(topic, "one");
        BasicProperties Headers(string method, string version = "1.0") => new()
        {
            Type = "cast", CorrelationId = topic.Name,
            Headers = new Dictionary<string, object?> { ["topic"] = $"test/{topic.Name}", ["method"] = method, ["version"] = version },
        };
        var deep = string.Concat(Enumerable.Repeat("""{"Text":""", 200));
        foreach (var (properties, body) in ((BasicProperties, string)[])[
            (new BasicProperties { CorrelationId = topic.Name }, "{}"),
            (Headers("tell"), "not json"),
            (Headers("tell"), deep),
            (Headers("tell"), "null"),
            (Headers("tell"), $$"""{"Text":"{{new string('x', BusBody.MaxLength)}}"}"""),
            (Headers("sing"), "{}"),
            (Headers("tell", "7.0"), "{}"),
            (Headers("tell", "first"), "{}")])
        {
            await channel.BasicPublishAsync("", queue, mandatory: true, properties, Encoding.UTF8.GetBytes(body), Cancelled);
        }

        await client.CastAsync(Tell, new Question("bad"), "one", Cancelled);
        var letters = await DeadLettersAsync(broker, 9, letter => letter.CorrelationId == topic.Name || Header(letter, "topic") == $"test/{topic.Name}");
        Assert.Equal(
            ["failed", "unknown", "unknown", "unknown", "unknown", "unreadable", "unreadable", "unreadable", "unreadable"], letters.Select(letter => Header(letter, "reason")).Order());
        Assert.Equal(2, handled);
        await client.CastAsync(Tell, new Question("good"), "one", Cancelled);
        await Eventually.TrueAsync(() => handled == 3, "what came after");
        Assert.Contains(log.Lines, line => line.Contains("went to sharpstack.dead-letters: unreadable", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_message_that_ends_its_handlers_processes_is_put_aside()
    {
        var broker = await RabbitBroker.SharedAsync();
        var client = Open(broker.Url);
        var victims = 0;
        using var entered = new SemaphoreSlim(0);
        RabbitBus Next()
        {
            var bus = Open(broker.Url);
            bus.DrainTime = TimeSpan.FromMilliseconds(100);
            bus.Serve(Tell, null, async (_, cancellation) =>
            {
                Interlocked.Increment(ref victims);
                entered.Release();
                await Task.Delay(Timeout.Infinite, cancellation);
                return Ack.Ok;
            });
            return bus;
        }

        var current = Next();
        await current.SettledAsync(Cancelled);
        await client.CastAsync(Tell, new Question("deadly"), null, Cancelled);
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.True(await entered.WaitAsync(TimeSpan.FromSeconds(60), Cancelled));
            // The queue outlives the one that ends without settling, as the next one is there already.
            var next = Next();
            await next.SettledAsync(Cancelled);
            await current.DisposeAsync();
            current = next;
        }

        var letters = await DeadLettersAsync(broker, 1, letter => Header(letter, "topic") == $"test/{topic.Name}");
        Assert.Equal("given back too often", Header(letters[0], "reason"));
        Assert.Equal(3, victims);
    }

    [Fact]
    public async Task A_process_handles_no_more_at_once_than_it_is_told_and_loses_nothing()
    {
        var broker = await RabbitBroker.SharedAsync();
        var (client, server) = (Open(broker.Url), Open(broker.Url, ("DEFAULT", "executor_thread_pool_size", "4")));
        var (now, most, done) = (0, 0, 0);
        using var gate = new SemaphoreSlim(0);
        using var served = server.Serve(Tell, null, async (_, cancellation) =>
        {
            var busy = Interlocked.Increment(ref now);
            InterlockedMax(ref most, busy);
            await gate.WaitAsync(cancellation);
            Interlocked.Decrement(ref now);
            Interlocked.Increment(ref done);
            return Ack.Ok;
        });
        await server.SettledAsync(Cancelled);
        for (var i = 0; i < 100; i++)
        {
            await client.CastAsync(Tell, new Question($"{i}"), null, Cancelled);
        }

        await Eventually.TrueAsync(() => now == 4, "four at work", TimeSpan.FromSeconds(60));
        await using var witness = await ConnectAsync(broker);
        await using var channel = await witness.CreateChannelAsync(cancellationToken: Cancelled);
        // The broker keeps what is neither at work nor sent ahead: back-pressure reaches it.
        var queue = RabbitWire.SharedQueue(new BusMethod(topic, "tell", 1));
        await Eventually.TrueAsync(async () => await channel.MessageCountAsync(queue, Cancelled) >= 90, "the rest at the broker", TimeSpan.FromSeconds(60));
        gate.Release(100);
        await Eventually.TrueAsync(() => done == 100, "all of them", TimeSpan.FromSeconds(60));
        Assert.Equal(4, most);
    }

    [Fact]
    public async Task A_stopping_process_sends_its_hints_and_ends_what_it_handles()
    {
        var broker = await RabbitBroker.SharedAsync();
        var server = Open(broker.Url);
        var (entered, goOn) = (new TaskCompletionSource(), new TaskCompletionSource());
        var heard = 0;
        using var asked = server.Serve(Ask, null, async (_, _) =>
        {
            entered.SetResult();
            await goOn.Task;
            return new Answer("done");
        });
        using var told = buses[0].Serve(Tell, null, (_, _) =>
        {
            Interlocked.Increment(ref heard);
            return Task.FromResult(Ack.Ok);
        });
        var client = Open(broker.Url);
        await server.SettledAsync(Cancelled);
        var call = client.CallAsync(Ask, new Question("?"), null, TimeSpan.FromSeconds(60), Cancelled);
        await entered.Task.WaitAsync(Cancelled);
        var stop = server.DisposeAsync();
        goOn.SetResult();
        await stop;
        Assert.Equal("done", (await call).Text);

        var last = Open(broker.Url);
        var listener = Open(broker.Url);
        using var hears = listener.Serve(Tell, null, (_, _) =>
        {
            Interlocked.Increment(ref heard);
            return Task.FromResult(Ack.Ok);
        });
        await listener.SettledAsync(Cancelled);
        await last.SettledAsync(Cancelled);
        for (var i = 0; i < 200; i++)
        {
            await last.CastAsync(Tell, new Question($"{i}"), null, Cancelled);
        }

        await last.DisposeAsync();
        await Eventually.TrueAsync(() => heard == 200, "all hints", TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task Hints_wait_for_the_broker_up_to_a_bound_and_never_hold_up_a_request()
    {
        await using var broker = RabbitBroker.Prepare();
        var client = Open(broker.Url);
        using var heard = new MeterListener();
        var dropped = 0L;
        heard.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument is { Meter.Name: "SharpStack.Bus", Name: "sharpstack.bus.dropped" })
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        heard.SetMeasurementEventCallback<long>((_, value, tags, _) => Interlocked.Add(ref dropped, Tag(tags, "topic") == topic.Name ? value : 0));
        heard.Start();
        var started = TimeProvider.System.GetTimestamp();
        for (var i = 0; i < 11_000; i++)
        {
            await client.CastAsync(Tell, new Question($"{i}"), null, Cancelled);
        }

        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Assert.InRange(Interlocked.Read(ref dropped), 500, 1_000);
    }

    [Fact]
    public async Task Tls_trusts_the_authority_that_is_named_and_no_other()
    {
        var broker = await RabbitBroker.SharedAsync();
        var url = broker.Url.Replace($":{broker.Port}", $":{broker.TlsPort}", StringComparison.Ordinal);
        var trusted = Open(url, ("oslo_messaging_rabbit", "ssl", "true"), ("oslo_messaging_rabbit", "ssl_ca_file", broker.CaFile), ("oslo_messaging_rabbit", "ssl_enforce_hostname_verification", "true"));
        await trusted.SettledAsync(Cancelled).WaitAsync(TimeSpan.FromSeconds(60), Cancelled);

        var folder = Directory.CreateTempSubdirectory("sharpstack-ca-").FullName;
        try
        {
            using var stranger = new TestAuthority(folder);
            await RefusedAsync(url, ("ssl", "true"), ("ssl_ca_file", stranger.CaFile));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        await RefusedAsync(url, ("ssl", "true"));
        await RefusedAsync(url.Replace("127.0.0.1", "127.0.0.2", StringComparison.Ordinal), ("ssl", "true"), ("ssl_ca_file", broker.CaFile), ("ssl_enforce_hostname_verification", "true"));
    }

    [Fact]
    public async Task Messages_are_counted_by_topic_and_method()
    {
        var broker = await RabbitBroker.SharedAsync();
        var counts = new System.Collections.Concurrent.ConcurrentDictionary<string, long>();
        using var meters = new MeterListener { InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == "SharpStack.Bus")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        } };
        meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            if (Tag(tags, "topic") == topic.Name)
            {
                counts.AddOrUpdate($"{instrument.Name} {Tag(tags, "method")}", value, (_, sum) => sum + value);
            }
        });
        meters.Start();
        var bus = Open(broker.Url);
        using var served = bus.Serve(Tell, "one", (_, _) => throw new InvalidOperationException());
        await bus.SettledAsync(Cancelled);
        await bus.CastAsync(Tell, new Question("bad"), "one", Cancelled);
        await bus.CastAsync(Tell, new Question("nobody"), "two", Cancelled);
        await Eventually.TrueAsync(() => counts.GetValueOrDefault("sharpstack.bus.dead.letters tell") == 1 && counts.GetValueOrDefault("sharpstack.bus.returned tell") == 1, "the counts", TimeSpan.FromSeconds(60));
        Assert.Equal((2, 2, 1), (counts["sharpstack.bus.sent tell"], counts["sharpstack.bus.received tell"], counts["sharpstack.bus.redelivered tell"]));
    }

    private static string? Tag(ReadOnlySpan<KeyValuePair<string, object?>> tags, string name)
    {
        foreach (var tag in tags)
        {
            if (tag.Key == name)
            {
                return tag.Value?.ToString();
            }
        }

        return null;
    }

    private static void InterlockedMax(ref int target, int value)
    {
        var seen = Volatile.Read(ref target);
        while (value > seen && Interlocked.CompareExchange(ref target, value, seen) is var before && before != seen)
        {
            seen = before;
        }
    }

    private static string? Header(IReadOnlyBasicProperties properties, string name) =>
        properties.Headers?.TryGetValue(name, out var value) == true && value is byte[] text ? Encoding.UTF8.GetString(text) : null;

    private static Task<IConnection> ConnectAsync(RabbitBroker broker) =>
        new ConnectionFactory { HostName = "127.0.0.1", Port = broker.Port, UserName = RabbitBroker.User, Password = RabbitBroker.Password }.CreateConnectionAsync(Cancelled);

    /// <summary>Takes dead letters until there are as many of this test's; others' are put back.</summary>
    private static async Task<List<IReadOnlyBasicProperties>> DeadLettersAsync(RabbitBroker broker, int count, Func<IReadOnlyBasicProperties, bool> mine)
    {
        var letters = new List<IReadOnlyBasicProperties>();
        await Eventually.TrueAsync(
            async () =>
            {
                // A connection for each look: what is not acknowledged goes back with it.
                await using var connection = await ConnectAsync(broker);
                await using var channel = await connection.CreateChannelAsync(cancellationToken: Cancelled);
                letters.Clear();
                try
                {
                    while (await channel.BasicGetAsync(RabbitWire.DeadLetters, autoAck: false, Cancelled) is { } letter)
                    {
                        if (mine(letter.BasicProperties))
                        {
                            letters.Add(letter.BasicProperties);
                        }
                    }
                }
                catch (RabbitMQ.Client.Exceptions.OperationInterruptedException)
                {
                    // Not declared yet.
                }

                return letters.Count >= count;
            },
            "the dead letters",
            TimeSpan.FromSeconds(60));
        return letters;
    }

    private async Task RefusedAsync(string url, params (string Name, string Value)[] options)
    {
        var before = log.Lines.Count(line => line.Contains("cannot be reached", StringComparison.Ordinal));
        var bus = Open(url, [.. options.Select(option => ("oslo_messaging_rabbit", option.Name, option.Value))]);
        await Assert.ThrowsAsync<CloudException>(() => bus.CallAsync(Ask, new Question("?"), null, TimeSpan.FromSeconds(3), Cancelled));
        Assert.True(log.Lines.Count(line => line.Contains("cannot be reached", StringComparison.Ordinal)) > before);
    }

    private RabbitBus Open(string url, params (string Group, string Name, string Value)[] options)
    {
        var config = ServiceConfig.Empty("nova").With("DEFAULT", "transport_url", $"{url}/").With("oslo_messaging_rabbit", "rabbit_interval_max", "1");
        foreach (var (group, name, value) in options)
        {
            config.With(group, name, value);
        }

        var bus = new RabbitBus(RabbitTransport.Read(config), TimeProvider.System, log);
        buses.Add(bus);
        return bus;
    }
}
