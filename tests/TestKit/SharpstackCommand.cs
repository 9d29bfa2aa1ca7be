using System.Diagnostics;
using Xunit;

namespace SharpStack.TestKit;

/// <summary>The program's command line.</summary>
public static class SharpstackCommand
{
    /// <summary>Runs a command to its end, which is to have that exit code.</summary>
    /// <returns>What it printed.</returns>
    public static async Task<string> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken, int exitCode = 0)
    {
        using var process = Process.Start(new ProcessStartInfo(Repository.Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
        await process.WaitForExitAsync(cancellationToken);
        Assert.True(process.ExitCode == exitCode, $"sharpstack {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{await output}{await errors}");
        return await output;
    }
}
