using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Compute;

/// <summary>nova.conf's options that a compute host reads, with OpenStack's names and defaults.</summary>
internal static class ComputeOptions
{
    public static readonly ConfigOption<string> ComputeDriver = new("DEFAULT", "compute_driver", "libvirt.LibvirtDriver",
        "What runs the guests: libvirt.LibvirtDriver or fake.FakeDriver.");

    public static readonly ConfigOption<string> InstancesPath = new("DEFAULT", "instances_path", "",
        "Where the guests' disks lie; empty for nova/instances in the data directory.");

    public static readonly ConfigOption<string> ImageCacheSubdirectory = new("image_cache", "subdirectory_name", "_base",
        "The folder of cached images below instances_path.");

    public static readonly ConfigOption<bool> RemoveUnusedBaseImages = new("image_cache", "remove_unused_base_images", true,
        "Delete cached images that no guest uses any more.");

    public static readonly ConfigOption<int> RemoveUnusedAge = new("image_cache", "remove_unused_original_minimum_age_seconds", 24 * 3600,
        "How long an unused cached image is kept, in seconds.") { Min = 0 };

    public static readonly ConfigOption<int> ImageCacheInterval = new("image_cache", "manager_interval", 2400,
        "How often unused cached images are looked for, in seconds.") { Min = 1 };

    public static readonly ConfigOption<int> ReservedHostMemory = new("DEFAULT", "reserved_host_memory_mb", 512,
        "Memory kept for the host itself, in MiB.") { Min = 0 };

    public static readonly ConfigOption<int> ReservedHostDisk = new("DEFAULT", "reserved_host_disk_mb", 0,
        "Disk space kept for the host itself, in MiB.") { Min = 0 };

    public static readonly ConfigOption<int> ReservedHostCpus = new("DEFAULT", "reserved_host_cpus", 0,
        "Processors kept for the host itself.") { Min = 0 };

    public static readonly ConfigOption<double> CpuRatio = new("DEFAULT", "cpu_allocation_ratio", 0,
        "Virtual processors to one of the host; 0 for initial_cpu_allocation_ratio.") { Min = 0 };

    public static readonly ConfigOption<double> MemoryRatio = new("DEFAULT", "ram_allocation_ratio", 0,
        "Memory of guests to memory of the host; 0 for initial_ram_allocation_ratio.") { Min = 0 };

    public static readonly ConfigOption<double> DiskRatio = new("DEFAULT", "disk_allocation_ratio", 0,
        "Disk space of guests to that of the host; 0 for initial_disk_allocation_ratio.") { Min = 0 };

    public static readonly ConfigOption<double> InitialCpuRatio = new("DEFAULT", "initial_cpu_allocation_ratio", 16.0,
        "Virtual processors to one of the host.") { Min = 0 };

    public static readonly ConfigOption<double> InitialMemoryRatio = new("DEFAULT", "initial_ram_allocation_ratio", 1.5,
        "Memory of guests to memory of the host.") { Min = 0 };

    public static readonly ConfigOption<double> InitialDiskRatio = new("DEFAULT", "initial_disk_allocation_ratio", 1.0,
        "Disk space of guests to that of the host.") { Min = 0 };

    public static readonly ConfigOption<int> PluggingTimeout = new("DEFAULT", "vif_plugging_timeout", 300,
        "How long to wait for Neutron to wire a guest's ports, in seconds; 0 does not wait.") { Min = 0 };

    public static readonly ConfigOption<bool> PluggingIsFatal = new("DEFAULT", "vif_plugging_is_fatal", true,
        "Whether a guest whose ports were not wired in time fails, or starts all the same.");

    public static readonly ConfigOption<int> MaxConcurrentBuilds = new("DEFAULT", "max_concurrent_builds", 10,
        "How many guests are built at once; 0 for no limit.") { Min = 0 };

    public static readonly ConfigOption<int> ShutdownTimeout = new("DEFAULT", "shutdown_timeout", 60,
        "How long a guest may take to shut down before its power is cut, in seconds.") { Min = 0 };

    public static readonly ConfigOption<int> ReportInterval = new("DEFAULT", "report_interval", 10,
        "How often the host reports, in seconds.") { Min = 1 };

    public static readonly ConfigOption<int> SyncPowerStateInterval = new("DEFAULT", "sync_power_state_interval", 600,
        "How often every guest is looked at without a reason, in seconds.") { Min = 1 };

    public static readonly ConfigOption<bool> ResumeGuests = new("DEFAULT", "resume_guests_state_on_host_boot", false,
        "Whether guests that went off with their host get their power back when it is up again.");

    public static readonly ConfigOption<string> MyIp = new("DEFAULT", "my_ip", "127.0.0.1", "The host's address on the management network.");

    public static readonly ConfigOption<string> VirtType = new("libvirt", "virt_type", "",
        "kvm or qemu; empty for kvm where the machine has it and its processor helps.") { Choices = ["", "kvm", "qemu"] };

    public static readonly ConfigOption<string> ConnectionUri = new("libvirt", "connection_uri", "",
        "Where libvirt is; empty for qemu:///system.");

    public static readonly ConfigOption<string> ImagesType = new("libvirt", "images_type", "default",
        "How a guest's disks are kept: default and qcow2 are overlays over the cached image, raw a copy of it.") { Choices = ["default", "qcow2", "raw", "flat"] };

    public static readonly ConfigOption<string> CpuMode = new("libvirt", "cpu_mode", "",
        "The processor that guests see; empty for host-model with kvm and the most capable emulated one with qemu.")
    { Choices = ["", "host-model", "host-passthrough", "custom", "none", "maximum"] };

    public static readonly ConfigOption<IReadOnlyList<string>> CpuModels = new("libvirt", "cpu_models", [],
        "The named processor models of cpu_mode custom; the first is used.") { DeprecatedNames = ["cpu_model"] };

    public static readonly ConfigOption<IReadOnlyList<string>> MachineType = new("libvirt", "hw_machine_type", [],
        "Machine types by architecture: x86_64=pc.");

    public static readonly ConfigOption<string> RngDevice = new("libvirt", "rng_dev_path", "/dev/urandom",
        "Where guests get their randomness from.");

    public static readonly ConfigOption<int> SoftRebootSeconds = new("libvirt", "wait_soft_reboot_seconds", 120,
        "How long a guest may take for a soft reboot before it gets a hard one, in seconds.") { Min = 0 };

    public static readonly ConfigOption<string> VncListen = new("vnc", "server_listen", "127.0.0.1",
        "The address on which the guests' screens are served.");

    public static readonly ConfigOption<bool> VncEnabled = new("vnc", "enabled", true, "Whether guests have a screen.");

    public static readonly ConfigOption<string> OvsdbConnection = new("os_vif_ovs", "ovsdb_connection", "unix:/run/openvswitch/db.sock",
        "Where ovsdb-server listens: unix:PATH or tcp:HOST:PORT.");

    public static readonly ConfigOption<int> SimulatedHosts = new("sharpstack", "simulated_hosts", 1,
        "With the fake driver: how many hosts this process stands for; more than one are named HOST-1, HOST-2 and so on.") { Min = 1 };

    public static readonly ConfigOption<int> FakeVcpus = new("fake", "vcpus", 1000, "Processors of a host with the fake driver.") { Min = 1 };

    public static readonly ConfigOption<int> FakeMemory = new("fake", "memory_mb", 800_000, "Memory of a host with the fake driver, in MiB.") { Min = 1 };

    public static readonly ConfigOption<int> FakeDisk = new("fake", "local_gb", 600_000, "Disk space of a host with the fake driver, in GiB.") { Min = 1 };
}
