using System.Globalization;
using System.Runtime.InteropServices;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Machine;

/// <summary>What this machine offers; read once, cheap (no process, no network).</summary>
/// <param name="HostName">As uname gives it.</param>
/// <param name="KernelRelease">For instance "6.1.0-18-amd64".</param>
/// <param name="ProcessorCount">Processors that this process may use.</param>
/// <param name="ProcessorModel">For instance "Intel Xeon"; "unknown" where the kernel does not say.</param>
/// <param name="MemoryBytes">All memory of the machine.</param>
/// <param name="AvailableMemoryBytes">What can be had without swapping.</param>
/// <param name="IsRoot">Effective user 0.</param>
/// <param name="KvmUsable">/dev/kvm can be opened for reading and writing, and the processor helps it (<see cref="HasVirtualization"/>).</param>
/// <param name="TunUsable">/dev/net/tun can be opened.</param>
/// <param name="OpenVSwitchModule">The kernel datapath of Open vSwitch is loaded or can be.</param>
/// <param name="HasSystemd">systemd is the running init.</param>
public sealed record MachineFacts(string HostName, string KernelRelease, int ProcessorCount, string ProcessorModel, long MemoryBytes,
    long AvailableMemoryBytes, bool IsRoot, bool KvmUsable, bool TunUsable, bool OpenVSwitchModule, bool HasSystemd)
{
    public static MachineFacts Read()
    {
        var (memory, available) = Memory();
        var release = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();
        return new MachineFacts(
            HostName: File.ReadAllText("/proc/sys/kernel/hostname").Trim(),
            KernelRelease: release,
            ProcessorCount: Environment.ProcessorCount,
            ProcessorModel: ReadProcessorModel(),
            MemoryBytes: memory,
            AvailableMemoryBytes: available,
            IsRoot: Environment.IsPrivilegedProcess,
            KvmUsable: CanOpen("/dev/kvm") && HasVirtualization(File.ReadLines("/proc/cpuinfo")),
            TunUsable: CanOpen("/dev/net/tun"),
            OpenVSwitchModule: Directory.Exists("/sys/module/openvswitch") || IsModuleInstalled(release, "openvswitch"),
            HasSystemd: Directory.Exists("/run/systemd/system"));
    }

    /// <summary>
    /// Whether a processor runs guests itself. Where an x86 does not (vmx, svm), a kernel may have a /dev/kvm all the same, which keeps the guests' page tables by software (PVM): guests
    /// take several times longer there than under QEMU's emulation.
    /// </summary>
    /// <param name="cpuinfo">The lines of /proc/cpuinfo; of processors that have no such flags, all are taken to do it.</param>
    public static bool HasVirtualization(IEnumerable<string> cpuinfo) =>
        cpuinfo.FirstOrDefault(static line => line.StartsWith("flags", StringComparison.Ordinal)) is not { } flags || flags.Split(' ').Any(static flag => flag is "vmx" or "svm");

    /// <summary>All memory of the machine, and what can be had without swapping, in bytes.</summary>
    public static (long Total, long Available) Memory()
    {
        long total = 0, available = 0;
        foreach (var line in File.ReadLines("/proc/meminfo"))
        {
            if (line.Split([':', ' '], StringSplitOptions.RemoveEmptyEntries) is [var name, var size, "kB"])
            {
                var bytes = long.Parse(size, CultureInfo.InvariantCulture) * 1024;
                total = name == "MemTotal" ? bytes : total;
                available = name == "MemAvailable" ? bytes : available;
            }
        }

        return (total, available);
    }

    /// <summary>What the command uptime would say: time, time since boot, load.</summary>
    public static string Uptime(TimeProvider time)
    {
        var up = TimeSpan.FromSeconds(double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], CultureInfo.InvariantCulture));
        var load = File.ReadAllText("/proc/loadavg").Split(' ');
        return $"{time.GetLocalNow():HH:mm:ss} up {(up.Days > 0 ? $"{up.Days} days, " : "")}{up.Hours}:{up.Minutes:00},  0 users,  load average: {string.Join(", ", load.Take(3))}";
    }

    /// <summary>Size of and free space on the file system that holds the path, in bytes.</summary>
    public static (long Total, long Available) Disk(string path)
    {
        var drive = new DriveInfo(path);
        return (drive.TotalSize, drive.AvailableFreeSpace);
    }

    /// <summary>Whether files in the folder can be read and written past the page cache (O_DIRECT); tmpfs, for one, refuses.</summary>
    public static bool SupportsDirectIo(string directory)
    {
        var direct = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;
        var path = Path.Combine(directory, $".directio.{Guid.NewGuid():N}");
        using var handle = Libc.Open(path, Libc.OpenReadWrite | Libc.OpenCreate | Libc.OpenExclusive | Libc.OpenCloseOnExec | direct, OwnerOnly);
        File.Delete(path);
        return !handle.IsInvalid;
    }

    private const uint OwnerOnly = 0x180;

    private static bool CanOpen(string device)
    {
        using var handle = Libc.Open(device, Libc.OpenReadWrite | Libc.OpenCloseOnExec);
        return !handle.IsInvalid;
    }

    private static string ReadProcessorModel() =>
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))
            ?.Split(':', 2)[1].Trim() ?? "unknown";

    private static bool IsModuleInstalled(string release, string module)
    {
        foreach (var list in new[] { "modules.builtin", "modules.dep" })
        {
            var path = $"/lib/modules/{release}/{list}";
            if (File.Exists(path) && File.ReadLines(path).Any(line => line.Contains($"/{module}.ko", StringComparison.Ordinal)))
            {
                return true;
            }
        }
        return false;
    }
}
