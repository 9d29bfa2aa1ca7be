using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.LinuxHost.Kestrel;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.L3;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>Brings neutron-metadata-agent into the process. Needs root.</summary>
public sealed class MetadataAgentModule : IServiceModule
{
    private const string ServiceName = "neutron-metadata-agent";

    public IReadOnlyList<string> Services => [ServiceName];

    public IEnumerable<(string Config, ConfigOption Option)> Options => ConfigOption.DeclaredIn(typeof(MetadataAgentOptions)).Concat(BusOptions.All).Select(option => ("neutron", option));

    public void Register(ModuleContext context)
    {
        // The web server must know the end point before there is a container.
        var listeners = new NamespaceListeners(NullLoggerFactory.Instance);
        var nobody = new PolicyEnforcer([]);
        context.Services.AddSingleton(_ => listeners);
        context.Services.AddNamespaceListeners();
        context.Services.AddSingleton(new MetadataSettings(context.Config("neutron")));
        context.Services.AddSingleton(new DhcpFolders(DhcpSettings.Read(context.Config("neutron"), context.Host).Directory));
        context.Services.AddSingleton(new RouterFolders(L3Settings.DirectoryOf(context.Config("neutron"), context.Host)));
        context.Services.AddSingleton<MetadataSockets>();
        context.Services.AddSingleton<MetadataProxy>();
        context.AddWorker<MetadataAgent>();
        context.AddApi(new ApiDefinition
        {
            Name = ServiceName,
            ServiceType = "metadata",
            DefaultPort = 80,
            Errors = new WebObErrors(),
            ReadsTokens = false,
            EndPoints = [listeners.EndPoint],
            Policies = _ => nobody,
            Map = static (routes, services) => services.GetRequiredService<MetadataProxy>().Map(routes),
        });
    }
}
