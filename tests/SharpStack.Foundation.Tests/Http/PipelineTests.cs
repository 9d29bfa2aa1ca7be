using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;
using SharpStack.TestKit;

namespace SharpStack.Foundation.Tests.Http;

public sealed class PipelineTests : IAsyncLifetime
{
    private TestCloud cloud = null!;

    public async ValueTask InitializeAsync() => cloud = await TestCloud.StartAsync(new EchoModule());

    public ValueTask DisposeAsync() => cloud.DisposeAsync();

    [Fact]
    public async Task A_request_without_a_token_is_refused_with_the_way_to_keystone()
    {
        using var client = cloud.Client("echo", token: null);
        var answer = await client.GetAsync("/things/1");
        answer.Expect(401);
        Assert.Equal("Keystone uri=\"http://127.0.0.1:5000/v3\"", answer.Headers.WwwAuthenticate.ToString());
        Assert.Equal("Unauthorized", answer.Json.GetProperty("title").GetString());
    }

    [Fact]
    public async Task An_unknown_token_is_refused() => (await cloud.Client("echo", token: "forged").GetAsync("/things/1")).Expect(401);

    [Fact]
    public async Task A_public_route_needs_no_token() => (await cloud.Client("echo", token: null).GetAsync("/")).Expect(200);

