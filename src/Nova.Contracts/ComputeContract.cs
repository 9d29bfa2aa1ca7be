using SharpStack.Foundation.Bus;

namespace SharpStack.Nova.Contracts;

/// <summary>What Nova tells and asks a compute host; always addressed to one host.</summary>
public static class ComputeContract
{
    public static readonly BusTopic Topic = new("nova", "nova-compute");

    /// <summary>A hint: the instance, one of its ports (plugged, unplugged) or its pending action changed; look at it.</summary>
    public static readonly BusContract<InstanceHint, Ack> InstanceChanged =
        new(Topic, "instance_changed", 1, ContractJson.Default.InstanceHint, ContractJson.Default.Ack);

    /// <summary>The text of the guest's serial console.</summary>
    /// <exception cref="Foundation.CloudException">Conflict where the guest has no console at the moment.</exception>
    public static readonly BusContract<ConsoleOutputQuery, ConsoleOutput> GetConsoleOutput =
        new(Topic, "get_console_output", 1, ContractJson.Default.ConsoleOutputQuery, ContractJson.Default.ConsoleOutput);

    /// <summary>What a guest has used.</summary>
    /// <exception cref="Foundation.CloudException">Conflict where the guest does not run.</exception>
    public static readonly BusContract<DiagnosticsQuery, GuestDiagnostics> GetDiagnostics =
        new(Topic, "get_diagnostics", 1, ContractJson.Default.DiagnosticsQuery, ContractJson.Default.GuestDiagnostics);

    /// <summary>Fetch images ahead of need; best effort.</summary>
    public static readonly BusContract<ImagesToCache, Ack> CacheImages =
        new(Topic, "cache_images", 1, ContractJson.Default.ImagesToCache, ContractJson.Default.Ack);
    /// <summary>What the host has: guests, files, interfaces. For an audit; it may take seconds.</summary>
    public static readonly BusContract<HostQuery, ComputeView> Inspect =
        new(Topic, "inspect", 1, ContractJson.Default.HostQuery, ContractJson.Default.ComputeView);
}

public sealed record ConsoleOutputQuery(string Id)
{
    /// <summary>The last lines only; null for all that is kept.</summary>
    public int? Lines { get; init; }
}

public sealed record ConsoleOutput(string Text);
