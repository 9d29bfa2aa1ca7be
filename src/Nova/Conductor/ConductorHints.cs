using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Servers;

namespace SharpStack.Nova.Conductor;

/// <summary>Tells others to look at an instance; a hint that is lost costs time only.</summary>
internal sealed class ConductorHints(IMessageBus bus)
{
    public static readonly BusContract<InstanceHint, Ack> InstanceChanged =
        new(ConductorContract.Topic, "instance_changed", 1, NovaJson.Default.InstanceHint, NovaJson.Default.Ack);

    /// <summary>To all conductors, for only one of them has the instance.</summary>
    public ValueTask ConductorAsync(string instanceId, long revision) => bus.FanoutAsync(InstanceChanged, new InstanceHint(instanceId, revision));

    public ValueTask HostAsync(string host, string instanceId, long revision) =>
        bus.CastAsync(ComputeContract.InstanceChanged, new InstanceHint(instanceId, revision), host);
}
