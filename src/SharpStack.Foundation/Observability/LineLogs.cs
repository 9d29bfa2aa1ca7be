using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Observability;

/// <summary>
/// Logs as lines, in the shape that OpenStack's operators read: time (UTC), level, logger, <c>[request id]</c>, event id, message; the lines of an exception
/// follow, indented. A slow disk delays nobody: lines are written in the background, and what does not fit the queue is counted and said.
/// </summary>
public sealed class LineLogs : ILoggerProvider, ISupportExternalScope
{
    private const int Capacity = 8192;

    private readonly Channel<string> lines = Channel.CreateBounded<string>(new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly TextWriter output;
    private readonly TimeProvider time;
    private readonly Task writing;
    private IExternalScopeProvider? scopes;
    private long dropped;

    /// <param name="output">Closed with this provider.</param>
    /// <param name="time">For the time stamps.</param>
    public LineLogs(TextWriter output, TimeProvider time)
    {
        this.output = output;
        this.time = time;
        writing = Task.Run(WriteAsync);
    }

    /// <summary>Appends to a file that only its owner can read.</summary>
    public static LineLogs ToFile(string path, TimeProvider time)
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.Append,
            Access = FileAccess.Write,
            Share = FileShare.ReadWrite | FileShare.Delete,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        return new LineLogs(new StreamWriter(path, options), time);
    }

    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => scopes = scopeProvider;

    public void Dispose()
    {
        lines.Writer.TryComplete();
        writing.GetAwaiter().GetResult();
        output.Dispose();
    }

    private async Task WriteAsync()
    {
        while (await lines.Reader.WaitToReadAsync())
        {
            while (lines.Reader.TryRead(out var line))
            {
                await output.WriteLineAsync(line);
            }

            if (Interlocked.Exchange(ref dropped, 0) is > 0 and var count)
            {
                await output.WriteLineAsync($"({count} log lines did not fit the queue and are lost)");
            }

            await output.FlushAsync();
        }
    }

    private void Enqueue(string line)
    {
        // DropWrite says true even for what it drops, so the fill is looked at first.
        if (lines.Reader.Count >= Capacity || !lines.Writer.TryWrite(line))
        {
            Interlocked.Increment(ref dropped);
        }
    }

    private static string LevelOf(LogLevel level) => level switch
    {
        LogLevel.Trace or LogLevel.Debug => "DEBUG",
        LogLevel.Information => "INFO",
        LogLevel.Warning => "WARNING",
        LogLevel.Error => "ERROR",
        _ => "CRITICAL",
    };

    private sealed class LineLogger(LineLogs owner, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => owner.scopes?.Push(state);

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var request = "-";
            owner.scopes?.ForEachScope((scope, _) => request = scope?.ToString() is { } text && text.StartsWith("req-", StringComparison.Ordinal) ? text : request, 0);
            // One event, one line: what a user sent must not be able to write a line of its own.
            var message = formatter(state, exception).ReplaceLineEndings("\\n");
            var line = $"{owner.time.GetUtcNow():yyyy-MM-dd HH:mm:ss.fff} {LevelOf(logLevel)} {category} [{request}] {eventId.Id} {message}";
            owner.Enqueue(exception is null ? line : $"{line}\n    {exception.ToString().ReplaceLineEndings("\n    ")}");
        }
    }
}
