using System.Net;
using System.Net.Sockets;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Lab.Definitions;
using SharpStack.LinuxHost.Machine;
using SharpStack.Machine;

namespace SharpStack.Cloud;

/// <summary><c>sharpstack up</c>: a cloud on this machine, from nothing or from where it was left, and the demo in it.</summary>
internal sealed class UpCommand
{
    public const string Usage = "up [--data DIR] [--no-demo] [--fake] [--listen ADDRESS] [--image FILE] [--port-base N] [--subnet CIDR]";

    private readonly Arguments arguments;
    private readonly CloudLayout layout;
    private readonly TimeProvider time;
    private readonly long started;

    public UpCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        arguments = Arguments.Parse(words, ["--data", "--listen", "--image", "--port-base", "--subnet"], ["--no-demo", "--fake"]);
        layout = new CloudLayout(Path.GetFullPath(arguments.Value("--data") ?? CloudLayout.DefaultData()));
        this.time = time;
        started = time.GetTimestamp();
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (arguments.Value("--image") is { } image && !File.Exists(image))
        {
            throw new CommandException($"there is no image file {image}");
        }

        var before = CloudSettings.Load(layout);
        var running = before is not null && new DaemonProcess(layout, before, time).Running is not null;
        var settings = Choose(before);
        if (running && (settings with { Host = before!.Host }) != before)
        {
            throw new CommandException("the cloud runs with other settings: ./down first, then ./up with the new ones");
        }

        if (!settings.Fake && !Environment.IsPrivilegedProcess)
        {
            throw new CommandException("a real cloud needs root (networks, virtual machines); 'up --fake' needs none");
        }

        layout.Create();
        if (settings.Fake)
        {
            Say("the fake compute driver: no virtual machines, no networks on this host");
        }
        else
        {
            settings = await PrepareHostAsync(settings, cancellationToken);
        }

        if (!running)
        {
            settings = CloudConfiguration.Write(layout, settings, Say);
            CredentialFiles.Write(layout, settings);
            if (before is null || before.Bootstrapped != settings.AuthUrl)
            {
                settings.Save(layout);
                Say("the first users, roles and endpoints");
                await KeystoneCommands.BootstrapAsync(layout, settings, time, cancellationToken);
                settings = settings with { Bootstrapped = settings.AuthUrl };
            }

            settings.Save(layout);
            Say("starting the services");
            await new DaemonProcess(layout, settings, time).StartAsync(cancellationToken);
            Say("the APIs answer");
        }
        else
        {
            Say($"the cloud runs already, as process {new DaemonProcess(layout, settings, time).Running?.Id}");
        }

        IReadOnlyList<DemoInstance> servers = [];
        if (!arguments.Has("--no-demo"))
        {
            using var admin = await OpenStackClient.LogInAsync(settings.AuthUrl, "admin", settings.Secrets.Admin, "admin", cancellationToken);
            servers = await new DemoCloud(Demo(settings), time, Say).RunAsync(admin, cancellationToken);
        }

