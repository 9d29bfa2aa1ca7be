using System.Buffers.Binary;

namespace SharpStack.Demo;

/// <summary>An empty disk for instances of the fake driver, which never read it.</summary>
internal static class DemoImage
{
    private const int Cluster = 65536;

    /// <summary>Writes a well-formed, empty qcow2 image of 16 MiB: header, reference table, reference block, mapping table, a cluster each.</summary>
    public static void Write(string path)
    {
        var image = new byte[4 * Cluster];
        var header = image.AsSpan();
        BinaryPrimitives.WriteUInt32BigEndian(header, 0x514649fb);
        BinaryPrimitives.WriteUInt32BigEndian(header[4..], 3);
        BinaryPrimitives.WriteUInt32BigEndian(header[20..], 16);
        BinaryPrimitives.WriteUInt64BigEndian(header[24..], 16 << 20);
        BinaryPrimitives.WriteUInt32BigEndian(header[36..], 1);
        BinaryPrimitives.WriteUInt64BigEndian(header[40..], 3 * Cluster);
        BinaryPrimitives.WriteUInt64BigEndian(header[48..], Cluster);
        BinaryPrimitives.WriteUInt32BigEndian(header[56..], 1);
        BinaryPrimitives.WriteUInt32BigEndian(header[96..], 4);
        BinaryPrimitives.WriteUInt32BigEndian(header[100..], 104);
        BinaryPrimitives.WriteUInt64BigEndian(header[Cluster..], 2 * Cluster);
        for (var i = 0; i < 4; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(header[(2 * Cluster + 2 * i)..], 1);
        }

        File.WriteAllBytes(path, image);
    }
}
