using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Nova.Servers;

namespace SharpStack.Nova.Scheduling;

/// <param name="Choice">Null where no host fits.</param>
/// <param name="NoValidHost">Why none fits.</param>
internal sealed record SchedulerAnswer(SchedulerChoice? Choice, string? NoValidHost = null);

/// <summary>What conductors ask a scheduler of another process. Asking claims nothing, so it may be repeated.</summary>
internal static class SchedulerContract
{
    public static readonly BusContract<RequestSpec, SchedulerAnswer> SelectDestination =
        new(new BusTopic("nova", "nova-scheduler"), "select_destination", 1, NovaJson.Default.RequestSpec, NovaJson.Default.SchedulerAnswer);
}

/// <summary>nova-scheduler: answers the conductors of other processes.</summary>
internal sealed class SchedulerService(IScheduler scheduler, IMessageBus bus) : IWorker
{
    private IDisposable? served;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        served = bus.Serve(SchedulerContract.SelectDestination, null, AnswerAsync);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        served?.Dispose();
        return Task.CompletedTask;
    }

    private async Task<SchedulerAnswer> AnswerAsync(RequestSpec spec, CancellationToken cancellationToken)
    {
        try
        {
            return new SchedulerAnswer(await scheduler.SelectDestinationAsync(spec, cancellationToken));
        }
        catch (NoValidHostException none)
        {
            return new SchedulerAnswer(null, none.Message);
        }
    }
}

/// <summary>The scheduler of another process, for a conductor that has none in its own.</summary>
internal sealed class RemoteScheduler(IMessageBus bus) : IScheduler
{
    public async Task<SchedulerChoice> SelectDestinationAsync(RequestSpec spec, CancellationToken cancellationToken)
    {
        var answer = await bus.CallAsync(SchedulerContract.SelectDestination, spec, cancellationToken: cancellationToken);
        return answer.Choice ?? throw new NoValidHostException(answer.NoValidHost ?? "No valid host was found.");
    }
}
