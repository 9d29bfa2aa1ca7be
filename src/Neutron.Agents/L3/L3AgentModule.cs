using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.OpenVSwitch;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>Brings neutron-l3-agent into the process. Needs root, Open vSwitch and iptables; radvd for IPv6 and keepalived for HA routers.</summary>
public sealed class L3AgentModule : IServiceModule
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Services => ["neutron-l3-agent"];

    /// <inheritdoc/>
    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(L3AgentOptions))
            .Concat([DhcpAgentOptions.StatePath, OpenVSwitchAgentOptions.IntegrationBridge, OpenVSwitchAgentOptions.OvsdbConnection, OpenVSwitchAgentOptions.ReportInterval])
            .Concat(BusOptions.All)
            .Select(option => ("neutron", option));

    /// <inheritdoc/>
    public void Register(ModuleContext context)
    {
        context.Services.AddSingleton(L3Settings.Read(context.Config("neutron"), context.Host));
        context.AddWorker<L3Agent>();
    }
}
