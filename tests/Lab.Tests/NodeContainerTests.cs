using SharpStack.Lab.Definitions;
using SharpStack.Lab.Fabric;
using SharpStack.Lab.Nodes;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Lab.Tests;

/// <summary>Nodes are real namespaces: these tests need root.</summary>
public sealed class NodeContainerTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_node_has_its_own_name_processes_and_folders()
    {
        await using var folder = new LabFolder();
        var node = folder.Container("alpha");

        Assert.True(await node.EnsureAsync(bare: false, None));

        Assert.Equal("alpha", (await node.RunAsync(["hostname"], None)).Trim());
        Assert.Contains(folder.Layout.InitScript, await node.RunAsync(["cat", "/proc/1/cmdline"], None), StringComparison.Ordinal);
        await node.RunAsync(["sh", "-c", "mkdir /etc/of-a-node && echo mine > /etc/of-a-node/mark.conf && touch /var/lib/mark"], None);
        Assert.False(Directory.Exists("/etc/of-a-node"));
        Assert.False(File.Exists("/var/lib/mark"));
        Assert.Equal("mine\n", await File.ReadAllTextAsync(Path.Combine(folder.Layout.Etc("alpha"), "of-a-node", "mark.conf"), None));
    }

    [Fact]
    public async Task A_running_node_is_found_again_and_not_started_twice()
    {
        await using var folder = new LabFolder();
        await folder.Container("alpha").EnsureAsync(bare: false, None);
        var first = folder.Container("alpha").Init.Id;

        Assert.False(await folder.Container("alpha").EnsureAsync(bare: false, None));

        Assert.Equal(first, folder.Container("alpha").Init.Id);
    }

    [Fact]
    public async Task A_service_that_fails_is_started_again_and_one_that_ends_well_is_not()
    {
        await using var folder = new LabFolder();
        var node = folder.Container("alpha");
        await node.EnsureAsync(bare: false, None);
        await node.StartAsync(new NodeService("keeps", ServiceGroup.Cloud, ["sleep", "infinity"]), None);
        await node.StartAsync(new NodeService("ends", ServiceGroup.Cloud, ["true"]), None);
        RunningService? Keeps() => new LabProcesses(folder.Layout).ServicesOf("alpha").GetValueOrDefault("keeps");
        await UntilAsync(() => Keeps()?.Process is { Arguments: ["sleep", "infinity"] });
        var first = Keeps()!.Process!;

        first.Signal(ManagedProcess.Kill);

        await UntilAsync(() => Keeps()?.Process is { Arguments: ["sleep", "infinity"] } now && now.Id != first.Id);
        await UntilAsync(() => !new LabProcesses(folder.Layout).ServicesOf("alpha").ContainsKey("ends"));
        Assert.Contains("keeps ended with 137", node.Tail("keeps"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_supervisor_that_is_told_to_end_tells_its_service()
    {
        await using var folder = new LabFolder();
        var node = folder.Container("alpha");
        await node.EnsureAsync(bare: false, None);
        await node.StartAsync(new NodeService("polite", ServiceGroup.Cloud, ["sh", "-c", "trap 'echo farewell; exit 0' TERM; while :; do sleep infinity & wait $!; done"]), None);
        await UntilAsync(() => new LabProcesses(folder.Layout).ServicesOf("alpha").GetValueOrDefault("polite")?.Family.Any(process => process.Arguments is ["sleep", "infinity"]) == true);

        new LabProcesses(folder.Layout).ServicesOf("alpha")["polite"].Supervisor.Signal(ManagedProcess.Terminate);

        await UntilAsync(() => !new LabProcesses(folder.Layout).ServicesOf("alpha").ContainsKey("polite"));
        Assert.Equal("farewell", node.Tail("polite"));
    }

    [Fact]
    public async Task Nothing_of_a_node_outlives_its_holder()
    {
        await using var folder = new LabFolder();
        var node = folder.Container("alpha");
        await node.EnsureAsync(bare: false, None);
        await node.StartAsync(new NodeService("service", ServiceGroup.Cloud, ["sleep", "infinity"]), None);
        await node.RunAsync(["sh", "-c", "setsid --fork sleep infinity </dev/null >/dev/null 2>&1"], None);
        await UntilAsync(() => new LabProcesses(folder.Layout).Of("alpha").Count(process => process.Arguments is ["sleep", "infinity"]) == 3);
        var inside = new LabProcesses(folder.Layout).Of("alpha");

        new LabProcesses(folder.Layout).Holders["alpha"].Signal(ManagedProcess.Kill);

        await UntilAsync(() => !inside.Any(process => process.IsRunning));
        Assert.Throws<LabException>(() => folder.Container("alpha").Init);
    }

    [Fact]
    public async Task A_program_under_var_is_where_it_was_in_the_node_too()
    {
        await using var folder = new LabFolder();
        var programs = Directory.CreateDirectory($"/var/tmp/sharpstack-lab-{Guid.NewGuid():N}");
        try
        {
            var program = Path.Combine(programs.FullName, "program");
            await File.WriteAllTextAsync(program, "here\n", None);
            var node = new NodeContainer(folder.Layout, "alpha", program, TimeProvider.System);
            await node.EnsureAsync(bare: false, None);

            Assert.Equal("here\n", await node.RunAsync(["cat", program], None));
        }
        finally
        {
            programs.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Nodes_reach_each_other_over_their_wires_and_not_while_a_plug_is_out()
    {
        await using var folder = new LabFolder();
        var lab = LabCatalog.Get(5);
        var wires = folder.Container(LabFabric.Name);
        await wires.EnsureAsync(bare: true, None);
        var fabric = new LabFabric(lab, wires);
        fabric.EnsureBridges();
        foreach (var node in lab.Nodes)
        {
            var container = folder.Container(node.Name);
            await container.EnsureAsync(bare: false, None);
            fabric.Wire(node.Name, node.Interfaces, container.NetworkNamespace);
            fabric.Wire(node.Name, node.Interfaces, container.NetworkNamespace);
        }

        var compute = folder.Container("compute1");
        Task<ShellOutcome> PingAsync() => compute.TryAsync(["ping", "-c", "1", "-W", "1", lab.Controller.Address], None);
        Assert.True(await Wait.UntilAsync(async () => (await PingAsync()).Succeeded, LabFolder.Bound, TimeProvider.System, None));

        fabric.Connect("compute1", "mgmt", connected: false);
        Assert.False((await PingAsync()).Succeeded);
        Assert.False(fabric.IsConnected("compute1", "mgmt"));

        fabric.Connect("compute1", "mgmt", connected: true);
        Assert.True(await Wait.UntilAsync(async () => (await PingAsync()).Succeeded, LabFolder.Bound, TimeProvider.System, None));
    }

    private static async Task UntilAsync(Func<bool> condition) =>
        Assert.True(await Wait.UntilAsync(() => Task.FromResult(condition()), LabFolder.Bound, TimeProvider.System, None));
}
