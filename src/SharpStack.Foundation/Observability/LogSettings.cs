using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Observability;

/// <summary>What is logged, how and where: oslo.log's options, the same in every service.</summary>
public sealed record LogSettings
{
    private static readonly ConfigOption<bool> DebugOption = new("DEFAULT", "debug", false, "Log what helps to find faults too. Taken anew on SIGHUP.");

    private static readonly ConfigOption<string> FileOption = new("DEFAULT", "log_file", "", "The file to log to; relative to log_dir. Empty for standard output, or SERVICE.log in log_dir where that is set.") { DeprecatedNames = ["logfile"] };

    private static readonly ConfigOption<string> FolderOption = new("DEFAULT", "log_dir", "", "The folder of log files.") { DeprecatedNames = ["logdir"] };

    private static readonly ConfigOption<bool> JsonOption = new("DEFAULT", "use_json", false, "Log each event as a JSON object on a line of its own.");

    private static readonly ConfigOption<IReadOnlyList<string>> LevelsOption = new(
        "DEFAULT", "default_log_levels", [], "Levels by logger, as SharpStack.Nova=DEBUG,SharpStack.Http=WARNING: for the logger and those below it. Names of another program's loggers do nothing.");

    private static readonly Dictionary<string, LogLevel> Names = new(StringComparer.OrdinalIgnoreCase)
    {
        ["DEBUG"] = LogLevel.Debug,
        ["INFO"] = LogLevel.Information,
        ["WARN"] = LogLevel.Warning,
        ["WARNING"] = LogLevel.Warning,
        ["ERROR"] = LogLevel.Error,
        ["CRITICAL"] = LogLevel.Critical,
    };

    /// <summary>All of them, for validation and samples.</summary>
    public static IEnumerable<ConfigOption> Options { get; } = [DebugOption, FileOption, FolderOption, JsonOption, LevelsOption];

    public LogLevel Level { get; init; } = LogLevel.Information;

    /// <summary>By the beginning of the logger's name.</summary>
    public IReadOnlyDictionary<string, LogLevel> Levels { get; init; } = new Dictionary<string, LogLevel>();

    /// <summary>Null for the output that the process was started with.</summary>
    public string? File { get; init; }

    public bool Json { get; init; }

    /// <param name="config">The service whose options these are.</param>
    /// <param name="program">The name of the log file where only its folder is configured.</param>
    /// <exception cref="FormatException">A level that there is not.</exception>
    public static LogSettings Read(ServiceConfig config, string program)
    {
        var (file, folder) = (config.Get(FileOption), config.Get(FolderOption));
        return new LogSettings
        {
            Level = config.Get(DebugOption) ? LogLevel.Debug : LogLevel.Information,
            Levels = config.Get(LevelsOption).Select(Parse).GroupBy(pair => pair.Logger).ToDictionary(group => group.Key, group => group.Last().Level),
            File = file.Length > 0 ? Path.Combine(folder, file) : folder.Length > 0 ? Path.Combine(folder, program + ".log") : null,
            Json = config.Get(JsonOption),
        };
    }

    /// <summary>The least level that a logger writes.</summary>
    internal LogLevel LevelOf(string logger)
    {
        for (var name = logger; name.Length > 0; name = name.LastIndexOf('.') is > 0 and var dot ? name[..dot] : "")
        {
            if (Levels.TryGetValue(name, out var level))
            {
                return level;
            }
        }

        return Level;
    }

    private static (string Logger, LogLevel Level) Parse(string pair)
    {
        var equals = pair.IndexOf('=', StringComparison.Ordinal);
        return equals > 0 && Names.TryGetValue(pair[(equals + 1)..].Trim(), out var level)
            ? (pair[..equals].Trim(), level)
            : throw new FormatException($"[DEFAULT] default_log_levels: '{pair}' should be LOGGER=LEVEL, the level one of {string.Join(", ", Names.Keys)}");
    }
}
