using System.Net;
using System.Net.Sockets;
using SharpStack.OpenVSwitch.Flows;
using SharpStack.OpenVSwitch.OpenFlow;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;
using SharpStack.OpenVSwitch.Tests.Flows;
using SharpStack.TestKit.Hosts;

namespace SharpStack.OpenVSwitch.Tests.OpenFlow;

/// <summary>The controller against real bridges.</summary>
public sealed class OpenFlowTests : IAsyncLifetime
{
    private const ulong Cookie = 0x5eed;
    private static readonly FlowFilter Ours = new(Cookie, ulong.MaxValue);

    private readonly CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
    private OpenVSwitchSandbox sandbox = null!;
    private VSwitch vswitch = null!;
    private OpenFlowController controller = null!;

    public async ValueTask InitializeAsync()
    {
        sandbox = await OpenVSwitchSandbox.StartAsync();
        controller = new OpenFlowController(sandbox.Bind(new IPEndPoint(IPAddress.Loopback, 6633)));
        controller.Start();
        vswitch = new VSwitch(new OvsdbEndpoint(sandbox.Database), TimeProvider.System);
        await vswitch.StartAsync(limit.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await vswitch.DisposeAsync();
        await controller.DisposeAsync();
        await sandbox.DisposeAsync();
        limit.Dispose();
    }

    [Fact]
    public async Task A_bridge_dials_in_and_is_known_by_its_name()
    {
        var bridge = await ConnectAsync("br-int");
        Assert.Equal("br-int", bridge.Name);
        await vswitch.Database.WaitUntilAsync(_ => vswitch.FindBridge("br-int")?.DatapathId is not null, limit.Token);
        Assert.Equal(vswitch.FindBridge("br-int")!.DatapathId, bridge.DatapathId);
        Assert.Contains(await bridge.DescribePortsAsync(limit.Token), port => port.Name == "br-int" && port.Number == PortNumbers.Local);
        await bridge.BarrierAsync(limit.Token);
    }

    [Fact]
    public async Task The_switch_has_the_flows_as_they_print_and_gives_them_back_equal()
    {
        var bridge = await ConnectAsync("br-int");
        var wanted = SampleFlows.All.Select(sample => sample.Flow with { Cookie = Cookie }).ToList();

        var first = await bridge.SynchronizeAsync(wanted, Ours, limit.Token);
        Assert.Equal(wanted.Count, first.Added.Count);
        Assert.Equal(SampleFlows.All.Select(sample => sample.Text).Order(StringComparer.Ordinal), await sandbox.DumpFlowsAsync("br-int"));

        var dumped = await bridge.DumpFlowsAsync(Ours, limit.Token);
        Assert.Equal(wanted.Select(flow => flow.ToString()).Order(StringComparer.Ordinal), dumped.Select(flow => flow.Flow.ToString()).Order(StringComparer.Ordinal));
        var second = await bridge.SynchronizeAsync(wanted, Ours, limit.Token);
        Assert.True(second.IsEmpty, string.Join('\n', [.. second.Added, .. second.Changed, .. second.Removed]));
    }

    [Fact]
    public async Task A_difference_touches_only_what_differs_and_no_foreign_flow()
    {
        var bridge = await ConnectAsync("br-int");
        Flow Make(uint port, uint output) => new(60, 10, FlowMatch.Any.InPort(port), [FlowAction.Output(output)]) { Cookie = Cookie };
        await sandbox.RunToolAsync("ovs-ofctl", "-O", "OpenFlow14", "add-flow", $"unix:{sandbox.Directory}/br-int.mgmt", "cookie=0x1,table=60,priority=9,in_port=9,actions=drop");
        await bridge.SynchronizeAsync([Make(1, 2), Make(2, 3), Make(3, 4)], Ours, limit.Token);
        var difference = await bridge.SynchronizeAsync([Make(1, 2), Make(2, 9), Make(4, 5)], Ours, limit.Token);

        Assert.Equal((1, 1, 1), (difference.Added.Count, difference.Changed.Count, difference.Removed.Count));
        Assert.Equal(
            ["table=60,priority=10,in_port=1 actions=output:2", "table=60,priority=10,in_port=2 actions=output:9", "table=60,priority=10,in_port=4 actions=output:5", "table=60,priority=9,in_port=9 actions=drop"],
            await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task Modify_and_delete_by_cookie_reach_the_flows_of_that_cookie()
    {
        var bridge = await ConnectAsync("br-int");
        Flow Make(uint port, ulong cookie) => new(60, 10, FlowMatch.Any.InPort(port), [FlowAction.Normal]) { Cookie = cookie };
        await bridge.ApplyAsync([new(FlowCommandKind.Add, Make(1, 1)), new(FlowCommandKind.Add, Make(2, 2)), new(FlowCommandKind.Add, Make(3, 2))], limit.Token);
        await bridge.ApplyAsync(
            [
                new(FlowCommandKind.Delete, new Flow(255, 0, FlowMatch.Any, []) { Cookie = 1 }, ulong.MaxValue),
                new(FlowCommandKind.ModifyStrict, Make(2, 2) with { Actions = [FlowAction.Output(7)] }),
            ],
            limit.Token);
        Assert.Equal(["table=60,priority=10,in_port=2 actions=output:7", "table=60,priority=10,in_port=3 actions=NORMAL"], await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task A_bundle_with_a_bad_flow_changes_nothing_and_says_which()
    {
        var bridge = await ConnectAsync("br-int");
        var good = new Flow(0, 1, FlowMatch.Any.InPort(1), [FlowAction.Normal]);
        var bad = new Flow(0, 1, FlowMatch.Any.InPort(2), [FlowAction.SetField(FlowField.Ipv4Src, 1)]);
        var error = await Assert.ThrowsAsync<OpenFlowErrorException>(() => bridge.ApplyAsync([new(FlowCommandKind.Add, good), new(FlowCommandKind.Add, bad)], limit.Token));
        Assert.Contains("in_port=2", error.Message, StringComparison.Ordinal);
        Assert.Empty(await sandbox.DumpFlowsAsync("br-int"));

        // The conversation goes on.
        await bridge.ApplyAsync([new(FlowCommandKind.Add, good)], limit.Token);
        Assert.Single(await sandbox.DumpFlowsAsync("br-int"));
    }

    [Fact]
    public async Task Ten_thousand_flows_go_in_one_bundle_and_come_back()
    {
        var bridge = await ConnectAsync("br-int");
        var wanted = Enumerable.Range(0, 10_000).Select(n => new Flow(82, 70, FlowMatch.Any.Register(5, (uint)n).Tcp().TransportDestination(22), [FlowAction.Output((uint)(n % 1000) + 1), FlowAction.Resubmit(92)]) { Cookie = Cookie }).ToList();
        await bridge.SynchronizeAsync(wanted, Ours, limit.Token);
        Assert.Equal(10_000, (await bridge.DumpFlowsAsync(Ours, limit.Token)).Count);
        Assert.True((await bridge.SynchronizeAsync(wanted, Ours, limit.Token)).IsEmpty);
        Assert.Equal(10_000, (await bridge.SynchronizeAsync([], Ours, limit.Token)).Removed.Count);
    }

    [Fact]
    public async Task A_restarted_switch_connects_anew_and_pending_requests_fail()
    {
        var bridge = await ConnectAsync("br-int");
        await bridge.ApplyAsync([new(FlowCommandKind.Add, new Flow(23, 0, FlowMatch.Any, []))], limit.Token);
        var gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        controller.Disconnected += (_, _) => gone.TrySetResult();
        await sandbox.StopSwitchAsync();
        await gone.Task.WaitAsync(limit.Token);
        await Assert.ThrowsAsync<OpenFlowException>(() => bridge.BarrierAsync(limit.Token));
        Assert.Null(controller.Find("br-int"));

        await sandbox.StartSwitchAsync();
        var again = await controller.WaitForAsync("br-int", limit.Token);
        Assert.NotSame(bridge, again);
        Assert.Empty(await again.DumpFlowsAsync(new FlowFilter(Table: 23), limit.Token));
    }

    [Fact]
    public async Task A_switch_that_hangs_does_not_hold_its_caller_and_comes_back()
    {
        var bridge = await ConnectAsync("br-int");
        var commands = Enumerable.Range(0, 60_000).Select(n => new FlowCommand(FlowCommandKind.Add, new Flow(82, 70, FlowMatch.Any.Register(5, (uint)n).Tcp().TransportDestination(22), [FlowAction.Output(1), FlowAction.Resubmit(92)]))).ToList();
        var pid = (await File.ReadAllTextAsync($"{sandbox.Directory}/ovs-vswitchd.pid", limit.Token)).Trim();
        await OpenVSwitchSandbox.RunAsync("kill", "-STOP", pid);
        try
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => bridge.ApplyAsync(commands, patience.Token));
        }
        finally
        {
            await OpenVSwitchSandbox.RunAsync("kill", "-CONT", pid);
        }

        OpenFlowSwitch? again = null;
        while (again is null)
        {
            // The connection that was cut may still be known for a moment.
            var found = await controller.WaitForAsync("br-int", limit.Token);
            try
            {
                await found.BarrierAsync(limit.Token);
                again = found;
            }
            catch (OpenFlowException)
            {
                limit.Token.ThrowIfCancellationRequested();
            }
        }

        Assert.Empty(await again.DumpFlowsAsync(default, limit.Token));
        await again.ApplyAsync([commands[0]], limit.Token);
        Assert.Single(await again.DumpFlowsAsync(default, limit.Token));
    }

    [Fact]
    public async Task A_stranger_that_does_not_speak_OpenFlow_is_sent_away()
    {
        var failed = new TaskCompletionSource<Exception>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var own = new OpenFlowController(new IPEndPoint(IPAddress.Loopback, 0));
        own.HandshakeFailed += failed.SetResult;
        own.Start();
        using var client = new TcpClient();
        await client.ConnectAsync(own.EndPoint, limit.Token);
        await client.GetStream().WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray(), limit.Token);
        client.Client.Shutdown(SocketShutdown.Send);
        Assert.IsType<OpenFlowException>(await failed.Task.WaitAsync(limit.Token));
    }

    private async Task<OpenFlowSwitch> ConnectAsync(string bridge)
    {
        await vswitch.ChangeAsync(
            changes => changes.EnsureBridge(bridge, new BridgeSettings
            {
                DatapathType = "netdev",
                FailMode = "secure",
                Protocols = ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"],
                Controller = new ControllerSettings("tcp:127.0.0.1:6633"),
            }),
            limit.Token);
        return await controller.WaitForAsync(bridge, limit.Token);
    }
}
