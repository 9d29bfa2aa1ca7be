using System.Text.Json.Serialization;
using SharpStack.Neutron.Contracts;
using SharpStack.Nova.Contracts;

namespace SharpStack.Audit;

/// <summary>What one host has; null for what it does not do, or what could not be looked at.</summary>
internal sealed record HostView(string Host, ComputeView? Compute, SwitchView? Switch, DhcpView? Dhcp)
{
    /// <summary>Its routers; null for what it does not do.</summary>
    public RoutersView? Routers { get; init; }

    /// <summary>What could not be looked at, and why.</summary>
    public IReadOnlyList<string> Failures { get; init; } = [];
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(HostView))]
[JsonSerializable(typeof(AuditReport))]
internal sealed partial class AuditJson : JsonSerializerContext;
