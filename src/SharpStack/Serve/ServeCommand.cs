using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using SharpStack.CommandLine;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;

namespace SharpStack.Serve;

/// <summary>
/// <c>sharpstack serve</c>: runs services in the foreground. SIGTERM and SIGINT end it when its requests are answered, a second one at once; SIGHUP has it read certificates,
/// policies and the options of its log anew.
/// </summary>
internal sealed partial class ServeCommand
{
    public const string Usage = "serve [SERVICE...] [--data DIR] [--config-file FILE]... [--config-dir DIR]... [--listen ADDRESS] [--debug]";

    /// <summary>What a shell gives as the exit code of a process that SIGTERM ended.</summary>
    private const int Terminated = 128 + 15;

    private static readonly ConfigOption<IReadOnlyList<string>> EnabledApis = new(
        "DEFAULT", "enabled_apis", ["osapi_compute", "metadata"], "The APIs of the service nova-api: osapi_compute, metadata.");

    private static readonly ConfigOption<int> ShutdownTimeout = new(
        "DEFAULT", "graceful_shutdown_timeout", 60, "Seconds that requests have to finish when the service is told to end; 0 for as long as they take.") { Min = 0 };

    private readonly Arguments arguments;
    private readonly TimeProvider time;
    private readonly HashSet<string>? services;

    public ServeCommand(IReadOnlyList<string> words, TimeProvider time)
    {
        arguments = Arguments.Parse(words, CloudOptions.Values, ["--debug"]);
        services = arguments.Words.Count == 0 ? null : arguments.Words.Select(word => ServiceNames.Canonical(word, CloudModules.Services)).ToHashSet();
        this.time = time;
    }

    /// <summary>The options that this command reads.</summary>
    public static IEnumerable<(string Config, ConfigOption Option)> Options =>
        [("nova", EnabledApis), .. ServiceNames.Projects.SelectMany(project => LogSettings.Options.Append(ShutdownTimeout).Select(option => (project, option)))];

    /// <returns>The exit code.</returns>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        var modules = CloudModules.For(services, CloudOptions.IsFake(arguments, services));
        var options = Read(modules);
        await using var notifier = new ServiceNotifier(time, Environment.GetEnvironmentVariable);
        using var logs = new LineLogs(StandardOutput(), time);
        logs.Apply(LogSettingsOf(options));
        await using var host = CloudHost.Create(options, modules, logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(logs));
        using var logging = LoggerFactory.Create(builder => builder.AddProvider(logs));
        var log = logging.CreateLogger<ServeCommand>();

