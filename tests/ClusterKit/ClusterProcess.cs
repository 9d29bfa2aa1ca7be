using System.Diagnostics;
using System.Globalization;

namespace SharpStack.ClusterKit;

/// <summary>One <c>sharpstack serve</c> of a cluster, which can be killed and started again; its log is in a file.</summary>
public sealed class ClusterProcess : IDisposable
{
    // The shell holds our pipe: it reads its end when we close it, or when this process is gone, whatever ended it.
    private const string Guardian = """exec 3<&0; "$@" </dev/null 2>&1 & echo $!; cat <&3 >/dev/null; kill -9 $! 2>/dev/null; wait $! 2>/dev/null""";

    private readonly string program;
    private readonly string[] arguments;
    private Process? guardian;
    private Task pump = Task.CompletedTask;
    private string pid = "";
    private StreamWriter? log;

    internal ClusterProcess(string name, string program, string[] arguments, string logFile, int metricsPort)
    {
        Name = name;
        this.program = program;
        this.arguments = arguments;
        LogFile = logFile;
        MetricsPort = metricsPort;
    }

    public string Name { get; }

    public string LogFile { get; }

    /// <summary>0 where it has none.</summary>
    public int MetricsPort { get; }

    /// <summary>What the process holds in memory, bytes.</summary>
    public long ResidentBytes
    {
        get
        {
            var line = File.ReadLines($"/proc/{pid}/status").Single(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10;
        }
    }

    /// <summary>Whether it has ended though nobody killed it.</summary>
    public bool HasEnded => guardian is not null && (!File.Exists($"/proc/{pid}/status") || File.ReadLines($"/proc/{pid}/status").Any(line => line.StartsWith("State:\tZ", StringComparison.Ordinal)));

    public void Start()
    {
        log ??= new StreamWriter(LogFile, append: true) { AutoFlush = true };
        guardian = new Process { StartInfo = new ProcessStartInfo("/bin/sh", ["-c", Guardian, "sh", program, "serve", .. arguments]) { RedirectStandardInput = true, RedirectStandardOutput = true } };
        guardian.Start();
        pid = guardian.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"{Name} was not started");
        pump = PumpAsync(guardian.StandardOutput, log);
    }

    /// <summary>SIGKILL, at once.</summary>
    public void Kill()
    {
        if (guardian is not null)
        {
            guardian.StandardInput.Close();
            guardian.WaitForExit();
            pump.Wait();
            guardian.Dispose();
            guardian = null;
        }
    }

    public void Dispose()
    {
        Kill();
        log?.Dispose();
    }

    private static async Task PumpAsync(StreamReader output, StreamWriter log)
    {
        while (await output.ReadLineAsync() is { } line)
        {
            await log.WriteLineAsync(line);
        }
    }
}
