using System.ComponentModel;
using System.Diagnostics;
using System.Text;

namespace SharpStack.LinuxHost.Processes;

/// <summary>What a command wrote (at most 64 KiB of each stream) and how it ended.</summary>
public sealed record CommandResult(int ExitCode, string Output, string Error);

/// <summary>Limits that the kernel enforces on a command which reads input from outside.</summary>
/// <param name="Time">Wall time; the command and its children are killed then.</param>
/// <param name="ProcessorSeconds">RLIMIT_CPU; null for none.</param>
/// <param name="AddressSpace">RLIMIT_AS in bytes; null for none.</param>
/// <param name="FileSize">RLIMIT_FSIZE in bytes; null for none.</param>
public sealed record CommandLimits(TimeSpan Time, int? ProcessorSeconds = null, long? AddressSpace = null, long? FileSize = null);

/// <summary>Runs a short-lived command with an argument list, limits and captured output.</summary>
public static class BoundedCommand
{
    private const int OutputLimit = 64 * 1024;

    /// <exception cref="TimeoutException">It ran longer than the limit and was killed.</exception>
    /// <exception cref="FileNotFoundException">prlimit is missing. A missing command itself gives exit code 127.</exception>
    public static async Task<CommandResult> RunAsync(string fileName, IReadOnlyList<string> arguments, CommandLimits limits,
        TimeProvider time, CancellationToken cancellationToken)
    {
        // prlimit sets the limits on itself and then becomes the command.
        var info = new ProcessStartInfo("prlimit") { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        if (limits.ProcessorSeconds is { } seconds)
        {
            info.ArgumentList.Add($"--cpu={seconds}");
        }
        if (limits.AddressSpace is { } space)
        {
            info.ArgumentList.Add($"--as={space}");
        }
        if (limits.FileSize is { } size)
        {
            info.ArgumentList.Add($"--fsize={size}");
        }
        info.ArgumentList.Add("--core=0");
        info.ArgumentList.Add("--");
        info.ArgumentList.Add(fileName);
        foreach (var argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }
        using var process = Start(info);
        process.StandardInput.Close();
        using var timeout = new CancellationTokenSource(limits.Time, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            var output = ReadAsync(process.StandardOutput, either.Token);
            var error = ReadAsync(process.StandardError, either.Token);
            await process.WaitForExitAsync(either.Token);
            return new CommandResult(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync(CancellationToken.None);
            cancellationToken.ThrowIfCancellationRequested();
            throw new TimeoutException($"{fileName} was stopped: it ran longer than {limits.Time.TotalSeconds:0} seconds.");
        }
    }

    private static Process Start(ProcessStartInfo info)
    {
        try
        {
            return Process.Start(info)!;
        }
        catch (Win32Exception failure)
        {
            throw new FileNotFoundException("prlimit cannot be run: install util-linux.", "prlimit", failure);
        }
    }

    /// <summary>Reads to the end, so that the writer never blocks, and keeps the beginning.</summary>
    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken cancellationToken)
    {
        var text = new StringBuilder();
        var buffer = new char[4096];
        int count;
        while ((count = await reader.ReadAsync(buffer, cancellationToken)) > 0)
        {
            text.Append(buffer, 0, Math.Min(count, OutputLimit - text.Length));
        }
        return text.ToString();
    }
}
