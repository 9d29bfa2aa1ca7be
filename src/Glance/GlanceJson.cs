using System.Text.Json;
using System.Text.Json.Serialization;

namespace SharpStack.Glance;

[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(Dictionary<string, JsonElement>))]
internal sealed partial class GlanceJson : JsonSerializerContext;
