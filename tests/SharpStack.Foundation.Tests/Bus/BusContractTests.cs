using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.TestKit;

namespace SharpStack.Foundation.Tests.Bus;

public sealed record Question(string Text);

/// <summary>The question of the next release: what it adds has a default.</summary>
public sealed record LaterQuestion(string Text)
{
    public string Tone { get; init; } = "plain";
}

public sealed record Answer(string Text);

public enum Weather
{
    Fair,
    Foul,
}

public sealed record Report(Weather Weather, DateTimeOffset At)
{
    public required string Place { get; init; }

    public IReadOnlyList<Answer> Words { get; init; } = [];

    public IReadOnlyDictionary<string, string> Details { get; init; } = new Dictionary<string, string>();
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(Report))]
internal sealed partial class BusReportJson : JsonSerializerContext;

[JsonSerializable(typeof(Question))]
[JsonSerializable(typeof(LaterQuestion))]
[JsonSerializable(typeof(Answer))]
[JsonSerializable(typeof(Ack))]
internal sealed partial class BusTestJson : JsonSerializerContext;

/// <summary>Keeps what is logged.</summary>
internal sealed class LogLines : ILogger
{
    private readonly Lock gate = new();
    private readonly List<string> lines = [];

    public IReadOnlyList<string> Lines
    {
        get
        {
            lock (gate)
            {
                return [.. lines];
            }
        }
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (gate)
        {
            lines.Add($"{logLevel} {formatter(state, exception)} {exception}");
        }
    }
}

/// <summary>What every bus does, for callers and servers: the same tests for the one in the process and for the broker's.</summary>
public abstract class BusContractTests : IAsyncDisposable
{
    // A topic of each test's own: they share a broker.
    private readonly BusTopic topic = new("test", $"oracle-{Guid.NewGuid():N}");

    /// <summary>Where the tests ask and tell.</summary>
    protected abstract IMessageBus Client { get; }

    /// <summary>Where the tests serve.</summary>
    protected abstract IMessageBus Server { get; }

    private BusContract<Question, Answer> Ask => new(topic, "ask", 1, BusTestJson.Default.Question, BusTestJson.Default.Answer);

    private BusContract<LaterQuestion, Answer> AskLater => new(topic, "ask", new BusVersion(1, 1), BusTestJson.Default.LaterQuestion, BusTestJson.Default.Answer);

    private BusContract<Question, Answer> AskSecond => new(topic, "ask", 2, BusTestJson.Default.Question, BusTestJson.Default.Answer);

    private BusContract<Question, Ack> Tell => new(topic, "tell", 1, BusTestJson.Default.Question, BusTestJson.Default.Ack);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public abstract ValueTask DisposeAsync();

    [Fact]
    public async Task A_call_is_answered_by_the_host_it_names()
    {
        using var one = Server.Serve(Ask, "one", (question, _) => Task.FromResult(new Answer($"one: {question.Text}")));
        using var two = Server.Serve(Ask, "two", (question, _) => Task.FromResult(new Answer($"two: {question.Text}")));
        await ReadyAsync();
        Assert.Equal("two: why", (await CallAsync(Ask, new Question("why"), "two")).Text);
        Assert.Equal("one: why", (await CallAsync(Ask, new Question("why"), "one")).Text);
    }

    [Fact]
    public async Task What_was_said_arrives_whole()
    {
        var echo = new BusContract<Report, Report>(topic, "echo", 1, BusReportJson.Default.Report, BusReportJson.Default.Report);
        using var served = Server.Serve(echo, null, (report, _) => Task.FromResult(report));
        await ReadyAsync();
        var sent = new Report(Weather.Foul, new DateTimeOffset(2026, 1, 31, 8, 15, 30, TimeSpan.Zero))
        {
            Place = "Bergen", Words = [new Answer("rain")], Details = new Dictionary<string, string> { ["Since"] = "always" },
        };
        var back = await CallAsync(echo, sent);
        Assert.Equal((sent.Weather, sent.At, sent.Place, "rain", "always"), (back.Weather, back.At, back.Place, back.Words[0].Text, back.Details["Since"]));
    }

    [Fact]
    public async Task Calls_to_a_topic_are_shared_among_its_servers()
    {
        using var one = Server.Serve(Ask, "one", (_, _) => Task.FromResult(new Answer("one")));
        using var two = Server.Serve(Ask, null, (_, _) => Task.FromResult(new Answer("two")));
        await ReadyAsync();
        var answers = new HashSet<string>();
        for (var i = 0; i < 10; i++)
        {
            answers.Add((await CallAsync(Ask, new Question("who"))).Text);
        }

        Assert.Equal(["one", "two"], answers.Order());
    }

