using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using SharpStack.CommandLine;

namespace SharpStack.Demo;

/// <summary>A user's session on the public APIs: a token, the catalogue, and requests whose failures say what the service said.</summary>
internal sealed class OpenStackClient : IDisposable
{
    private readonly HttpClient http;
    private readonly IReadOnlyDictionary<string, string> endpoints;

    private OpenStackClient(HttpClient http, IReadOnlyDictionary<string, string> endpoints, string projectId, string userId)
    {
        this.http = http;
        this.endpoints = endpoints;
        ProjectId = projectId;
        UserId = userId;
    }

    public string ProjectId { get; }

    public string UserId { get; }

    /// <param name="authUrl">Keystone's, with its version.</param>
    /// <param name="connect">Opens the connections, where names and networks are not this process's own.</param>
    public static async Task<OpenStackClient> LogInAsync(
        string authUrl, string user, string password, string project, CancellationToken cancellationToken,
        Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? connect = null)
    {
        static JsonObject Domain() => new() { ["name"] = "Default" };
        var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, ConnectCallback = connect }) { Timeout = TimeSpan.FromSeconds(100) };
        var request = new JsonObject
        {
            ["auth"] = new JsonObject
            {
                ["identity"] = new JsonObject
                {
                    ["methods"] = new JsonArray("password"),
                    ["password"] = new JsonObject { ["user"] = new JsonObject { ["name"] = user, ["domain"] = Domain(), ["password"] = password } },
                },
                ["scope"] = new JsonObject { ["project"] = new JsonObject { ["name"] = project, ["domain"] = Domain() } },
            },
        };
        using var response = await http.PostAsync(new Uri($"{authUrl}/auth/tokens"), JsonContent.Create(request), cancellationToken);
        var body = await ReadAsync(response, $"log in as {user}", cancellationToken);
        http.DefaultRequestHeaders.Add("X-Auth-Token", response.Headers.GetValues("X-Subject-Token").Single());
        var endpoints = new Dictionary<string, string> { ["identity"] = authUrl };
        foreach (var service in body["token"]!["catalog"]!.AsArray())
        {
            var endpoint = service!["endpoints"]!.AsArray().FirstOrDefault(item => (string)item!["interface"]! == "public");
            if (endpoint is not null)
            {
                endpoints.TryAdd((string)service["type"]!, ((string)endpoint["url"]!).TrimEnd('/'));
            }
        }

        return new OpenStackClient(http, endpoints, (string)body["token"]!["project"]!["id"]!, (string)body["token"]!["user"]!["id"]!);
    }

    /// <param name="service">The type in the catalogue.</param>
    /// <param name="path">Below its endpoint, with a leading slash.</param>
    public Task<JsonNode> GetAsync(string service, string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Get, service, path, null, cancellationToken);

    public Task<JsonNode> PostAsync(string service, string path, JsonNode body, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Post, service, path, JsonContent.Create(body), cancellationToken);

    public Task PutAsync(string service, string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Put, service, path, null, cancellationToken);

    public Task PutAsync(string service, string path, JsonNode body, CancellationToken cancellationToken) =>
        SendAsync(HttpMethod.Put, service, path, JsonContent.Create(body), cancellationToken);

    public Task DeleteAsync(string service, string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Delete, service, path, null, cancellationToken);

    public async Task UploadAsync(string path, string file, CancellationToken cancellationToken)
    {
        await using var stream = File.OpenRead(file);
        using var content = new StreamContent(stream);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        await SendAsync(HttpMethod.Put, "image", path, content, cancellationToken);
    }

    /// <summary>The one of that name in a list, or what <paramref name="create"/> makes.</summary>
    /// <param name="collection">The list's member of the answer.</param>
    public async Task<JsonNode> FindOrCreateAsync(
        string service, string listPath, string collection, string name, Func<Task<JsonNode>> create, CancellationToken cancellationToken)
    {
        var list = await GetAsync(service, listPath, cancellationToken);
        return list[collection]!.AsArray().FirstOrDefault(item => (string?)item!["name"] == name) ?? await create();
    }

    public void Dispose() => http.Dispose();

    private async Task<JsonNode> SendAsync(HttpMethod method, string service, string path, HttpContent? content, CancellationToken cancellationToken)
    {
        if (!endpoints.TryGetValue(service, out var endpoint))
        {
            throw new CommandException($"the catalogue has no public {service} endpoint");
        }

        using var request = new HttpRequestMessage(method, endpoint + path) { Content = content };
        if (service == "compute")
        {
            request.Headers.Add("OpenStack-API-Version", "compute 2.79");
        }

        using var response = await http.SendAsync(request, cancellationToken);
        return await ReadAsync(response, $"{method} {path}", cancellationToken);
    }

    private static async Task<JsonNode> ReadAsync(HttpResponseMessage response, string what, CancellationToken cancellationToken)
    {
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            throw new CommandException($"{what}: {(int)response.StatusCode} {Message(text)}");
        }

        return response.StatusCode == HttpStatusCode.NoContent || text.Length == 0 ? new JsonObject() : JsonNode.Parse(text)!;
    }

    /// <summary>The message in an error body, whose member is named differently by each service.</summary>
    private static string Message(string text)
    {
        try
        {
            var body = JsonNode.Parse(text);
            var inner = body is JsonObject { Count: 1 } single ? single.First().Value : body;
            return (inner is JsonObject error ? (string?)error["message"] : inner?.ToString()) ?? text;
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            return text;
        }
    }
}
