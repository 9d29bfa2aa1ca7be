using SharpStack.LinuxHost.Netlink;
using SharpStack.Nova.Compute.Interfaces;
using SharpStack.Nova.Contracts;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Nova.Compute.Tests;

/// <summary>The plugger with a real switch.</summary>
public sealed class OvsVifPluggerTests
{
    private const string Bridge = "tbr-22222222-2";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_port_that_carries_a_trunk_has_a_bridge_of_its_own_for_as_long_as_it_is_plugged()
    {
        await using var sandbox = await OpenVSwitchSandbox.StartAsync();
        await sandbox.VsctlAsync("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev");
        await using var conductor = new FakeConductor();
        var plain = PortOf("11111111-1111-1111-1111-111111111111", "br-int");
        var trunk = PortOf("33333333-3333-3333-3333-333333333333", Bridge);
        var instance = conductor.Add(each => each with { Ports = [plain, trunk] });
        await using var plugger = new OvsVifPlugger(sandbox.Database, TimeProvider.System, sandbox.Namespace);
        await plugger.StartAsync(Cancellation);
        await plugger.PlugAsync(instance, Cancellation);
        Assert.Equal(trunk.DeviceName, (await sandbox.VsctlAsync("list-ports", Bridge)).Trim());
        Assert.Equal(plain.DeviceName, (await sandbox.VsctlAsync("list-ports", "br-int")).Trim());
        Assert.Equal("netdev", (await sandbox.VsctlAsync("get", "Bridge", Bridge, "datapath_type")).Trim());
        Assert.True(plugger.NeedsChecksums(trunk));
        var written = await sandbox.VsctlAsync("get", "Open_vSwitch", ".", "next_cfg");
        await plugger.PlugAsync(instance, Cancellation);
        Assert.Equal(written, await sandbox.VsctlAsync("get", "Open_vSwitch", ".", "next_cfg"));

        await plugger.UnplugAsync(instance.Id, [plain.DeviceName, trunk.DeviceName], Cancellation);
        Assert.Equal("br-int", (await sandbox.VsctlAsync("list-br")).Trim());
        using var links = RouteClient.Open(sandbox.Namespace);
        Assert.Null(links.FindLink(trunk.DeviceName));
    }

    private static PortSpec PortOf(string id, string bridge) => new()
    {
        Id = id,
        NetworkId = "n",
        MacAddress = $"fa:16:3e:00:00:{id[..2]}",
        VifType = "ovs",
        Bridge = bridge,
        DeviceName = $"tap{id[..11]}",
        VifDetails = new Dictionary<string, string> { ["datapath_type"] = "netdev" },
    };
}
