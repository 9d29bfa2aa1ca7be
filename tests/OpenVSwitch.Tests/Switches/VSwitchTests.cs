using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;
using SharpStack.TestKit.Hosts;

namespace SharpStack.OpenVSwitch.Tests.Switches;

/// <summary>The library against a real ovsdb-server and ovs-vswitchd.</summary>
public sealed class VSwitchTests : IAsyncLifetime
{
    private static readonly BridgeSettings Userspace = new() { DatapathType = "netdev", FailMode = "secure", Protocols = ["OpenFlow13", "OpenFlow14"] };

    private readonly CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
    private OpenVSwitchSandbox sandbox = null!;
    private VSwitch vswitch = null!;

    public async ValueTask InitializeAsync()
    {
        sandbox = await OpenVSwitchSandbox.StartAsync();
        vswitch = new VSwitch(new OvsdbEndpoint(sandbox.Database), TimeProvider.System);
        await vswitch.StartAsync(limit.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await vswitch.DisposeAsync();
        await sandbox.DisposeAsync();
        limit.Dispose();
    }

    [Fact]
    public async Task Bridges_and_ports_are_made_once_and_a_second_time_sends_nothing()
    {
        void Describe(VSwitchChanges changes) => changes
            .EnsureBridge("br-int", Userspace)
            .EnsureBridge("br-phys", Userspace)
            .EnsurePatchPair("br-int", "int-br-phys", "br-phys", "phy-br-phys")
            .EnsurePort("br-int", "tap1", new PortSettings
            {
                Type = "internal",
                Tag = 7,
                Mac = MacAddress.Parse("fa:16:3e:00:00:01"),
                ExternalIds = new Dictionary<string, string> { ["iface-id"] = "port-1" },
                OtherConfig = new Dictionary<string, string> { ["net"] = "a" },
            });

        Assert.True(await vswitch.ChangeAsync(Describe, limit.Token));
        Assert.False(await vswitch.ChangeAsync(Describe, limit.Token));

        var show = await sandbox.VsctlAsync("show");
        Assert.Equal("br-int\nbr-phys\n", await sandbox.VsctlAsync("list-br"));
        Assert.Contains("options: {peer=phy-br-phys}", show, StringComparison.Ordinal);
        Assert.DoesNotContain("error", show, StringComparison.Ordinal);
        Assert.Equal("7\n", await sandbox.VsctlAsync("get", "Port", "tap1", "tag"));
        Assert.Equal("netdev\n", await sandbox.VsctlAsync("get", "Bridge", "br-int", "datapath_type"));
        Assert.Equal("[OpenFlow13, OpenFlow14]", (await sandbox.VsctlAsync("get", "Bridge", "br-int", "protocols")).Trim());
        var port = vswitch.FindPort("tap1");
        Assert.True(port?.OpenFlowPort > 0);
        Assert.Equal("port-1", port.ExternalIds["iface-id"]);
        Assert.Equal(3, vswitch.Ports("br-int").Count);
        Assert.NotNull(vswitch.FindBridge("br-int")?.DatapathId);
    }

    [Fact]
    public async Task Only_the_keys_named_change_and_those_of_others_stay()
    {
        await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-int", Userspace).EnsurePort("br-int", "p", new PortSettings { Type = "internal", Tag = 1, OtherConfig = new Dictionary<string, string> { ["a"] = "1" } }), limit.Token);
        await sandbox.VsctlAsync("set", "Port", "p", "other_config:foreign=yes");
        await vswitch.Database.WaitUntilAsync(snapshot => snapshot[Tables.Port].Find("p")!.Map("other_config").ContainsKey("foreign"), limit.Token);
        await vswitch.ChangeAsync(changes => changes.SetPort("p", 0, new Dictionary<string, string> { ["a"] = "2" }), limit.Token);

        Assert.Equal("{a=\"2\", foreign=yes}\n", await sandbox.VsctlAsync("get", "Port", "p", "other_config"));
        Assert.Equal("[]\n", await sandbox.VsctlAsync("get", "Port", "p", "tag"));
        Assert.Null(vswitch.FindPort("p")?.Tag);
    }

    [Fact]
    public async Task Protocols_are_added_to_those_that_the_bridge_speaks()
    {
        await sandbox.VsctlAsync("add-br", "br-x", "--", "set", "bridge", "br-x", "datapath_type=netdev", "protocols=OpenFlow15");
        await vswitch.Database.WaitUntilAsync(snapshot => snapshot[Tables.Bridge].Find("br-x") is not null, limit.Token);
        Assert.True(await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-x", Userspace), limit.Token));
        Assert.Equal("[OpenFlow13, OpenFlow14, OpenFlow15]\n", await sandbox.VsctlAsync("get", "Bridge", "br-x", "protocols"));
        Assert.False(await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-x", Userspace), limit.Token));
    }

    [Fact]
    public async Task What_is_deleted_is_gone_from_the_switch_and_from_the_replica()
    {
        await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-int", Userspace).EnsurePort("br-int", "p", new PortSettings { Type = "internal" }), limit.Token);
        Assert.True(await vswitch.ChangeAsync(changes => changes.DeletePort("p"), limit.Token));
        Assert.False(await vswitch.ChangeAsync(changes => changes.DeletePort("p"), limit.Token));
        Assert.Equal("", await sandbox.VsctlAsync("list-ports", "br-int"));
        Assert.Null(vswitch.FindPort("p"));
        await vswitch.ChangeAsync(changes => changes.DeleteBridge("br-int"), limit.Token);
        Assert.Equal("", await sandbox.VsctlAsync("list-br"));
        Assert.Null(vswitch.FindBridge("br-int"));
    }

    [Fact]
    public async Task Changes_of_other_clients_are_reported()
    {
        var seen = new TaskCompletionSource<OvsdbChange>(TaskCreationOptions.RunContinuationsAsynchronously);
        vswitch.Database.Changed += changes =>
        {
            if (changes.FirstOrDefault(change => change is { Table: Tables.Interface, After: not null } && change.Row.Name == "late") is { } change)
            {
                seen.TrySetResult(change);
            }
        };
        await sandbox.VsctlAsync("add-br", "br-x", "--", "set", "bridge", "br-x", "datapath_type=netdev", "--", "add-port", "br-x", "late", "--", "set", "interface", "late", "type=internal");
        var change = await seen.Task.WaitAsync(limit.Token);
        Assert.Null(change.Before);
        Assert.Equal("internal", change.Row.Text("type"));
    }

    [Fact]
    public async Task A_refused_operation_is_a_typed_error_and_nothing_is_done()
    {
        var transaction = new OvsdbTransaction();
        transaction.Comment("first");
        transaction.Update(Tables.Root, [], new Dictionary<string, OvsdbValue> { ["external_ids"] = OvsdbValue.Map(new Dictionary<string, string> { ["x"] = "y" }) });
        transaction.Update(Tables.Port, [], new Dictionary<string, OvsdbValue> { ["no_such_column"] = 1L });
        var error = await Assert.ThrowsAsync<OvsdbOperationException>(() => vswitch.Database.TransactAsync(transaction, limit.Token));
        Assert.Equal(2, error.Operation);
        Assert.Contains("'update' in table Port", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("x=y", await sandbox.VsctlAsync("get", "Open_vSwitch", ".", "external_ids"), StringComparison.Ordinal);

        var waiting = new OvsdbTransaction();
        waiting.Wait(Tables.Root, [], new Dictionary<string, OvsdbValue> { ["ovs_version"] = "none" }, TimeSpan.Zero);
        Assert.Equal("timed out", (await Assert.ThrowsAsync<OvsdbOperationException>(() => vswitch.Database.TransactAsync(waiting, limit.Token))).Error);
    }

    [Fact]
    public async Task A_lost_connection_is_made_again_and_the_replica_catches_up()
    {
        await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-int", Userspace), limit.Token);
        var lost = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        vswitch.Database.Disconnected += _ => lost.TrySetResult();
        await sandbox.StopDatabaseAsync();
        await lost.Task.WaitAsync(limit.Token);
        await Assert.ThrowsAsync<OvsdbException>(() => vswitch.ChangeAsync(changes => changes.DeleteBridge("br-int"), limit.Token));
        Assert.NotNull(vswitch.FindBridge("br-int"));

        sandbox.StartDatabase();
        await sandbox.VsctlAsync("del-br", "br-int");
        await vswitch.Database.WaitUntilAsync(snapshot => snapshot[Tables.Bridge].Find("br-int") is null, limit.Token);
        Assert.True(await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-new", Userspace), limit.Token));
    }

    [Fact]
    public async Task Several_changes_at_once_do_not_disturb_each_other()
    {
        await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-int", Userspace), limit.Token);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(n => vswitch.ChangeAsync(changes => changes.EnsurePort("br-int", $"p{n}", new PortSettings { Type = "internal", Tag = n + 1 }), limit.Token)));
        Assert.Equal(21, vswitch.Ports("br-int").Count);
        Assert.All(vswitch.Ports("br-int").Where(port => port.Name != "br-int"), port => Assert.True(port.OpenFlowPort > 0));
    }
}
