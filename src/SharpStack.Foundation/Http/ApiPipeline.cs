using System.Buffers;
using System.Diagnostics.Metrics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Observability;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Http;

/// <summary>The way of a request through one API: request id, errors at the edge, token, microversion, handler.</summary>
internal sealed partial class ApiPipeline
{
    private static readonly Meter Meter = new("SharpStack.Http");
    private static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("http.server.request.duration", "s", "Time from the request's first byte to the answer's last.");

    private readonly ApiDefinition api;
    private readonly ITokenValidator tokens;
    private readonly IServiceProvider services;
    private readonly ILogger log;
    private readonly TimeProvider time;
    private readonly string authenticateUri;
    private readonly IReadOnlyList<string> serviceTokenRoles;
    private volatile PolicyEnforcer policies;

    private ApiPipeline(ApiDefinition api, IServiceProvider services)
    {
        this.api = api;
        this.services = services;
        tokens = services.GetRequiredService<ITokenValidator>();
        policies = api.Policies(services);
        log = services.GetRequiredService<ILoggerFactory>().CreateLogger("SharpStack.Http");
        time = services.GetRequiredService<TimeProvider>();
        var host = services.GetRequiredService<Hosting.HostOptions>();
        authenticateUri = host.AuthenticateUrl(api.Name);
        serviceTokenRoles = host.ConfigOf(api.Config).Get(HttpTokenValidator.ServiceTokenRoles);
    }

    /// <summary>Who may do what, at the moment.</summary>
    public PolicyEnforcer Policies => policies;

    /// <summary>Builds the request delegate of an API.</summary>
    public static RequestDelegate Build(ApiDefinition api, IServiceProvider services, out ApiRoutes routes, out ApiPipeline pipeline)
    {
        var built = pipeline = new ApiPipeline(api, services);
        var app = new ApplicationBuilder(services);
        app.Use(next => context => built.GuardAsync(context, next));
        app.UseRouting();
        ApiRoutes? mapped = null;
        app.UseEndpoints(endpoints =>
        {
            mapped = new ApiRoutes(endpoints);
            mapped.Get("/healthcheck", static context =>
            {
                context.Http.Response.ContentType = "text/plain";
                return context.Http.Response.WriteAsync("OK", context.Aborted);
            }).Public();
            api.Map(mapped, services);
        });
        routes = mapped!;
        app.Run(built.UnroutedAsync);
        return app.Build();
    }

    /// <summary>Reads the policy files anew, for the requests that come from here on.</summary>
    /// <exception cref="PolicyDefinitionException">They have faults: all stays as it was.</exception>
    public void ReloadPolicies() => policies = api.Policies(services);

    public static async Task RunAsync(HttpContext http, ApiRoute route, ApiHandler handler)
    {
        var state = http.Features.GetRequiredFeature<RequestState>();
        var pipeline = state.Pipeline;
        var context = new ApiContext(http, pipeline.api, route, pipeline.policies, state.RequestId);
        if (pipeline.api.ReadsTokens && http.Request.Headers["X-Auth-Token"] is [{ Length: > 0 } token])
        {
            context.OptionalIdentity = await pipeline.IdentifyAsync(http, token);
        }

        if (context.OptionalIdentity is null && !route.IsPublic)
        {
            throw CloudException.Unauthorized();
        }

        pipeline.Negotiate(context);
        state.Version = context.Version;
        if ((route.MinVersion is { } min && context.Version < min) || (route.MaxVersion is { } max && context.Version > max))
        {
            throw CloudException.NotFound("The resource could not be found.");
        }

        await handler(context);
    }

