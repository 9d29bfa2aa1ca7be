using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;

namespace SharpStack.Serve;

/// <summary><c>sharpstack serve</c>: runs services in the foreground until it is told to end.</summary>
internal sealed class ServeCommand
{
    public const string Usage = "serve [SERVICE...] [--data DIR] [--config-file FILE]... [--config-dir DIR]... [--listen ADDRESS] [--debug]";

    private static readonly ConfigOption<IReadOnlyList<string>> EnabledApis = new(
        "DEFAULT", "enabled_apis", ["osapi_compute", "metadata"], "The APIs of nova-api: osapi_compute, metadata.");

    private readonly Arguments arguments;
    private readonly TimeProvider time;

    public ServeCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        arguments = Arguments.Parse(words, CloudOptions.Values, ["--debug"]);
        this.time = time;
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var services = arguments.Words.Count == 0 ? null : arguments.Words.Select(word => ServiceNames.Canonical(word, CloudModules.Services)).ToHashSet();
        var modules = CloudModules.For(services, CloudOptions.IsFake(arguments));
        var options = CloudOptions.Read(arguments, services, time);
        ConfigCommand.Check(options, modules);
        options = WithMetadata(options);
        var layout = CloudOptions.LayoutOf(arguments);
        var level = arguments.Has("--debug") ? LogLevel.Debug : LogLevel.Information;
        await using var host = CloudHost.Create(options, modules, logging => logging.SetMinimumLevel(level).AddProvider(new LineLogs(Console.Out, time)));

        var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => End(signal, end));
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => End(signal, end));
        if (services is null && Directory.Exists(layout.Run) && CloudOptions.IsOfUp(arguments, services))
        {
            await File.WriteAllTextAsync(layout.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture), cancellationToken);
        }

        await host.StartAsync(cancellationToken);
        await end.Task;
    }

    /// <summary>OpenStack's nova-api is the metadata API too, unless its configuration leaves that out.</summary>
    private HostOptions WithMetadata(HostOptions options)
    {
        if (options.Services is not { } services || !arguments.Words.Contains("nova-api") || CloudOptions.IsOfUp(arguments, services))
        {
            return options;
        }

        var apis = options.Configs["nova"].Get(EnabledApis);
        return apis.Contains("metadata") ? options with { Services = services.Append("nova-metadata-api").ToHashSet() } : options;
    }

    private static void End(PosixSignalContext signal, TaskCompletionSource end)
    {
        signal.Cancel = true;
        end.TrySetResult();
    }
}
