using System.Buffers;
using System.Buffers.Binary;
using SharpStack.Foundation;

namespace SharpStack.Glance.Inspection;

/// <summary>What inspected data turned out to be.</summary>
/// <param name="Format">A name such as <c>qcow2</c>; <c>raw</c> where nothing else was recognised.</param>
/// <param name="VirtualSize">Bytes of the disk that it describes; null where the format does not say.</param>
internal sealed record Inspection(string Format, long? VirtualSize);

/// <summary>
/// Looks at image data while it streams by, keeping no more than its beginning and its last kilobytes, and refuses what does not match the declared format or
/// could make a hypervisor open other files: a qcow2 with a backing or data file, a VMDK with extents elsewhere, a format that no driver guards.
/// </summary>
internal sealed class ImageInspector : IDisposable
{
    /// <summary>Holds an ISO 9660 volume descriptor, and the region table of a VHDX.</summary>
    private const int UsualPrefix = 256 << 10;

    /// <summary>A VMDK's descriptor may be long.</summary>
    private const int LongestPrefix = VmdkFormat.DescriptorOffset + VmdkFormat.LongestDescriptor;

    private readonly string declared;
    private readonly bool requireMatch;
    private readonly IReadOnlyList<string> vmdkTypes;
    private byte[] prefix = ArrayPool<byte>.Shared.Rent(UsualPrefix);
    private readonly byte[] tail = new byte[VmdkFormat.FooterLength];
    private int prefixWanted = UsualPrefix;
    private int prefixLength;
    private int tailLength;
    private long total;
    private Inspection? found;

    /// <param name="declared">The image's disk format.</param>
    /// <param name="requireMatch">Whether data of another format than declared is refused; what is unsafe always is.</param>
    /// <param name="vmdkTypes">The VMDK create types that are accepted.</param>
    public ImageInspector(string declared, bool requireMatch, IReadOnlyList<string> vmdkTypes)
    {
        this.declared = declared;
        this.requireMatch = requireMatch;
        this.vmdkTypes = vmdkTypes;
    }

    /// <summary>Takes the next part of the data.</summary>
    /// <exception cref="CloudException">The beginning shows that the data is not acceptable.</exception>
    public void Feed(ReadOnlySpan<byte> data)
    {
        total += data.Length;
        KeepTail(data);
        if (found is not null)
        {
            return;
        }

        Keep(ref data);
        if (prefixWanted == UsualPrefix && prefix.AsSpan(0, prefixLength).StartsWith(VmdkFormat.Magic))
        {
            Grow();
            Keep(ref data);
        }

        if (prefixLength == prefixWanted)
        {
            found = Examine();
        }
    }

    /// <summary>To be called after the last part.</summary>
    /// <exception cref="CloudException">The data is not acceptable.</exception>
    public Inspection Finish()
    {
        var result = found ?? Examine();
        var end = tail.AsSpan(0, tailLength);
        if (result.Format == "vmdk")
        {
            VmdkFormat.CheckFooter(prefix.AsSpan(0, prefixLength), end);
        }
        else if (result.Format == "raw" && end.Length >= VhdFormat.FooterLength && VhdFormat.VirtualSize(end[^VhdFormat.FooterLength..]) is { } size)
        {
            // A fixed VHD is raw data with a footer.
            result = new Inspection("vhd", size);
        }

        RequireMatch(result.Format);
        return declared == "raw" ? result with { VirtualSize = total } : result;
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(prefix);
        prefix = [];
    }

    private Inspection Examine()
    {
        var data = prefix.AsSpan(0, prefixLength);
        var result = FormatDetector.Detect(data, vmdkTypes);
        // A fixed VHD shows itself only at its end.
        if (result.Format != "raw" || declared != "vhd")
        {
            RequireMatch(result.Format);
        }

        return result;
    }

    private void RequireMatch(string format)
    {
        var fits = declared switch
        {
            "raw" => format is "raw" or "gpt",
            // Kernels, ramdisks and file systems: anything but a virtual disk that a hypervisor would interpret.
            "ami" or "ari" or "aki" => format is "raw" or "gpt" or "iso",
            _ => format == declared,
        };
        if (!fits && requireMatch)
        {
            throw Unacceptable($"Image claimed to be {declared} format but format inspection found it to be {format}: set the image's disk_format to what the file is, or convert the file.");
        }
    }

    private void Keep(ref ReadOnlySpan<byte> data)
    {
        var taken = data[..Math.Min(data.Length, prefixWanted - prefixLength)];
        taken.CopyTo(prefix.AsSpan(prefixLength));
        prefixLength += taken.Length;
        data = data[taken.Length..];
    }

    private void KeepTail(ReadOnlySpan<byte> data)
    {
        if (data.Length >= tail.Length)
        {
            data[^tail.Length..].CopyTo(tail);
            tailLength = tail.Length;
            return;
        }

        var kept = Math.Min(tailLength, tail.Length - data.Length);
        tail.AsSpan(tailLength - kept, kept).CopyTo(tail);
        data.CopyTo(tail.AsSpan(kept));
        tailLength = kept + data.Length;
    }

    private void Grow()
    {
        var longer = ArrayPool<byte>.Shared.Rent(LongestPrefix);
        prefix.AsSpan(0, prefixLength).CopyTo(longer);
        ArrayPool<byte>.Shared.Return(prefix);
        prefix = longer;
        prefixWanted = LongestPrefix;
    }

