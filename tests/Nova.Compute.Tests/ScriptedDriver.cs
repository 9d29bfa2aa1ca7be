using System.Collections.Concurrent;
using System.Threading.Channels;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Tests;

/// <summary>
/// A host with disks, interfaces and guests that are only noted, whose steps can be made to fail, and whose state outlives the compute service, as a real one's does.
/// </summary>
internal sealed class ScriptedDriver : IComputeDriver
{
    private readonly Channel<string?> changes = Channel.CreateUnbounded<string?>();

    public ConcurrentDictionary<string, bool> Disks { get; } = new();

    public ConcurrentDictionary<string, bool> Plugged { get; } = new();

    public ConcurrentDictionary<string, PowerState> Guests { get; } = new();

    public ConcurrentQueue<string> Calls { get; } = new();

    /// <summary>Called with the step's name before it (false) and after its effect (true); throws to make it fail there.</summary>
    public Action<string, bool>? Fault { get; set; }

    /// <summary>Where set, disks are not ready before this is.</summary>
    public Task? Image { get; set; }

    /// <summary>Whether a guest that is asked to shut down does so.</summary>
    public bool Obeys { get; set; } = true;

    public bool IsSimulated => false;

    public ChannelReader<string?> Changes => changes.Reader;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<HypervisorReport> DescribeHostAsync(CancellationToken cancellationToken) => Task.FromResult(new HypervisorReport
    {
        HypervisorHostname = FakeConductor.Host,
        HypervisorType = "QEMU",
        Vcpus = 2,
        MemoryMb = 4096,
        LocalGb = 20,
    });

    public Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyCollection<string>>([.. Disks.Keys.Union(Plugged.Keys).Union(Guests.Keys)]);

    public Task<GuestState> InspectAsync(string id, CancellationToken cancellationToken) => Task.FromResult(
        Guests.TryGetValue(id, out var power) ? new GuestState(true, power) : new GuestState(Disks.ContainsKey(id) || Plugged.ContainsKey(id), PowerState.NoState));

    public async Task PrepareAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        if (Image is { } image)
        {
            Calls.Enqueue("download");
            await image.WaitAsync(cancellationToken);
        }

        await Step("prepare", () => Disks[instance.Id] = true);
    }

    public Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken) => Step("plug", () => Plugged[instance.Id] = true);

    public Task PowerOnAsync(InstanceSpec instance, CancellationToken cancellationToken) => Step("on", () =>
    {
        Assert.True(Disks.ContainsKey(instance.Id) && Plugged.ContainsKey(instance.Id), "A guest was started without disk or interfaces.");
        Guests[instance.Id] = PowerState.Running;
    });

    public Task RequestShutdownAsync(string id, CancellationToken cancellationToken) => Step("shutdown", () =>
    {
        if (Obeys)
        {
            Guests[id] = PowerState.Shutdown;
            changes.Writer.TryWrite(id);
        }
    });

    public Task PowerOffAsync(string id, CancellationToken cancellationToken) => Step("off", () => Guests[id] = PowerState.Shutdown);

    public Task RemoveAsync(string id, CancellationToken cancellationToken) => Step("remove", () =>
    {
        Guests.TryRemove(id, out _);
        Plugged.TryRemove(id, out _);
        Disks.TryRemove(id, out _);
    });

    public Task<string?> ReadConsoleAsync(string id, int? lines, CancellationToken cancellationToken) =>
        Task.FromResult(Guests.ContainsKey(id) ? "login:" : null);

    public Task<GuestDiagnostics?> DiagnoseAsync(string id, CancellationToken cancellationToken) => Task.FromResult<GuestDiagnostics?>(null);

    public Task CacheImageAsync(ImageSpec image, CancellationToken cancellationToken)
    {
        Cached.Enqueue(image.Id);
        return image.Name == "broken" ? throw new ComputeException("no such image") : Task.CompletedTask;
    }

    public Task CleanAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Images that were to be fetched ahead of need.</summary>
    public System.Collections.Concurrent.ConcurrentQueue<string> Cached { get; } = new();

    public void ChangeByItself(string id, PowerState power)
    {
        Guests[id] = power;
        changes.Writer.TryWrite(id);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task Step(string name, Action effect)
    {
        Fault?.Invoke(name, false);
        effect();
        Calls.Enqueue(name);
        Fault?.Invoke(name, true);
        return Task.CompletedTask;
    }
}
