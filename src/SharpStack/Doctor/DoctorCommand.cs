using System.Globalization;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.LinuxHost.Machine;
using SharpStack.LinuxHost.Processes;
using SharpStack.Machine;

namespace SharpStack.Doctor;

internal enum Severity
{
    Good,
    Note,
    Problem,
}

/// <summary>One thing looked at, and what to do about it where something is to be done.</summary>
internal sealed record Finding(Severity Severity, string Subject, string Text, string? Advice = null);

/// <summary><c>sharpstack doctor</c>: looks the machine over before a cloud is set up on it, and a set-up cloud too.</summary>
internal static class DoctorCommand
{
    public const string Usage = "doctor [--data DIR]";

    private const long Gibibyte = 1L << 30;

    /// <returns>0 where nothing stands in the way of a cloud, 1 otherwise.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> words, CancellationToken cancellationToken)
    {
        var arguments = Arguments.Parse(words, ["--data"], []);
        var layout = new CloudLayout(Path.GetFullPath(arguments.Value("--data") ?? CloudLayout.DefaultData()));
        List<Finding> findings = [.. Machine(layout), .. Ports(layout)];
        findings.AddRange(await FacilitiesAsync(cancellationToken));
        findings.AddRange(await VersionsAsync(cancellationToken));
        foreach (var finding in findings)
        {
            var mark = finding.Severity switch { Severity.Good => "ok", Severity.Note => "note", _ => "PROBLEM" };
            Console.Out.WriteLine($"{mark,-8}{finding.Subject,-12}{finding.Text}");
            if (finding.Advice is not null)
            {
                Console.Out.WriteLine($"{"",-20}-> {finding.Advice}");
            }
        }

        var problems = findings.Count(finding => finding.Severity == Severity.Problem);
        Console.Out.WriteLine(problems == 0 ? "\nThis machine can run a cloud: ./up" : $"\n{problems} {(problems == 1 ? "problem stands" : "problems stand")} in the way of a real cloud; ./up --fake needs only .NET.");
        return problems == 0 ? 0 : 1;
    }

    private static IEnumerable<Finding> Machine(CloudLayout layout)
    {
        var kernel = RuntimeInformation.OSDescription;
        yield return RuntimeInformation.ProcessArchitecture == Architecture.X64
            ? new Finding(Severity.Good, "kernel", kernel)
            : new Finding(Severity.Problem, "kernel", $"{kernel} on {RuntimeInformation.ProcessArchitecture}", "instances are x86_64 machines in this release: use such a host");
        yield return Environment.IsPrivilegedProcess
            ? new Finding(Severity.Good, "user", "root")
            : new Finding(Severity.Problem, "user", "not root", "run ./up as root, or ./up --fake as any user");
        yield return Environment.ProcessorCount >= 2
            ? new Finding(Severity.Good, "processors", $"{Environment.ProcessorCount}")
            : new Finding(Severity.Note, "processors", "1", "two are better: instances and the cloud share them");
        var memory = MemoryAvailable();
        yield return memory >= 2 * Gibibyte
            ? new Finding(Severity.Good, "memory", $"{memory / Gibibyte} GiB available")
            : new Finding(Severity.Problem, "memory", $"{memory >> 20} MiB available", "the demo needs 2 GiB: end other programs or add memory");
        var folder = new DirectoryInfo(layout.Data);
        while (!folder.Exists && folder.Parent is not null)
        {
            folder = folder.Parent;
        }

        var free = new DriveInfo(folder.FullName).AvailableFreeSpace;
        yield return free >= 4 * Gibibyte
            ? new Finding(Severity.Good, "disk", $"{free / Gibibyte} GiB free for {layout.Data}")
            : new Finding(Severity.Problem, "disk", $"{free >> 20} MiB free for {layout.Data}", "make room, or put the cloud elsewhere: ./up --data DIR (4 GiB for the demo)");
        yield return Clock();
    }

    /// <summary>Tokens and certificates compare times: a clock before the program's own build is certainly wrong.</summary>
    private static Finding Clock()
    {
        var now = TimeProvider.System.GetUtcNow();
        var built = File.GetLastWriteTimeUtc(Environment.ProcessPath ?? "/proc/self/exe");
        return now.UtcDateTime < built.AddMinutes(-1)
            ? new Finding(Severity.Problem, "clock", $"{now:u}, before this program was built ({built:u})", "set the clock (timedatectl set-ntp true, or install chrony)")
            : new Finding(Severity.Good, "clock", now.ToString("u", CultureInfo.InvariantCulture));
    }

