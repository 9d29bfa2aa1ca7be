using System.Text;

namespace SharpStack.Placement.Storage;

/// <summary>The names that every Placement knows.</summary>
internal static class StandardNames
{
    public const string CustomPrefix = "CUSTOM_";

    public const string SharesViaAggregate = "MISC_SHARES_VIA_AGGREGATE";

    /// <summary>Custom classes are numbered from here.</summary>
    public const int FirstCustomClass = 10_000;

    /// <summary>os-resource-classes 1.1.0, in its order, which gives their ids.</summary>
    public static readonly string[] ResourceClasses =
    [
        "VCPU", "MEMORY_MB", "DISK_GB", "PCI_DEVICE", "SRIOV_NET_VF", "NUMA_SOCKET", "NUMA_CORE", "NUMA_THREAD", "NUMA_MEMORY_MB", "IPV4_ADDRESS",
        "VGPU", "VGPU_DISPLAY_HEAD", "NET_BW_EGR_KILOBIT_PER_SEC", "NET_BW_IGR_KILOBIT_PER_SEC", "PCPU", "MEM_ENCRYPTION_CONTEXT", "FPGA", "PGPU",
        "NET_PACKET_RATE_KILOPACKET_PER_SEC", "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC", "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
    ];

    /// <summary>os-traits 2.9.0.</summary>
    public static readonly string[] Traits = ReadTraits();

    private static string[] ReadTraits()
    {
        using var stream = typeof(StandardNames).Assembly.GetManifestResourceStream("standard-traits.txt")!;
        using var reader = new StreamReader(stream, Encoding.ASCII);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
