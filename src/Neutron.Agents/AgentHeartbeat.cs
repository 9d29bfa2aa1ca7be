using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents;

/// <summary>Tells the server every now and then that an agent lives, and hears from it when hints may have been lost.</summary>
internal sealed partial class AgentHeartbeat : IAsyncDisposable
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(1);

    private readonly IMessageBus bus;
    private readonly Func<bool, AgentReport> report;
    private readonly Action resync;
    private readonly TimeSpan interval;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly CancellationTokenSource stopping = new();
    private Task running = Task.CompletedTask;

    /// <param name="bus">To the server.</param>
    /// <param name="report">Makes the next report; its argument is true until the first one has arrived.</param>
    /// <param name="resync">Called when everything is to be asked for again.</param>
    /// <param name="interval">The pause between reports.</param>
    /// <param name="time">The clock of the pauses.</param>
    /// <param name="log">Where a report that did not arrive is told.</param>
    public AgentHeartbeat(IMessageBus bus, Func<bool, AgentReport> report, Action resync, TimeSpan interval, TimeProvider time, ILogger log)
    {
        this.bus = bus;
        this.report = report;
        this.resync = resync;
        this.interval = interval;
        this.time = time;
        this.log = log;
    }

    public void Start() => running = RunAsync();

    public async ValueTask DisposeAsync()
    {
        if (!stopping.IsCancellationRequested)
        {
            await stopping.CancelAsync();
            await running;
        }
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(interval, time);
        var first = true;
        try
        {
            do
            {
                timer.Period = interval;
                try
                {
                    var answer = await bus.CallAsync(AgentContracts.ReportState, report(first), cancellationToken: stopping.Token);
                    if (!first && (answer.NeedsResync || answer.Status == "revived"))
                    {
                        resync();
                    }

                    first = false;
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    LogNotReported(failure.Message);
                    timer.Period = Retry < interval ? Retry : interval;
                }
            }
            while (await timer.WaitForNextTickAsync(stopping.Token));
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    [LoggerMessage(EventId = 6001, Level = LogLevel.Warning, Message = "The agent's report did not reach the server: {Reason}")]
    private partial void LogNotReported(string reason);
}
