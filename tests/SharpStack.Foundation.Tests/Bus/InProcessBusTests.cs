using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;

namespace SharpStack.Foundation.Tests.Bus;

public sealed class InProcessBusTests : BusContractTests
{
    private readonly InProcessBus bus = new(TimeProvider.System, NullLogger<InProcessBus>.Instance);

    protected override IMessageBus Client => bus;

    protected override IMessageBus Server => bus;

    public override ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return bus.DisposeAsync();
    }

    protected override Task ReadyAsync() => Task.CompletedTask;

    protected override Task<IMessageBus> WithChaosAsync(BusChaos chaos)
    {
        bus.BadNetwork = chaos;
        return Task.FromResult<IMessageBus>(bus);
    }
}
