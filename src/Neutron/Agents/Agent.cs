using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>An agent and what it says of itself.</summary>
internal sealed class Agent(AgentRow row, bool isAlive)
{
    /// <summary>As it was when it reported something else than it does now.</summary>
    public Agent(AgentRow row, string configurations)
        : this(row, isAlive: true) => Configurations = JsonNode.Parse(configurations) as JsonObject ?? [];

    public AgentRow Row { get; } = row;

    public bool IsAlive { get; } = isAlive;

    private JsonObject Configurations { get => field ??= JsonNode.Parse(Row.Configurations) as JsonObject ?? []; init; }

    public string? Text(string name) => Configurations[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? (string?)value : null;

    public JsonObject Object(string name) => Configurations[name] as JsonObject ?? [];

    public IEnumerable<string> Texts(string name) => Configurations[name] is JsonArray list ? list.OfType<JsonValue>().Select(value => value.ToString()) : [];
}
