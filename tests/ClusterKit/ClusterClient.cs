using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace SharpStack.ClusterKit;

/// <summary>An answer; <see cref="Status"/> is 0 where none came.</summary>
public sealed record ClusterAnswer(int Status, JsonNode? Body)
{
    public bool IsSuccess => Status is >= 200 and < 300;
}

/// <summary>The administrator's requests to a cluster that may be broken at the moment: no answer and errors are results, tokens are renewed.</summary>
public sealed class ClusterClient(ClusterFiles files) : IDisposable
{
    private readonly HttpClient http = new(new SocketsHttpHandler { UseProxy = false, PooledConnectionIdleTimeout = TimeSpan.FromSeconds(5) }) { Timeout = TimeSpan.FromSeconds(100) };
    private readonly SemaphoreSlim renewing = new(1);
    private volatile string token = "";

    public string ProjectId { get; private set; } = "";

    public Task<ClusterAnswer> GetAsync(string api, string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Get, api, path, null, cancellationToken);

    public Task<ClusterAnswer> PostAsync(string api, string path, JsonNode body, CancellationToken cancellationToken) => SendAsync(HttpMethod.Post, api, path, body, cancellationToken);

    public async Task<ClusterAnswer> SendAsync(HttpMethod method, string api, string path, JsonNode? body, CancellationToken cancellationToken)
    {
        for (var attempt = 0; ; attempt++)
        {
            var used = token;
            if (used.Length == 0 && !await LogInAsync(used, cancellationToken))
            {
                return new ClusterAnswer(0, null);
            }

            used = token;
            using var request = new HttpRequestMessage(method, files.Url(api) + path);
            request.Headers.Add("X-Auth-Token", used);
            if (api == "nova-api")
            {
                request.Headers.Add("OpenStack-API-Version", "compute 2.79");
            }

            if (body is not null)
            {
                request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
            }

            var answer = await SendAsync(request, cancellationToken);
            if (answer.Status != (int)HttpStatusCode.Unauthorized || attempt > 0 || !await LogInAsync(used, cancellationToken))
            {
                return answer;
            }
        }
    }

    public async Task<ClusterAnswer> UploadAsync(string image, byte[] content, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, $"{files.Url("glance-api")}/v2/images/{image}/file");
        request.Headers.Add("X-Auth-Token", token);
        request.Content = new ByteArrayContent(content) { Headers = { ContentType = new MediaTypeHeaderValue("application/octet-stream") } };
        return await SendAsync(request, cancellationToken);
    }

    public void Dispose()
    {
        http.Dispose();
        renewing.Dispose();
    }

    private async Task<ClusterAnswer> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await http.SendAsync(request, cancellationToken);
            var text = await response.Content.ReadAsStringAsync(cancellationToken);
            if (response.Headers.TryGetValues("X-Subject-Token", out var subject))
            {
                token = subject.First();
            }

            // Glance's errors are HTML.
            return new ClusterAnswer(
                (int)response.StatusCode,
                text.Length == 0 ? null : response.Content.Headers.ContentType?.MediaType == "application/json" ? JsonNode.Parse(text) : JsonValue.Create(text));
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException || (failure is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return new ClusterAnswer(0, null);
        }
    }

    private async Task<bool> LogInAsync(string old, CancellationToken cancellationToken)
    {
        await renewing.WaitAsync(cancellationToken);
        try
        {
            if (token != old)
            {
                return true;
            }

            static JsonObject Domain() => new() { ["name"] = "Default" };
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{files.AuthUrl}/auth/tokens")
            {
                Content = new StringContent(
                    new JsonObject
                    {
                        ["auth"] = new JsonObject
                        {
                            ["identity"] = new JsonObject
                            {
                                ["methods"] = new JsonArray("password"),
                                ["password"] = new JsonObject { ["user"] = new JsonObject { ["name"] = "admin", ["domain"] = Domain(), ["password"] = ClusterFiles.AdminPassword } },
                            },
                            ["scope"] = new JsonObject { ["project"] = new JsonObject { ["name"] = "admin", ["domain"] = Domain() } },
                        },
                    }.ToJsonString(),
                    Encoding.UTF8,
                    "application/json"),
            };
            var answer = await SendAsync(request, cancellationToken);
            if (answer.IsSuccess)
            {
                ProjectId = (string)answer.Body!["token"]!["project"]!["id"]!;
            }

            return answer.IsSuccess;
        }
        finally
        {
            renewing.Release();
        }
    }
}
