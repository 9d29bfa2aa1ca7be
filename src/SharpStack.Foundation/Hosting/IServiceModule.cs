using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;

namespace SharpStack.Foundation.Hosting;

/// <summary>What one project (Keystone, Nova, Nova.Compute …) brings into the process.</summary>
public interface IServiceModule
{
    /// <summary>The services in it, by OpenStack's names: <c>nova-api</c>, <c>nova-conductor</c>, <c>nova-scheduler</c>.</summary>
    IReadOnlyList<string> Services { get; }

    /// <summary>The options that it reads, for validation and samples; by configuration (<c>nova</c>, <c>neutron</c>).</summary>
    IEnumerable<(string Config, ConfigOption Option)> Options { get; }

    /// <summary>Adds its types to the container and its APIs to the host; must not open anything yet.</summary>
    void Register(ModuleContext context);
}

/// <summary>
/// Work that runs as long as the process: opened in order of registration after the container is built and before the APIs listen, closed in reverse order.
/// Register with <see cref="ModuleContext.AddWorker{T}"/>.
/// </summary>
public interface IWorker
{
    /// <summary>Opens databases, subscribes, starts reconcilers; returns when the service can answer.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    Task StopAsync(CancellationToken cancellationToken);
}

/// <summary>What a module sees while it registers.</summary>
public sealed class ModuleContext
{
    private readonly Func<string, bool> enabled;
    private readonly Func<string, ServiceConfig> configs;

    internal ModuleContext(IServiceCollection services, HostOptions host)
    {
        Services = services;
        Host = host;
        enabled = host.IsEnabled;
        configs = host.ConfigOf;
    }

    public IServiceCollection Services { get; }

    public HostOptions Host { get; }

    internal List<ApiDefinition> Apis { get; } = [];

    internal List<Type> Workers { get; } = [];

    /// <summary>Whether this process runs the service of that name.</summary>
    public bool Runs(string service) => enabled(service);

    /// <summary>The configuration read from the files of <c>keystone</c>, <c>glance</c>, <c>placement</c>, <c>nova</c> or <c>neutron</c>.</summary>
    public ServiceConfig Config(string name) => configs(name);

    public void AddApi(ApiDefinition api) => Apis.Add(api);

    public void AddWorker<T>()
        where T : class, IWorker
    {
        Services.AddSingleton<T>();
        Workers.Add(typeof(T));
    }
}
