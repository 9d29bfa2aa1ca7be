using System.Diagnostics;
using System.Globalization;

namespace SharpStack.Bench;

/// <summary>A process of the benchmark's own: started, timed, weighed, ended.</summary>
internal sealed class Managed : IDisposable
{
    private readonly Process process;
    private readonly Stopwatch watch = Stopwatch.StartNew();

    public Managed(string program, IReadOnlyList<string> arguments)
    {
        process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        // Nobody reads its log; the pipe must not fill.
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
    }

    public long ResidentBytes
    {
        get
        {
            var line = File.ReadLines($"/proc/{process.Id}/status").Single(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Split('\t')[^1], CultureInfo.InvariantCulture) << 10;
        }
    }

    /// <returns>The time from the process's start to the first success.</returns>
    public async Task<TimeSpan> UntilAsync(Func<Task<bool>> success)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (true)
        {
            try
            {
                if (await success())
                {
                    return watch.Elapsed;
                }
            }
            catch (HttpRequestException) when (!process.HasExited && watch.Elapsed < TimeSpan.FromMinutes(1))
            {
                // Not there yet.
            }

            await timer.WaitForNextTickAsync();
        }
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            process.Kill();
            process.WaitForExit();
        }

        process.Dispose();
    }
}
