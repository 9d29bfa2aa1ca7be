using System.Text.Json.Nodes;
using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <summary>An agent's sign of life, every <c>[AGENT] report_interval</c> (30 s) and at its start.</summary>
/// <param name="AgentType">One of <see cref="AgentTypes"/>.</param>
/// <param name="Configurations">
/// What the API shows under <c>configurations</c>. The server reads of an OVS agent: <c>bridge_mappings</c> (object, physical network to bridge),
/// <c>tunnel_types</c> (list), <c>tunneling_ip</c>, <c>datapath_type</c>, <c>integration_bridge</c>, <c>vhostuser_socket_dir</c>; of a DHCP agent: nothing.
/// </param>
/// <param name="Start">True in the first report after the agent's start.</param>
public sealed record AgentReport(
    string AgentType, string Binary, string Host, JsonObject Configurations, bool Start = false, string AvailabilityZone = "nova", string Topic = "N/A");

/// <param name="AgentId">The agent's id in the API.</param>
/// <param name="Status"><c>new</c>, <c>alive</c> or <c>revived</c> (its reports had been missing).</param>
/// <param name="NeedsResync">Hints may have been lost (the server started, or took the agent for dead): ask for everything again.</param>
public sealed record AgentReportAnswer(string AgentId, string Status, bool NeedsResync, bool AdminStateUp);

/// <summary>What all agents ask.</summary>
public static class AgentContracts
{
    public static readonly BusContract<AgentReport, AgentReportAnswer> ReportState =
        new(NeutronTopics.Server, "report_state", 1, NeutronContractsJson.Default.AgentReport, NeutronContractsJson.Default.AgentReportAnswer);
}
