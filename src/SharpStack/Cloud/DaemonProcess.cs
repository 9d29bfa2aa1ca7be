using System.Globalization;
using System.Net.Sockets;
using SharpStack.CommandLine;
using SharpStack.LinuxHost.Processes;
using SharpStack.Machine;

namespace SharpStack.Cloud;

/// <summary>The cloud's own process, in the background: <c>sharpstack serve --data DIR</c>.</summary>
internal sealed class DaemonProcess(CloudLayout layout, CloudSettings settings, TimeProvider time)
{
    private static readonly TimeSpan StartBound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopBound = TimeSpan.FromSeconds(20);

    /// <summary>The running process, or null.</summary>
    public RunningProcess? Running => RunningProcess.FromPidFile(layout.PidFile, "") is { } process && process.CommandLine.Contains("serve") ? process : null;

    /// <summary>Starts it in a session of its own, its output appended to the log, and waits until its APIs say that they are well.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var (service, port) in settings.Ports.All(settings.Fake))
        {
            if (IsTaken(port))
            {
                throw new CommandException($"port {port} ({service}) is in use by another program (ss -ltnp shows which): end it, or choose other ports with --port-base N");
            }
        }

        // The shell gives the process files for its output and lets it go.
        var program = Environment.ProcessPath ?? throw new CommandException("the path of this program is not known");
        var id = await Shell.RunAsync(
            "sh",
            ["-c", "umask 027; log=$1; shift; setsid \"$@\" </dev/null >>\"$log\" 2>&1 & echo $!", "sh", layout.Log, program, "serve", "--data", layout.Data],
            cancellationToken);
        await AwaitHealthAsync(int.Parse(id, NumberStyles.None | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture), cancellationToken);
    }

    private async Task AwaitHealthAsync(int id, CancellationToken cancellationToken)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = TimeSpan.FromSeconds(5) };
        var silent = new List<int> { settings.Ports.Identity, settings.Ports.Image, settings.Ports.Placement, settings.Ports.Compute, settings.Ports.Network };
        var healthy = await Wait.UntilAsync(
            async () =>
            {
                if (!Directory.Exists(FormattableString.Invariant($"/proc/{id}")))
                {
                    throw new CommandException($"the program ended while it started; the end of its log:\n{Tail()}");
                }

                while (silent.Count > 0)
                {
                    try
                    {
                        using var answer = await http.GetAsync(new Uri($"{settings.Url(silent[0])}/healthcheck"), cancellationToken);
                        if (!answer.IsSuccessStatusCode)
                        {
                            return false;
                        }

                        silent.RemoveAt(0);
                    }
                    catch (Exception failure) when (failure is HttpRequestException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
                    {
                        return false;
                    }
                }

                return true;
            },
            StartBound,
            time,
            cancellationToken);
        if (!healthy)
        {
            throw new CommandException($"the APIs did not answer within {StartBound.TotalSeconds} s; the end of {layout.Log}:\n{Tail()}");
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (Running is { } process)
        {
            await process.StopAsync(StopBound, time, cancellationToken);
        }

        File.Delete(layout.PidFile);
    }

    private bool IsTaken(int port)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Connect(settings.Listen is "0.0.0.0" or "::" ? "127.0.0.1" : settings.Listen, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private string Tail() => File.Exists(layout.Log) ? string.Join('\n', File.ReadLines(layout.Log).TakeLast(15)) : "(no log)";
}
