using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace SharpStack.Foundation.Hosting;

/// <summary>
/// Tells the service manager how this process is, by systemd's protocol: datagrams of <c>NAME=value</c> lines to the socket that <c>NOTIFY_SOCKET</c> names (sd_notify(3)). Does
/// nothing where there is none; a manager that does not listen is no reason to fail.
/// </summary>
public sealed class ServiceNotifier : IAsyncDisposable
{
    private readonly Socket? socket;
    private readonly UnixDomainSocketEndPoint? manager;
    private readonly TimeProvider time;
    private readonly TimeSpan? watchdog;
    private readonly CancellationTokenSource stopping = new();
    private Task watching = Task.CompletedTask;

    /// <param name="time">The clock of the watchdog; its time stamps are those of CLOCK_MONOTONIC.</param>
    /// <param name="environment">Gives variables of the environment: <c>NOTIFY_SOCKET</c>, <c>WATCHDOG_USEC</c>, <c>WATCHDOG_PID</c>.</param>
    public ServiceNotifier(TimeProvider time, Func<string, string?> environment)
    {
        this.time = time;
        if (environment("NOTIFY_SOCKET") is not { Length: > 1 } path || path[0] is not ('/' or '@'))
        {
            return;
        }

        // The name begins with a zero byte where it is no file.
        manager = new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path);
        socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        var own = environment("WATCHDOG_PID") is not { Length: > 0 } id || id == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        if (own && long.TryParse(environment("WATCHDOG_USEC"), NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0)
        {
            watchdog = TimeSpan.FromMicroseconds(microseconds / 2.0);
        }
    }

    /// <summary>The process answers; from here on the watchdog is fed, where the manager has one.</summary>
    public void Ready(string status)
    {
        Send($"READY=1\nSTATUS={status}");
        if (watchdog is { } period && watching.IsCompleted)
        {
            watching = FeedAsync(period);
        }
    }

    /// <summary>The configuration is read anew; <see cref="Ready"/> says when that is done.</summary>
    public void Reloading() =>
        Send(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={(long)(time.GetTimestamp() * (1_000_000.0 / time.TimestampFrequency))}"));

    public void Status(string status) => Send($"STATUS={status}");

    public void Stopping() => Send("STOPPING=1\nSTATUS=requests are being finished");

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        await watching;
        socket?.Dispose();
        stopping.Dispose();
    }

    private async Task FeedAsync(TimeSpan period)
    {
        using var timer = new PeriodicTimer(period, time);
        try
        {
            do
            {
                Send("WATCHDOG=1");
            }
            while (await timer.WaitForNextTickAsync(stopping.Token));
        }
        catch (OperationCanceledException)
        {
        }
    }

    private void Send(string lines)
    {
        try
        {
            socket?.SendTo(Encoding.UTF8.GetBytes(lines), manager!);
        }
        catch (SocketException)
        {
            // The manager is gone or does not listen.
        }
    }
}
