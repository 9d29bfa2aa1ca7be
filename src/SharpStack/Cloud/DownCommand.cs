using SharpStack.CommandLine;
using SharpStack.Machine;

namespace SharpStack.Cloud;

/// <summary><c>sharpstack down</c>: ends everything that <c>up</c> started, so that no process, namespace, tap or bridge is left.</summary>
internal sealed class DownCommand
{
    public const string Usage = "down [--data DIR] [--purge]";

    private readonly CloudLayout layout;
    private readonly bool purge;
    private readonly TimeProvider time;

    public DownCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        var arguments = Arguments.Parse(words, ["--data"], ["--purge"]);
        layout = new CloudLayout(Path.GetFullPath(arguments.Value("--data") ?? CloudLayout.DefaultData()));
        purge = arguments.Has("--purge");
        this.time = time;
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var settings = CloudSettings.Load(layout);
        if (settings is null)
        {
            Console.Out.WriteLine($"there is no cloud in {layout.Data}");
            return;
        }

        if (!settings.Fake && !Environment.IsPrivilegedProcess)
        {
            throw new CommandException("root started this cloud, and only root can stop it");
        }

        await new DaemonProcess(layout, settings, time).StopAsync(cancellationToken);
        Console.Out.WriteLine("the services are stopped");
        if (!settings.Fake)
        {
            await ClearHostAsync(settings, cancellationToken);
        }

        if (purge)
        {
            Directory.Delete(layout.Data, recursive: true);
            Console.Out.WriteLine($"{layout.Data} is deleted");
        }
        else
        {
            Console.Out.WriteLine($"the data stays in {layout.Data}; ./up resumes, ./down --purge deletes it");
        }
    }

    private async Task ClearHostAsync(CloudSettings settings, CancellationToken cancellationToken)
    {
        var libvirt = new LibvirtHost(layout, time);
        await libvirt.RemoveDomainsAsync(cancellationToken);
        if (settings.Host.OwnLibvirt)
        {
            await libvirt.StopOwnAsync(cancellationToken);
        }

        // A machine whose libvirtd was gone may still run it.
        foreach (var process in RunningProcess.Using(layout.Data).Where(process => process.Program.StartsWith("qemu-system-", StringComparison.Ordinal)).ToArray())
        {
            await process.StopAsync(TimeSpan.FromSeconds(5), time, cancellationToken);
        }

        Console.Out.WriteLine("the virtual machines are stopped");
        await NetworkLeftovers.StopServersAsync(layout, time, cancellationToken);
        var openVSwitch = new OpenVSwitchHost(layout, time);
        if (settings.Host.OwnOpenVSwitch || await openVSwitch.OwnsProviderBridgeAsync(cancellationToken))
        {
            // Ports first, then their namespaces, then the switch: the other way round leaves devices that nothing can remove.
            await OpenVSwitchHost.RemoveBridgesAsync(cancellationToken);
            await NetworkLeftovers.RemoveNamespacesAsync(cancellationToken);
        }

        if (settings.Host.OwnOpenVSwitch)
        {
            await openVSwitch.StopOwnAsync(cancellationToken);
        }

        Console.Out.WriteLine("the networks are removed");
    }
}
