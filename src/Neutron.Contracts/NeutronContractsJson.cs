using System.Text.Json.Serialization;
using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <summary>How the messages between Neutron's server and its agents are written: snake case, no nulls.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Ack))]
[JsonSerializable(typeof(AgentReport))]
[JsonSerializable(typeof(AgentReportAnswer))]
[JsonSerializable(typeof(DevicesRequest))]
[JsonSerializable(typeof(DevicesAnswer))]
[JsonSerializable(typeof(SecurityGroupsRequest))]
[JsonSerializable(typeof(SecurityGroupsAnswer))]
[JsonSerializable(typeof(DeviceStatusReport))]
[JsonSerializable(typeof(DeviceStatusAnswer))]
[JsonSerializable(typeof(DhcpNetworksRequest))]
[JsonSerializable(typeof(DhcpNetworksAnswer))]
[JsonSerializable(typeof(DhcpPortsRequest))]
[JsonSerializable(typeof(DhcpPortsAnswer))]
[JsonSerializable(typeof(DhcpPortRequest))]
[JsonSerializable(typeof(DhcpPortAnswer))]
[JsonSerializable(typeof(DhcpReadyReport))]
[JsonSerializable(typeof(L3RoutersRequest))]
[JsonSerializable(typeof(L3RoutersAnswer))]
[JsonSerializable(typeof(L3FloatingIpReport))]
[JsonSerializable(typeof(L3RouterStateReport))]
[JsonSerializable(typeof(RoutersHint))]
[JsonSerializable(typeof(MetadataInstanceRequest))]
[JsonSerializable(typeof(MetadataInstanceAnswer))]
[JsonSerializable(typeof(ViewQuery))]
[JsonSerializable(typeof(SwitchView))]
[JsonSerializable(typeof(DhcpView))]
[JsonSerializable(typeof(RoutersView))]
[JsonSerializable(typeof(PortHint))]
[JsonSerializable(typeof(NetworkHint))]
[JsonSerializable(typeof(SecurityGroupsHint))]
internal sealed partial class NeutronContractsJson : JsonSerializerContext;
