using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Machine;

/// <summary>Open vSwitch's two daemons: the system's where they run, else the cloud's own at the usual places, so that the usual tools find them.</summary>
internal sealed class OpenVSwitchHost(CloudLayout layout, TimeProvider time)
{
    /// <summary>br-phys carries this mark, so that <c>down</c> removes what <c>up</c> made and nothing else.</summary>
    public const string Mark = "sharpstack";

    private const string TrunkBridgePrefix = "tbr-";
    private const string RunFolder = "/run/openvswitch";
    private const string Database = RunFolder + "/db.sock";
    private const string Schema = "/usr/share/openvswitch/vswitch.ovsschema";
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    private string ConfigurationDatabase => Path.Combine(layout.OpenVSwitch, "conf.db");

    public static bool IsRunning => HostFacilities.Answers(Database);

    private static RunningProcess? Server => RunningProcess.FromPidFile(RunFolder + "/ovsdb-server.pid", "ovsdb-server");

    private static RunningProcess? Switch => RunningProcess.FromPidFile(RunFolder + "/ovs-vswitchd.pid", "ovs-vswitchd");

    /// <summary>Starts those of the two that do not run. The database keeps bridges and ports over restarts.</summary>
    public async Task StartOwnAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(RunFolder);
        Directory.CreateDirectory(layout.OpenVSwitch);
        if (!File.Exists(ConfigurationDatabase))
        {
            await Shell.RunAsync("ovsdb-tool", ["create", ConfigurationDatabase, Schema], cancellationToken);
        }

        if (Server is null)
        {
            await Shell.RunAsync(
                "ovsdb-server",
                [
                    ConfigurationDatabase, $"--remote=punix:{Database}", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options", "--pidfile", "--unixctl=" + RunFolder + "/ovsdb-server.ctl",
                    $"--log-file={layout.Logs}/ovsdb-server.log", "-vconsole:off", "--detach", "--no-chdir",
                ],
                cancellationToken);
        }

        await VsctlAsync(["--no-wait", "init"], cancellationToken);
        if (Switch is null)
        {
            await Shell.RunAsync(
                "ovs-vswitchd",
                [$"unix:{Database}", "--pidfile", "--unixctl=" + RunFolder + "/ovs-vswitchd.ctl", $"--log-file={layout.Logs}/ovs-vswitchd.log", "-vconsole:off", "--detach", "--no-chdir"],
                cancellationToken);
        }
    }

    /// <summary>Makes the provider bridge, whose local port is this host's place on the flat network: the gateway's address.</summary>
    public async Task CreateProviderBridgeAsync(CloudSettings settings, CancellationToken cancellationToken)
    {
        const string bridge = CloudConfiguration.ProviderBridge;
        await VsctlAsync(
            [
                "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge, $"datapath_type={settings.Host.Datapath}", "fail_mode=secure",
                "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15", $"external_ids:{Mark}={layout.Data}",
            ],
            cancellationToken);
        await Shell.RunAsync("ip", ["link", "set", bridge, "up"], cancellationToken);
        await Shell.RunAsync("ip", ["address", "replace", $"{settings.Flat.Gateway}/{settings.Flat.PrefixLength}", "dev", bridge], cancellationToken);
    }

    /// <summary>Whether the provider bridge is one that this cloud made.</summary>
    public async Task<bool> OwnsProviderBridgeAsync(CancellationToken cancellationToken)
    {
        var mark = await Shell.TryAsync("ovs-vsctl", ["--timeout=10", "--if-exists", "get", "Bridge", CloudConfiguration.ProviderBridge, $"external_ids:{Mark}"], cancellationToken);
        return mark.Succeeded && mark.Output.Trim().Trim('"') == layout.Data;
    }

    /// <summary>Removes the bridges and the taps of instances; internal ports go with their bridges, in whichever namespace they are.</summary>
    public static async Task RemoveBridgesAsync(CancellationToken cancellationToken)
    {
        var trunks = (await Shell.TryAsync("ovs-vsctl", ["--timeout=10", "list-br"], cancellationToken)).Output.Split('\n').Where(name => name.StartsWith(TrunkBridgePrefix, StringComparison.Ordinal));
        string[] bridges = [CloudConfiguration.IntegrationBridge, CloudConfiguration.ProviderBridge, .. trunks];
        var ports = await Task.WhenAll(bridges.Select(bridge => Shell.TryAsync("ovs-vsctl", ["--timeout=10", "list-ports", bridge], cancellationToken)));
        await Shell.TryAsync("ovs-vsctl", ["--timeout=20", .. bridges.SelectMany(bridge => (string[])["--", "--if-exists", "del-br", bridge])], cancellationToken);
        foreach (var tap in ports.SelectMany(list => list.Output.Split('\n')).Where(name => name.StartsWith("tap", StringComparison.Ordinal)))
        {
            if (Directory.Exists($"/sys/class/net/{tap}"))
            {
                await Shell.TryAsync("ip", ["link", "delete", tap], cancellationToken);
            }
        }
    }

    /// <summary>Ends the cloud's own two daemons; the switch first, with its devices.</summary>
    public async Task StopOwnAsync(CancellationToken cancellationToken)
    {
        if (Switch is { } running)
        {
            await Shell.TryAsync("ovs-appctl", ["--timeout=20", "-t", RunFolder + "/ovs-vswitchd.ctl", "exit", "--cleanup"], cancellationToken);
            await Wait.UntilAsync(() => Task.FromResult(!running.IsAlive), Bound, time, cancellationToken);
            await running.StopAsync(Bound, time, cancellationToken);
        }

        if (Server is { } server)
        {
            await server.StopAsync(Bound, time, cancellationToken);
        }
    }

    private static async Task VsctlAsync(IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        var list = arguments.ToArray();
        var outcome = await Shell.TryAsync("ovs-vsctl", ["--timeout=30", .. list], cancellationToken);
        if (!outcome.Succeeded)
        {
            throw new CommandException($"Open vSwitch did not take '{string.Join(' ', list)}': {outcome.Error.Trim()} (its log: /var/log/openvswitch, or the cloud's log folder)");
        }
    }
}
