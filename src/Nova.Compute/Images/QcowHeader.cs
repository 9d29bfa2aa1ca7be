using System.Buffers.Binary;
using System.Text;

namespace SharpStack.Nova.Compute.Images;

/// <summary>
/// The header of a qcow2 file (QEMU's docs/interop/qcow2.txt). Images come from users: only what cannot make QEMU open another file or wait for a key is let through.
/// </summary>
/// <param name="VirtualSize">Size that the guest sees, bytes.</param>
/// <param name="BackingFile">The file that it is laid over; null for none.</param>
internal sealed record QcowHeader(int Version, long VirtualSize, string? BackingFile, bool IsEncrypted, bool HasDataFile, bool IsCorrupt, ulong UnknownFeatures)
{
    private const uint Magic = 0x514649fb;
    private const int MinimumSize = 72;
    private const int FeaturesEnd = 104;
    private const int LongestBackingName = 1023;
    private const int DefaultClusterBits = 16;
    private const int ClusterSize = 1 << DefaultClusterBits;

    /// <summary>Reads the header; null where the file is not qcow2.</summary>
    /// <exception cref="InvalidDataException">It begins like qcow2 and goes on like nothing known.</exception>
    public static QcowHeader? Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        Span<byte> header = stackalloc byte[FeaturesEnd];
        header.Clear();
        var length = file.ReadAtLeast(header, FeaturesEnd, throwOnEndOfStream: false);
        if (length < 4 || BinaryPrimitives.ReadUInt32BigEndian(header) != Magic)
        {
            return null;
        }

        var version = BinaryPrimitives.ReadInt32BigEndian(header[4..]);
        var clusterBits = BinaryPrimitives.ReadUInt32BigEndian(header[20..]);
        var size = BinaryPrimitives.ReadInt64BigEndian(header[24..]);
        if (length < MinimumSize || version is not (2 or 3) || clusterBits is < 9 or > 21 || size <= 0 || (version == 3 && length < FeaturesEnd))
        {
            throw new InvalidDataException("The qcow2 header is damaged.");
        }

        const ulong Dirty = 1, Corrupt = 2, DataFile = 4, CompressionType = 8, ExtendedL2 = 16;
        var features = version == 3 ? BinaryPrimitives.ReadUInt64BigEndian(header[72..]) : 0;
        return new QcowHeader(
            version,
            size,
            ReadBackingFile(file, BinaryPrimitives.ReadInt64BigEndian(header[8..]), BinaryPrimitives.ReadInt32BigEndian(header[16..])),
            BinaryPrimitives.ReadUInt32BigEndian(header[32..]) != 0,
            (features & DataFile) != 0,
            (features & Corrupt) != 0,
            features & ~(Dirty | Corrupt | DataFile | CompressionType | ExtendedL2));
    }

    /// <summary>
    /// Writes an empty qcow2 (version 3, clusters of 64 KiB) of a size, laid over another file where one is given. It takes the place of
    /// <c>qemu-img create</c>, which would cost a process for each disk.
    /// </summary>
    /// <param name="backing">The file below and its format, <c>raw</c> or <c>qcow2</c>.</param>
    public static void Create(string path, long virtualSize, (string Path, string Format)? backing)
    {
        const int HeaderLength = 104;
        const uint BackingFormat = 0xe2792aca;
        const long BytesPerL1Entry = (long)ClusterSize * ClusterSize / sizeof(long);
        var size = (virtualSize + 511) / 512 * 512;
        var l1Entries = (int)((size + BytesPerL1Entry - 1) / BytesPerL1Entry);
        var l1Clusters = ((l1Entries * sizeof(long)) + ClusterSize - 1) / ClusterSize;
        // Header, refcount table, refcount block, L1 table.
        var clusters = 3 + l1Clusters;
        var data = new byte[clusters * ClusterSize];
        var header = data.AsSpan();
        BinaryPrimitives.WriteUInt32BigEndian(header, Magic);
        BinaryPrimitives.WriteUInt32BigEndian(header[4..], 3);
        BinaryPrimitives.WriteUInt32BigEndian(header[20..], DefaultClusterBits);
        BinaryPrimitives.WriteInt64BigEndian(header[24..], size);
        BinaryPrimitives.WriteInt32BigEndian(header[36..], l1Entries);
        BinaryPrimitives.WriteInt64BigEndian(header[40..], 3 * ClusterSize);
        BinaryPrimitives.WriteInt64BigEndian(header[48..], ClusterSize);
        BinaryPrimitives.WriteInt32BigEndian(header[56..], 1);
        BinaryPrimitives.WriteInt32BigEndian(header[96..], 4); // 16-bit reference counts
        BinaryPrimitives.WriteInt32BigEndian(header[100..], HeaderLength);
        if (backing is { } below)
        {
            var format = Encoding.ASCII.GetBytes(below.Format);
            BinaryPrimitives.WriteUInt32BigEndian(header[HeaderLength..], BackingFormat);
            BinaryPrimitives.WriteInt32BigEndian(header[(HeaderLength + 4)..], format.Length);
            format.CopyTo(header[(HeaderLength + 8)..]);
            // Extensions are padded to eight bytes, and eight zero bytes end them.
            var nameOffset = HeaderLength + 8 + ((format.Length + 7) / 8 * 8) + 8;
            var name = Encoding.UTF8.GetBytes(below.Path);
            if (name.Length > LongestBackingName)
            {
                throw new ArgumentException($"{below.Path} is too long a name for a disk to be laid over.", nameof(backing));
            }

            BinaryPrimitives.WriteInt64BigEndian(header[8..], nameOffset);
            BinaryPrimitives.WriteInt32BigEndian(header[16..], name.Length);
            name.CopyTo(header[nameOffset..]);
        }

        BinaryPrimitives.WriteInt64BigEndian(header[ClusterSize..], 2 * ClusterSize);
        for (var cluster = 0; cluster < clusters; cluster++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(header[((2 * ClusterSize) + (cluster * 2))..], 1);
        }

        using var file = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        file.Write(data);
    }

    private static string? ReadBackingFile(FileStream file, long offset, int length)
    {
        if (offset == 0)
        {
            return null;
        }

        if (length is <= 0 or > LongestBackingName || offset < 0 || offset + length > file.Length)
        {
            throw new InvalidDataException("The qcow2 header is damaged.");
        }

        var name = new byte[length];
        file.Seek(offset, SeekOrigin.Begin);
        file.ReadExactly(name);
        return Encoding.UTF8.GetString(name);
    }
}
