using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.LinuxHost.Machine;
using SharpStack.LinuxHost.Netlink;
using SharpStack.LinuxHost.Processes;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Compute.Drivers.Libvirt;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Compute.Instances;
using SharpStack.Nova.Compute.Interfaces;
using SharpStack.Nova.Contracts;
using SharpStack.OpenVSwitch.Ovsdb;
using SharpStack.OpenVSwitch.Switches;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Nova.Compute.Tests;

/// <summary>A real QEMU under a libvirtd of its own, on a real Open vSwitch, in a network namespace.</summary>
public sealed class LibvirtDriverTests : IAsyncDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("libvirt-driver-").FullName;
    private readonly FakeConductor conductor = new();
    private readonly MemoryImages images = new();
    private OpenVSwitchSandbox? sandbox;
    private ManagedProcess? libvirtd;
    private ComputeService? service;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        if (service is not null)
        {
            await service.DisposeAsync();
        }

        if (libvirtd is not null)
        {
            await libvirtd.StopAsync(TimeSpan.FromSeconds(20), TimeProvider.System, CancellationToken.None);
        }

        if (sandbox is not null)
        {
            await sandbox.DisposeAsync();
        }

        await conductor.DisposeAsync();
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_guest_boots_from_its_image_survives_a_restart_of_the_host_service_reboots_and_leaves_nothing()
    {
        await StartHostAsync();
        var image = images.Add(await MemoryImages.ToQcowAsync(BootSector("SharpStack boot"), directory), "qcow2");
        var instance = conductor.Add(each => each with { Image = image, Ports = [Port] });
        await StartServiceAsync();

        await conductor.SettledAsync(instance.Id);
        Assert.Equal((ActionProgress.Done, PowerState.Running), (conductor.Reports[^1].Progress, conductor.Reports[^1].PowerState));
        await ConsoleShowsAsync(instance.Id, times: 1);

        // The port is on br-int as Neutron's agent wants to see it.
        Assert.Equal(
            "{attached-mac=\"fa:16:3e:4c:2c:30\", iface-id=\"ce531f90-199f-48c0-816c-13e38010b442\", iface-status=active, vm-uuid=\"" + instance.Id + "\"}",
            (await sandbox!.VsctlAsync("get", "Interface", Port.DeviceName, "external_ids")).Trim());
        using (var links = RouteClient.Open(sandbox.Namespace))
        {
            Assert.Equal((1450, true, true), links.GetLink(Port.DeviceName) is var tap ? (tap.Mtu, tap.IsUp, tap.HasCarrier) : default);
        }

        var used = await conductor.Bus.CallAsync(ComputeContract.GetDiagnostics, new DiagnosticsQuery(instance.Id), FakeConductor.Host, null, Cancellation);
        Assert.Equal(("running", "libvirt"), (used.State, used.Driver));
        Assert.Equal(instance.Flavor.MemoryMb, used.MaximumMemoryMb);
        Assert.True(used.ProcessorTimes[0] > 0);
        Assert.True(used.Disks.Single(disk => disk.Device == "vda").ReadRequests > 0);
        Assert.Equal((Port.DeviceName, Port.MacAddress), (used.Nics.Single().Device, used.Nics.Single().MacAddress));

        // While the service is away the guest runs on; the new one finds it as it is.
        var reports = conductor.Reports.Count;
        await service!.DisposeAsync();
        await StartServiceAsync();
        await Wait.UntilAsync(() => conductor.Reports.Count > reports);
        Assert.Equal((PowerState.Running, null), (conductor.Reports[^1].PowerState, conductor.Reports[^1].ActionId));

        await conductor.ActAsync(instance.Id, InstanceActionKind.RebootHard, DesiredState.Running);
        await conductor.SettledAsync(instance.Id);
        await ConsoleShowsAsync(instance.Id, times: 2);
        Assert.Single(Directory.EnumerateFiles(Path.Combine(directory, "instances", "_base")));

        await conductor.ActAsync(instance.Id, InstanceActionKind.Delete, DesiredState.Absent);
        await conductor.SettledAsync(instance.Id);
        Assert.False(conductor.Reports[^1].Exists);
        Assert.Equal("", (await VirshAsync("list", "--all", "--name")).Trim());
        Assert.DoesNotContain(Port.DeviceName, await sandbox.VsctlAsync("list-ports", "br-int"), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(directory, "instances", instance.Id)));
        using var after = RouteClient.Open(sandbox.Namespace);
        Assert.Null(after.FindLink(Port.DeviceName));
    }

    [Fact]
    public async Task A_guest_that_cannot_start_says_why_and_one_that_is_cut_off_from_outside_is_reported_also_after_libvirt_was_away()
    {
        await StartHostAsync();
        var image = images.Add(BootSector("SharpStack boot"), "raw");
        await StartServiceAsync();
        await Wait.UntilAsync(() => conductor.Hosts.Count > 0);
        var report = conductor.Hosts[0].Hypervisor;
        Assert.Equal((FakeConductor.Host, Environment.ProcessorCount), (report.HypervisorHostname, report.Vcpus));
        Assert.InRange(report.HypervisorVersion, 1_000_000, 100_000_000);
        Assert.Equal(MachineFacts.Read().KvmUsable ? "KVM" : "QEMU", report.HypervisorType);

        // More processors than a machine of this type may have.
        var impossible = conductor.Add(each => each with { Image = image, Flavor = each.Flavor with { Vcpus = 100_000 } });
        await HintAsync(impossible.Id);
        await conductor.SettledAsync(impossible.Id);
        var fault = conductor.Reports.Last(each => each.Id == impossible.Id).Fault!;
        Assert.True(fault.Reschedule);
        Assert.Contains("CPUs", fault.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(directory, "instances", impossible.Id)));

        var instance = conductor.Add(each => each with { Image = image, Flavor = each.Flavor with { MemoryMb = 64 } });
        await HintAsync(instance.Id);
        await conductor.SettledAsync(instance.Id);

        // libvirtd goes and comes back; the guest has run on, and its end is noticed all the same.
        await libvirtd!.StopAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancellation);
        await StartLibvirtAsync();
        Assert.Equal("running", (await VirshAsync("domstate", instance.DomainName)).Trim());
        await VirshAsync("destroy", instance.DomainName);
        await Wait.UntilAsync(() => conductor.Reports[^1] is { PowerState: PowerState.Shutdown, ActionId: null });

        await conductor.ActAsync(instance.Id, InstanceActionKind.Delete, DesiredState.Absent);
        await conductor.SettledAsync(instance.Id);
        Assert.Equal("", (await VirshAsync("list", "--all", "--name")).Trim());
    }

    private static PortSpec Port => new()
    {
        Id = "ce531f90-199f-48c0-816c-13e38010b442",
        NetworkId = "n",
        MacAddress = "fa:16:3e:4c:2c:30",
        Mtu = 1450,
        VifType = "ovs",
        Bridge = "br-int",
        DeviceName = "tapce531f90-19",
        Plugged = true,
    };

    private string Uri => $"qemu+unix:///system?socket={directory}/run/libvirt-sock";

    /// <summary>Code of a master boot record that writes a text to the first serial port and halts.</summary>
    private static byte[] BootSector(string text)
    {
        byte[] code =
        [
            0xba, 0xf8, 0x03,       // mov dx, 0x3f8
            0x31, 0xc0, 0x8e, 0xd8, // ds = 0
            0xbe, 0x17, 0x7c,       // mov si, text
            0xfc, 0xac,             // cld; next: lodsb
            0x08, 0xc0, 0x74, 0x03, // or al, al; jz end
            0xee, 0xeb, 0xf8,       // out dx, al; jmp next
            0xf4, 0xeb, 0xfd,       // end: hlt; jmp end
            0x00,
        ];
        var sector = new byte[512];
        code.CopyTo(sector, 0);
        System.Text.Encoding.ASCII.GetBytes(text + "\r\n").CopyTo(sector, code.Length);
        sector[510] = 0x55;
        sector[511] = 0xaa;
        return sector;
    }

    private async Task HintAsync(string id) => await conductor.ChangeAsync(id, each => each);

    private Task ConsoleShowsAsync(string id, int times) => Wait.UntilAsync(() =>
        conductor.Bus.CallAsync(ComputeContract.GetConsoleOutput, new ConsoleOutputQuery(id), FakeConductor.Host, null, Cancellation).Result.Text
            .Split("SharpStack boot").Length - 1 == times);

    private async Task<string> VirshAsync(params string[] arguments)
    {
        var result = await BoundedCommand.RunAsync("virsh", ["-q", "-c", Uri, .. arguments], new CommandLimits(TimeSpan.FromSeconds(60)), TimeProvider.System, Cancellation);
        return result.ExitCode == 0 ? result.Output : throw new InvalidOperationException(result.Error);
    }

    private async Task StartHostAsync()
    {
        sandbox = await OpenVSwitchSandbox.StartAsync();
        await using (var vswitch = new VSwitch(new OvsdbEndpoint(sandbox.Database), TimeProvider.System))
        {
            await vswitch.StartAsync(Cancellation);
            await vswitch.ChangeAsync(changes => changes.EnsureBridge("br-int", new BridgeSettings { DatapathType = "netdev", FailMode = "secure" }), Cancellation);
        }

        foreach (var folder in new[] { "etc", "lib", "log", "cache", "run" })
        {
            Directory.CreateDirectory(Path.Combine(directory, folder));
        }

        await File.WriteAllTextAsync(
            Path.Combine(directory, "etc", "qemu.conf"),
            """
            user = "root"
            group = "root"
            dynamic_ownership = 0
            remember_owner = 0
            security_driver = "none"
            stdio_handler = "file"
            cgroup_controllers = [ ]
            namespaces = [ ]
            """,
            Cancellation);
        await File.WriteAllTextAsync(
            Path.Combine(directory, "etc", "libvirtd.conf"),
            $"""
            auth_unix_rw = "none"
            auth_unix_ro = "none"
            unix_sock_group = "root"
            host_uuid = "{Guid.NewGuid()}"
            """,
            Cancellation);
        await StartLibvirtAsync();
    }

    private async Task StartLibvirtAsync()
    {
        File.Delete(Path.Combine(directory, "run", "libvirt-sock"));
        libvirtd = ManagedProcess.Start(new ProcessSpec
        {
            FileName = "unshare",
            Arguments =
            [
                "--mount", "--propagation", "private", "--", "sh", "-c",
                """
                set -e
                for pair in etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt run:/run/libvirt; do
                  mkdir -p "${pair#*:}"; mount --bind "$1/${pair%%:*}" "${pair#*:}"
                done
                for file in passwd group; do
                  grep -q ^libvirt-qemu: /etc/$file && continue
                  { cat /etc/$file; [ $file = group ] && echo libvirt-qemu:x:64055: || echo libvirt-qemu:x:64055:64055:QEMU:/var/lib/libvirt:/usr/sbin/nologin; } > "$1/$file"
                  mount --bind "$1/$file" /etc/$file
                done
                exec libvirtd
                """,
                "sh", directory,
            ],
            PidFile = Path.Combine(directory, "libvirtd.pid"),
            LogFile = Path.Combine(directory, "libvirtd.log"),
            NetworkNamespace = sandbox!.Namespace,
        });
        await Wait.UntilAsync(() => File.Exists(Path.Combine(directory, "run", "libvirt-sock")) || !libvirtd.IsRunning);
        Assert.True(libvirtd.IsRunning, File.ReadAllText(libvirtd.Spec.LogFile!));
    }

    private async Task StartServiceAsync()
    {
        var config = ServiceConfig.Empty("nova").With("libvirt", "connection_uri", Uri).With("DEFAULT", "report_interval", "1");
        var files = new InstanceFiles(Path.Combine(directory, "instances"));
        var cache = new ImageCache(Path.Combine(files.Root, "_base"), images, TimeProvider.System, NullLogger.Instance);
        var driver = new LibvirtDriver(FakeConductor.Host, config, files, cache, new OvsVifPlugger(sandbox!.Database, TimeProvider.System, sandbox.Namespace), TimeProvider.System, NullLogger.Instance);
        service = new ComputeService(FakeConductor.Host, conductor.Bus, driver, config, TimeProvider.System, NullLogger.Instance,
            new ReconcilerOptions { FirstRetry = TimeSpan.FromMilliseconds(100), FullPeriod = TimeSpan.FromHours(1) });
        await service.StartAsync(Cancellation);
    }
}