    private static long MemoryAvailable()
    {
        var line = File.ReadLines("/proc/meminfo").FirstOrDefault(text => text.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
    }

    private static IEnumerable<Finding> Ports(CloudLayout layout)
    {
        var settings = CloudSettings.Load(layout);
        var running = settings is null ? null : new DaemonProcess(layout, settings, TimeProvider.System).Running;
        if (running is not null)
        {
            yield return new Finding(Severity.Good, "cloud", $"{layout.Data} runs as process {running.Id}");
            yield break;
        }

        var listening = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Select(point => point.Port).ToHashSet();
        var taken = (settings?.Ports ?? new CloudPorts()).All(settings?.Fake ?? false).Where(entry => listening.Contains(entry.Port)).ToArray();
        if (taken.Length == 0)
        {
            yield return new Finding(Severity.Good, "ports", "those of the APIs are free");
        }

        foreach (var (service, port) in taken)
        {
            yield return new Finding(Severity.Problem, "ports", $"{port} ({service}) is in use", "end that program (ss -ltnp shows it), or take others: ./up --port-base 15000");
        }
    }

    private static async Task<IEnumerable<Finding>> FacilitiesAsync(CancellationToken cancellationToken) =>
    [
        MachineFacts.Read().KvmUsable
            ? new Finding(Severity.Good, "kvm", "/dev/kvm can be used")
            : new Finding(Severity.Note, "kvm", "no /dev/kvm to use, or no processor that helps it (vmx, svm): instances are emulated, about ten times slower", "turn on virtualisation (nested, if this is a virtual machine) and load kvm_intel or kvm_amd"),
        await HostFacilities.HasKernelDatapathAsync(cancellationToken)
            ? new Finding(Severity.Good, "datapath", "the openvswitch kernel module is there")
            : new Finding(Severity.Note, "datapath", "no openvswitch kernel module: packets are switched in user space, slower", "nothing need be done; a distribution's own kernel has the module"),
        Directory.Exists("/run/systemd/system")
            ? new Finding(Severity.Good, "systemd", "runs")
            : new Finding(Severity.Note, "systemd", "does not run here: the cloud starts its own daemons, and nothing starts it at boot", "run ./up after a boot"),
        new Finding(Severity.Good, "libvirt", LibvirtHost.IsRunning ? "runs and will be used" : "does not run: the cloud starts its own"),
        new Finding(Severity.Good, "switch", OpenVSwitchHost.IsRunning ? "Open vSwitch runs and will be used" : "Open vSwitch does not run: the cloud starts its own"),
    ];

    private static async Task<IEnumerable<Finding>> VersionsAsync(CancellationToken cancellationToken)
    {
        (string Subject, string Program, string Package, Version Least)[] programs =
        [
            ("qemu", "qemu-system-x86_64", "qemu-system-x86", new Version(5, 2)),
            ("libvirtd", "libvirtd", "libvirt-daemon", new Version(7, 0)),
            ("ovs", "ovs-vswitchd", "openvswitch-switch", new Version(2, 15)),
            ("dnsmasq", "dnsmasq", "dnsmasq-base", new Version(2, 80)),
            ("iptables", "iptables", "iptables", new Version(1, 8)),
        ];
        var findings = new List<Finding>();
        foreach (var (subject, program, package, least) in programs)
        {
            var outcome = await Shell.TryAsync(program, ["--version"], cancellationToken);
            var found = VersionIn(outcome.Output);
            findings.Add(
                found is null ? new Finding(Severity.Note, subject, "not installed", $"./up installs it; by hand: apt-get install {package}")
                : found < least ? new Finding(Severity.Problem, subject, $"{found} is too old", $"version {least} or newer is needed: upgrade {package}")
                : new Finding(Severity.Good, subject, found.ToString()));
        }

        return findings;
    }

    /// <summary>The first number with dots in a program's words about itself.</summary>
    internal static Version? VersionIn(string text)
    {
        foreach (var word in text.Split([' ', '\n', '-', '(', ')', ','], StringSplitOptions.RemoveEmptyEntries))
        {
            if (word.Contains('.', StringComparison.Ordinal) && Version.TryParse(word.TrimStart('v'), out var version))
            {
                return version;
            }
        }

        return null;
    }
}
