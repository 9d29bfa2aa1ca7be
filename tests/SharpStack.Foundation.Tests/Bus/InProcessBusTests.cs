using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation.Bus;
using SharpStack.TestKit;

namespace SharpStack.Foundation.Tests.Bus;

public sealed record Question(string Text);

public sealed record Answer(string Text);

[JsonSerializable(typeof(Question))]
[JsonSerializable(typeof(Answer))]
[JsonSerializable(typeof(Ack))]
internal sealed partial class BusTestJson : JsonSerializerContext;

public sealed class InProcessBusTests : IAsyncDisposable
{
    private static readonly BusTopic Oracle = new("test", "oracle");
    private static readonly BusContract<Question, Answer> Ask = new(Oracle, "ask", 1, BusTestJson.Default.Question, BusTestJson.Default.Answer);
    private static readonly BusContract<Question, Ack> Tell = new(Oracle, "tell", 1, BusTestJson.Default.Question, BusTestJson.Default.Ack);

    private readonly FakeTimeProvider time = new();
    private readonly InProcessBus bus;

    public InProcessBusTests() => bus = new InProcessBus(time, NullLogger<InProcessBus>.Instance);

    public ValueTask DisposeAsync() => bus.DisposeAsync();

    [Fact]
    public async Task A_call_is_answered_by_the_host_it_names()
    {
        using var one = bus.Serve(Ask, "one", (question, _) => Task.FromResult(new Answer($"one: {question.Text}")));
        using var two = bus.Serve(Ask, "two", (question, _) => Task.FromResult(new Answer($"two: {question.Text}")));
        Assert.Equal("two: why", (await bus.CallAsync(Ask, new Question("why"), "two", null, CancellationToken.None)).Text);
    }

    [Fact]
    public async Task A_call_to_nobody_fails_at_once_and_says_who_is_missing()
    {
        var failure = await Assert.ThrowsAsync<CloudException>(() => bus.CallAsync(Ask, new Question("why"), "three", null, CancellationToken.None));
        Assert.Equal(ErrorKind.ServiceUnavailable, failure.Kind);
        Assert.Contains("three", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_call_that_nobody_answers_in_time_ends()
    {
        using var served = bus.Serve(Ask, null, async (_, cancellation) =>
        {
            await Task.Delay(Timeout.Infinite, cancellation);
            return new Answer("never");
        });
        var call = bus.CallAsync(Ask, new Question("why"), null, TimeSpan.FromSeconds(5), CancellationToken.None);
        time.Advance(TimeSpan.FromSeconds(6));
        var failure = await Assert.ThrowsAsync<CloudException>(() => call);
        Assert.Contains("did not answer ask within 5 s", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_servers_error_reaches_the_caller()
    {
        using var served = bus.Serve(Ask, null, (_, _) => throw CloudException.Conflict("taken"));
        var failure = await Assert.ThrowsAsync<CloudException>(() => bus.CallAsync(Ask, new Question("why"), null, null, CancellationToken.None));
        Assert.Equal((ErrorKind.Conflict, "taken"), (failure.Kind, failure.Message));
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

        using var one = bus.Serve(Tell, "one", Hear);
        using var two = bus.Serve(Tell, "two", Hear);
        await bus.FanoutAsync(Tell, new Question("all"), CancellationToken.None);
        await Eventually.TrueAsync(() => heard == 2, "both servers");
        await bus.CastAsync(Tell, new Question("one"), null, CancellationToken.None);
        await Eventually.TrueAsync(() => heard == 3, "one more");
    }

    [Fact]
    public async Task A_stopped_server_hears_nothing_more()
    {
        var served = bus.Serve(Ask, null, (_, _) => Task.FromResult(new Answer("here")));
        Assert.Equal("here", (await bus.CallAsync(Ask, new Question("?"), null, null, CancellationToken.None)).Text);
        served.Dispose();
        await Assert.ThrowsAsync<CloudException>(() => bus.CallAsync(Ask, new Question("?"), null, null, CancellationToken.None));
    }
}
