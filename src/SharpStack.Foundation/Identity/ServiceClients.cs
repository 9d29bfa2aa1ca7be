using System.Collections.Concurrent;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Foundation.Identity;

/// <summary>
/// Clients of other OpenStack services with a service's own credentials, configured as keystoneauth1's options in a group
/// (<c>[keystone_authtoken]</c>, <c>[neutron]</c>, <c>[placement]</c>, <c>[nova]</c>). A service in this process is reached through memory, any other by its socket.
/// </summary>
public sealed class ServiceClients : IDisposable
{
    private readonly ConcurrentDictionary<(string Config, string Group, string ServiceType), ServiceClient> clients = new();
    private readonly ConcurrentDictionary<ClientTls, HttpMessageInvoker> invokers = new();
    private readonly InternalRoutes? routes;
    private readonly HostOptions host;
    private readonly TimeProvider time;

    public ServiceClients(HostOptions host, TimeProvider time, IServiceProvider services)
    {
        this.host = host;
        this.time = time;
        routes = (InternalRoutes?)services.GetService(typeof(InternalRoutes));
    }

    /// <summary>The raw HTTP, with what a client trusts.</summary>
    /// <exception cref="CloudException">A certificate's file cannot be used.</exception>
    public HttpMessageInvoker Http(ClientTls tls) => invokers.GetOrAdd(tls, Open);

    /// <param name="config">The service whose configuration holds the credentials.</param>
    /// <param name="group">The group in it; <c>[keystone_authtoken]</c> where that group names no <c>username</c>.</param>
    /// <param name="serviceType">The type in the catalog: <c>placement</c>, <c>network</c>, <c>image</c>, <c>compute</c>.</param>
    public ServiceClient For(ServiceConfig config, string group, string serviceType) =>
        clients.GetOrAdd((config.Service, group, serviceType), _ => new ServiceClient(Http(TlsOf(config, group)), ServiceCredentials.Read(config, group, host), serviceType, time));

    public void Dispose()
    {
        foreach (var http in invokers.Values)
        {
            http.Dispose();
        }

        foreach (var client in clients.Values)
        {
            client.Dispose();
        }
    }

    /// <summary>As for the credentials: <c>[keystone_authtoken]</c> says it for a group that does not.</summary>
    private static ClientTls TlsOf(ServiceConfig config, string group) =>
        ClientTls.Read(config, ClientTls.Options(group).Any(config.IsSet) ? group : "keystone_authtoken");

    private HttpMessageInvoker Open(ClientTls tls) =>
        new(new SocketsHttpHandler
        {
            SslOptions = tls.ToOptions(),
            AllowAutoRedirect = false,
            UseProxy = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            ConnectCallback = async (context, cancellationToken) =>
            {
                if (routes is not null && routes.TryConnect(context.DnsEndPoint.Host, context.DnsEndPoint.Port, out var stream))
                {
                    return stream;
                }

                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        });
}

/// <summary>keystoneauth1's password options.</summary>
public sealed record ServiceCredentials(
    string AuthUrl, string Username, string Password, string UserDomain, string Project, string ProjectDomain, string? Region, string Interface, string? EndpointOverride)
{
    /// <summary>The options in a group, for validation and samples.</summary>
    public static IEnumerable<ConfigOption> Options(string group) =>
    [
        AuthUrlOf(group), UsernameOf(group), PasswordOf(group), UserDomainOf(group), ProjectOf(group), ProjectDomainOf(group), RegionOf(group), InterfaceOf(group), OverrideOf(group),
        .. ClientTls.Options(group),
    ];

    internal static ServiceCredentials Read(ServiceConfig config, string group, HostOptions host)
    {
        var auth = config.IsSet(UsernameOf(group)) ? group : "keystone_authtoken";
        var url = config.Get(AuthUrlOf(auth));
        if (url.Length == 0)
        {
            url = host.IdentityUrl;
        }

        return new ServiceCredentials(
            url.TrimEnd('/') is var trimmed && trimmed.EndsWith("/v3", StringComparison.Ordinal) ? trimmed : trimmed + "/v3",
            config.Get(UsernameOf(auth)),
            config.Get(PasswordOf(auth)),
            config.Get(UserDomainOf(auth)),
            config.Get(ProjectOf(auth)),
            config.Get(ProjectDomainOf(auth)),
            config.Get(RegionOf(group)) is { Length: > 0 } region ? region : null,
            config.Get(InterfaceOf(group)),
            config.Get(OverrideOf(group)).Split(',')[0] is { Length: > 0 } endpoint ? endpoint : null);
    }

    private static ConfigOption<string> AuthUrlOf(string group) => new(group, "auth_url", "", "Where Keystone is found; empty for the one in this process.");

    private static ConfigOption<string> UsernameOf(string group) => new(group, "username", "", "The service user's name.");

    private static ConfigOption<string> PasswordOf(string group) => new(group, "password", "", "The service user's password.") { Secret = true };

    private static ConfigOption<string> UserDomainOf(string group) => new(group, "user_domain_name", "Default", "The service user's domain.");

    private static ConfigOption<string> ProjectOf(string group) => new(group, "project_name", "service", "The project that the service user works in.");

    private static ConfigOption<string> ProjectDomainOf(string group) => new(group, "project_domain_name", "Default", "That project's domain.");

    private static ConfigOption<string> RegionOf(string group) => new(group, "region_name", "", "The region whose endpoint is taken from the catalog.") { DeprecatedNames = ["os_region_name"] };

    private static ConfigOption<string> InterfaceOf(string group) => new(group, "valid_interfaces", "internal", "The interface whose endpoint is taken from the catalog.");

    private static ConfigOption<string> OverrideOf(string group) => new(group, "endpoint_override", "", "The endpoint, instead of the catalog's.") { DeprecatedNames = ["api_servers", "url"] };
}

/// <summary>Speaks to one service with a service user's token, renewed before it expires and after a 401.</summary>
public sealed class ServiceClient : IDisposable
{
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(2);

