using System.Text.Json.Nodes;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Lab;
using SharpStack.Lab.Definitions;

namespace SharpStack.Labs;

/// <summary><c>sharpstack lab demo</c>: what the lab's <c>demo.yaml</c> creates, as far as this release can, and how to get in.</summary>
internal sealed class LabDemo(LabSession session, string? imageFile, string? dataOption, TimeProvider time, Action<string> say)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var plan = session.Lab.Demo;
        foreach (var step in plan.Beyond(LabCatalog.Supported))
        {
            say($"demo: this release cannot do it yet: {step}");
        }

        using var admin = await new LabReadiness(session, time).AwaitAsync(cancellationToken);
        if (imageFile is null && (await admin.GetAsync("image", "/v2/images?name=cirros&status=active", cancellationToken))["images"]!.AsArray().Count == 0)
        {
            throw new CommandException("there is no image cirros: give a guest's qcow2 file with --image FILE, or build one with deploy/guest/build");
        }

        var possible = plan.Within(LabCatalog.Supported);
        var instances = await new DemoCloud(
            new DemoSettings
            {
                Plan = possible,
                Password = session.Cluster.State.Secrets.Demo,
                KeyFile = session.Layout.DemoKey,
                LogIn = stop => session.LogInAsync("demo", stop),
                ImageFile = imageFile,
                OneByOne = true,
                Log = "'sharpstack lab logs controller nova-conductor'",
                Reach = network => IsOnHost(network) ? session.OpenSocket() : null,
            },
            time,
            say).RunAsync(admin, cancellationToken);
        await ExplainAsync(admin, possible, instances, cancellationToken);
    }

    private async Task ExplainAsync(OpenStackClient admin, DemoPlan plan, IReadOnlyList<DemoInstance> instances, CancellationToken cancellationToken)
    {
        var servers = (await admin.GetAsync("compute", "/servers/detail?all_tenants=1", cancellationToken))["servers"]!.AsArray();
        var output = Console.Out;
        var data = dataOption is null ? "" : $" --data {dataOption}";
        output.WriteLine();
        foreach (var instance in instances)
        {
            var server = servers.FirstOrDefault(item => (string)item!["name"]! == instance.Name);
            output.WriteLine($"  {instance.Name,-18} {instance.Address,-14} on {server?["OS-EXT-SRV-ATTR:host"]}{(instance.FloatingIp is { } floating ? $", reached at {floating}" : "")}");
        }

        output.WriteLine();
        output.WriteLine("  Try next:");
        foreach (var instance in instances.DistinctBy(instance => instance.Network))
        {
            var attached = session.Cluster.State.Attached;
            var ssh = $"ssh -i {(attached ? session.Layout.DemoKey : "demo-key")} -o StrictHostKeyChecking=no";
            // The lab host is on the flat network alone, or the network node is; the DHCP server's namespace is on every one that it serves.
            var floating = plan.Servers.Single(server => server.Name == instance.Name).FloatingFrom;
            var network = plan.Networks.Single(network => network.Name == (floating ?? instance.Network));
            var address = instance.FloatingIp ?? instance.Address;
            var near = IsOnHost(network);
            var agents = session.Lab.Nodes.First(node => node.Roles.HasFlag(LabRoles.Network)).Name;
            output.WriteLine(near && attached ? $"    {ssh} cirros@{address}"
                : near ? $"    sharpstack lab enter {LabCluster.HostName}{data} -- {ssh} cirros@{address}"
                : network.Type == "flat" && session.Lab.Exit is { } exit ? $"    sharpstack lab enter {exit.Node}{data} -- ssh -i demo-key -o StrictHostKeyChecking=no cirros@{address}"
                : $"    sharpstack lab enter {agents}{data} -- ip netns exec qdhcp-{instance.NetworkId} ssh -i demo-key -o StrictHostKeyChecking=no cirros@{instance.Address}");
        }
    }

    /// <summary>The lab host is on the physical network where that is a wire.</summary>
    private bool IsOnHost(DemoNetwork network) => network.Type == "flat" && session.Lab.ProviderDevice is not null;
}
