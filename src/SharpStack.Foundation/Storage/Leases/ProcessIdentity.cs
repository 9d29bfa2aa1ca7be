namespace SharpStack.Foundation.Storage.Leases;

/// <summary>
/// Which process of which run of which machine this is, as <c>boot/namespace/pid/start</c>. Of a process of the same machine it is known at once that it is
/// gone, so that a service that was killed and started again need not wait for its own former leases.
/// </summary>
internal static class ProcessIdentity
{
    private static readonly Lazy<string> Own = new(() => $"{Machine()}/{Environment.ProcessId}/{StartOf(Environment.ProcessId)}");

    public static string Current => Own.Value;

    /// <summary>Whether a process was of this machine and is there no more; false where that cannot be told.</summary>
    public static bool IsGone(string process)
    {
        var parts = process.Split('/');
        return parts.Length == 4 && $"{parts[0]}/{parts[1]}" == Machine() && parts[3].Length > 0
            && int.TryParse(parts[2], System.Globalization.CultureInfo.InvariantCulture, out var pid) && StartOf(pid) != parts[3];
    }

    private static string Machine() => $"{Text("/proc/sys/kernel/random/boot_id")}/{new FileInfo("/proc/self/ns/pid").LinkTarget}";

    /// <summary>When a process was started, in ticks since the boot; empty where there is none.</summary>
    private static string StartOf(int pid)
    {
        // The command's name is in parentheses and may hold anything; the start is the twentieth word after it.
        var stat = Text($"/proc/{pid}/stat");
        var words = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length > 19 && words[0] is not ("Z" or "X") ? words[19] : "";
    }

    private static string Text(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
