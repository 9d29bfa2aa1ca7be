using System.Text.Json.Serialization;
using SharpStack.Foundation.Bus;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Notifications;

/// <summary>There is work of that name for the server that does it.</summary>
/// <param name="Id">What it is about; null for all there is.</param>
internal sealed record WorkHint(string Work, string? Id = null);

/// <summary>What the servers tell each other.</summary>
internal static class ServerHints
{
    /// <summary>To all servers, for one of them does such work at a time.</summary>
    public static readonly BusContract<WorkHint, Ack> WorkToDo =
        new(NeutronTopics.Server, "work_to_do", 1, ServerJson.Default.WorkHint, ServerJson.Default.Ack);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(WorkHint))]
[JsonSerializable(typeof(Ack))]
internal sealed partial class ServerJson : JsonSerializerContext;