    /// <summary>415, as Glance answers data that its inspection refuses.</summary>
    internal static CloudException Unacceptable(string message) => new(ErrorKind.UnsupportedMediaType, message);
}

/// <summary>Recognises formats by their first bytes.</summary>
internal static class FormatDetector
{
    private const int IsoDescriptor = 0x8001;

    private static ReadOnlySpan<byte> LuksMagic => [(byte)'L', (byte)'U', (byte)'K', (byte)'S', 0xba, 0xbe];

    public static Inspection Detect(ReadOnlySpan<byte> data, IReadOnlyList<string> vmdkTypes) =>
        data.StartsWith(Qcow2Format.Magic) ? new Inspection("qcow2", Qcow2Format.Check(data))
        : data.StartsWith("QED\0"u8) ? throw ImageInspector.Unacceptable("The image is in QED format, which is not supported: convert it to qcow2 or raw.")
        : data.StartsWith(VmdkFormat.Magic) ? new Inspection("vmdk", VmdkFormat.Check(data, vmdkTypes))
        : data.StartsWith("COWD"u8) || VmdkFormat.IsDescriptor(data) ? throw ImageInspector.Unacceptable("The image is a VMDK whose data lies in other files: convert it to a single file (monolithicSparse or streamOptimized).")
        : data.StartsWith("vhdxfile"u8) ? new Inspection("vhdx", null)
        : VhdFormat.VirtualSize(data) is { } vhd ? new Inspection("vhd", vhd)
        : data.StartsWith("WithoutFreeSpace"u8) || data.StartsWith("WithouFreSpacExt"u8) ? new Inspection("ploop", null)
        : data.StartsWith(LuksMagic) ? new Inspection("luks", null)
        : data.Length >= 0x178 && BinaryPrimitives.ReadUInt32LittleEndian(data[0x40..]) == 0xbeda107f ? new Inspection("vdi", Size(BinaryPrimitives.ReadUInt64LittleEndian(data[0x170..]), "VDI"))
        : data.Length >= IsoDescriptor + 5 && data.Slice(IsoDescriptor, 5).SequenceEqual("CD001"u8) ? new Inspection("iso", null)
        : data.Length >= 512 && data[510] == 0x55 && data[511] == 0xaa ? new Inspection("gpt", null)
        : new Inspection("raw", null);

    /// <summary>A disk's size that a header claims; nonsense is refused, since later steps compute with it.</summary>
    public static long Size(ulong bytes, string format) =>
        bytes <= 1UL << 60 ? (long)bytes : throw ImageInspector.Unacceptable($"The {format} header claims a disk of {bytes} bytes, which cannot be.");
}

/// <summary>https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst</summary>
internal static class Qcow2Format
{
    private const int HeaderLength = 72;
    private const ulong DataFile = 1 << 2;
    private const ulong Known = 0b11111;

    public static ReadOnlySpan<byte> Magic => [(byte)'Q', (byte)'F', (byte)'I', 0xfb];

    /// <returns>The size of the disk.</returns>
    public static long Check(ReadOnlySpan<byte> data)
    {
        if (data.Length < HeaderLength)
        {
            throw ImageInspector.Unacceptable("The qcow2 header is cut off: upload the whole file.");
        }

        var version = BinaryPrimitives.ReadUInt32BigEndian(data[4..]);
        if (version is not (2 or 3))
        {
            throw ImageInspector.Unacceptable($"The qcow2 version {version} is not supported: convert the image to version 3.");
        }

        if (BinaryPrimitives.ReadUInt64BigEndian(data[8..]) != 0)
        {
            throw ImageInspector.Unacceptable("The qcow2 image has a backing file, which is not allowed: flatten it with `qemu-img convert -O qcow2`.");
        }

        if (BinaryPrimitives.ReadUInt32BigEndian(data[20..]) is < 9 or > 22)
        {
            throw ImageInspector.Unacceptable("The qcow2 header names an impossible cluster size: the file is damaged.");
        }

        if (version == 3)
        {
            if (data.Length < HeaderLength + 8)
            {
                throw ImageInspector.Unacceptable("The qcow2 header is cut off: upload the whole file.");
            }

            var features = BinaryPrimitives.ReadUInt64BigEndian(data[HeaderLength..]);
            if ((features & DataFile) != 0)
            {
                throw ImageInspector.Unacceptable("The qcow2 image keeps its data in another file, which is not allowed: convert it with `qemu-img convert -O qcow2`.");
            }

            if ((features & ~Known) != 0)
            {
                throw ImageInspector.Unacceptable($"The qcow2 image needs features that are not known (0x{features & ~Known:x}): convert it with `qemu-img convert -O qcow2`.");
            }
        }

        return FormatDetector.Size(BinaryPrimitives.ReadUInt64BigEndian(data[24..]), "qcow2");
    }
}

/// <summary>Microsoft's Virtual Hard Disk: the dynamic form begins with a copy of its footer, the fixed form only ends with it.</summary>
internal static class VhdFormat
{
    public const int FooterLength = 512;

    public static long? VirtualSize(ReadOnlySpan<byte> footer) =>
        footer.Length >= FooterLength && footer.StartsWith("conectix"u8) ? FormatDetector.Size(BinaryPrimitives.ReadUInt64BigEndian(footer[48..]), "VHD") : null;
}
