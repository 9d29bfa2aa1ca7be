using System.Text.Json.Serialization;
using SharpStack.Foundation.Bus;

namespace SharpStack.Nova.Contracts;

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, UseStringEnumConverter = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(HostReport))]
[JsonSerializable(typeof(HostReportReply))]
[JsonSerializable(typeof(HostQuery))]
[JsonSerializable(typeof(InstanceList))]
[JsonSerializable(typeof(InstanceQuery))]
[JsonSerializable(typeof(InstanceAnswer))]
[JsonSerializable(typeof(InstanceReport))]
[JsonSerializable(typeof(InstanceReportReply))]
[JsonSerializable(typeof(ActionEventReport))]
[JsonSerializable(typeof(InstanceHint))]
[JsonSerializable(typeof(ConsoleOutputQuery))]
[JsonSerializable(typeof(ConsoleOutput))]
[JsonSerializable(typeof(DiagnosticsQuery))]
[JsonSerializable(typeof(GuestDiagnostics))]
[JsonSerializable(typeof(ImagesToCache))]
[JsonSerializable(typeof(ComputeView))]
[JsonSerializable(typeof(Ack))]
internal sealed partial class ContractJson : JsonSerializerContext;
