using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Hosting;

/// <summary>The process: one web server, one container, the APIs and workers of the modules that it runs.</summary>
public sealed class CloudHost : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly MemoryTransport memory;
    private readonly TaskCompletionSource open;
    private readonly IReadOnlyList<ServerCertificate> certificates;
    private readonly List<IWorker> started = [];
    private readonly IReadOnlyList<Type> workers;
    private readonly IReadOnlyDictionary<string, ApiPipeline> apis;
    private readonly Requests requests;

    private CloudHost(
        WebApplication app,
        MemoryTransport memory,
        TaskCompletionSource open,
        Requests requests,
        IReadOnlyList<ServerCertificate> certificates,
        IReadOnlyList<Type> workers,
        IReadOnlyDictionary<string, ApiRoutes> routes,
        IReadOnlyDictionary<string, ApiPipeline> apis)
    {
        this.app = app;
        this.memory = memory;
        this.open = open;
        this.requests = requests;
        this.certificates = certificates;
        this.workers = workers;
        Routes = routes;
        this.apis = apis;
    }

    public IServiceProvider Services => app.Services;

    /// <summary>All routes, by API; for the coverage pages and the tests that walk them.</summary>
    public IReadOnlyDictionary<string, ApiRoutes> Routes { get; }

    /// <summary>Who may do what, by API.</summary>
    public IReadOnlyDictionary<string, PolicyEnforcer> Policies => apis.ToDictionary(pair => pair.Key, pair => pair.Value.Policies);

    public static CloudHost Create(HostOptions options, IEnumerable<IServiceModule> modules, Action<ILoggingBuilder>? logging = null, Action<IServiceCollection>? services = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        // First of all, as it brings the transport for sockets only where no other one is there yet.
        builder.WebHost.UseKestrelCore();
        var memory = new MemoryTransport();
        // The web server logs two lines a request, which say less than our own one.
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        // What it would say of failures the pipeline says itself; as long as it may speak, it keeps a scope and an activity for each request.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        logging?.Invoke(builder.Logging);
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(options.Time);
        builder.Services.AddSingleton<InProcessBus>();
        builder.Services.AddSingleton<IMessageBus, BusRouter>();
        var context = new ModuleContext(builder.Services, options);
        foreach (var module in modules.Where(module => module.Services.Any(options.IsEnabled)))
        {
            module.Register(context);
        }

        var listeners = Listeners(context, options);
        var certificates = listeners.Values.Select(listener => listener?.Certificate).OfType<CertificateFiles>().Distinct().ToDictionary(files => files, files => new ServerCertificate(files));
        builder.Services.AddSingleton(new InternalRoutes(LocalRoutes(context, options, listeners), memory));
        builder.Services.AddSingleton<ServiceClients>();
        builder.Services.AddSingleton<SharedCaches>();
        services?.Invoke(builder.Services);
        // Keystone registers its own; a process without it asks by HTTP.
        builder.Services.TryAddSingleton<ITokenValidator, HttpTokenValidator>();
        // Beside the transports that modules brought (sockets in network namespaces).
        builder.Services.AddSingleton<IConnectionListenerFactory>(memory);
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        builder.Services.AddSingleton<IConnectionListenerFactory>(provider => ActivatorUtilities.CreateInstance<GatedTransport>(provider, open.Task));
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(hosting => hosting.ShutdownTimeout = Timeout.InfiniteTimeSpan);
        builder.WebHost.ConfigureKestrel(kestrel => Configure(kestrel, context, listeners, certificates));
        var app = builder.Build();
        var delegates = new Dictionary<string, RequestDelegate>();
        var routes = new Dictionary<string, ApiRoutes>();
        var pipelines = new Dictionary<string, ApiPipeline>();
        foreach (var api in context.Apis)
        {
            delegates[api.Name] = ApiPipeline.Build(api, app.Services, out var mapped, out var pipeline);
            routes[api.Name] = mapped;
            pipelines[api.Name] = pipeline;
        }

        var requests = new Requests();
        app.Run(http =>
        {
            var feature = http.Features.GetRequiredFeature<ApiFeature>();
            if (feature.IsLocal)
            {
                return delegates[feature.Api](http);
            }

            if (listeners[feature.Api] is { TrustsProxy: true })
            {
                ProxyHeaders.Apply(http.Request);
            }

            return requests.RunAsync(http, delegates[feature.Api]);
        });
        return new CloudHost(app, memory, open, requests, [.. certificates.Values], context.Workers, routes, pipelines);
    }

    /// <summary>Takes the ports, starts the workers in order, then answers at the ports.</summary>
    /// <exception cref="CloudException">A port is taken, or a worker cannot do its work.</exception>
    public async Task StartAsync(CancellationToken cancellationToken = default)
    {
        // The APIs answer first within the process: a worker may ask another service while it starts.
        try
        {
            await app.StartAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is IOException or System.Net.Sockets.SocketException)
        {
            throw CloudException.Unavailable(failure.Message, inner: failure);
        }

        foreach (var type in workers)
        {
            var worker = (IWorker)app.Services.GetRequiredService(type);
            await worker.StartAsync(cancellationToken);
            started.Add(worker);
        }

        open.TrySetResult();
    }

    /// <summary>Takes certificates and policies as their files are now, for what comes from here on; open connections stay.</summary>
    /// <returns>What could not be used, and so stays as it was.</returns>
    public IReadOnlyList<string> Reload()
    {
        var failures = new List<string>();
        foreach (var reload in certificates.Select(certificate => (Action)certificate.Reload).Concat(apis.Values.Select(api => (Action)api.ReloadPolicies)))
        {
            try
            {
                reload();
            }
            catch (Exception failure) when (failure is CloudException or PolicyDefinitionException or IOException or UnauthorizedAccessException)
            {
                failures.Add(failure.Message);
            }
        }

        return failures;
    }

    /// <summary>
    /// Stops: nobody is let in any more, requests that have begun are answered, then the workers end. What has not ended when <paramref name="patience"/> is cancelled is cut off.
    /// </summary>
    public async Task StopAsync(CancellationToken patience)
    {
        // The services of this process reach each other until the last of these requests is answered.
        await app.Services.GetServices<IConnectionListenerFactory>().OfType<GatedTransport>().First().CloseAsync();
        await requests.DrainAsync(patience);
        await app.StopAsync(patience);
        for (var i = started.Count - 1; i >= 0; i--)
        {
            try
            {
                await started[i].StopAsync(patience).WaitAsync(patience);
            }
            catch (OperationCanceledException) when (patience.IsCancellationRequested)
            {
                // The next ones still get the chance to let go at once.
            }
        }

        started.Clear();
    }

    /// <summary>A client of one API of this process, through memory.</summary>
    public HttpClient CreateClient(string api) =>
        new(new SocketsHttpHandler { ConnectCallback = (_, _) => ValueTask.FromResult(memory.Connect(api)), AllowAutoRedirect = false }) { BaseAddress = new Uri($"http://{api}.local/") };

    public async ValueTask DisposeAsync()
    {
        await StopAsync(CancellationToken.None);
        await app.DisposeAsync();
    }

    /// <summary>Where each API listens; null for within the process only, or at end points of its own.</summary>
    private static Dictionary<string, ApiListener?> Listeners(ModuleContext context, HostOptions options) =>
        context.Apis.ToDictionary(api => api.Name, api => api.EndPoints is null ? options.ListenerOf(api.Name, api.DefaultPort) : null);

    /// <summary>The addresses that are known to lead here: those under which the cloud is known, and those that are listened on.</summary>
    private static Dictionary<(string Host, int Port), string> LocalRoutes(ModuleContext context, HostOptions options, Dictionary<string, ApiListener?> listeners)
    {
        var routes = new Dictionary<(string Host, int Port), string>();
        foreach (var api in context.Apis)
        {
            if (options.Listeners.GetValueOrDefault(api.Name) is not { } configured)
            {
                routes[(options.PublicHost, options.Port(api.Name, api.DefaultPort))] = api.Name;
            }
            else if (listeners[api.Name] is not null && configured.Certificate is null)
            {
                foreach (var name in configured.LocalNames)
                {
                    routes[(name, configured.Port)] = api.Name;
                }
            }
        }

        return routes;
    }

    private static void Configure(
        KestrelServerOptions kestrel, ModuleContext context, Dictionary<string, ApiListener?> listeners, Dictionary<CertificateFiles, ServerCertificate> certificates)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        // Without any end point the web server would choose one by itself: port 5000, Keystone's.
        kestrel.Listen(new MemoryEndPoint(""));
        foreach (var api in context.Apis)
        {
            Action<ListenOptions> Marked(bool isLocal) => listen => listen.Use(next => connection =>
            {
                connection.Features.Set(new ApiFeature(api.Name, isLocal));
                return next(connection);
            });
            kestrel.Listen(new MemoryEndPoint(api.Name), Marked(isLocal: true));
            if (api.EndPoints is not null)
            {
                foreach (var endpoint in api.EndPoints)
                {
                    kestrel.Listen(endpoint, Marked(isLocal: false));
                }
            }
            else if (listeners[api.Name] is { } listener)
            {
                foreach (var endpoint in listener.EndPoints())
                {
                    kestrel.Listen(endpoint, listen =>
                    {
                        if (listener.Certificate is not null)
                        {
                            var certificate = certificates[listener.Certificate];
                            listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(certificate.Options) });
                        }

                        Marked(isLocal: false)(listen);
                    });
                }
            }
        }
    }

    /// <param name="Api">The API that the connection is to.</param>
    /// <param name="IsLocal">It comes from another service of this process.</param>
    private sealed record ApiFeature(string Api, bool IsLocal);

    /// <summary>The requests from outside that are being answered.</summary>
    private sealed class Requests
    {
        private readonly TaskCompletionSource none = new(TaskCreationOptions.RunContinuationsAsynchronously);

        // One more than there are, until they are awaited.
        private int count = 1;
        private volatile bool draining;

        public async Task RunAsync(HttpContext http, RequestDelegate answer)
        {
            http.Response.OnStarting(CloseWhenDrainingAsync, http.Response);
            Interlocked.Increment(ref count);
            try
            {
                await answer(http);
            }
            finally
            {
                Leave();
            }
        }

        public async Task DrainAsync(CancellationToken patience)
        {
            if (!draining)
            {
                draining = true;
                Leave();
            }

            try
            {
                await none.Task.WaitAsync(patience);
            }
            catch (OperationCanceledException)
            {
                // They are cut off.
            }
        }

        private Task CloseWhenDrainingAsync(object response)
        {
            if (draining)
            {
                ((HttpResponse)response).Headers.Connection = "close";
            }

            return Task.CompletedTask;
        }

        private void Leave()
        {
            if (Interlocked.Decrement(ref count) == 0)
            {
                none.TrySetResult();
            }
        }
    }
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