    private async Task GuardAsync(HttpContext http, RequestDelegate next)
    {
        var started = time.GetTimestamp();
        var requestId = "req-" + Guid.NewGuid().ToString("D");
        http.Features.Set(new RequestState(this, requestId));
        http.Response.Headers["X-Openstack-Request-Id"] = requestId;
        if (api.RequestIdHeader is not null)
        {
            http.Response.Headers[api.RequestIdHeader] = requestId;
        }

        using var scope = log.BeginScope(new RequestScope(requestId));
        try
        {
            if (api.StrictSlashes && http.Request.Path.Value is { Length: > 1 } path && path.EndsWith('/'))
            {
                await UnroutedAsync(http);
            }

            await next(http);
            if (http.Response.StatusCode == StatusCodes.Status405MethodNotAllowed && http.GetEndpoint()?.Metadata.GetMetadata<ApiRoute>() is null)
            {
                // Routing's own answer has the Allow header, but no body.
                throw new CloudException(ErrorKind.MethodNotAllowed, "The method is not allowed for this resource.");
            }
        }
        catch (CloudException failure)
        {
            await FailAsync(http, failure, requestId);
        }
        catch (OperationCanceledException) when (http.RequestAborted.IsCancellationRequested)
        {
            http.Abort();
        }
        catch (Exception failure) when (IsOutage(failure))
        {
            await FailAsync(http, CloudException.Unavailable("The database does not answer; try again in a while.", inner: failure), requestId);
        }
        catch (Exception failure) when (IsUnstorable(failure))
        {
            await FailAsync(http, CloudException.BadRequest("A text of the request is too long, or holds a character that cannot be stored (NUL)."), requestId);
        }
        catch (BadHttpRequestException failure)
        {
            await FailAsync(http, new CloudException((ErrorKind)failure.StatusCode, failure.Message), requestId);
        }
        catch (Exception failure)
        {
            LogUnexpected(http.Request.Method, http.Request.Path.Value!, failure);
            await FailAsync(http, new CloudException(ErrorKind.Internal, $"An unexpected error prevented the server from fulfilling your request. The log has it under {requestId}."), requestId);
        }
        finally
        {
            var elapsed = time.GetElapsedTime(started).TotalSeconds;
            if (Duration.Enabled)
            {
                Duration.Record(
                    elapsed,
                    new KeyValuePair<string, object?>("service", api.Name),
                    new KeyValuePair<string, object?>("http.request.method", http.Request.Method),
                    new KeyValuePair<string, object?>("http.response.status_code", http.Response.StatusCode));
            }

            LogRequest(api.Name, http.Request.Method, http.Request.Path.Value!, http.Response.StatusCode, elapsed * 1000);
        }
    }

    private async ValueTask<RequestIdentity?> IdentifyAsync(HttpContext http, string token)
    {
        var service = http.Request.Headers["X-Service-Token"] is [{ Length: > 0 } other]
            ? await tokens.ValidateAsync(other, http.RequestAborted) ?? throw CloudException.Unauthorized()
            : null;
        // Any user can show a second token; only a service's own says that this request is one of a chain that the user began elsewhere.
        if (service is not null && !serviceTokenRoles.Any(service.HasRole))
        {
            service = null;
        }

        var identity = service is null ? await tokens.ValidateAsync(token, http.RequestAborted) : await tokens.ValidateExpiredAsync(token, http.RequestAborted);
        if (identity is not null && api.Admit(identity) is { } refusal)
        {
            throw refusal;
        }

        return identity is null || service is not null ? identity?.Through(service!)
            : AccessRule.Allow(identity.AccessRules, api.ServiceType, http.Request.Method, http.Request.Path.Value!) ? identity
            : null;
    }

    /// <summary>A database that went away outside a statement, such as before the first one; what the storage sees it tells itself.</summary>
    private static bool IsOutage(Exception? failure) =>
        failure is System.Data.Common.DbException { IsTransient: true } or System.Data.Common.DbException { InnerException: IOException or SocketException } || (failure is not (null or CloudException) && IsOutage(failure.InnerException));

    /// <summary>SQL's own codes for a text that is too long or has a NUL in it (as a literal: 54000), which only some engines refuse.</summary>
    private static bool IsUnstorable(Exception? failure) =>
        failure is System.Data.Common.DbException { SqlState: "22001" or "22021" or "22P05" or "54000" } || (failure is not (null or CloudException) && IsUnstorable(failure.InnerException));

