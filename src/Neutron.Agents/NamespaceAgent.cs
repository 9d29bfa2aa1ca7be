using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Reconciling;
using SharpStack.Neutron.Contracts;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Neutron.Agents;

/// <summary>What agents have in common that keep a namespace with ports of the switch for each thing that the server gives to their host.</summary>
/// <param name="Name">The reconciler's.</param>
/// <param name="OvsdbConnection">In ovs-vsctl's notation.</param>
/// <param name="ResyncInterval">The slow period at which everything is looked at.</param>
internal sealed record NamespaceAgentSettings(string Name, string OvsdbConnection, TimeSpan ResyncInterval, TimeSpan ReportInterval);

/// <summary>
/// The frame of an agent that brings every thing of a kind that the server gives to this host up to date, and takes away those that it no longer does. What the server last
/// said of a thing is kept until a hint or the slow period brings it anew.
/// </summary>
/// <typeparam name="T">What the server says of a thing.</typeparam>
internal abstract class NamespaceAgent<T> : IWorker, IAsyncDisposable
    where T : class
{
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(15);

    private readonly NamespaceAgentSettings settings;
    private readonly Reconciler<string> reconciler;
    private readonly AgentHeartbeat heartbeat;
    private readonly List<IDisposable> served = [];
    private long hints;
    private bool started;
    private bool disposed;

    protected NamespaceAgent(NamespaceAgentSettings settings, IMessageBus bus, TimeProvider time, ILogger log)
    {
        this.settings = settings;
        Bus = bus;
        Switch = new VSwitch(new OvsdbEndpoint(settings.OvsdbConnection), time);
        reconciler = new Reconciler<string>(settings.Name, ConnectedAsync, ListAsync, new ReconcilerOptions { FullPeriod = settings.ResyncInterval, LongestRetry = LongestRetry }, time, log);
        heartbeat = new AgentHeartbeat(bus, Report, reconciler.EnqueueAll, settings.ReportInterval, time, log);
    }

    protected IMessageBus Bus { get; }

    protected VSwitch Switch { get; }

    /// <summary>What the server last said, by id.</summary>
    protected ConcurrentDictionary<string, T> Known { get; } = new();

    /// <summary>Completes when nothing is queued or being worked on.</summary>
    internal Task WhenIdleAsync() => reconciler.WhenIdleAsync();

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        Switch.Database.Changed += OnSwitchChanged;
        Switch.Database.Connected += OnSwitchConnected;
        Bus.Reconnected += reconciler.EnqueueAll;
        served.AddRange(Serve());
        OnStarting();
        Switch.Database.Start();
        heartbeat.Start();
        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public async Task StopAsync(CancellationToken cancellationToken) => await DisposeAsync();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        // What runs in the namespaces goes on without the agent.
        served.ForEach(registration => registration.Dispose());
        Switch.Database.Changed -= OnSwitchChanged;
        Switch.Database.Connected -= OnSwitchConnected;
        Bus.Reconnected -= reconciler.EnqueueAll;
        await OnStoppingAsync();
        await heartbeat.DisposeAsync();
        await reconciler.DisposeAsync();
        await OnStoppedAsync();
        await Switch.DisposeAsync();
    }

    /// <summary>Registers what the agent answers on the bus.</summary>
    protected abstract IEnumerable<IDisposable> Serve();

    /// <summary>All that the server gives to this host.</summary>
    protected abstract Task<IReadOnlyList<T>> AskAsync(CancellationToken cancellationToken);

    protected abstract string IdOf(T thing);

    /// <summary>The ids of what this or an earlier run of the agent has made here.</summary>
    protected abstract IEnumerable<string> Here();

    /// <summary>Makes a thing what the server says it is. The switch's database is connected.</summary>
    protected abstract Task<ReconcileResult> ReconcileAsync(string id, CancellationToken cancellationToken);

    /// <summary>Ports of the switch came, went or changed.</summary>
    protected abstract void OnSwitchChanged(IReadOnlyList<OvsdbChange> changes);

    /// <summary>What the API shows of the agent, by the names of OpenStack's.</summary>
    protected abstract AgentReport Report(bool first);

    protected virtual void OnStarting()
    {
    }

    protected virtual Task OnStoppingAsync() => Task.CompletedTask;

    /// <summary>The last chance to act, with the switch still connected and nothing else at work.</summary>
    protected virtual Task OnStoppedAsync() => Task.CompletedTask;

    protected void Enqueue(string id) => reconciler.Enqueue(id);

    /// <summary>A message has said that what the agent is being told at this moment may be older than what is.</summary>
    protected void CountHint() => Interlocked.Increment(ref hints);

    private void OnSwitchConnected()
    {
        if (!started)
        {
            // Until the first connection there is nowhere to put a port.
            started = true;
            reconciler.Start();
        }
        else
        {
            reconciler.EnqueueAll();
        }
    }

    private async Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken)
    {
        var before = Interlocked.Read(ref hints);
        var answer = await AskAsync(cancellationToken);
        Known.Clear();
        if (before == Interlocked.Read(ref hints))
        {
            // Otherwise the answer may be older than what a hint has brought: each is asked for anew.
            foreach (var thing in answer)
            {
                Known[IdOf(thing)] = thing;
            }
        }

        return [.. answer.Select(IdOf).Union(Here())];
    }

    private Task<ReconcileResult> ConnectedAsync(string id, CancellationToken cancellationToken) => Switch.Database.IsConnected
        ? ReconcileAsync(id, cancellationToken)
        : throw CloudException.Unavailable($"There is no connection to the Open vSwitch database at {settings.OvsdbConnection}.");
}
