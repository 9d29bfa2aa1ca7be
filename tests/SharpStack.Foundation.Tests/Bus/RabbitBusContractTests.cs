using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Foundation.Tests.Bus;

/// <summary>The same, with a broker between client and server.</summary>
public sealed class RabbitBusContractTests : BusContractTests, IAsyncLifetime
{
    private readonly LogLines log = new();
    private readonly List<RabbitBus> buses = [];
    private RabbitTransport transport = null!;

    protected override IMessageBus Client => buses[0];

    protected override IMessageBus Server => buses[1];

    public async ValueTask InitializeAsync()
    {
        var broker = await RabbitBroker.SharedAsync();
        transport = RabbitTransport.Read(ServiceConfig.Empty("nova").With("DEFAULT", "transport_url", $"{broker.Url}/"));
        buses.Add(new RabbitBus(transport, TimeProvider.System, log));
        buses.Add(new RabbitBus(transport, TimeProvider.System, log));
    }

    public override async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        foreach (var bus in buses)
        {
            await bus.DisposeAsync();
        }

        Assert.DoesNotContain(log.Lines, line => line.Contains(RabbitBroker.Password, StringComparison.Ordinal) || line.Contains(Uri.EscapeDataString(RabbitBroker.Password), StringComparison.Ordinal));
    }

    protected override async Task ReadyAsync()
    {
        foreach (var bus in buses)
        {
            await bus.SettledAsync(TestContext.Current.CancellationToken);
        }
    }

    protected override Task<IMessageBus> WithChaosAsync(BusChaos chaos)
    {
        var bus = new RabbitBus(transport, TimeProvider.System, log, chaos);
        buses.Add(bus);
        return Task.FromResult<IMessageBus>(bus);
    }
}
