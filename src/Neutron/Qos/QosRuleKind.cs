using System.Text.Json;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.Qos;

/// <summary>Who does what a rule says.</summary>
internal enum QosSupport
{
    None,

    /// <summary>The agents, in the switch.</summary>
    Agents,

    /// <summary>Placement and Nova's scheduler: nothing is put where it would not be had.</summary>
    Scheduling,
}

/// <summary>A kind of rule: what its attributes are called, and what they may be.</summary>
/// <param name="Type">Its name on the wire: <c>bandwidth_limit</c>.</param>
/// <param name="Amount">The attribute that it is all about: <c>max_kbps</c>.</param>
/// <param name="Burst">Null where there is none.</param>
/// <param name="Directions">Empty where it has no direction.</param>
/// <param name="Support">Who sees to it.</param>
internal sealed record QosRuleKind(string Type, string Amount, string? Burst, IReadOnlyList<string> Directions, QosSupport Support)
{
    public const string AnyDirection = "any";

    private static readonly string[] BothWays = ["egress", "ingress"];

    /// <summary>The marks that a DSCP field may have by their RFCs.</summary>
    private static readonly int[] Marks = [0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56];

    public static readonly QosRuleKind BandwidthLimit = new("bandwidth_limit", "max_kbps", "max_burst_kbps", BothWays, QosSupport.Agents);
    public static readonly QosRuleKind DscpMarking = new("dscp_marking", "dscp_mark", null, [], QosSupport.Agents);
    public static readonly QosRuleKind MinimumBandwidth = new("minimum_bandwidth", "min_kbps", null, BothWays, QosSupport.Scheduling);
    public static readonly QosRuleKind PacketRateLimit = new("packet_rate_limit", "max_kpps", "max_burst_kpps", BothWays, QosSupport.None);
    public static readonly QosRuleKind MinimumPacketRate = new("minimum_packet_rate", "min_kpps", null, [.. BothWays, AnyDirection], QosSupport.Scheduling);

    public static readonly IReadOnlyList<QosRuleKind> All = [BandwidthLimit, DscpMarking, MinimumBandwidth, PacketRateLimit, MinimumPacketRate];

    /// <summary>Something sees to what it says; the others are kept, and refused by what would have to follow them.</summary>
    public bool IsSupported => Support != QosSupport.None;

    /// <summary>It asks for a part of what there is: Placement counts it.</summary>
    public bool IsGuarantee => Support == QosSupport.Scheduling;

    public static QosRuleKind Of(QosRuleRow row) => All.First(kind => kind.Type == row.Type);

    public string? CheckAmount(JsonElement value) =>
        this != DscpMarking ? Checks.Number(0, int.MaxValue)(value)
        : Checks.ToNumber(value) is { } mark && Marks.Contains(mark) ? null : $"'{Checks.Shown(value)}' is not in [{string.Join(", ", Marks)}]";

    /// <summary>What a rule says, as its own resource and within its policy.</summary>
    public void WriteParts(Utf8JsonWriter json, QosRuleRow row)
    {
        json.WriteNumber(Amount, row.Amount);
        if (Burst is not null)
        {
            json.WriteNumber(Burst, row.Burst ?? 0);
        }

        if (Directions.Count > 0)
        {
            json.WriteString("direction", row.Direction);
        }
    }

    /// <summary>The attributes and the values that they may have, as the API describes them to administrators.</summary>
    public void WriteParameters(Utf8JsonWriter json)
    {
        json.WriteStartArray();
        if (this == DscpMarking)
        {
            WriteChoices(json, Amount, () =>
            {
                foreach (var mark in Marks)
                {
                    json.WriteNumberValue(mark);
                }
            });
        }
        else
        {
            WriteRange(json, Amount);
        }

        if (Burst is not null)
        {
            WriteRange(json, Burst);
        }

        if (Directions.Count > 0)
        {
            WriteChoices(json, "direction", () =>
            {
                foreach (var direction in Directions)
                {
                    json.WriteStringValue(direction);
                }
            });
        }

        json.WriteEndArray();
    }

    private static void WriteRange(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject();
        json.WriteString("parameter_name", name);
        json.WriteString("parameter_type", "range");
        json.WriteStartObject("parameter_values");
        json.WriteNumber("start", 0);
        json.WriteNumber("end", int.MaxValue);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteChoices(Utf8JsonWriter json, string name, Action write)
    {
        json.WriteStartObject();
        json.WriteString("parameter_name", name);
        json.WriteString("parameter_type", "choices");
        json.WriteStartArray("parameter_values");
        write();
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
