using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace SharpStack.Bench;

/// <summary>What a load gave: requests a second, the median and the 99th percentile in milliseconds, answers that were no success.</summary>
internal sealed record LoadResult(double PerSecond, double Median, double Slow, long Errors);

/// <summary>Drives load with wrk (Debian's package) and reads what it says.</summary>
internal static partial class Load
{
    public static async Task<LoadResult> RunAsync(string url, IReadOnlyDictionary<string, string> headers, string? body, int connections, int seconds)
    {
        var script = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(script, body is null ? "" : $"wrk.method = 'POST'\nwrk.body = [[{body}]]\n");
            var arguments = new List<string> { "-t1", $"-c{connections}", $"-d{seconds}s", "--latency", "-s", script };
            foreach (var (name, value) in headers)
            {
                arguments.AddRange(["-H", $"{name}: {value}"]);
            }

            using var process = Process.Start(new ProcessStartInfo("wrk", [.. arguments, url]) { RedirectStandardOutput = true })
                ?? throw new InvalidOperationException("wrk did not start");
            var output = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            return new LoadResult(
                double.Parse(Rate().Match(output).Groups[1].Value, CultureInfo.InvariantCulture),
                Milliseconds(Median().Match(output)),
                Milliseconds(Slow().Match(output)),
                Failures().Match(output) is { Success: true } failures ? long.Parse(failures.Groups[1].Value, CultureInfo.InvariantCulture) : 0);
        }
        finally
        {
            File.Delete(script);
        }
    }

    private static double Milliseconds(Match match) =>
        double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * match.Groups[2].Value switch { "us" => 0.001, "ms" => 1, "s" => 1000, _ => 60_000 };

    [GeneratedRegex(@"Requests/sec:\s+([0-9.]+)")]
    private static partial Regex Rate();

    [GeneratedRegex(@"50%\s+([0-9.]+)(us|ms|s|m)")]
    private static partial Regex Median();

    [GeneratedRegex(@"99%\s+([0-9.]+)(us|ms|s|m)")]
    private static partial Regex Slow();

    [GeneratedRegex(@"Non-2xx or 3xx responses: ([0-9]+)")]
    private static partial Regex Failures();
}