    /// <summary>How long an answer's beginning is waited for: no request waits for ever for a service that hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly HttpMessageInvoker http;
    private readonly ServiceCredentials credentials;
    private readonly string serviceType;
    private readonly TimeProvider time;
    private readonly SemaphoreSlim renewing = new(1);
    private Session? session;

    internal ServiceClient(HttpMessageInvoker http, ServiceCredentials credentials, string serviceType, TimeProvider time)
    {
        this.http = http;
        this.credentials = credentials;
        this.serviceType = serviceType;
        this.time = time;
    }

    /// <summary>The raw HTTP, for requests that carry a user's own token or stream.</summary>
    public HttpMessageInvoker Http => http;

    private sealed record Session(string Token, DateTimeOffset ExpiresAt, string Endpoint);

    /// <summary>Sends a request; the answer is the caller's to dispose, whatever its status.</summary>
    /// <param name="path">Below the catalog's endpoint, with a leading slash.</param>
    /// <param name="json">Writes the body; null for none.</param>
    /// <param name="microversion">The whole header's value, such as <c>placement 1.39</c>.</param>
    /// <exception cref="CloudException"><see cref="ErrorKind.ServiceUnavailable"/> where the service or Keystone cannot be reached.</exception>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, Action<Utf8JsonWriter>? json = null, string? microversion = null, CancellationToken cancellationToken = default)
    {
        byte[]? body = null;
        if (json is not null)
        {
            using var buffer = new MemoryStream();
            using (var writer = new Utf8JsonWriter(buffer))
            {
                json(writer);
            }

            body = buffer.ToArray();
        }

        for (var attempt = 0; ; attempt++)
        {
            var current = await SessionAsync(attempt > 0, cancellationToken);
            using var request = new HttpRequestMessage(method, current.Endpoint + path);
            request.Headers.TryAddWithoutValidation("X-Auth-Token", current.Token);
            if (microversion is not null)
            {
                request.Headers.TryAddWithoutValidation("OpenStack-API-Version", microversion);
            }

            if (body is not null)
            {
                request.Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            }

            var response = await SendOrSayAsync(request, cancellationToken);
            if (response.StatusCode != System.Net.HttpStatusCode.Unauthorized || attempt > 0)
            {
                return response;
            }

            response.Dispose();
        }
    }

    /// <summary>Sends, and gives the answer's JSON; an error answer becomes a <see cref="CloudException"/> with the service's status and words.</summary>
    /// <returns>Null for an answer without a body.</returns>
    public async Task<JsonDocument?> CallAsync(
        HttpMethod method, string path, Action<Utf8JsonWriter>? json = null, string? microversion = null, CancellationToken cancellationToken = default)
    {
        using var response = await SendAsync(method, path, json, microversion, cancellationToken);
        var text = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            throw new CloudException((ErrorKind)(int)response.StatusCode, ServiceErrors.MessageOf(serviceType, (int)response.StatusCode, text), ServiceErrors.CodeOf(text));
        }

        return text.Length == 0 ? null : JsonDocument.Parse(text);
    }

    public void Dispose() => renewing.Dispose();

    /// <summary>The service user's token and the service's endpoint, for requests that stream.</summary>
    public async Task<(string Token, string Endpoint)> AuthorizeAsync(CancellationToken cancellationToken)
    {
        var current = await SessionAsync(false, cancellationToken);
        return (current.Token, current.Endpoint);
    }

    private async Task<Session> SessionAsync(bool renew, CancellationToken cancellationToken)
    {
        var before = session;
        if (!renew && before is not null && before.ExpiresAt - time.GetUtcNow() > RenewBefore)
        {
            return before;
        }

        await renewing.WaitAsync(cancellationToken);
        try
        {
            if (!ReferenceEquals(before, session) && session is not null)
            {
                return session;
            }

            return session = await AuthenticateAsync(cancellationToken);
        }
        finally
        {
            renewing.Release();
        }
    }

