using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace SharpStack.Bench;

/// <summary>A running cloud, known by its admin-openrc: a token, and requests to its services.</summary>
internal sealed partial class Cloud : IDisposable
{
    private readonly Dictionary<string, string> endpoints = [];

    private Cloud(string authUrl) => AuthUrl = authUrl;

    public HttpClient Http { get; } = new(new SocketsHttpHandler { UseProxy = false, MaxConnectionsPerServer = 32 }) { Timeout = TimeSpan.FromMinutes(5) };

    public string AuthUrl { get; }

    public string Token { get; private set; } = "";

    public string ProjectId { get; private set; } = "";

    public string this[string service] => endpoints[service];

    public static Cloud At(string data) => new(Setting(data, "OS_AUTH_URL"));

    public static JsonObject PasswordRequest(string data) => Request(new JsonObject
    {
        ["methods"] = new JsonArray("password"),
        ["password"] = new JsonObject { ["user"] = new JsonObject { ["name"] = "admin", ["domain"] = new JsonObject { ["id"] = "default" }, ["password"] = Setting(data, "OS_PASSWORD") } },
    });

    public JsonObject TokenRequest() => Request(new JsonObject { ["methods"] = new JsonArray("token"), ["token"] = new JsonObject { ["id"] = Token } });

    /// <summary>Takes a token by password.</summary>
    public async Task LogInAsync(string data)
    {
        using var answer = await Http.PostAsync(new Uri($"{AuthUrl}/auth/tokens"), JsonContent.Create(PasswordRequest(data)));
        answer.EnsureSuccessStatusCode();
        Token = answer.Headers.GetValues("X-Subject-Token").Single();
        var body = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["token"]!;
        ProjectId = (string)body["project"]!["id"]!;
        foreach (var service in body["catalog"]!.AsArray())
        {
            endpoints[(string)service!["type"]!] = ((string)service["endpoints"]![0]!["url"]!).TrimEnd('/');
        }
    }

    public async Task<JsonNode> SendAsync(HttpMethod method, string service, string path, JsonNode? body = null, string? version = null)
    {
        using var request = new HttpRequestMessage(method, endpoints[service] + path);
        request.Headers.Add("X-Auth-Token", Token);
        if (version is not null)
        {
            request.Headers.TryAddWithoutValidation("OpenStack-API-Version", version);
        }

        request.Content = body is null ? null : JsonContent.Create(body);
        using var answer = await Http.SendAsync(request);
        var text = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode
            ? text.Length > 0 && text[0] is '{' or '[' ? JsonNode.Parse(text)! : new JsonObject()
            : throw new InvalidOperationException($"{method} {path}: {(int)answer.StatusCode} {text}");
    }

    public void Dispose() => Http.Dispose();

    private static JsonObject Request(JsonObject identity) => new()
    {
        ["auth"] = new JsonObject
        {
            ["identity"] = identity,
            ["scope"] = new JsonObject { ["project"] = new JsonObject { ["name"] = "admin", ["domain"] = new JsonObject { ["id"] = "default" } } },
        },
    };

    private static string Setting(string data, string name) =>
        OpenrcLine().Matches(File.ReadAllText(Path.Combine(data, "admin-openrc"))).Single(match => match.Groups[1].Value == name).Groups[2].Value;

    [GeneratedRegex(@"^export (\w+)=(.*)$", RegexOptions.Multiline)]
    private static partial Regex OpenrcLine();
}
