using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Neutron.Agents.OpenVSwitch;

namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>Brings neutron-dhcp-agent into the process. Needs root, Open vSwitch and dnsmasq.</summary>
public sealed class DhcpAgentModule : IServiceModule
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Services => ["neutron-dhcp-agent"];

    /// <inheritdoc/>
    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(DhcpAgentOptions))
            .Concat([OpenVSwitchAgentOptions.IntegrationBridge, OpenVSwitchAgentOptions.OvsdbConnection, OpenVSwitchAgentOptions.ReportInterval])
            .Concat(BusOptions.All)
            .Select(option => ("neutron", option));

    /// <inheritdoc/>
    public void Register(ModuleContext context)
    {
        context.Services.AddSingleton(DhcpSettings.Read(context.Config("neutron"), context.Host));
        context.AddWorker<DhcpAgent>();
    }
}
