namespace SharpStack.LinuxHost.Processes;

/// <summary>A long-running child: what to run and where its traces go.</summary>
public sealed record ProcessSpec
{
    /// <summary>Absolute path, or a name looked up in PATH.</summary>
    public required string FileName { get; init; }

    /// <summary>Passed as they are; no shell looks at them.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Holds the process id and, in a second line, its start time: together they name one process for ever.</summary>
    public required string PidFile { get; init; }

    /// <summary>Standard output and error are appended here. Null: discarded.</summary>
    public string? LogFile { get; init; }

    /// <summary>The network namespace it runs in; null for this process's own.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Added to, or replacing, this process's environment.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    public string? WorkingDirectory { get; init; }
}
