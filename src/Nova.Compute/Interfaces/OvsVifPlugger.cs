using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Nova.Contracts;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;

namespace SharpStack.Nova.Compute.Interfaces;

/// <summary>
/// Taps on a bridge of Open vSwitch, marked as os-vif marks them: <c>iface-id</c> is how Neutron's agent finds the port.
/// </summary>
/// <param name="endpoint">Where ovsdb-server listens.</param>
/// <param name="networkNamespace">Where the switch and the hypervisor run; null for this process's own network.</param>
internal sealed class OvsVifPlugger(string endpoint, TimeProvider time, string? networkNamespace = null) : IVifPlugger
{
    private const string IntegrationBridge = "br-int";

    /// <summary>Bridges of trunks, a port's own: made and deleted with its device.</summary>
    private const string TrunkBridgePrefix = "tbr-";

    /// <summary>How long to wait for Open vSwitch before a step gives up and is tried again later.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly VSwitch vswitch = new(new OvsdbEndpoint(endpoint), time);
    private readonly RouteClient links = RouteClient.Open(networkNamespace);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        // A switch that starts later than this host is found then.
        vswitch.Database.Start();
        return Task.CompletedTask;
    }

    public async Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        if (instance.Ports.FirstOrDefault(port => port.VifType != "ovs") is { } other)
        {
            throw new ComputeException($"Port {other.Id} has VIF type '{other.VifType}', and this host connects 'ovs' only.", reschedule: true);
        }

        if (instance.Ports.Count == 0)
        {
            return;
        }

        foreach (var port in instance.Ports)
        {
            if (links.FindLink(port.DeviceName) is null)
            {
                Tap.Create(port.DeviceName, networkNamespace);
            }

            links.SetMtu(port.DeviceName, port.Mtu);
            links.SetUp(port.DeviceName);
        }

        await ChangeAsync(
            changes =>
            {
                foreach (var port in instance.Ports)
                {
                    if (port.Bridge?.StartsWith(TrunkBridgePrefix, StringComparison.Ordinal) == true)
                    {
                        changes.EnsureBridge(port.Bridge, new BridgeSettings { DatapathType = DatapathOf(port) });
                    }

                    changes.EnsurePort(BridgeOf(port), port.DeviceName, new PortSettings
                    {
                        ExternalIds = new Dictionary<string, string>
                        {
                            ["iface-id"] = port.Id,
                            ["iface-status"] = "active",
                            ["attached-mac"] = port.MacAddress,
                            ["vm-uuid"] = instance.Id,
                        },
                    });
                }
            },
            cancellationToken);
    }

    public async Task UnplugAsync(string id, IReadOnlyCollection<string> devices, CancellationToken cancellationToken)
    {
        if (devices.Count == 0)
        {
            return;
        }

        await ChangeAsync(
            changes =>
            {
                foreach (var device in devices)
                {
                    // A port of the same name may be another instance's by now.
                    if (vswitch.FindPort(device) is not { } port || port.ExternalIds.GetValueOrDefault("vm-uuid", id) == id)
                    {
                        changes.DeletePort(device);
                        if (vswitch.BridgeOf(device) is { } bridge && bridge.StartsWith(TrunkBridgePrefix, StringComparison.Ordinal))
                        {
                            changes.DeleteBridge(bridge);
                        }
                    }
                }
            },
            cancellationToken);
        foreach (var device in devices.Where(device => vswitch.FindPort(device) is null))
        {
            links.DeleteLink(device);
        }
    }

    public bool NeedsChecksums(PortSpec port) => vswitch.FindBridge(BridgeOf(port)) is { DatapathType: "netdev" };

    public async ValueTask DisposeAsync()
    {
        await vswitch.DisposeAsync();
        links.Dispose();
    }

    private static string BridgeOf(PortSpec port) => port.Bridge ?? IntegrationBridge;

    /// <summary>That of the agent's own bridges, as Neutron says, since a patch port leads between bridges of one datapath only.</summary>
    private static string DatapathOf(PortSpec port) => port.VifDetails.GetValueOrDefault("datapath_type", "system");

    private async Task ChangeAsync(Action<VSwitchChanges> describe, CancellationToken cancellationToken)
    {
        using var bound = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, bound.Token);
        try
        {
            await vswitch.Database.WaitConnectedAsync(either.Token);
            await vswitch.ChangeAsync(describe, either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"Open vSwitch did not answer at {endpoint} within {Patience.TotalSeconds:0} seconds: check that ovsdb-server and ovs-vswitchd run.");
        }
    }
}
