using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Lab;

/// <summary>The SSH key pair of the demo's instances: RSA of 2048 bits, in the forms that ssh reads.</summary>
public static class DemoKey
{
    /// <summary>Makes the pair where it is not there yet.</summary>
    /// <param name="path">The private key's file, for its owner alone; the public one has <c>.pub</c> at the end.</param>
    /// <returns>The public key's line.</returns>
    public static string Ensure(string path)
    {
        using var key = RSA.Create(2048);
        if (File.Exists(path))
        {
            key.ImportFromPem(File.ReadAllText(path));
        }
        else
        {
            LabLayout.Write(path, key.ExportRSAPrivateKeyPem() + "\n", UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        var parameters = key.ExportParameters(includePrivateParameters: false);
        using var blob = new MemoryStream();
        Append(blob, Encoding.ASCII.GetBytes("ssh-rsa"));
        Append(blob, parameters.Exponent!);
        // A number is signed on the wire: its first bit is kept clear.
        Append(blob, [0, .. parameters.Modulus!]);
        var line = $"ssh-rsa {Convert.ToBase64String(blob.ToArray())} demo-key";
        File.WriteAllText(path + ".pub", line + "\n");
        return line;
    }

    private static void Append(Stream blob, byte[] value)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, value.Length);
        blob.Write(length);
        blob.Write(value);
    }
}