    [Fact]
    public async Task A_refused_rule_is_named_and_explained_to_an_administrator_only()
    {
        var member = (await cloud.Client("echo", "demo").DeleteAsync("/things/1")).Expect(403);
        Assert.Equal("things:delete is disallowed by policy", member.Json.GetProperty("message").GetString());
        var admin = (await cloud.Client("echo", "admin").DeleteAsync("/things/1")).Expect(403);
        Assert.Contains("role:nobody_has_this", admin.Json.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_without_an_enforced_policy_is_an_error()
    {
        var answer = await cloud.Client("echo").GetAsync("/forgotten");
        answer.Expect(500);
        Assert.DoesNotContain("secret", answer.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "not valid JSON")]
    [InlineData("{\"thing\": 5}", "5 is not of type 'object'")]
    [InlineData("{\"thing\": {}}", "'name' is a required property")]
    [InlineData("{\"thing\": {\"name\": \"\"}}", "'' is too short")]
    [InlineData("{\"thing\": {\"name\": \"a\", \"size\": 1.5}}", "1.5 is not of type 'integer'")]
    [InlineData("{\"thing\": {\"name\": \"a\", \"other\": 1}}", "Additional properties are not allowed ('other' was unexpected)")]
    [InlineData("{\"thing\": {\"name\": \"a\", \"name\": \"b\"}}", "not valid JSON")]
    public async Task A_body_that_does_not_fit_is_refused_with_what_is_wrong(string body, string said)
    {
        var answer = (await cloud.Client("echo").PostAsync("/things", body)).Expect(400);
        Assert.Contains(said, answer.Json.GetProperty("message").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_body_beyond_the_limit_is_refused() =>
        (await cloud.Client("echo").PostAsync("/things", new string('x', 200_000))).Expect(413);

    [Theory]
    [InlineData(null, 200, "1.0")]
    [InlineData("echo 1.5", 200, "1.5")]
    [InlineData("echo latest", 200, "1.9")]
    [InlineData("other 7.7, echo 1.2", 200, "1.2")]
    [InlineData("other 7.7", 200, "1.0")]
    [InlineData("echo 1.10", 406, null)]
    [InlineData("echo two", 400, null)]
    public async Task Microversions_are_negotiated(string? asked, int status, string? got)
    {
        using var client = cloud.Client("echo", microversion: asked);
        var answer = (await client.GetAsync("/things/1")).Expect(status);
        if (got is not null)
        {
            Assert.Equal($"echo {got}", answer.Headers.GetValues("OpenStack-API-Version").Single());
            Assert.Equal(got, answer.Json.GetProperty("version").GetString());
        }
    }

    [Fact]
    public async Task A_route_of_later_versions_is_not_found_in_earlier_ones()
    {
        (await cloud.Client("echo", microversion: "echo 1.2").GetAsync("/late")).Expect(404);
        (await cloud.Client("echo", microversion: "echo 1.3").GetAsync("/late")).Expect(200);
    }

    [Fact]
    public async Task Every_answer_carries_its_own_request_id()
    {
        using var client = cloud.Client("echo");
        var first = (await client.GetAsync("/things/1")).Headers.GetValues("X-Openstack-Request-Id").Single();
        var second = (await client.GetAsync("/nowhere")).Headers.GetValues("X-Openstack-Request-Id").Single();
        Assert.StartsWith("req-", first, StringComparison.Ordinal);
        Assert.NotEqual(first, second);
    }

    [Fact]
    public async Task An_unknown_path_and_a_wrong_method_answer_in_the_services_shape()
    {
        Assert.Equal("Not Found", (await cloud.Client("echo").GetAsync("/nowhere")).Expect(404).Json.GetProperty("title").GetString());
        Assert.Equal("Method Not Allowed", (await cloud.Client("echo").PutAsync("/things/1", "{}")).Expect(405).Json.GetProperty("title").GetString());
    }

    [Fact]
    public async Task An_api_listens_on_its_port_of_the_address_it_was_given()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        var port = ((IPEndPoint)probe.LocalEndpoint).Port;
        probe.Stop();
        var options = new HostOptions { DataDirectory = cloud.Data, Ports = new Dictionary<string, int> { ["echo"] = port } };
        await using var host = CloudHost.Create(options, [new EchoModule()], services: container => container.AddSingleton<ITokenValidator, TestIdentities>());
        await host.StartAsync(TestContext.Current.CancellationToken);
        using var client = new HttpClient();
        Assert.Equal("null", await client.GetStringAsync(new Uri($"http://127.0.0.1:{port}/"), TestContext.Current.CancellationToken));
    }

    private sealed class EchoErrors : IApiErrors
    {
        public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
        {
            json.WriteStartObject();
            json.WriteString("title", ReasonPhrases.Of(status));
            json.WriteString("message", error.Message);
            json.WriteEndObject();
        }
    }

    private sealed class EchoModule : IServiceModule
    {
        public IReadOnlyList<string> Services => ["echo"];

        public IEnumerable<(string Config, ConfigOption Option)> Options => [];

        public void Register(ModuleContext context) => context.AddApi(new ApiDefinition
        {
            Name = "echo",
            ServiceType = "echo",
            DefaultPort = 1,
            Errors = new EchoErrors(),
            Microversions = new MicroversionRange("echo", new Microversion(1, 0), new Microversion(1, 9)),
            Policies = _ => new PolicyEnforcer(
            [
                new PolicyRule("things:get", "role:reader", "Show a thing."),
                new PolicyRule("things:create", "role:admin", "Create a thing."),
                new PolicyRule("things:delete", "role:nobody_has_this", "Delete a thing."),
            ]),
            Map = (routes, _) =>
            {
                routes.Get("/", static request => request.WriteJsonAsync(200, static json => json.WriteNullValue())).Public();
                routes.Get("/things/{id}", ShowAsync).Policy("things:get");
                routes.Delete("/things/{id}", DeleteAsync).Policy("things:delete");
                routes.Get("/forgotten", static request => request.WriteJsonAsync(200, static json => json.WriteStringValue("secret"))).Policy("things:get");
                routes.Get("/late", ShowAsync).Policy("things:get").Versions("1.3");
                routes.Post("/things", CreateAsync).Policy("things:create").Body(JsonSchema.Envelope("thing", JsonSchema.Object(
                    false, ("name!", JsonSchema.String(1, 255)), ("size", JsonSchema.Integer(0, 10)))));
            },
        });

        private static Task ShowAsync(ApiContext context)
        {
            context.Enforce();
            return context.WriteJsonAsync(200, json =>
            {
                json.WriteStartObject();
                json.WriteString("version", context.Version.ToString());
                json.WriteEndObject();
            });
        }

        private static Task DeleteAsync(ApiContext context)
        {
            context.Enforce();
            return context.NoContentAsync();
        }

        private static async Task CreateAsync(ApiContext context)
        {
            context.Enforce();
            var body = await context.ReadJsonAsync();
            await context.WriteJsonAsync(201, json => json.WriteStringValue(body.GetProperty("thing").GetProperty("name").GetString()));
        }
    }
}
