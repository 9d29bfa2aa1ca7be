using System.Text.Json;
using Prometheus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Observability;

/// <summary>
/// The process's meters in Prometheus' text format on <c>/metrics</c>, port 9464 (OpenTelemetry's default for its Prometheus exporter). Open to whoever
/// reaches the port, so it listens where the APIs listen: on loopback unless told otherwise.
/// </summary>
public sealed class MetricsModule : IServiceModule
{
    public const string ServiceName = "metrics";

    private const int DefaultPort = 9464;

    private static readonly ConfigOption<string> Host = new("sharpstack", "metrics_host", "127.0.0.1", "The address on which the service metrics listens.");

    private static readonly ConfigOption<int> Port = new("sharpstack", "metrics_port", DefaultPort, "The port on which the service metrics listens.") { Min = 0, Max = 65535 };

    public IReadOnlyList<string> Services => [ServiceName];

    /// <summary>In whichever configurations the process reads; the first that has them counts.</summary>
    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        ((string[])["keystone", "glance", "placement", "nova", "neutron"]).SelectMany(config => (IEnumerable<(string, ConfigOption)>)[(config, Host), (config, Port)]);

    /// <summary>Where the configurations of a process say that its metrics listen.</summary>
    public static ApiListener Listener(IEnumerable<ServiceConfig> configs)
    {
        var config = configs.FirstOrDefault(config => config.IsSet(Port) || config.IsSet(Host));
        return new ApiListener(config?.Get(Host) ?? Host.Default, config?.Get(Port) ?? DefaultPort);
    }

    public void Register(ModuleContext context)
    {
        var registry = Metrics.NewCustomRegistry();
        DotNetStats.Register(registry);
        MeterAdapter.StartListening(new MeterAdapterOptions
        {
            Registry = registry,
            MetricFactory = Metrics.WithCustomRegistry(registry),
            // The runtime's own meters repeat what DotNetStats gives, a hundred series wide.
            InstrumentFilterPredicate = instrument => instrument.Meter.Name.StartsWith("SharpStack.", StringComparison.Ordinal),
        });
        context.AddApi(new ApiDefinition
        {
            Name = ServiceName,
            ServiceType = ServiceName,
            DefaultPort = DefaultPort,
            Errors = new PlainErrors(),
            Policies = _ => new PolicyEnforcer([]),
            Map = (routes, _) => routes.Get("/metrics", async request =>
            {
                request.Http.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
                await registry.CollectAndExportAsTextAsync(request.Http.Response.Body, request.Aborted);
            }).Public(),
        });
    }

    private sealed class PlainErrors : IApiErrors
    {
        public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
        {
            json.WriteStartObject();
            json.WriteString("message", error.Message);
            json.WriteEndObject();
        }
    }
}
