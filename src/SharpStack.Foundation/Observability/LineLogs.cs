using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace SharpStack.Foundation.Observability;

/// <summary>What is logged within it is of that request.</summary>
internal sealed record RequestScope(string Id);

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
    private volatile State state = new(new LogSettings { Level = LogLevel.Trace }, null);
    private IExternalScopeProvider? scopes;
    private long dropped;

    /// <param name="output">Where no log file is set; closed with this provider.</param>
    /// <param name="time">For the time stamps.</param>
    public LineLogs(TextWriter output, TimeProvider time)
    {
        this.output = output;
        this.time = time;
        writing = Task.Run(WriteAsync);
    }

    /// <summary>Takes other settings from the next line on.</summary>
    /// <exception cref="CloudException">The log file cannot be written: all stays as it was.</exception>
    public void Apply(LogSettings settings)
    {
        var before = state;
        // The one that is given up is closed by the writer, which may be at it.
        state = new State(settings, settings.File is null ? null : before.File?.Path == settings.File ? before.File : new LogFile(settings.File));
    }

    public ILogger CreateLogger(string categoryName) => new LineLogger(this, categoryName);

    public void SetScopeProvider(IExternalScopeProvider scopeProvider) => scopes = scopeProvider;

    public void Dispose()
    {
        lines.Writer.TryComplete();
        writing.GetAwaiter().GetResult();
        state.File?.Dispose();
        output.Dispose();
    }

    private async Task WriteAsync()
    {
        LogFile? open = null;
        while (await lines.Reader.WaitToReadAsync())
        {
            var file = state.File;
            if (open is not null && open != file)
            {
                open.Dispose();
            }

            open = file;
            var target = TargetOf(file);
            while (lines.Reader.TryRead(out var line))
            {
                await target.WriteLineAsync(line);
            }

            if (Interlocked.Exchange(ref dropped, 0) is > 0 and var count)
            {
                await target.WriteLineAsync($"({count} log lines did not fit the queue and are lost)");
            }

            await target.FlushAsync();
        }
    }

    private TextWriter TargetOf(LogFile? file)
    {
        try
        {
            return file?.Writer ?? output;
        }
        catch (CloudException failure)
        {
            // Better elsewhere than nowhere; the next lines try again.
            output.WriteLine(failure.Message);
            return output;
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

    private string Line(LogLevel level, string category, string request, int id, string message, Exception? failure)
    {
        var now = time.GetUtcNow();
        if (!state.Settings.Json)
        {
            // One event, one line: what a user sent must not be able to write a line of its own.
            var line = $"{now:yyyy-MM-dd HH:mm:ss.fff} {LevelOf(level)} {category} [{request}] {id} {message.ReplaceLineEndings("\\n")}";
            return failure is null ? line : $"{line}\n    {failure.ToString().ReplaceLineEndings("\n    ")}";
        }

        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("asctime", now.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            json.WriteString("levelname", LevelOf(level));
            json.WriteString("name", category);
            json.WriteString("message", message);
            json.WriteString("request_id", request == "-" ? null : request);
            json.WriteNumber("event_id", id);
            json.WriteNumber("process", Environment.ProcessId);
            if (failure is not null)
            {
                json.WriteString("traceback", failure.ToString());
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private sealed record State(LogSettings Settings, LogFile? File);

    private sealed class LineLogger(LineLogs owner, string category) : ILogger
    {
        // With the settings that it was found in: two fields could be seen apart.
        private volatile Tuple<State, LogLevel>? least;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => owner.scopes?.Push(state);

        public bool IsEnabled(LogLevel logLevel)
        {
            var (known, current) = (least, owner.state);
            if (known?.Item1 != current)
            {
                least = known = Tuple.Create(current, current.Settings.LevelOf(category));
            }

            return logLevel != LogLevel.None && logLevel >= known!.Item2;
        }

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel))
            {
                return;
            }

            var request = "-";
            owner.scopes?.ForEachScope((scope, _) => request = scope is RequestScope known ? known.Id : request, 0);
            owner.Enqueue(owner.Line(logLevel, category, request, eventId.Id, formatter(state, exception), exception));
        }
    }
}
