using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;

namespace SharpStack.Serve;

/// <summary><c>sharpstack serve</c>: runs services in the foreground until it is told to end.</summary>
internal sealed class ServeCommand
{
    public const string Usage = "serve [SERVICE...] [--data DIR | --config-dir DIR] [--listen ADDRESS] [--debug]";

    private readonly Arguments arguments;
    private readonly TimeProvider time;

    public ServeCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        arguments = Arguments.Parse(words, CloudOptions.Values, ["--debug"]);
        this.time = time;
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var modules = CloudModules.All(CloudOptions.IsFake(arguments));
        var known = modules.SelectMany(module => module.Services).ToHashSet();
        if (arguments.Words.FirstOrDefault(word => !known.Contains(word)) is { } unknown)
        {
            throw new UsageException($"there is no service {unknown}; there are {string.Join(", ", known.Order(StringComparer.Ordinal))}");
        }

        var options = CloudOptions.Read(arguments, arguments.Words.Count == 0 ? null : arguments.Words.ToHashSet(), time);
        ConfigCommand.Check(options, modules);
        var layout = new CloudLayout(options.DataDirectory);
        var level = arguments.Has("--debug") ? LogLevel.Debug : LogLevel.Information;
        await using var host = CloudHost.Create(options, modules, logging => logging.SetMinimumLevel(level).AddProvider(new LineLogs(Console.Out, time)));

        var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => End(signal, end));
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => End(signal, end));
        if (Directory.Exists(layout.Run))
        {
            await File.WriteAllTextAsync(layout.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture), cancellationToken);
        }

        await host.StartAsync(cancellationToken);
        await end.Task;
    }

    private static void End(PosixSignalContext signal, TaskCompletionSource end)
    {
        signal.Cancel = true;
        end.TrySetResult();
    }
}
