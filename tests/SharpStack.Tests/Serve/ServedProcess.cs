using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

/// <summary>A process of <c>sharpstack serve</c>, with a service manager that listens to it.</summary>
internal sealed class ServedProcess : IAsyncDisposable
{
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(120);

    private readonly Process process;
    private readonly Socket manager;
    private readonly string folder = Directory.CreateTempSubdirectory("sharpstack-notify-").FullName;
    private readonly ConcurrentQueue<string> told = new();
    private readonly StringBuilder output = new();
    private readonly StringBuilder errors = new();
    private readonly CancellationTokenSource stopping = new();
    private readonly Task listening;
    private readonly TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ServedProcess(IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        var path = Path.Combine(folder, "notify");
        manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(path));
        var start = new ProcessStartInfo(Repository.Program, ["serve", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["NOTIFY_SOCKET"] = path;
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        process = new Process { StartInfo = start };
        process.OutputDataReceived += (_, line) => Add(output, line.Data);
        process.ErrorDataReceived += (_, line) => Add(errors, line.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        listening = ListenAsync();
    }

    public int Id => process.Id;

    /// <summary>What the manager was told: each datagram.</summary>
    public IReadOnlyCollection<string> Told => told;

    public string Output => Text(output);

    public string Errors => Text(errors);

    public static ServedProcess Start(params IEnumerable<string> arguments) => new(arguments, new Dictionary<string, string>());

    public static ServedProcess Start(IReadOnlyDictionary<string, string> environment, params IEnumerable<string> arguments) => new(arguments, environment);

    /// <summary>Starts and waits until the process says that it is ready; fails with its words where it ends before.</summary>
    public static async Task<ServedProcess> ReadyAsync(params string[] arguments)
    {
        var started = Start(arguments);
        try
        {
            await started.AwaitReadyAsync();
            return started;
        }
        catch
        {
            await started.DisposeAsync();
            throw;
        }
    }

    public async Task AwaitReadyAsync()
    {
        var first = await Task.WhenAny(ready.Task, process.WaitForExitAsync(), Task.Delay(Bound));
        if (first != ready.Task)
        {
            Assert.Fail($"{string.Join(' ', process.StartInfo.ArgumentList)} is not ready: {Errors}\n{Output}");
        }
    }

    public Task ToldAsync(string what) => Eventually.TrueAsync(() => told.Any(lines => lines.Split('\n').Any(line => line.StartsWith(what, StringComparison.Ordinal))), $"the manager is told {what}", Bound);

    public void Signal(string name)
    {
        using var kill = Process.Start("kill", ["-" + name, process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    public async Task<int> ExitAsync()
    {
        await process.WaitForExitAsync().WaitAsync(Bound);
        return process.ExitCode;
    }

    /// <summary>How many TCP sockets it listens on.</summary>
    public int ListeningSockets()
    {
        const string listening = "0A";
        var all = new[] { "tcp", "tcp6" }.SelectMany(table => File.ReadLines($"/proc/{Id}/net/{table}").Skip(1))
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(columns => columns[3] == listening)
            .Select(columns => $"socket:[{columns[9]}]")
            .ToHashSet();
        return Directory.EnumerateFiles($"/proc/{Id}/fd").Count(path => new FileInfo(path).LinkTarget is { } target && all.Contains(target));
    }

    /// <summary>Tells it to end, and gives its exit code.</summary>
    public Task<int> StopAsync()
    {
        Signal("TERM");
        return ExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited)
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        await stopping.CancelAsync();
        await listening;
        process.Dispose();
        manager.Dispose();
        stopping.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    private static void Add(StringBuilder text, string? line)
    {
        lock (text)
        {
            if (line is not null)
            {
                text.Append(line).Append('\n');
            }
        }
    }

    private static string Text(StringBuilder text)
    {
        lock (text)
        {
            return text.ToString();
        }
    }

    private async Task ListenAsync()
    {
        var buffer = new byte[4096];
        try
        {
            while (true)
            {
                var length = await manager.ReceiveAsync(buffer, stopping.Token);
                var lines = Encoding.UTF8.GetString(buffer, 0, length);
                told.Enqueue(lines);
                if (lines.Split('\n').Contains("READY=1"))
                {
                    ready.TrySetResult();
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
