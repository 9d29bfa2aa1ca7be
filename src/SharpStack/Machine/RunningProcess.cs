using System.Globalization;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.Machine;

/// <summary>A process of this machine, known by its number and its command line, so that a reused number is never taken for it.</summary>
internal sealed record RunningProcess(int Id, IReadOnlyList<string> CommandLine)
{
    public string Program => CommandLine.Count == 0 ? "" : Path.GetFileName(CommandLine[0]);

    public bool IsAlive => Read(Id) is { } now && now.CommandLine.SequenceEqual(CommandLine);

    /// <summary>The process that a pid file names, where it lives and its program's name begins with <paramref name="program"/>.</summary>
    public static RunningProcess? FromPidFile(string path, string program)
    {
        try
        {
            return int.TryParse(File.ReadAllText(path).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                && Read(id) is { } process && process.Program.StartsWith(program, StringComparison.Ordinal) ? process : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>The processes one of whose arguments lies in or names the folder.</summary>
    public static IEnumerable<RunningProcess> Using(string folder) =>
        Directory.EnumerateDirectories("/proc")
            .Select(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? Read(id) : null)
            .OfType<RunningProcess>()
            .Where(process => process.Id != Environment.ProcessId && process.CommandLine.Any(word => Names(word, folder)));

    /// <summary>Asks the process to end, and ends it where it has not within the bound.</summary>
    public async Task StopAsync(TimeSpan bound, TimeProvider time, CancellationToken cancellationToken)
    {
        foreach (var signal in new[] { "-TERM", "-KILL" })
        {
            if (!IsAlive)
            {
                return;
            }

            await Shell.TryAsync("kill", [signal, Id.ToString(CultureInfo.InvariantCulture)], cancellationToken);
            await Wait.UntilAsync(() => Task.FromResult(!IsAlive), bound, time, cancellationToken);
        }
    }

    private static bool Names(string word, string folder)
    {
        var at = word.IndexOf(folder, StringComparison.Ordinal);
        return at >= 0 && (at + folder.Length == word.Length || word[at + folder.Length] is '/' or ',' or ' ');
    }

    private static RunningProcess? Read(int id)
    {
        try
        {
            // A process that has ended but was not waited for has an empty command line.
            var words = File.ReadAllText(FormattableString.Invariant($"/proc/{id}/cmdline")).Split('\0', StringSplitOptions.RemoveEmptyEntries);
            return words.Length == 0 ? null : new RunningProcess(id, words);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
