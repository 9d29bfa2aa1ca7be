using System.ComponentModel;
using System.Diagnostics;
using SharpStack.LinuxHost.Namespaces;

namespace SharpStack.LinuxHost.Processes;

/// <summary>What a finished program left.</summary>
public sealed record ShellOutcome(int ExitCode, string Output, string Error)
{
    public bool Succeeded => ExitCode == 0;
}

/// <summary>Runs programs of the machine where there is no other way: set-up commands, and tables of packet filters as a whole.</summary>
public static class Shell
{
    /// <returns>Its outcome; exit code 127 where the program is not there.</returns>
    public static Task<ShellOutcome> TryAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken) =>
        TryAsync(program, arguments, null, null, cancellationToken);

    /// <param name="program">Its name or path.</param>
    /// <param name="arguments">Passed as they are; no shell looks at them.</param>
    /// <param name="input">What it reads; null for nothing.</param>
    /// <param name="networkNamespace">The namespace that it runs in; null for this process's own.</param>
    /// <param name="cancellationToken">Ends the wait, not the program.</param>
    /// <returns>Its outcome; exit code 127 where the program is not there.</returns>
    public static async Task<ShellOutcome> TryAsync(string program, IEnumerable<string> arguments, string? input, string? networkNamespace, CancellationToken cancellationToken)
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
            // A child begins in the namespace of the thread that starts it.
            process = NetworkNamespace.Run(networkNamespace, () => Process.Start(start)!);
        }
        catch (Win32Exception failure)
        {
            return new ShellOutcome(127, "", $"{program}: {failure.Message}");
        }

        using (process)
        {
            var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var error = process.StandardError.ReadToEndAsync(cancellationToken);
            try
            {
                await process.StandardInput.WriteAsync(input.AsMemory(), cancellationToken);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It ended without reading; its exit code and words say why.
            }

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
