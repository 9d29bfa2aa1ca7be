using System.Text.Json;
using System.Threading.Channels;
using System.Xml.Linq;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Libvirt;
using SharpStack.LinuxHost.Machine;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Compute.Instances;
using SharpStack.Nova.Compute.Interfaces;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Drivers.Libvirt;

/// <summary>Guests of QEMU, with KVM where the machine has it, through libvirt.</summary>
internal sealed partial class LibvirtDriver : IComputeDriver
{
    /// <summary>virErrorDomain of the conversation with libvirtd itself: VIR_FROM_RPC and VIR_FROM_REMOTE.</summary>
    private static readonly int[] ConnectionErrors = [7, 13];

    private const UndefineOptions Undefine = UndefineOptions.ManagedSave | UndefineOptions.Nvram;
    private const long Gibibyte = 1L << 30;
    private const long Mebibyte = 1L << 20;

    private readonly string host;
    private readonly ServiceConfig config;
    private readonly LibvirtHost libvirt;
    private readonly InstanceFiles files;
    private readonly ImageCache images;
    private readonly IVifPlugger interfaces;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly string virtType;
    private readonly bool rawDisks;
    private readonly Channel<string?> changes = Channel.CreateUnbounded<string?>();
    private readonly List<Task> pumps = [];
    private string diskCache = "writeback";
    private string? cpuInfo;
    private bool disposed;

    public LibvirtDriver(string host, ServiceConfig config, InstanceFiles files, ImageCache images, IVifPlugger interfaces, TimeProvider time, ILogger log)
    {
        this.host = host;
        this.config = config;
        this.files = files;
        this.images = images;
        this.interfaces = interfaces;
        this.time = time;
        this.log = log;
        virtType = config.Get(ComputeOptions.VirtType) is { Length: > 0 } type ? type : MachineFacts.Read().KvmUsable ? "kvm" : "qemu";
        rawDisks = config.Get(ComputeOptions.ImagesType) is "raw" or "flat";
        libvirt = new LibvirtHost(UriOf(config));
    }

    public bool IsSimulated => false;

    /// <summary>Where libvirt is reached.</summary>
    internal static string UriOf(ServiceConfig config) => config.Get(ComputeOptions.ConnectionUri) is { Length: > 0 } uri ? uri : "qemu:///system";

    public ChannelReader<string?> Changes => changes.Reader;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (!LibvirtLibrary.IsInstalled)
        {
            throw new InvalidOperationException("libvirt is not installed on this host: install libvirt0 and libvirt-daemon-driver-qemu, or set [DEFAULT] compute_driver = fake.FakeDriver.");
        }

