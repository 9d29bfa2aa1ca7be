using System.ComponentModel;
using System.Diagnostics;

namespace SharpStack.LinuxHost.Processes;

/// <summary>What a finished program left.</summary>
public sealed record ShellOutcome(int ExitCode, string Output, string Error)
{
    public bool Succeeded => ExitCode == 0;
}

/// <summary>Runs programs of the machine for the set-up commands; the services themselves start none an operation.</summary>
public static class Shell
{
    /// <returns>Its outcome; exit code 127 where the program is not there.</returns>
    public static async Task<ShellOutcome> TryAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception failure)
        {
            return new ShellOutcome(127, "", $"{program}: {failure.Message}");
        }

        using (process)
        {
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var error = process.StandardError.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            return new ShellOutcome(process.ExitCode, await output, await error);
        }
    }

    /// <returns>What it printed.</returns>
    /// <exception cref="ShellException">It failed; the message has its words.</exception>
    public static async Task<string> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        var list = arguments.ToArray();
        var outcome = await TryAsync(program, list, cancellationToken);
        return outcome.Succeeded
            ? outcome.Output
            : throw new ShellException($"'{program} {string.Join(' ', list)}' failed ({outcome.ExitCode}): {(outcome.Error.Length > 0 ? outcome.Error : outcome.Output).Trim()}");
    }
}

/// <summary>A program of the machine failed; the message has its name, its arguments and its words.</summary>
public sealed class ShellException(string message) : Exception(message);
