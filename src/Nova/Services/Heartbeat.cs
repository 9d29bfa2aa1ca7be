using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Nova.Services;

/// <summary>Reports that this process's conductor and scheduler live.</summary>
internal sealed partial class Heartbeat(HostRegistry hosts, HostOptions host, ServiceConfig config, TimeProvider time, IReadOnlyList<string> binaries, ILogger<Heartbeat> log) : IWorker, IDisposable
{
    private readonly CancellationTokenSource stopping = new();
    private Task? running;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await BeatAsync(cancellationToken);
        running = RunAsync();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await stopping.CancelAsync();
        await (running ?? Task.CompletedTask);
    }

    public void Dispose() => stopping.Dispose();

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(config.Get(NovaOptions.ReportInterval)), time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                try
                {
                    await BeatAsync(stopping.Token);
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    LogFailed(failure);
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task BeatAsync(CancellationToken cancellationToken)
    {
        foreach (var binary in binaries)
        {
            await hosts.SeenAsync(host.HostName, binary, cancellationToken);
        }
    }

    [LoggerMessage(EventId = 4004, Level = LogLevel.Warning, Message = "The report of this process's services failed and will be tried again")]
    private partial void LogFailed(Exception failure);
}