        Directory.CreateDirectory(files.Root);
        images.Open();
        diskCache = MachineFacts.SupportsDirectIo(files.Root) ? "none" : "writeback";
        await interfaces.StartAsync(cancellationToken);
        pumps.Add(FollowEventsAsync());
        pumps.Add(FollowConnectionsAsync());
        LogStarted(virtType, libvirt.Uri, files.Root, diskCache);
    }

    public async Task<HypervisorReport> DescribeHostAsync(CancellationToken cancellationToken)
    {
        var (node, version, running) = await libvirt.RunAsync(
            connection =>
            {
                cpuInfo ??= ReadCpuInfo(connection.Capabilities);
                var domains = connection.ListDomains();
                var active = domains.Count(domain => domain.Id is not null);
                foreach (var domain in domains)
                {
                    domain.Dispose();
                }

                return (connection.NodeInfo, connection.HypervisorVersion, active);
            },
            cancellationToken);
        var memory = MachineFacts.Memory();
        var (total, available) = MachineFacts.Disk(files.Root);
        return new HypervisorReport
        {
            HypervisorHostname = host,
            HypervisorType = virtType == "kvm" ? "KVM" : "QEMU",
            HypervisorVersion = (int)version,
            HostIp = config.Get(ComputeOptions.MyIp),
            Vcpus = node.Processors,
            MemoryMb = (int)(node.MemoryKib / 1024),
            MemoryMbUsed = (int)((memory.Total - memory.Available) / Mebibyte),
            LocalGb = (int)(total / Gibibyte),
            LocalGbUsed = (int)((total - available) / Gibibyte),
            DiskAvailableLeast = (int)(available / Gibibyte),
            RunningVms = running,
            CpuInfo = cpuInfo!,
            Uptime = MachineFacts.Uptime(time),
            Traits = ["COMPUTE_NODE"],
        };
    }

    public Task<IReadOnlyCollection<string>> ListAsync(CancellationToken cancellationToken) => Task.FromResult(files.List());

    public async Task<GuestState> InspectAsync(string id, CancellationToken cancellationToken) => files.Exists(id)
        ? new GuestState(true, await libvirt.WithDomainAsync(Guid.Parse(id), domain => PowerOf(domain.State), PowerState.NoState, cancellationToken))
        : GuestState.None;

    public async Task PrepareAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        if (instance.ConfigDrive)
        {
            throw new ComputeException("This host has no config drives: create the server without --config-drive; the metadata service gives the guest the same.");
        }

        files.Create(instance.Id);
        var disks = Disks(instance);
        if (!File.Exists(disks[0].Path))
        {
            if (instance.Image is not { } image)
            {
                throw new ComputeException("This host boots instances from images only: create the server with --image.");
            }

            var cached = await images.GetAsync(image, instance.Flavor.DiskGb * Gibibyte, cancellationToken);
            await Task.Run(() => CreateDisk(disks[0].Path, Math.Max(disks[0].Size, cached.Size), cached.Path), cancellationToken);
        }

        foreach (var (path, size) in disks.Skip(1).Where(disk => !File.Exists(disk.Path)))
        {
            CreateDisk(path, size, null);
        }
    }

    public async Task PlugAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        files.WriteDevices(instance.Id, instance.Ports.Select(port => port.DeviceName));
        await interfaces.PlugAsync(instance, cancellationToken);
    }

    public async Task PowerOnAsync(InstanceSpec instance, CancellationToken cancellationToken)
    {
        var xml = DomainXml.Write(instance, new DomainSettings
        {
            VirtType = virtType,
            MachineType = config.Get(ComputeOptions.MachineType).Select(entry => entry.Split('=', 2)).FirstOrDefault(pair => pair is ["x86_64", _])?[1] ?? "pc",
            CpuMode = config.Get(ComputeOptions.CpuMode) is { Length: > 0 } mode ? mode : virtType == "kvm" ? "host-model" : "maximum",
            CpuModel = config.Get(ComputeOptions.CpuModels) is [var model, ..] ? model : null,
            DiskCache = diskCache,
            DiskFormat = rawDisks ? "raw" : "qcow2",
            RngDevice = config.Get(ComputeOptions.RngDevice),
            VncListen = config.Get(ComputeOptions.VncEnabled) ? config.Get(ComputeOptions.VncListen) : null,
            ConsoleLog = files.ConsoleLog(instance.Id),
            Disks = [.. Disks(instance).Select(disk => disk.Path)],
            NeedsChecksums = interfaces.NeedsChecksums,
        });
        try
        {
            await libvirt.RunAsync(
                connection =>
                {
                    using var known = connection.Find(Guid.Parse(instance.Id));
                    if (known?.Id is not null)
                    {
                        return;
                    }

                    using var domain = connection.Define(xml);
                    domain.Start();
                },
                cancellationToken);
        }
        catch (LibvirtException failure) when (!ConnectionErrors.Contains(failure.ErrorDomain))
        {
            throw new ComputeException($"The guest could not be started on host {host}: {failure.Message}", reschedule: true, failure);
        }
    }

    public Task RequestShutdownAsync(string id, CancellationToken cancellationToken) => OnRunningAsync(id, domain => domain.Shutdown(), cancellationToken);

    public Task PowerOffAsync(string id, CancellationToken cancellationToken) => OnRunningAsync(id, domain => domain.Destroy(), cancellationToken);

    public async Task RemoveAsync(string id, CancellationToken cancellationToken)
    {
        if (!files.Exists(id))
        {
            return;
        }

        await PowerOffAsync(id, cancellationToken);
        await libvirt.WithDomainAsync(
            Guid.Parse(id),
            domain =>
            {
                domain.Undefine(Undefine);
                return true;
            },
            false,
            cancellationToken);
        await interfaces.UnplugAsync(id, files.ReadDevices(id), cancellationToken);
        files.Delete(id);
    }

    public Task<string?> ReadConsoleAsync(string id, int? lines, CancellationToken cancellationToken) =>
        Task.Run(() => files.Exists(id) ? files.ReadConsole(id, lines) : null, cancellationToken);

    public Task<GuestDiagnostics?> DiagnoseAsync(string id, CancellationToken cancellationToken) => libvirt.RunAsync(
        connection =>
        {
            using var domain = connection.Find(Guid.Parse(id));
            if (domain?.State != DomainState.Running)
            {
                return null;
            }

            var info = domain.Info;
            var devices = XDocument.Parse(domain.GetXml()).Root!.Element("devices")!;
            return new GuestDiagnostics("running", "libvirt", virtType, (int)(info.MaximumMemoryKib >> 10), (int)(info.MemoryKib >> 10))
            {
                ProcessorTimes = domain.ProcessorTimes(),
                Disks = [.. devices.Elements("disk").Select(TargetOf).OfType<string>().Select(device => (Device: device, Used: domain.DiskStatistics(device)))
                    .Select(disk => new DiskDiagnostics(disk.Device, disk.Used.ReadRequests, disk.Used.ReadBytes, disk.Used.WriteRequests, disk.Used.WriteBytes, disk.Used.Errors))],
                Nics = [.. devices.Elements("interface").Select(nic => DiagnosticsOf(domain, TargetOf(nic), nic.Element("mac")?.Attribute("address")?.Value ?? ""))],
            };
        },
        cancellationToken);

    private static string? TargetOf(XElement device) => device.Element("target")?.Attribute("dev")?.Value;

    private static NicDiagnostics DiagnosticsOf(Domain domain, string? device, string mac)
    {
        var used = device is null ? default : domain.InterfaceStatistics(device);
        return new NicDiagnostics(device, mac, used.RxBytes, used.RxPackets, used.RxErrors, used.RxDrop, used.TxBytes, used.TxPackets, used.TxErrors, used.TxDrop);
    }

    public Task CacheImageAsync(ImageSpec image, CancellationToken cancellationToken) => images.GetAsync(image, 0, cancellationToken);

    public Task CleanAsync(CancellationToken cancellationToken)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var id in files.List())
        {
            files.TrimConsole(id);
            var disk = files.Disk(id);
            if (File.Exists(disk) && QcowHeader.Read(disk)?.BackingFile is { } below)
            {
                used.Add(below);
            }
        }

        if (config.Get(ComputeOptions.RemoveUnusedBaseImages))
        {
            images.RemoveUnused(used, TimeSpan.FromSeconds(config.Get(ComputeOptions.RemoveUnusedAge)));
        }

        return Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref disposed, true))
        {
            return;
        }

        await libvirt.DisposeAsync();
        await Task.WhenAll(pumps);
        await interfaces.DisposeAsync();
        await images.DisposeAsync();
        changes.Writer.TryComplete();
    }

    /// <summary>Nova's numbers for libvirt's states.</summary>
    internal static PowerState PowerOf(DomainState state) => state switch
    {
        DomainState.Running or DomainState.Blocked or DomainState.ShuttingDown => PowerState.Running,
        DomainState.Paused => PowerState.Paused,
        DomainState.ShutOff => PowerState.Shutdown,
        DomainState.Crashed => PowerState.Crashed,
        DomainState.PowerManagementSuspended => PowerState.Suspended,
        _ => PowerState.NoState,
    };

    /// <summary>libvirt's host CPU as Nova's <c>cpu_info</c>.</summary>
    internal static string ReadCpuInfo(string capabilities)
    {
        var cpu = XDocument.Parse(capabilities).Root?.Element("host")?.Element("cpu");
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("arch", cpu?.Element("arch")?.Value ?? "x86_64");
            json.WriteString("model", cpu?.Element("model")?.Value ?? "");
            json.WriteString("vendor", cpu?.Element("vendor")?.Value ?? "");
            json.WriteStartObject("topology");
            foreach (var (name, attribute) in new[] { ("cells", "dies"), ("sockets", "sockets"), ("cores", "cores"), ("threads", "threads") })
            {
                json.WriteNumber(name, (int?)cpu?.Element("topology")?.Attribute(attribute) ?? 1);
            }

            json.WriteEndObject();
            json.WriteStartArray("features");
            foreach (var feature in cpu?.Elements("feature") ?? [])
            {
                json.WriteStringValue((string?)feature.Attribute("name"));
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(buffer.ToArray());
    }

    /// <summary>The disks that the instance has, root disk first; a size of 0 is that of the image.</summary>
    private List<(string Path, long Size)> Disks(InstanceSpec instance)
    {
        var root = files.Disk(instance.Id);
        var disks = new List<(string, long)> { (root, instance.Flavor.DiskGb * Gibibyte) };
        if (instance.Flavor.EphemeralGb > 0)
        {
            disks.Add((root + ".eph0", instance.Flavor.EphemeralGb * Gibibyte));
        }

        if (instance.Flavor.SwapMb > 0)
        {
            disks.Add((root + ".swap", instance.Flavor.SwapMb * Mebibyte));
        }

        return disks;
    }

    /// <summary>Under its name a disk is always whole: a crash leaves only what is made anew.</summary>
    private void CreateDisk(string path, long size, string? image)
    {
        var fresh = path + ".new";
        if (!rawDisks)
        {
            QcowHeader.Create(fresh, size, image is null ? null : (image, "raw"));
        }
        else
        {
            File.Delete(fresh);
            if (image is not null)
            {
                File.Copy(image, fresh);
            }

            using var file = new FileStream(fresh, FileMode.OpenOrCreate, FileAccess.Write);
            file.SetLength(size);
        }

        File.Move(fresh, path, overwrite: true);
    }

    /// <summary>Does something to a guest that is on; to one that is off, or went off meanwhile, nothing.</summary>
    private Task<bool> OnRunningAsync(string id, Action<Domain> action, CancellationToken cancellationToken) => libvirt.WithDomainAsync(
        Guid.Parse(id),
        domain =>
        {
            try
            {
                if (domain.Id is not null)
                {
                    action(domain);
                }
            }
            catch (LibvirtException failure) when (failure.IsInvalidState)
            {
            }

            return true;
        },
        false,
        cancellationToken);

    private async Task FollowEventsAsync()
    {
        await foreach (var change in libvirt.Events.ReadAllAsync())
        {
            var id = change.Uuid.ToString();
            if (change.Kind is not (DomainEventKind.Defined or DomainEventKind.Undefined) && files.Exists(id))
            {
                changes.Writer.TryWrite(id);
            }
        }
    }

    private async Task FollowConnectionsAsync()
    {
        await foreach (var _ in libvirt.Connections.ReadAllAsync())
        {
            changes.Writer.TryWrite(null);
        }
    }

    [LoggerMessage(EventId = 5401, Level = LogLevel.Information, Message = "Guests run with {VirtType} through libvirt at {Uri}; their disks are in {Path} (cache={Cache})")]
    private partial void LogStarted(string virtType, string uri, string path, string cache);
}
