using System.Security;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Machine;

/// <summary>
/// libvirtd: the system's where it runs, else the cloud's own. Its own one sees its configuration and state in the cloud's folder through a
/// mount namespace and listens at the usual socket, so that <c>virsh</c> finds it and the system's files stay as they are.
/// </summary>
internal sealed class LibvirtHost(CloudLayout layout, TimeProvider time)
{
    public const string Uri = "qemu:///system";

    private const string RunFolder = "/run/libvirt";
    private const string Socket = RunFolder + "/libvirt-sock";
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    // QEMU runs as root without the drivers that need systemd, cgroups or another user's rights on the disks.
    private const string QemuConfiguration =
        """
        user = "root"
        group = "root"
        dynamic_ownership = 0
        remember_owner = 0
        security_driver = "none"
        stdio_handler = "file"
        cgroup_controllers = [ ]
        namespaces = [ ]
        vnc_listen = "127.0.0.1"

        """;

    // The folders of the arguments are laid over libvirt's own for this process and its children alone. Without Debian's package for a
    // system-wide libvirtd its user is missing, which libvirt looks up even where QEMU runs as another: it is added in the same way.
    private const string Start =
        """
        set -e
        for pair in etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
          mkdir -p "${pair#*:}"; mount --bind "$1/${pair%%:*}" "${pair#*:}"
        done
        for file in passwd group; do
          grep -q ^libvirt-qemu: /etc/$file && continue
          { cat /etc/$file; [ $file = group ] && echo libvirt-qemu:x:64055: || echo libvirt-qemu:x:64055:64055:QEMU:/var/lib/libvirt:/usr/sbin/nologin; } > "$1/$file"
          mount --bind "$1/$file" /etc/$file
        done
        exec libvirtd --daemon --pid-file "$2"
        """;

    public static bool IsRunning => HostFacilities.Answers(Socket);

    private string PidFile => Path.Combine(layout.Run, "libvirtd.pid");

    private RunningProcess? Own => RunningProcess.FromPidFile(PidFile, "libvirtd");

    public async Task StartOwnAsync(CancellationToken cancellationToken)
    {
        if (Own is not null && IsRunning)
        {
            return;
        }

        foreach (var folder in new[] { "etc", "lib", "log", "cache" })
        {
            Directory.CreateDirectory(Path.Combine(layout.Libvirt, folder));
        }

        Directory.CreateDirectory(RunFolder);
        await File.WriteAllTextAsync(Path.Combine(layout.Libvirt, "etc", "qemu.conf"), QemuConfiguration, cancellationToken);
        var main = Path.Combine(layout.Libvirt, "etc", "libvirtd.conf");
        if (!File.Exists(main))
        {
            await File.WriteAllTextAsync(
                main,
                $"""
                auth_unix_rw = "none"
                auth_unix_ro = "none"
                unix_sock_group = "root"
                unix_sock_rw_perms = "0700"
                log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
                host_uuid = "{Guid.NewGuid()}"

                """,
                cancellationToken);
        }

        await Shell.RunAsync("unshare", ["--mount", "--propagation", "slave", "--", "sh", "-c", Start, "sh", layout.Libvirt, PidFile], cancellationToken);
        if (!await Wait.UntilAsync(async () => (await VirshAsync(["version"], cancellationToken)).Succeeded, Bound, time, cancellationToken))
        {
            throw new CommandException($"libvirtd does not answer at {Socket}: see {layout.Libvirt}/log/libvirtd.log");
        }
    }

    /// <summary>Ends and forgets the domains whose disks lie in the cloud's folder.</summary>
    public async Task RemoveDomainsAsync(CancellationToken cancellationToken)
    {
        if (!IsRunning)
        {
            return;
        }

        var names = await VirshAsync(["list", "--all", "--name"], cancellationToken);
        foreach (var name in names.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var xml = await VirshAsync(["dumpxml", name], cancellationToken);
            if (xml.Output.Contains($"'{SecurityElement.Escape(layout.Data)}/", StringComparison.Ordinal))
            {
                await VirshAsync(["destroy", name], cancellationToken);
                await VirshAsync(["undefine", name, "--managed-save", "--nvram"], cancellationToken);
            }
        }
    }

    public async Task StopOwnAsync(CancellationToken cancellationToken)
    {
        if (Own is { } running)
        {
            await running.StopAsync(Bound, time, cancellationToken);
        }
    }

    private static Task<ShellOutcome> VirshAsync(IEnumerable<string> arguments, CancellationToken cancellationToken) =>
        Shell.TryAsync("virsh", ["-q", "-c", Uri, .. arguments], cancellationToken);
}
