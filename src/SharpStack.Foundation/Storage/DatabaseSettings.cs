using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace SharpStack.Foundation.Storage;

/// <summary>How a service uses its database; the options of <see cref="DatabaseOptions"/>, with their defaults.</summary>
public sealed record DatabaseSettings
{
    /// <summary>Whose database it is, in logs and metrics: <c>nova</c>.</summary>
    public string Service { get; init; } = "";

    /// <summary>Connections at most, those that are kept and those that overflow.</summary>
    public int MaxConnections { get; init; } = 55;

    /// <summary>How long a request waits for a free connection.</summary>
    public TimeSpan PoolTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A connection older than this is replaced; <see cref="TimeSpan.Zero"/> for never.</summary>
    public TimeSpan RecycleTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How often a database that does not answer is tried again at the start; -1 for ever.</summary>
    public int MaxRetries { get; init; } = 10;

    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether a request waits for a database that went away, instead of ending with 503.</summary>
    public bool UseReconnect { get; init; }

    /// <summary>How often a transaction is repeated that lost against another, and a request with <see cref="UseReconnect"/> tries again; -1 for ever.</summary>
    public int OperationRetries { get; init; } = 20;

    public TimeSpan OperationRetryInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Whether the interval doubles with each try, up to <see cref="MaxOperationRetryInterval"/>.</summary>
    public bool IncreaseRetryInterval { get; init; } = true;

    public TimeSpan MaxOperationRetryInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>MariaDB's <c>sql_mode</c> for our connections.</summary>
    public string SqlMode { get; init; } = "TRADITIONAL";

    public ILogger Log { get; init; } = NullLogger.Instance;

    /// <summary>Measures waits for the database; real time also where the service's own clock is a test's.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}