    private async Task<Session> AuthenticateAsync(CancellationToken cancellationToken)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            WriteAuth(json);
        }

        using var request = new HttpRequestMessage(HttpMethod.Post, credentials.AuthUrl + "/auth/tokens")
        {
            Content = new ByteArrayContent(buffer.ToArray()) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        };
        using var response = await SendOrSayAsync(request, cancellationToken);
        var text = await response.Content.ReadAsByteArrayAsync(cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            throw CloudException.Unavailable(
                $"Keystone did not accept the service user '{credentials.Username}' ({(int)response.StatusCode}): check its password in the configuration and its role on project '{credentials.Project}'.");
        }

        using var document = JsonDocument.Parse(text);
        var token = document.RootElement.GetProperty("token");
        return new Session(
            response.Headers.GetValues("X-Subject-Token").First(),
            token.GetProperty("expires_at").GetDateTimeOffset(),
            credentials.EndpointOverride?.TrimEnd('/') ?? EndpointIn(token));
    }

    private string EndpointIn(JsonElement token)
    {
        foreach (var service in token.GetProperty("catalog").EnumerateArray())
        {
            if (service.GetProperty("type").GetString() != serviceType)
            {
                continue;
            }

            foreach (var wanted in credentials.Interface.Split(',', StringSplitOptions.TrimEntries))
            {
                foreach (var endpoint in service.GetProperty("endpoints").EnumerateArray())
                {
                    if (endpoint.GetProperty("interface").GetString() == wanted
                        && (credentials.Region is null || endpoint.GetProperty("region_id").GetString() == credentials.Region))
                    {
                        return endpoint.GetProperty("url").GetString()!.TrimEnd('/');
                    }
                }
            }
        }

        throw CloudException.Unavailable($"The catalog has no {credentials.Interface} endpoint of type '{serviceType}': create one with `openstack endpoint create`.");
    }

    private void WriteAuth(Utf8JsonWriter json)
    {
        void Domain(string name)
        {
            json.WriteStartObject("domain");
            json.WriteString("name", name);
            json.WriteEndObject();
        }

        json.WriteStartObject();
        json.WriteStartObject("auth");
        json.WriteStartObject("identity");
        json.WriteStartArray("methods");
        json.WriteStringValue("password");
        json.WriteEndArray();
        json.WriteStartObject("password");
        json.WriteStartObject("user");
        json.WriteString("name", credentials.Username);
        json.WriteString("password", credentials.Password);
        Domain(credentials.UserDomain);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("scope");
        json.WriteStartObject("project");
        json.WriteString("name", credentials.Project);
        Domain(credentials.ProjectDomain);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private async Task<HttpResponseMessage> SendOrSayAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        using var bound = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, bound.Token);
        try
        {
            return await http.SendAsync(request, either.Token);
        }
        catch (OperationCanceledException failure) when (!cancellationToken.IsCancellationRequested)
        {
            throw CloudException.Unavailable(
                $"The {serviceType} service at {request.RequestUri!.GetLeftPart(UriPartial.Authority)} did not answer within {Patience.TotalSeconds:0} s: see that it runs and reaches its database.", inner: failure);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            throw CloudException.Unavailable($"The {serviceType} service cannot be reached at {request.RequestUri!.GetLeftPart(UriPartial.Authority)}: {failure.Message}", inner: failure);
        }
    }
}

/// <summary>Reads the words out of the services' error envelopes.</summary>
internal static class ServiceErrors
{
    public static string MessageOf(string serviceType, int status, byte[] body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            if (Find(document.RootElement, "message") is { } message)
            {
                return message;
            }

            if (Find(document.RootElement, "detail") is { } detail)
            {
                return detail;
            }
        }
        catch (JsonException)
        {
        }

        return $"The {serviceType} service answered {status}.";
    }

    /// <summary>Neutron's <c>type</c> or Placement's <c>code</c>.</summary>
    public static string? CodeOf(byte[] body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            return Find(document.RootElement, "type") ?? (Find(document.RootElement, "code") is { } code && code.Contains('.', StringComparison.Ordinal) ? code : null);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>A text two levels down at most: <c>{"x": {"message": …}}</c>, <c>{"errors": [{"detail": …}]}</c>.</summary>
    private static string? Find(JsonElement root, string name)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            return null;
        }

        foreach (var property in root.EnumerateObject())
        {
            var inner = property.Value.ValueKind == JsonValueKind.Array && property.Value.GetArrayLength() > 0 ? property.Value[0] : property.Value;
            if (property.NameEquals(name) && inner.ValueKind == JsonValueKind.String)
            {
                return inner.GetString();
            }

            if (inner.ValueKind == JsonValueKind.Object && inner.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String)
            {
                return value.GetString();
            }
        }

        return null;
    }
}