        Summarise(settings, servers);
    }

    /// <summary>The labs' first demo, on the flat network that this machine is on.</summary>
    private DemoSettings Demo(CloudSettings settings)
    {
        var flat = settings.Flat;
        var network = new DemoNetwork("demo-network", new DemoSubnet("demo-subnet", flat.Cidr, flat.Gateway, flat.First, flat.Last)) { Type = "flat", External = true, Shared = true };
        return new DemoSettings
        {
            Plan = new DemoPlan([network], [new DemoServer("demo-instance-1", network.Name), new DemoServer("demo-instance-2", network.Name)])
            {
                FlavorMemory = 512, PhysicalNetwork = CloudConfiguration.PhysicalNetwork,
            },
            Password = settings.Secrets.Demo,
            KeyFile = layout.DemoKey,
            LogIn = stop => OpenStackClient.LogInAsync(settings.AuthUrl, "demo", settings.Secrets.Demo, "demo", stop),
            ImageFile = arguments.Value("--image"),
            Log = layout.Log,
            Reach = _ => new Socket(SocketType.Stream, ProtocolType.Tcp),
            Fake = settings.Fake,
        };
    }

    private CloudSettings Choose(CloudSettings? before)
    {
        if (before is not null && arguments.Has("--fake") && !before.Fake)
        {
            throw new CommandException($"{layout.Data} holds a real cloud: give the fake one another folder with --data DIR");
        }

        var settings = before ?? new CloudSettings
        {
            Fake = arguments.Has("--fake"),
            Secrets = CloudSecrets.Create(),
            Flat = arguments.Has("--fake") ? FlatRange.Preferred[0] : FlatRange.Choose(Routes.Taken(CloudConfiguration.ProviderBridge)),
        };
        if (arguments.Value("--subnet") is { } subnet)
        {
            settings = settings with { Flat = FlatRange.Of(subnet) };
        }

        if (arguments.Number("--port-base") is { } start)
        {
            settings = settings with { Ports = start is > 1023 and < 65000 ? CloudPorts.From(start) : throw new UsageException("--port-base takes a number from 1024 to 64999") };
        }

        if (arguments.Value("--listen") is { } listen)
        {
            if (!IPAddress.TryParse(listen, out var address))
            {
                throw new UsageException($"--listen takes an address of this machine, not '{listen}'");
            }

            var all = address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);
            settings = settings with { Listen = listen, Advertise = all ? Routes.OwnAddress() ?? "127.0.0.1" : listen };
        }

        return settings;
    }

    /// <summary>Makes sure of Open vSwitch, libvirt and the provider bridge, and says what was chosen.</summary>
    private async Task<CloudSettings> PrepareHostAsync(CloudSettings settings, CancellationToken cancellationToken)
    {
        var host = settings.Host;
        var kernel = await HostFacilities.HasKernelDatapathAsync(cancellationToken);
        host = host with { Datapath = kernel ? "system" : "netdev", VirtType = MachineFacts.Read().KvmUsable ? "kvm" : "qemu" };
        Say(host.VirtType == "kvm" ? "virtual machines run on KVM" : "virtual machines are emulated: no /dev/kvm, or no processor that helps it (see `sharpstack doctor`)");

        var openVSwitch = new OpenVSwitchHost(layout, time);
        if (host.OwnOpenVSwitch || !OpenVSwitchHost.IsRunning)
        {
            host = host with { OwnOpenVSwitch = true };
            await openVSwitch.StartOwnAsync(cancellationToken);
        }

        Say($"Open vSwitch: {(host.OwnOpenVSwitch ? "started by this cloud" : "the system's")}, datapath {(kernel ? "in the kernel" : "in user space (no kernel module)")}");
        var libvirt = new LibvirtHost(layout, time);
        if (host.OwnLibvirt || !LibvirtHost.IsRunning)
        {
            host = host with { OwnLibvirt = true };
            await libvirt.StartOwnAsync(cancellationToken);
        }

        Say($"libvirt: {(host.OwnLibvirt ? "started by this cloud" : "the system's")}");
        settings = settings with { Host = host };
        await openVSwitch.CreateProviderBridgeAsync(settings, cancellationToken);
        Say($"the flat network: {settings.Flat.Cidr}, this host has {settings.Flat.Gateway} on {CloudConfiguration.ProviderBridge}, instances get {settings.Flat.First} to {settings.Flat.Last}");
        return settings;
    }

    private void Summarise(CloudSettings settings, IReadOnlyList<DemoInstance> servers)
    {
        Say("the cloud is up");
        var output = Console.Out;
        output.WriteLine();
        output.WriteLine($"  identity   {settings.AuthUrl}");
        output.WriteLine($"  image      {settings.Url(settings.Ports.Image)}");
        output.WriteLine($"  placement  {settings.Url(settings.Ports.Placement)}");
        output.WriteLine($"  compute    {settings.Url(settings.Ports.Compute)}/v2.1");
        output.WriteLine($"  network    {settings.Url(settings.Ports.Network)}");
        output.WriteLine();
        output.WriteLine($"  credentials  {layout.AdminCredentials}, {layout.DemoCredentials}, {layout.CloudsFile}");
        if (File.Exists(layout.DemoKey))
        {
            output.WriteLine($"  SSH key      {layout.DemoKey}");
        }

        output.WriteLine($"  log          {layout.Log}");
        output.WriteLine();
        output.WriteLine("  Try next:");
        if (servers.Count > 0)
        {
            output.WriteLine($"    source {layout.DemoCredentials}; openstack server list");
            output.WriteLine(settings.Fake ? "    openstack server show demo-instance-1" : $"    ping -c 3 {servers[0].Address}");
            output.WriteLine(settings.Fake
                ? "    openstack console log show demo-instance-1"
                : $"    ssh -i {layout.DemoKey} -o StrictHostKeyChecking=no cirros@{servers[0].Address}");
        }
        else
        {
            output.WriteLine($"    source {layout.AdminCredentials}");
            output.WriteLine("    openstack service list");
            output.WriteLine("    openstack hypervisor list");
        }
    }

    private void Say(string text) => Console.Out.WriteLine($"[{time.GetElapsedTime(started).TotalSeconds,5:0.0}s] {text}");
}
