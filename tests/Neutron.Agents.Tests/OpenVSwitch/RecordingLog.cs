using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace SharpStack.Neutron.Agents.Tests.OpenVSwitch;

/// <summary>Keeps what is logged, and shows it with the test.</summary>
internal sealed class RecordingLog : ILogger
{
    private volatile TaskCompletionSource next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConcurrentQueue<string> Messages { get; } = new();

    /// <summary>Waits for a message that begins so.</summary>
    public async Task WaitAsync(string beginning, CancellationToken cancellationToken)
    {
        while (true)
        {
            var signal = next.Task;
            if (Messages.Any(message => message.StartsWith(beginning, StringComparison.Ordinal)))
            {
                return;
            }

            await signal.WaitAsync(cancellationToken);
        }
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        Messages.Enqueue(formatter(state, exception));
        TestContext.Current.TestOutputHelper?.WriteLine($"{logLevel}: {formatter(state, exception)} {exception}");
        Interlocked.Exchange(ref next, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }
}
