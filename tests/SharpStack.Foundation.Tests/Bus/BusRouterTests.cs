using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Foundation.Tests.Bus;

/// <summary>Which bus a service's messages take.</summary>
public sealed class BusRouterTests
{
    private readonly string suffix = Guid.NewGuid().ToString("N");
    private readonly LogLines log = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private BusContract<Question, Answer> Nova => Contract("nova");

    private BusContract<Question, Answer> Neutron => Contract("neutron");

    [Fact]
    public async Task Each_service_takes_its_own_transport()
    {
        var broker = await RabbitBroker.SharedAsync();
        await using var server = Host(("nova", broker.Url + "/"), ("neutron", ""));
        await using var client = Host(("nova", broker.Url + "/"), ("neutron", ""));
        using var nova = Bus(server).Serve(Nova, null, (question, _) => Task.FromResult(new Answer($"nova: {question.Text}")));
        using var neutron = Bus(server).Serve(Neutron, null, (question, _) => Task.FromResult(new Answer($"neutron: {question.Text}")));
        await Bus(server).SettledAsync(Cancelled);
        Assert.Equal("nova: why", (await Bus(client).CallAsync(Nova, new Question("why"), null, null, Cancelled)).Text);
        Assert.Equal("neutron: why", (await Bus(server).CallAsync(Neutron, new Question("why"), null, null, Cancelled)).Text);
        // What is in another process is not reached without a broker.
        await Assert.ThrowsAsync<CloudException>(() => Bus(client).CallAsync(Neutron, new Question("why"), null, null, Cancelled));
    }

    [Fact]
    public async Task Services_with_the_same_transport_share_a_connection_and_hear_of_its_return()
    {
        var broker = await RabbitBroker.SharedAsync();
        await using var host = Host(("nova", broker.Url + "/"), ("neutron", broker.Url + "/"));
        using var nova = Bus(host).Serve(Nova, null, (_, _) => Task.FromResult(new Answer("nova")));
        using var neutron = Bus(host).Serve(Neutron, null, (_, _) => Task.FromResult(new Answer("neutron")));
        await Bus(host).SettledAsync(Cancelled);
        Assert.Equal(1, Bus(host).Connections);
        Assert.Single(log.Lines, line => line.Contains("connected to RabbitMQ", StringComparison.Ordinal));
        Assert.Equal(("nova", "neutron"), ((await Bus(host).CallAsync(Nova, new Question("?"), null, null, Cancelled)).Text, (await Bus(host).CallAsync(Neutron, new Question("?"), null, null, Cancelled)).Text));
    }

    [Fact]
    public async Task The_time_to_wait_for_an_answer_is_the_services_own()
    {
        await using var host = Host(config => config.With("DEFAULT", "rpc_response_timeout", "1"), ("nova", "fake://"));
        using var served = Bus(host).Serve(Nova, null, async (_, cancellation) =>
        {
            await Task.Delay(Timeout.Infinite, cancellation);
            return new Answer("never");
        });
        var failure = await Assert.ThrowsAsync<CloudException>(() => Bus(host).CallAsync(Nova, new Question("?"), null, null, Cancelled));
        Assert.Contains("did not answer ask within 1 s", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_network_that_is_configured_is_told_in_the_log()
    {
        await using var host = Host(config => config.With("sharpstack", "bus_chaos", "drop:1").With("DEFAULT", "rpc_response_timeout", "1"), ("nova", ""));
        using var served = Bus(host).Serve(Nova, null, (_, _) => Task.FromResult(new Answer("here")));
        var failure = await Assert.ThrowsAsync<CloudException>(() => Bus(host).CallAsync(Nova, new Question("?"), null, null, Cancelled));
        Assert.Contains("did not answer", failure.Message, StringComparison.Ordinal);
        Assert.Single(log.Lines, line => line.StartsWith("Warning Bus: [sharpstack] bus_chaos is set for nova", StringComparison.Ordinal));
    }

    private static BusRouter Bus(CloudHost host) => (BusRouter)host.Services.GetRequiredService<IMessageBus>();

    private CloudHost Host(params (string Service, string Url)[] transports) => Host(_ => { }, transports);

    private CloudHost Host(Action<ServiceConfig> configure, params (string Service, string Url)[] transports)
    {
        var configs = new Dictionary<string, ServiceConfig>();
        foreach (var (service, url) in transports)
        {
            configs[service] = ServiceConfig.Empty(service).With("DEFAULT", "transport_url", url);
            configure(configs[service]);
        }

        return CloudHost.Create(
            new HostOptions { DataDirectory = Path.GetTempPath(), Listen = null, Configs = configs }, [], logging => logging.AddProvider(new LineProvider(log)));
    }

    private BusContract<Question, Answer> Contract(string service) =>
        new(new BusTopic(service, $"oracle-{suffix}"), "ask", 1, BusTestJson.Default.Question, BusTestJson.Default.Answer);

    private sealed class LineProvider(LogLines lines) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => lines;

        public void Dispose()
        {
        }
    }
}
