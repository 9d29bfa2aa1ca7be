namespace SharpStack.Nova.Compute.Images;

/// <summary>Looks at a downloaded image before anything else opens it, and never by running a program on it.</summary>
internal static class ImageInspector
{
    private static readonly (string Format, int Offset, byte[] Magic)[] Signatures =
    [
        ("qcow2", 0, [0x51, 0x46, 0x49, 0xfb]),
        ("vmdk", 0, "KDMV"u8.ToArray()),
        ("vmdk", 0, "# Disk DescriptorFile"u8.ToArray()),
        ("vhdx", 0, "vhdxfile"u8.ToArray()),
        ("vhd", 0, "conectix"u8.ToArray()),
        ("vdi", 64, [0x7f, 0x10, 0xda, 0xbe]),
        ("luks", 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]),
        ("qed", 0, [0x51, 0x45, 0x44, 0x00]),
    ];

    /// <summary>Checks that the file is what the image says, and that opening it opens nothing else.</summary>
    /// <param name="path">The file.</param>
    /// <param name="diskFormat">Glance's <c>disk_format</c>.</param>
    /// <param name="name">The image, for messages.</param>
    /// <returns>The size that a guest will see, bytes.</returns>
    /// <exception cref="ComputeException">It may not be used.</exception>
    public static long Check(string path, string diskFormat, string name)
    {
        if (diskFormat is not ("raw" or "qcow2" or "iso" or "ami"))
        {
            throw new ComputeException(
                $"Image {name} has disk format '{diskFormat}', which this host does not run: convert it with `qemu-img convert -O qcow2` and upload it as qcow2.");
        }

        var found = Recognise(path);
        var expected = diskFormat == "qcow2" ? "qcow2" : "raw";
        if (found != expected)
        {
            throw new ComputeException(
                $"Image {name} is declared as {diskFormat} but holds {found}: upload it again with the right --disk-format.");
        }

        return found == "raw" ? new FileInfo(path).Length : CheckQcow(path, name);
    }

    private static long CheckQcow(string path, string name)
    {
        QcowHeader header;
        try
        {
            header = QcowHeader.Read(path)!;
        }
        catch (InvalidDataException failure)
        {
            throw new ComputeException($"Image {name} cannot be used: {failure.Message} Upload it again.", inner: failure);
        }

        var reason = header switch
        {
            { BackingFile: not null } => "it refers to a backing file; flatten it with `qemu-img convert`",
            { HasDataFile: true } => "it keeps its data in another file; flatten it with `qemu-img convert`",
            { IsEncrypted: true } => "it is encrypted; decrypt it first",
            { IsCorrupt: true } => "it is marked as corrupt; repair it with `qemu-img check -r all`",
            { UnknownFeatures: not 0 } => "it uses features of qcow2 that are not known here",
            _ => null,
        };
        return reason is null ? header.VirtualSize : throw new ComputeException($"Image {name} cannot be used: {reason}, and upload it again.");
    }

    private static string Recognise(string path)
    {
        using var file = File.OpenRead(path);
        Span<byte> start = stackalloc byte[128];
        start.Clear();
        file.ReadAtLeast(start, start.Length, throwOnEndOfStream: false);
        foreach (var (format, offset, magic) in Signatures)
        {
            if (start[offset..].StartsWith(magic))
            {
                return format;
            }
        }

        return "raw";
    }
}