        var signals = Channel.CreateUnbounded<PosixSignal>();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Pass);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Pass);
        using var reload = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Pass);
        var layout = CloudOptions.LayoutOf(arguments);
        if (services is null && Directory.Exists(layout.Run) && CloudOptions.IsOfUp(arguments, services))
        {
            await File.WriteAllTextAsync(layout.PidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture), cancellationToken);
        }

        await StartAsync(host, log, cancellationToken);
        var names = string.Join(", ", options.Services ?? CloudModules.Services.Where(service => modules.Any(module => module.Services.Contains(service))));
        LogReady(log, names);
        notifier.Ready($"serving {names}");
        while (await signals.Reader.ReadAsync(cancellationToken) == PosixSignal.SIGHUP)
        {
            notifier.Reloading();
            Reload(host, modules, logs, log);
            notifier.Ready($"serving {names}");
        }

        var seconds = options.Configs.Values.Select(config => config.Get(ShutdownTimeout)).DefaultIfEmpty(0).Max();
        notifier.Stopping();
        LogStopping(log, names);
        _ = EndAtOnceAsync(signals.Reader);
        using var patience = new CancellationTokenSource(seconds == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(seconds), time);
        await host.StopAsync(patience.Token);
        if (patience.IsCancellationRequested)
        {
            LogCutOff(log, seconds);
        }

        return 0;

        void Pass(PosixSignalContext signal)
        {
            signal.Cancel = true;
            signals.Writer.TryWrite(signal.Signal);
        }
    }

    /// <exception cref="CommandException">Something is wrong with the configuration.</exception>
    private HostOptions Read(IReadOnlyList<IServiceModule> modules)
    {
        var options = CloudOptions.Read(arguments, services, time);
        ConfigCommand.Check(options, modules);

        // OpenStack's nova-api is the metadata API too, unless its configuration leaves that out.
        return arguments.Words.Contains("nova-api") && options.Listeners.Count > 0 && options.Configs["nova"].Get(EnabledApis).Contains("metadata")
            ? options with { Services = options.Services!.Append("nova-metadata-api").ToHashSet() }
            : options;
    }

    /// <summary>One process has one log: that of the first of its services.</summary>
    private LogSettings LogSettingsOf(HostOptions options)
    {
        var first = services is null ? null : arguments.Words.Select(word => ServiceNames.Canonical(word, CloudModules.Services)).FirstOrDefault(service => ServiceNames.ProjectOf(service) is not null);
        var program = first is null || services!.Count > 1 ? "sharpstack" : first;
        var config = options.Configs.GetValueOrDefault(first is null ? "keystone" : ServiceNames.ProjectOf(first)!) ?? ServiceConfig.Empty("sharpstack");
        var settings = LogSettings.Read(config, program);
        return arguments.Has("--debug") ? settings with { Level = LogLevel.Debug } : settings;
    }

    /// <exception cref="CommandException">Something could not be started; nothing is left running.</exception>
    private static async Task StartAsync(CloudHost host, ILogger log, CancellationToken cancellationToken)
    {
        try
        {
            await host.StartAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is not (CloudException or FormatException or OperationCanceledException))
        {
            LogNotStarted(log, failure);
            throw new CommandException($"the services cannot start: {failure.Message.ReplaceLineEndings(" ")}");
        }
    }

    private void Reload(CloudHost host, IReadOnlyList<IServiceModule> modules, LineLogs logs, ILogger log)
    {
        var failures = new List<string>();
        try
        {
            logs.Apply(LogSettingsOf(Read(modules)));
        }
        catch (Exception failure) when (failure is CommandException or CloudException or FormatException)
        {
            failures.Add(failure.Message);
        }

        failures.AddRange(host.Reload());
        foreach (var failure in failures)
        {
            LogNotReloaded(log, failure);
        }

        LogReloaded(log);
    }

    /// <summary>Standard output that keeps lines until it is flushed; the console's own writer makes a system call of each.</summary>
    private static StreamWriter StandardOutput() => new(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), 1 << 14);

    private static async Task EndAtOnceAsync(ChannelReader<PosixSignal> signals)
    {
        while (await signals.ReadAsync() == PosixSignal.SIGHUP)
        {
            // Too late for that.
        }

        Environment.Exit(Terminated);
    }

    [LoggerMessage(EventId = 1301, Level = LogLevel.Information, Message = "Serving {Services}")]
    private static partial void LogReady(ILogger logger, string services);

    [LoggerMessage(EventId = 1302, Level = LogLevel.Information, Message = "Told to end: {Services} finish their requests")]
    private static partial void LogStopping(ILogger logger, string services);

    [LoggerMessage(EventId = 1303, Level = LogLevel.Warning, Message = "Requests or work did not finish within {Seconds} s and are cut off")]
    private static partial void LogCutOff(ILogger logger, int seconds);

    [LoggerMessage(EventId = 1304, Level = LogLevel.Information, Message = "Certificates, policies and the options of the log are read anew")]
    private static partial void LogReloaded(ILogger logger);

    [LoggerMessage(EventId = 1305, Level = LogLevel.Error, Message = "Not read anew, and so as before: {Reason}")]
    private static partial void LogNotReloaded(ILogger logger, string reason);

    [LoggerMessage(EventId = 1306, Level = LogLevel.Critical, Message = "The services cannot start")]
    private static partial void LogNotStarted(ILogger logger, Exception failure);
}
