using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Neutron.Agents.OpenVSwitch;

/// <summary>Brings neutron-openvswitch-agent into the process.</summary>
public sealed class OpenVSwitchAgentModule : IServiceModule
{
    /// <inheritdoc/>
    public IReadOnlyList<string> Services => ["neutron-openvswitch-agent"];

    /// <inheritdoc/>
    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ConfigOption.DeclaredIn(typeof(OpenVSwitchAgentOptions)).Append(AgentOptions.BridgeMappings).Concat(ConfigOption.DeclaredIn(typeof(ResourceProviderOptions))).Concat(BusOptions.All).Select(option => ("neutron", option));

    /// <inheritdoc/>
    public void Register(ModuleContext context)
    {
        context.Services.AddSingleton(AgentSettings.Read(context.Config("neutron"), context.Host.HostName));
        context.AddWorker<OpenVSwitchAgent>();
    }
}
