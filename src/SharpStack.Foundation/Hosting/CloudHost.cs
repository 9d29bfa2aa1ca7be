using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Hosting;

/// <summary>The process: one web server, one container, the APIs and workers of the modules that it runs.</summary>
public sealed class CloudHost : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly MemoryTransport memory;
    private readonly List<IWorker> started = [];
    private readonly IReadOnlyList<Type> workers;
    private readonly IReadOnlyList<ApiDefinition> apis;

    private CloudHost(
        WebApplication app, MemoryTransport memory, IReadOnlyList<Type> workers, IReadOnlyDictionary<string, ApiRoutes> routes, IReadOnlyList<ApiDefinition> apis)
    {
        this.app = app;
        this.memory = memory;
        this.workers = workers;
        Routes = routes;
        this.apis = apis;
    }

    public IServiceProvider Services => app.Services;

    /// <summary>All routes, by API; for the coverage pages and the tests that walk them.</summary>
    public IReadOnlyDictionary<string, ApiRoutes> Routes { get; }

    /// <summary>Who may do what, by API.</summary>
    public IReadOnlyDictionary<string, PolicyEnforcer> Policies => field ??= apis.ToDictionary(api => api.Name, api => api.Policies(app.Services));

    public static CloudHost Create(HostOptions options, IEnumerable<IServiceModule> modules, Action<ILoggingBuilder>? logging = null, Action<IServiceCollection>? services = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        // First of all, as it brings the transport for sockets only where no other one is there yet.
        builder.WebHost.UseKestrelCore();
        var memory = new MemoryTransport();
        // The web server logs two lines a request, which say less than our own one.
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        logging?.Invoke(builder.Logging);
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(options.Time);
        builder.Services.AddSingleton<InProcessBus>();
        builder.Services.AddSingleton<IMessageBus>(provider => provider.GetRequiredService<InProcessBus>());
        var context = new ModuleContext(builder.Services, options);
        foreach (var module in modules.Where(module => module.Services.Any(options.IsEnabled)))
        {
            module.Register(context);
        }

        builder.Services.AddSingleton(new InternalRoutes(context.Apis.ToDictionary(api => (options.PublicHost, options.Port(api.Name, api.DefaultPort)), api => api.Name), memory));
        builder.Services.AddSingleton<ServiceClients>();
        services?.Invoke(builder.Services);
        // Keystone registers its own; a process without it asks by HTTP.
        builder.Services.TryAddSingleton<ITokenValidator, HttpTokenValidator>();
        // Beside the transports that modules brought (sockets in network namespaces).
        builder.Services.AddSingleton<IConnectionListenerFactory>(memory);
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, context, options));
        var app = builder.Build();
        var delegates = new Dictionary<string, RequestDelegate>();
        var routes = new Dictionary<string, ApiRoutes>();
        foreach (var api in context.Apis)
        {
            delegates[api.Name] = ApiPipeline.Build(api, app.Services, out var mapped);
            routes[api.Name] = mapped;
        }

        app.Run(http => delegates[http.Features.GetRequiredFeature<ApiFeature>().Api](http));
        return new CloudHost(app, memory, context.Workers, routes, context.Apis);
    }

    /// <summary>Starts the workers in order, then listens.</summary>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        // The APIs answer first within the process: a worker may ask another service while it starts.
        await app.StartAsync(cancellationToken);
        foreach (var type in workers)
        {
            var worker = (IWorker)app.Services.GetRequiredService(type);
            await worker.StartAsync(cancellationToken);
            started.Add(worker);
        }
    }

    /// <summary>A client of one API of this process, through memory.</summary>
    public HttpClient CreateClient(string api) =>
        new(new SocketsHttpHandler { ConnectCallback = (_, _) => ValueTask.FromResult(memory.Connect(api)), AllowAutoRedirect = false }) { BaseAddress = new Uri($"http://{api}.local/") };

    public async ValueTask DisposeAsync()
    {
        for (var i = started.Count - 1; i >= 0; i--)
        {
            await started[i].StopAsync(CancellationToken.None);
        }

        started.Clear();
        await app.StopAsync();
        await app.DisposeAsync();
    }

    private static void Configure(KestrelServerOptions kestrel, ModuleContext context, HostOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        foreach (var api in context.Apis)
        {
            void Mark(ListenOptions listen) => listen.Use(next => connection =>
            {
                connection.Features.Set(new ApiFeature(api.Name));
                return next(connection);
            });
            kestrel.Listen(new MemoryEndPoint(api.Name), Mark);
            if (api.EndPoints is not null)
            {
                foreach (var endpoint in api.EndPoints)
                {
                    kestrel.Listen(endpoint, Mark);
                }
            }
            else if (options.Listen is not null)
            {
                kestrel.Listen(new IPEndPoint(options.Listen, options.Port(api.Name, api.DefaultPort)), Mark);
            }
        }
    }

    private sealed record ApiFeature(string Api);
}

/// <summary>Which addresses are APIs of this process, so that a call to one of them takes no socket.</summary>
internal sealed class InternalRoutes(IReadOnlyDictionary<(string Host, int Port), string> apis, MemoryTransport memory)
{
    public bool TryConnect(string host, int port, out Stream stream)
    {
        if (apis.TryGetValue((host, port), out var api))
        {
            stream = memory.Connect(api);
            return true;
        }

        stream = Stream.Null;
        return false;
    }
}
