using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests;

/// <summary>A bootstrapped identity service in this process, with few bcrypt rounds.</summary>
internal sealed class IdentityCloud : IAsyncDisposable
{
    public const string AdminPassword = "admin-secret";
    public const string Url = "http://127.0.0.1:5000/v3";

    private readonly TestCloud cloud;

    private IdentityCloud(TestCloud cloud, string adminToken)
    {
        this.cloud = cloud;
        AdminToken = adminToken;
        Admin = Client(adminToken);
    }

    public string AdminToken { get; }

    /// <summary>A client with a token of the administrator on project admin.</summary>
    public TestClient Admin { get; }

    public TestCloud Cloud => cloud;

    public static Task<IdentityCloud> StartAsync(TimeProvider? time = null, params (string Group, string Name, string Value)[] settings) => StartAsync(time, null, settings);

    /// <summary>One that listens on a port of 127.0.0.1, for clients that are programs of their own.</summary>
    public static Task<IdentityCloud> ListenAsync(int port, params (string Group, string Name, string Value)[] settings) => StartAsync(null, port, null, settings);

    /// <param name="services">What the process has beside, or instead.</param>
    public static Task<IdentityCloud> StartAsync(TimeProvider? time, Action<IServiceCollection>? services, params (string Group, string Name, string Value)[] settings) => StartAsync(time, null, services, settings);

    private static async Task<IdentityCloud> StartAsync(TimeProvider? time, int? port, Action<IServiceCollection>? services, (string Group, string Name, string Value)[] settings)
    {
        var url = port is null ? Url : $"http://127.0.0.1:{port}/v3";
        var cloud = await TestCloud.StartAsync(
            [new KeystoneModule()],
            [("keystone", "identity", "password_hash_rounds", "4"), .. settings.Select(static s => ("keystone", s.Group, s.Name, s.Value))],
            time: time,
            services: services,
            keystone: true,
            ports: port is null ? null : new Dictionary<string, int> { ["keystone"] = port.Value });
        await cloud.Get<KeystoneBootstrap>().RunAsync(
            new(AdminPassword) { PublicUrl = url, InternalUrl = url, AdminUrl = url }, TestContext.Current.CancellationToken);
        using var anonymous = cloud.Client("keystone", null);
        return new(cloud, TokenOf(await anonymous.PostAsync("/v3/auth/tokens", PasswordAuth("admin", AdminPassword, ProjectScope("admin")))));
    }

    public TestClient Client(string? token) => cloud.Client("keystone", token);

    public static string PasswordAuth(string user, string password, string? scope = null, string domain = "default") => Auth(
        $$"""{"methods": ["password"], "password": {"user": {"name": "{{user}}", "domain": {"id": "{{domain}}" }, "password": "{{password}}" } } }""", scope);

    public static string TokenAuth(string token, string? scope = null) => Auth($$"""{"methods": ["token"], "token": {"id": "{{token}}" } }""", scope);

    private static string Auth(string identity, string? scope) =>
        scope is null ? $$"""{"auth": {"identity": {{identity}} } }""" : $$"""{"auth": {"identity": {{identity}}, "scope": {{scope}} } }""";

    public static string ProjectScope(string name) => $$"""{"project": {"name": "{{name}}", "domain": {"id": "default"} } }""";

    public const string SystemScope = """{"system": {"all": true}}""";

    public static string TokenOf(TestAnswer answer) => answer.Expect(201).Headers.GetValues("X-Subject-Token").Single();

    /// <summary>Asks for a token and gives the whole answer.</summary>
    public async Task<TestAnswer> AuthenticateAsync(string body, string query = "")
    {
        using var client = Client(null);
        return await client.PostAsync("/v3/auth/tokens" + query, body);
    }

    public async Task<string> TokenAsync(string user, string password, string? scope = null) =>
        TokenOf(await AuthenticateAsync(PasswordAuth(user, password, scope)));

    public Task<TestAnswer> ValidateAsync(string subject, string? by = null, string query = "", HttpMethod? method = null) =>
        Client(by ?? AdminToken).SendAsync(method ?? HttpMethod.Get, "/v3/auth/tokens" + query, headers: ("X-Subject-Token", subject));

    public async Task<string> CreateAsync(string collection, string member, string json)
    {
        var answer = await Admin.PostAsync($"/v3/{collection}", $$"""{"{{member}}": {{json}} }""");
        return answer.Expect(201).Json.GetProperty(member).GetProperty("id").GetString()!;
    }

    public Task<string> CreateUserAsync(string name, string password = "secret") =>
        CreateAsync("users", "user", $$"""{"name": "{{name}}", "password": "{{password}}" }""");

    public Task<string> CreateProjectAsync(string name) => CreateAsync("projects", "project", $$"""{"name": "{{name}}"}""");

    public async Task<string> IdOfAsync(string collection, string name)
    {
        var answer = (await Admin.GetAsync($"/v3/{collection}?name={name}")).Expect(200);
        return answer.Json.GetProperty(collection)[0].GetProperty("id").GetString()!;
    }

    /// <summary>A user with a role on a new project of the same name; gives a token for it.</summary>
    public async Task<(string UserId, string ProjectId, string Token)> PersonAsync(string name, string role)
    {
        var user = await CreateUserAsync(name);
        var project = await CreateProjectAsync(name);
        (await Admin.PutAsync($"/v3/projects/{project}/users/{user}/roles/{await IdOfAsync("roles", role)}")).Expect(204);
        return (user, project, await TokenAsync(name, "secret", ProjectScope(name)));
    }

    public async ValueTask DisposeAsync()
    {
        Admin.Dispose();
        await cloud.DisposeAsync();
    }
}

internal static class JsonShapes
{
    public static IEnumerable<string> Names(this JsonElement element) => element.EnumerateObject().Select(static p => p.Name);

    public static IEnumerable<string> Texts(this JsonElement array, string member) => array.EnumerateArray().Select(e => e.GetProperty(member).GetString()!);
}
