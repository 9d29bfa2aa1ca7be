using System.Globalization;
using System.Runtime.InteropServices;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Processes;

/// <summary>A process of this machine as /proc shows it, whoever started it and in whichever namespaces it lives.</summary>
/// <param name="Id">Its number as this process sees it.</param>
/// <param name="InnerId">Its number in its own PID namespace; the same outside of one.</param>
/// <param name="ParentId">As this process sees it; 0 where the parent is outside.</param>
/// <param name="PidNamespace">The kernel's identity of its PID namespace, "pid:[4026531836]".</param>
/// <param name="Arguments">Its program and arguments.</param>
/// <param name="ResidentBytes">Memory that is in use now, shared pages included.</param>
/// <param name="StartTicks">Hundredths of a second from the machine's start to its own.</param>
public sealed record MachineProcess(
    int Id, int InnerId, int ParentId, string PidNamespace, IReadOnlyList<string> Arguments, long ResidentBytes, long StartTicks)
{
    private const double TicksPerSecond = 100;

    /// <summary>How long it has run.</summary>
    public TimeSpan Age
    {
        get
        {
            var up = double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], CultureInfo.InvariantCulture);
            return TimeSpan.FromSeconds(Math.Max(0, up - (StartTicks / TicksPerSecond)));
        }
    }

    /// <summary>Whether it is still this process, and no later one with its number.</summary>
    public bool IsRunning => Read(Id)?.StartTicks == StartTicks;

    /// <summary>The path that stands for its network namespace while it lives.</summary>
    public string NetworkNamespace => FormattableString.Invariant($"/proc/{Id}/ns/net");

    /// <summary>The root of the files that it sees, as a path for others.</summary>
    public string Root => FormattableString.Invariant($"/proc/{Id}/root");

    /// <summary>All processes that live now, less the kernel's own and those that have ended.</summary>
    public static IReadOnlyList<MachineProcess> All() => [.. ProcessTable.All().Select(Read).OfType<MachineProcess>()];

    /// <summary>Sends a signal, unless the process has ended.</summary>
    public void Signal(int signal)
    {
        if (IsRunning && Libc.Kill(Id, signal) != 0 && Marshal.GetLastPInvokeError() != LinuxError.NoProcess)
        {
            throw LinuxException.Last($"signal process {Id}");
        }
    }

    private static MachineProcess? Read(int id)
    {
        try
        {
            var arguments = ProcessTable.ArgumentsOf(id);
            var text = File.ReadAllText($"/proc/{id}/stat");
            // From the state on: the command before it, in parentheses, may hold anything.
            var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
            if (arguments.Count == 0 || fields[0] is "Z" or "X" || File.ResolveLinkTarget($"/proc/{id}/ns/pid", false)?.Name is not { } space)
            {
                return null;
            }

            var inner = File.ReadLines($"/proc/{id}/status").First(line => line.StartsWith("NSpid:", StringComparison.Ordinal)).Split('\t')[^1];
            return new MachineProcess(
                id,
                int.Parse(inner, CultureInfo.InvariantCulture),
                int.Parse(fields[1], CultureInfo.InvariantCulture),
                space,
                arguments,
                long.Parse(fields[21], CultureInfo.InvariantCulture) * Environment.SystemPageSize,
                long.Parse(fields[19], CultureInfo.InvariantCulture));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            return null;
        }
    }
}