    [Fact]
    public async Task A_call_to_nobody_fails_at_once_and_says_who_is_missing()
    {
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("why"), "three"));
        Assert.Equal((ErrorKind.ServiceUnavailable, $"{topic} on host three is not running."), (failure.Kind, failure.Message));
        failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("why")));
        Assert.Equal((ErrorKind.ServiceUnavailable, $"Nobody serves {topic} at the moment."), (failure.Kind, failure.Message));
    }

    [Fact]
    public async Task A_call_that_nobody_answers_in_time_ends()
    {
        using var served = Server.Serve(Ask, null, async (_, cancellation) =>
        {
            await Task.Delay(Timeout.Infinite, cancellation);
            return new Answer("never");
        });
        await ReadyAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("why"), timeout: TimeSpan.FromSeconds(0.5)));
        Assert.Equal((ErrorKind.ServiceUnavailable, $"{topic} did not answer ask within 0.5 s."), (failure.Kind, failure.Message));
    }

    [Fact]
    public async Task A_caller_may_give_up()
    {
        using var served = Server.Serve(Ask, null, async (_, cancellation) =>
        {
            await Task.Delay(Timeout.Infinite, cancellation);
            return new Answer("never");
        });
        await ReadyAsync();
        using var impatience = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Client.CallAsync(Ask, new Question("why"), cancellationToken: impatience.Token));
    }

    [Fact]
    public async Task The_servers_error_reaches_the_caller()
    {
        using var served = Server.Serve(Ask, null, (_, _) => throw new CloudException(ErrorKind.Conflict, "taken", "some.code") { Detail = "by whom" });
        await ReadyAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("why")));
        Assert.Equal((ErrorKind.Conflict, "taken", "some.code", "by whom"), (failure.Kind, failure.Message, failure.Code, failure.Detail));
    }

    [Fact]
    public async Task A_servers_fault_reaches_the_caller_without_its_inside()
    {
        using var served = Server.Serve(Ask, null, (_, _) => throw new InvalidOperationException("the password is hunter2"));
        await ReadyAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("why")));
        Assert.Equal((ErrorKind.Internal, $"{topic} failed at ask; its log says why."), (failure.Kind, failure.Message));
    }

    [Fact]
    public async Task A_fanout_reaches_every_server_and_a_cast_one()
    {
        var heard = 0;
        Task<Ack> Hear(Question question, CancellationToken cancellation)
        {
            Interlocked.Increment(ref heard);
            return Task.FromResult(Ack.Ok);
        }

        using var one = Server.Serve(Tell, "one", Hear);
        using var two = Server.Serve(Tell, "two", Hear);
        using var three = Client.Serve(Tell, "three", Hear);
        await ReadyAsync();
        await Client.FanoutAsync(Tell, new Question("all"), Cancelled);
        await Eventually.TrueAsync(() => heard == 3, "every server");
        await Client.CastAsync(Tell, new Question("one"), cancellationToken: Cancelled);
        await Eventually.TrueAsync(() => heard == 4, "one more");
        await Client.CastAsync(Tell, new Question("one"), "two", Cancelled);
        await Eventually.TrueAsync(() => heard == 5, "the host");
    }

    [Fact]
    public async Task A_stopped_server_hears_nothing_more()
    {
        var served = Server.Serve(Ask, "one", (_, _) => Task.FromResult(new Answer("here")));
        await ReadyAsync();
        Assert.Equal("here", (await CallAsync(Ask, new Question("?"))).Text);
        Assert.Equal("here", (await CallAsync(Ask, new Question("?"), "one")).Text);
        served.Dispose();
        await ReadyAsync();
        await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("?")));
        await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("?"), "one"));
    }

    [Fact]
    public async Task A_cast_whose_handler_fails_is_tried_once_more_and_then_given_up()
    {
        var tried = 0;
        var told = new List<string>();
        using var served = Server.Serve(Tell, "one", (question, _) =>
        {
            if (question.Text == "bad")
            {
                Interlocked.Increment(ref tried);
                throw new InvalidOperationException("no");
            }

            lock (told)
            {
                told.Add(question.Text);
            }

            return Task.FromResult(Ack.Ok);
        });
        await ReadyAsync();
        await Client.CastAsync(Tell, new Question("bad"), "one", Cancelled);
        await Eventually.TrueAsync(() => tried == 2, "the second try");
        await Client.CastAsync(Tell, new Question("good"), "one", Cancelled);
        await Eventually.TrueAsync(() => told.Count == 1, "what came after it");
        Assert.Equal(2, tried);
    }

    [Fact]
    public async Task Many_calls_at_once_get_each_its_own_answer()
    {
        using var served = Server.Serve(Ask, null, (question, _) => Task.FromResult(new Answer(question.Text)));
        await ReadyAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 300).Select(async i => (i, (await CallAsync(Ask, new Question($"{i}"))).Text)));
        Assert.All(answers, answer => Assert.Equal($"{answer.i}", answer.Text));
    }

    [Fact]
    public async Task A_message_that_is_too_large_is_refused_to_the_sender()
    {
        using var served = Server.Serve(Ask, null, (question, _) => Task.FromResult(new Answer(new string('x', question.Text == "much" ? 17 << 20 : 1))));
        await ReadyAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question(new string('x', 17 << 20))));
        Assert.Equal(ErrorKind.PayloadTooLarge, failure.Kind);
        failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(Ask, new Question("much")));
        Assert.Equal(ErrorKind.PayloadTooLarge, failure.Kind);
        Assert.Equal("x", (await CallAsync(Ask, new Question("little"))).Text);
    }

    [Fact]
    public async Task Releases_that_differ_in_the_minor_version_understand_each_other()
    {
        using var older = Server.Serve(Ask, "older", (question, _) => Task.FromResult(new Answer(question.Text)));
        using var newer = Server.Serve(AskLater, "newer", (question, _) => Task.FromResult(new Answer($"{question.Text} ({question.Tone})")));
        await ReadyAsync();
        Assert.Equal("why (plain)", (await CallAsync(Ask, new Question("why"), "newer")).Text);
        Assert.Equal("why (sharp)", (await CallAsync(AskLater, new LaterQuestion("why") { Tone = "sharp" }, "newer")).Text);
        Assert.Equal("why", (await CallAsync(AskLater, new LaterQuestion("why") { Tone = "sharp" }, "older")).Text);
    }

    [Fact]
    public async Task A_server_that_would_not_understand_what_is_needed_is_refused_by_name()
    {
        using var older = Server.Serve(Ask, "older", (question, _) => Task.FromResult(new Answer(question.Text)));
        using var newer = Server.Serve(AskLater, "newer", (question, _) => Task.FromResult(new Answer(question.Tone)));
        await ReadyAsync();
        var needs = AskLater with { RequiredMinor = 1 };
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(needs, new LaterQuestion("why"), "older"));
        Assert.Equal(
            (ErrorKind.ServiceUnavailable, "bus.version", $"{topic} on host older knows ask in version 1.0 only, and 1.1 is needed: upgrade it."),
            (failure.Kind, failure.Code, failure.Message));
        Assert.Equal("plain", (await CallAsync(needs, new LaterQuestion("why"), "newer")).Text);
    }

    [Fact]
    public async Task Another_major_version_goes_to_those_who_serve_it()
    {
        using var first = Server.Serve(Ask, "one", (_, _) => Task.FromResult(new Answer("first")));
        await ReadyAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(AskSecond, new Question("why"), "one"));
        Assert.Equal(
            ("bus.version", $"{topic} on host one does not know ask in version 2: it is of another release. Upgrade the older of the two."), (failure.Code, failure.Message));
        failure = await Assert.ThrowsAsync<CloudException>(() => CallAsync(AskSecond, new Question("why")));
        Assert.Equal("bus.version", failure.Code);

        using var second = Server.Serve(AskSecond, "two", (_, _) => Task.FromResult(new Answer("second")));
        await ReadyAsync();
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(("first", "second"), ((await CallAsync(Ask, new Question("why"))).Text, (await CallAsync(AskSecond, new Question("why"))).Text));
        }
    }

    [Fact]
    public async Task A_bad_network_loses_and_doubles_messages_as_it_is_told()
    {
        var heard = 0;
        using var served = Server.Serve(Tell, null, (_, _) =>
        {
            Interlocked.Increment(ref heard);
            return Task.FromResult(Ack.Ok);
        });
        await ReadyAsync();
        var doubling = await WithChaosAsync(new BusChaos(0, 1, 1, 1));
        await doubling.CastAsync(Tell, new Question("twice"), cancellationToken: Cancelled);
        await Eventually.TrueAsync(() => heard == 2, "both");
        var losing = await WithChaosAsync(new BusChaos(1, 0, 0, 1));
        await losing.CastAsync(Tell, new Question("never"), cancellationToken: Cancelled);
        var failure = await Assert.ThrowsAsync<CloudException>(() => losing.CallAsync(Tell, new Question("never"), timeout: TimeSpan.FromSeconds(0.5), cancellationToken: Cancelled));
        Assert.Contains("did not answer", failure.Message, StringComparison.Ordinal);
        Assert.Equal(2, heard);
    }

    /// <summary>Ends when what is served can be asked for.</summary>
    protected abstract Task ReadyAsync();

    /// <summary>A client of the same servers on a bad network.</summary>
    protected abstract Task<IMessageBus> WithChaosAsync(BusChaos chaos);

    private Task<TReply> CallAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host = null, TimeSpan? timeout = null) =>
        Client.CallAsync(contract, request, host, timeout ?? TimeSpan.FromSeconds(30), Cancelled);
}
