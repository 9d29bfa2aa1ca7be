using System.Collections.Concurrent;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.TestKit;

namespace SharpStack.Neutron.Tests;

/// <summary>The two APIs that an event passes: Keystone gives a token, Nova takes the event. What Nova makes of it is Nova's to test.</summary>
internal sealed class NovaStandIn : IServiceModule, IApiErrors
{
    private int refused;

    public bool IsAway { get; set; }

    public int Refused => refused;

    public ConcurrentQueue<(string Name, string Server, string Tag)> Events { get; } = new();

    public IReadOnlyList<string> Services => ["keystone", "nova-api"];

    public IEnumerable<(string Config, ConfigOption Option)> Options => [];

    public void Register(ModuleContext context)
    {
        context.AddApi(Api("keystone", "identity", 5000, "/v3/auth/tokens", GiveTokenAsync));
        context.AddApi(Api("nova-api", "compute", 8774, "/v2.1/os-server-external-events", TakeAsync));
    }

    public Task HeardAsync((string Name, string Server, string Tag) wanted) => Eventually.TrueAsync(() => Events.Contains(wanted), $"Nova heard {wanted}");

    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId) => json.WriteStringValue(error.Message);

    private ApiDefinition Api(string name, string type, int port, string path, ApiHandler handler) =>
        new()
        {
            Name = name,
            ServiceType = type,
            DefaultPort = port,
            Errors = this,
            Policies = static _ => new PolicyEnforcer([]),
            Map = (routes, _) => routes.Post(path, handler).Public(),
        };

    private static Task GiveTokenAsync(ApiContext context)
    {
        context.Http.Response.Headers["X-Subject-Token"] = "service";
        return context.WriteJsonAsync(201, static json => json.WriteRawValue(
            """{"token": {"expires_at": "2099-01-01T00:00:00.000000Z", "catalog": [{"type": "compute", "endpoints": [{"interface": "internal", "region_id": "RegionOne", "url": "http://127.0.0.1:8774/v2.1"}]}, {"type": "placement", "endpoints": [{"interface": "internal", "region_id": "RegionOne", "url": "http://127.0.0.1:8778"}]}]}}"""));
    }

    private async Task TakeAsync(ApiContext context)
    {
        Assert.Equal("service", context.Http.Request.Headers["X-Auth-Token"]);
        if (IsAway)
        {
            Interlocked.Increment(ref refused);
            throw CloudException.Unavailable("away");
        }

        var body = await context.ReadJsonAsync();
        foreach (var item in body.GetProperty("events").EnumerateArray())
        {
            Assert.Equal("completed", item.Text("status"));
            Events.Enqueue((item.Text("name"), item.Text("server_uuid"), item.Text("tag")));
        }

        await context.WriteJsonAsync(200, static json => json.WriteRawValue("{}"));
    }
}