    private Task UnroutedAsync(HttpContext http) =>
        throw CloudException.NotFound("The resource could not be found.");

    private async Task FailAsync(HttpContext http, CloudException failure, string requestId)
    {
        if (http.Response.HasStarted)
        {
            // The client must not take a broken answer for a whole one.
            http.Abort();
            return;
        }

        var status = (int)failure.Kind;
        var response = http.Response;
        response.Headers.ContentLength = null;
        response.StatusCode = status;
        if (status == StatusCodes.Status401Unauthorized)
        {
            response.Headers.WWWAuthenticate = $"Keystone uri=\"{authenticateUri}\"";
        }

        if (HttpMethods.IsHead(http.Request.Method))
        {
            return;
        }

        if (api.Errors.Render(http.Request.Headers.Accept.ToString(), status, failure) is { } rendered)
        {
            var text = Encoding.UTF8.GetBytes(rendered.Text);
            response.ContentType = rendered.ContentType;
            response.ContentLength = text.Length;
            await response.Body.WriteAsync(text, http.RequestAborted);
            return;
        }

        response.ContentType = api.Errors.ContentType;
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, ApiContext.JsonOptions))
        {
            api.Errors.Write(json, status, failure, requestId, http.Features.GetRequiredFeature<RequestState>().Version);
        }

        response.ContentLength = buffer.WrittenCount;
        await response.Body.WriteAsync(buffer.WrittenMemory, http.RequestAborted);
    }

    private void Negotiate(ApiContext context)
    {
        if (api.Microversions is not { } range)
        {
            return;
        }

        var headers = context.Http.Request.Headers;
        string? asked = null;
        foreach (var value in headers["OpenStack-API-Version"])
        {
            foreach (var part in (value ?? "").Split(',', StringSplitOptions.TrimEntries))
            {
                if (part.StartsWith(range.ServiceType, StringComparison.OrdinalIgnoreCase) && part.Length > range.ServiceType.Length && part[range.ServiceType.Length] == ' ')
                {
                    asked = part[range.ServiceType.Length..].Trim();
                }
            }
        }

        if (asked is null && range.LegacyHeader is not null && headers[range.LegacyHeader] is [{ Length: > 0 } legacy])
        {
            asked = legacy;
        }

        var version = range.Min;
        if (string.Equals(asked, "latest", StringComparison.OrdinalIgnoreCase))
        {
            version = range.Max;
        }
        else if (asked is not null)
        {
            if (!Microversion.TryParse(asked, out version))
            {
                throw CloudException.BadRequest($"API Version String {asked} is of invalid format. Must be of format MajorNum.MinorNum.");
            }

            if (version < range.Min || version > range.Max)
            {
                throw new CloudException(ErrorKind.NotAcceptable, $"Version {asked} is not supported by the API. Minimum is {range.Min} and maximum is {range.Max}.");
            }
        }

        context.Version = version;
        var response = context.Http.Response.Headers;
        response["OpenStack-API-Version"] = $"{range.ServiceType} {version}";
        if (range.LegacyHeader is not null)
        {
            response[range.LegacyHeader] = version.ToString();
            response.Vary = $"OpenStack-API-Version, {range.LegacyHeader}";
        }
        else
        {
            response.Vary = "OpenStack-API-Version";
        }
    }

    private sealed record RequestState(ApiPipeline Pipeline, string RequestId)
    {
        public Microversion? Version { get; set; }
    }

    [LoggerMessage(EventId = 1201, Level = LogLevel.Error, Message = "{Method} {Path} failed unexpectedly")]
    private partial void LogUnexpected(string method, string path, Exception failure);

    [LoggerMessage(EventId = 1202, Level = LogLevel.Information, Message = "{Service} {Method} {Path} {Status} {Milliseconds:0.0} ms")]
    private partial void LogRequest(string service, string method, string path, int status, double milliseconds);
}
