using System.Buffers.Binary;
using System.Text;

namespace SharpStack.Glance.Inspection;

/// <summary>
/// VMware's sparse extent with an embedded descriptor. The descriptor is text that can name other files, so every line of it must be
/// one that is understood.
/// </summary>
internal static class VmdkFormat
{
    public const int DescriptorOffset = 0x200;
    public const int LongestDescriptor = (1 << 20) - 1;

    /// <summary>Footer marker, footer, end-of-stream marker.</summary>
    public const int FooterLength = 3 * Sector;

    private const int Sector = 512;
    private const ulong AtEnd = ulong.MaxValue;

    public static ReadOnlySpan<byte> Magic => "KDMV"u8;

    /// <summary>A descriptor without data of its own.</summary>
    public static bool IsDescriptor(ReadOnlySpan<byte> data) =>
        Encoding.Latin1.GetString(data[..Math.Min(data.Length, 64)]).TrimStart().StartsWith("# disk descriptorfile", StringComparison.OrdinalIgnoreCase);

    /// <returns>The size of the disk.</returns>
    public static long Check(ReadOnlySpan<byte> data, IReadOnlyList<string> allowedTypes)
    {
        if (data.Length < Sector)
        {
            throw ImageInspector.Unacceptable("The VMDK header is cut off: upload the whole file.");
        }

        CheckHeader(data);
        var length = BinaryPrimitives.ReadUInt64LittleEndian(data[36..]) * Sector;
        if (length is 0 or > LongestDescriptor || DescriptorOffset + (int)length > data.Length)
        {
            throw ImageInspector.Unacceptable("The VMDK has no complete descriptor: convert it to a single file (monolithicSparse or streamOptimized).");
        }

        CheckDescriptor(data.Slice(DescriptorOffset, (int)length), allowedTypes);
        var sectors = BinaryPrimitives.ReadUInt64LittleEndian(data[12..]);
        return FormatDetector.Size(sectors > ulong.MaxValue / Sector ? ulong.MaxValue : sectors * Sector, "VMDK");
    }

    /// <summary>A streamed VMDK has a second header at its end, which hypervisors believe: it must say the same.</summary>
    public static void CheckFooter(ReadOnlySpan<byte> data, ReadOnlySpan<byte> end)
    {
        if (BinaryPrimitives.ReadUInt64LittleEndian(data[56..]) != AtEnd)
        {
            return;
        }

        var footer = end.Length == FooterLength ? end.Slice(Sector, Sector) : [];
        // Up to the grain directory's own place, the only thing that a footer adds.
        if (footer.IsEmpty || !footer[..48].SequenceEqual(data[..48]) || BinaryPrimitives.ReadUInt64LittleEndian(footer[56..]) == AtEnd)
        {
            throw ImageInspector.Unacceptable("The VMDK's footer is missing or differs from its header: convert the image again.");
        }
    }

    // magic 0, version 4, flags 8, capacity 12, grain size 20, descriptor offset 28, descriptor size 36, entries 44, redundant directory 48, directory 56.
    private static void CheckHeader(ReadOnlySpan<byte> header)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) is not (1 or 2 or 3))
        {
            throw ImageInspector.Unacceptable("The VMDK's version is not supported: convert it to a single file (monolithicSparse or streamOptimized).");
        }

        if (BinaryPrimitives.ReadUInt64LittleEndian(header[28..]) != DescriptorOffset / Sector)
        {
            throw ImageInspector.Unacceptable("The VMDK has its descriptor in an unusual place: convert it to a single file (monolithicSparse or streamOptimized).");
        }
    }

    private static void CheckDescriptor(ReadOnlySpan<byte> bytes, IReadOnlyList<string> allowedTypes)
    {
        bytes = bytes.TrimEnd((byte)0);
        if (!Ascii.IsValid(bytes))
        {
            throw ImageInspector.Unacceptable("The VMDK's descriptor is not text: the file is damaged.");
        }

        string? createType = null;
        var extents = 0;
        foreach (var raw in Encoding.ASCII.GetString(bytes).Split('\n'))
        {
            var line = raw.Trim();
            var first = line.Split(' ', '\t')[0].ToUpperInvariant();
            var equals = line.IndexOf('=', StringComparison.Ordinal);
            if (line.Length == 0 || line[0] == '#' || line.StartsWith("ddb", StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            if (first is "RW" or "RDONLY" or "NOACCESS")
            {
                extents++;
                if (line.Contains('/', StringComparison.Ordinal))
                {
                    throw ImageInspector.Unacceptable("The VMDK has an extent in another folder, which is not allowed: convert it to a single file.");
                }
            }
            else if (equals > 0 && !line[..equals].TrimEnd().Contains(' ', StringComparison.Ordinal))
            {
                if (line[..equals].Trim().Equals("createType", StringComparison.OrdinalIgnoreCase))
                {
                    createType = line[(equals + 1)..].Trim().Trim('"');
                }
            }
            else
            {
                throw ImageInspector.Unacceptable("The VMDK's descriptor has a line that is not understood: convert the image to a single file.");
            }
        }

        if (createType is null || !allowedTypes.Contains(createType, StringComparer.OrdinalIgnoreCase))
        {
            var shown = createType is { Length: < 64 } ? createType : "unknown";
            throw ImageInspector.Unacceptable($"The VMDK's type {shown} is not allowed: convert it to {string.Join(" or ", allowedTypes)}.");
        }

        if (extents == 0)
        {
            throw ImageInspector.Unacceptable("The VMDK names no extents: the file is damaged.");
        }
    }
}
