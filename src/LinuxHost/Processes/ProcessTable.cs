using System.Globalization;
using System.Text;

namespace SharpStack.LinuxHost.Processes;

/// <summary>What /proc says about processes.</summary>
internal static class ProcessTable
{
    /// <summary>Boot and start time of a process: with its id, unique on the machine. Null when it is gone or a zombie.</summary>
    public static string? StartOf(int pid)
    {
        try
        {
            // The command in parentheses may itself contain spaces and parentheses.
            var text = File.ReadAllText($"/proc/{pid}/stat");
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] is "Z" or "X" ? null : $"{BootId.Value}:{fields[19]}";
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>The argument list, empty for kernel threads and for processes that are gone.</summary>
    public static IReadOnlyList<string> ArgumentsOf(int pid)
    {
        try
        {
            var bytes = File.ReadAllBytes($"/proc/{pid}/cmdline");
            return bytes.Length == 0 ? [] : Encoding.UTF8.GetString(bytes.AsSpan(0, bytes[^1] == 0 ? bytes.Length - 1 : bytes.Length)).Split('\0');
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    public static string? NetworkNamespaceOf(int pid)
    {
        try
        {
            return File.ResolveLinkTarget($"/proc/{pid}/ns/net", false)?.Name;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public static IEnumerable<int> All()
    {
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var pid))
            {
                yield return pid;
            }
        }
    }

    private static readonly Lazy<string> BootId = new(() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim());
}
