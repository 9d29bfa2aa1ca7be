using System.Text;

namespace SharpStack.Nova.Compute.Instances;

/// <summary>
/// The folder of an instance below <c>instances_path</c>. It is made first and deleted last, so the folders are the list of all that this host has.
/// </summary>
internal sealed class InstanceFiles(string root)
{
    /// <summary>As much of a console as Nova gives to users.</summary>
    private const int ConsoleLimit = 100 * 1024;

    /// <summary>A console that grew beyond this is cut: the guest decides how much it writes.</summary>
    private const long ConsoleLogLimit = 8L << 20;

    public string Root => root;

    public string DirectoryOf(string id) => Path.Combine(root, Checked(id));

    public string Disk(string id) => Path.Combine(DirectoryOf(id), "disk");

    public string ConsoleLog(string id) => Path.Combine(DirectoryOf(id), "console.log");

    public bool Exists(string id) => Directory.Exists(DirectoryOf(id));

    public IReadOnlyCollection<string> List() => Directory.Exists(root)
        ? [.. Directory.EnumerateDirectories(root).Select(path => Path.GetFileName(path)).Where(name => Guid.TryParseExact(name, "D", out _))]
        : [];

    public void Create(string id) => Directory.CreateDirectory(DirectoryOf(id));

    public void Delete(string id)
    {
        if (Exists(id))
        {
            Directory.Delete(DirectoryOf(id), recursive: true);
        }
    }

    /// <summary>Notes the devices before they are made: a crash in between leaves a name without a device, never the reverse.</summary>
    public void WriteDevices(string id, IEnumerable<string> devices)
    {
        Create(id);
        File.WriteAllLines(Path.Combine(DirectoryOf(id), "devices"), ReadDevices(id).Union(devices));
    }

    public IReadOnlyCollection<string> ReadDevices(string id)
    {
        var path = Path.Combine(DirectoryOf(id), "devices");
        return File.Exists(path) ? File.ReadAllLines(path) : [];
    }

    /// <summary>The end of the console's log; what a guest writes need not be text.</summary>
    public string ReadConsole(string id, int? lines)
    {
        var path = ConsoleLog(id);
        if (!File.Exists(path))
        {
            return "";
        }

        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        file.Seek(-Math.Min(ConsoleLimit, file.Length), SeekOrigin.End);
        var bytes = new byte[ConsoleLimit];
        var length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        var text = Encoding.UTF8.GetString(bytes, 0, length);
        return lines is { } count ? LastLines(text, count) : text;
    }

    public void TrimConsole(string id)
    {
        var path = ConsoleLog(id);
        if (File.Exists(path) && new FileInfo(path).Length > ConsoleLogLimit)
        {
            // QEMU appends, so that what it writes next begins the file anew.
            using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            file.SetLength(0);
        }
    }

    private static string LastLines(string text, int count)
    {
        if (count <= 0)
        {
            return "";
        }

        var end = text.EndsWith('\n') ? text.Length - 1 : text.Length;
        var start = end;
        for (var i = 0; i < count && start > 0; i++)
        {
            start = text.LastIndexOf('\n', start - 1, start);
            if (start < 0)
            {
                return text;
            }
        }

        return start == 0 ? text : text[(start + 1)..];
    }

    /// <summary>Ids name folders here that are deleted with all that is in them: nothing but an id may get through.</summary>
    private static string Checked(string id) =>
        Guid.TryParseExact(id, "D", out _) ? id : throw new ArgumentException($"'{id}' is not the id of an instance.", nameof(id));
}
