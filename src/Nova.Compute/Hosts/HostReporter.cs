using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Hosts;

/// <summary>Tells the conductor every <c>report_interval</c> that the host is alive, what it has and what it may give away.</summary>
internal sealed partial class HostReporter(string host, IMessageBus bus, IComputeDriver driver, ServiceConfig config, TimeProvider time, ILogger log) : IAsyncDisposable
{
    private readonly CancellationTokenSource stopping = new();
    private readonly DateTimeOffset started = time.GetUtcNow();
    private Task running = Task.CompletedTask;

    public void Start() => running = RunAsync();

    public async Task ReportAsync(CancellationToken cancellationToken)
    {
        var hypervisor = await driver.DescribeHostAsync(cancellationToken);
        var report = new HostReport(host, hypervisor with { Inventories = Inventories(hypervisor) }) { StartedAt = started };
        await bus.CallAsync(ConductorContract.ReportHost, report, cancellationToken: cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await running;
        stopping.Dispose();
    }

    internal IReadOnlyList<InventoryReport> Inventories(HypervisorReport hypervisor)
    {
        double Ratio(ConfigOption<double> option, ConfigOption<double> initial) => config.Get(option) is var ratio and > 0 ? ratio : config.Get(initial);

        // Placement refuses an inventory without anything in it.
        return
        [
            .. new[]
            {
                new InventoryReport("VCPU", hypervisor.Vcpus, config.Get(ComputeOptions.ReservedHostCpus),
                    Ratio(ComputeOptions.CpuRatio, ComputeOptions.InitialCpuRatio), MaxUnit: hypervisor.Vcpus),
                new InventoryReport("MEMORY_MB", hypervisor.MemoryMb, config.Get(ComputeOptions.ReservedHostMemory),
                    Ratio(ComputeOptions.MemoryRatio, ComputeOptions.InitialMemoryRatio), MaxUnit: hypervisor.MemoryMb),
                new InventoryReport("DISK_GB", hypervisor.LocalGb, (config.Get(ComputeOptions.ReservedHostDisk) + 1023) / 1024,
                    Ratio(ComputeOptions.DiskRatio, ComputeOptions.InitialDiskRatio), MaxUnit: hypervisor.LocalGb),
            }.Where(inventory => inventory.Total > 0),
        ];
    }

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(config.Get(ComputeOptions.ReportInterval)), time);
        // The conductor may start after this host: until it has heard of it once, it is told often.
        using var eager = new PeriodicTimer(TimeSpan.FromMilliseconds(250), time);
        var heard = false;
        var quiet = false;
        try
        {
            do
            {
                try
                {
                    await ReportAsync(stopping.Token);
                    heard = true;
                    quiet = false;
                }
                catch (Exception failure) when (failure is not OperationCanceledException || !stopping.IsCancellationRequested)
                {
                    if (!quiet)
                    {
                        quiet = true;
                        LogNotReported(host, failure.Message);
                    }
                }
            }
            while (await (heard ? timer : eager).WaitForNextTickAsync(stopping.Token));
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    [LoggerMessage(EventId = 5201, Level = LogLevel.Warning, Message = "Compute host {Host} cannot report and will go on trying: {Reason}")]
    private partial void LogNotReported(string host, string reason);
}
