using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Http;

/// <summary>One request of one API: who asks, in which version, what was sent, and how to answer.</summary>
public sealed class ApiContext
{
    /// <summary>OpenStack's services do not escape what HTML would need escaped.</summary>
    public static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly PolicyEnforcer policies;
    private bool enforced;

    internal ApiContext(HttpContext http, ApiDefinition api, ApiRoute route, PolicyEnforcer policies, string requestId)
    {
        Http = http;
        Api = api;
        RouteInfo = route;
        this.policies = policies;
        RequestId = requestId;
    }

    public HttpContext Http { get; }

    public ApiDefinition Api { get; }

    public ApiRoute RouteInfo { get; }

    /// <summary><c>req-</c> and a UUID.</summary>
    public string RequestId { get; }

    public Microversion Version { get; internal set; }

    /// <summary>Null on public routes without a token.</summary>
    public RequestIdentity? OptionalIdentity { get; internal set; }

    public RequestIdentity Identity => OptionalIdentity ?? throw CloudException.Unauthorized();

    public CancellationToken Aborted => Http.RequestAborted;

    /// <summary>The URL that the client used to reach this API, up to and without the path: what links begin with.</summary>
    public string BaseUrl => $"{Http.Request.Scheme}://{Http.Request.Host.Value}{Http.Request.PathBase}";

    public QueryValues Query => field ??= new QueryValues(Http.Request.Query);

    /// <summary>A value of the route's pattern.</summary>
    public string Route(string name) => (string)Http.Request.RouteValues[name]!;

    /// <summary>Refuses the request unless the route's first policy allows it on the target (default: the caller's own project and user).</summary>
    public void Enforce() => Enforce(RouteInfo.Policies[0], OwnTarget());

    public void Enforce(PolicyTarget target) => Enforce(RouteInfo.Policies[0], target);

    public void Enforce(string rule, PolicyTarget target)
    {
        if (!Can(rule, target))
        {
            throw Denied(rule, target);
        }
    }

    /// <summary>Whether a rule holds; for what depends on rights inside an answer.</summary>
    public bool Can(string rule, PolicyTarget? target = null)
    {
        enforced = true;
        return policies.Check(rule, Identity.Credentials, target ?? OwnTarget());
    }

    /// <summary>The error for a refused rule; an administrator is told why.</summary>
    public CloudException Denied(string rule, PolicyTarget? target = null)
    {
        var message = Api.ServiceType switch
        {
            "identity" => $"You are not authorized to perform the requested action: {rule}.",
            "compute" => $"Policy doesn't allow {rule} to be performed.",
            "network" => $"rule:{rule} is disallowed by policy",
            "image" => $"You are not authorized to complete {rule} action.",
            _ => $"{rule} is disallowed by policy",
        };
        if (Identity.HasRole("admin"))
        {
            message += $" {policies.Explain(rule, Identity.Credentials, target ?? OwnTarget()).Reason}";
        }

        return CloudException.Forbidden(message, Api.ServiceType == "network" ? "PolicyNotAuthorized" : null);
    }

    /// <summary>Reads the body as JSON and checks it against the route's schema.</summary>
    public async ValueTask<JsonElement> ReadJsonAsync()
    {
        var document = await ReadDocumentAsync();
        Http.Response.RegisterForDispose(document);
        var schema = RouteInfo.SchemaFor(Version);
        if (schema?.Validate(document.RootElement) is { } error)
        {
            throw Api.SchemaFailure(error);
        }

        return document.RootElement;
    }

    /// <summary>Answers with JSON that <paramref name="write"/> writes straight to the response.</summary>
    public async Task WriteJsonAsync(int status, Action<Utf8JsonWriter> write)
    {
        CheckEnforced();
        var response = Http.Response;
        response.StatusCode = status;
        response.ContentType ??= "application/json";
        if (HttpMethods.IsHead(Http.Request.Method))
        {
            return;
        }

        // Into memory of the pool first: a writer that fails must still be able to answer with an error, and the length is known.
        using var buffer = new SegmentBuffer();
        using (var json = new Utf8JsonWriter(buffer, JsonOptions))
        {
            write(json);
        }

        response.ContentLength = buffer.Length;
        foreach (var segment in buffer.Segments)
        {
            await response.Body.WriteAsync(segment, Aborted);
        }
    }

    public Task NoContentAsync(int status = StatusCodes.Status204NoContent)
    {
        CheckEnforced();
        Http.Response.StatusCode = status;
        return Task.CompletedTask;
    }

    /// <summary>Says that this answer needs no policy beyond what the handler decided itself.</summary>
    public void WithoutPolicy() => enforced = true;

    /// <summary>The caller's own project and user: the target of most rules.</summary>
    public PolicyTarget OwnTarget() => Identity.OwnTarget;

    private void CheckEnforced()
    {
        if (!enforced && !RouteInfo.IsPublic && !RouteInfo.IsForEveryToken)
        {
            throw new InvalidOperationException($"{RouteInfo.Method} {RouteInfo.Pattern} answered without enforcing a policy.");
        }
    }

    /// <summary>The parser leaves escapes in texts and names unread; one that is half a character would fail in the midst of the work.</summary>
    private static void ReadTexts(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                element.GetString();
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray())
                {
                    ReadTexts(item);
                }

                break;
            case JsonValueKind.Object:
                foreach (var property in element.EnumerateObject())
                {
                    _ = property.Name;
                    ReadTexts(property.Value);
                }

                break;
        }
    }

    private async ValueTask<JsonDocument> ReadDocumentAsync()
    {
        var request = Http.Request;
        if (request.ContentLength > Api.MaxBodySize)
        {
            throw new CloudException(ErrorKind.PayloadTooLarge, "Request is too large.");
        }

        var reader = request.BodyReader;
        ReadResult result;
        while (true)
        {
            result = await reader.ReadAsync(Aborted);
            if (result.Buffer.Length > Api.MaxBodySize)
            {
                throw new CloudException(ErrorKind.PayloadTooLarge, "Request is too large.");
            }

            if (result.IsCompleted)
            {
                break;
            }

            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }

        if (result.Buffer.IsEmpty)
        {
            throw CloudException.BadRequest("The request needs a JSON body.");
        }

        var bytes = result.Buffer.ToArray();
        reader.AdvanceTo(result.Buffer.End);
        if (!Utf8.IsValid(bytes))
        {
            throw CloudException.BadRequest("The body is not valid UTF-8: send JSON in UTF-8.");
        }

        try
        {
            var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            if (bytes.AsSpan().IndexOf("\\u"u8) >= 0)
            {
                ReadTexts(document.RootElement);
            }

            return document;
        }
        catch (InvalidOperationException failure)
        {
            throw new CloudException(ErrorKind.BadRequest, "The body has half a character (a lone \\ud800 to \\udfff): send whole characters.", inner: failure);
        }
        catch (JsonException failure)
        {
            throw new CloudException(
                ErrorKind.BadRequest,
                $"The body is not valid JSON (line {failure.LineNumber + 1}, byte {failure.BytePositionInLine}): send an object such as {{\"name\": …}}.",
                inner: failure);
        }
    }
}
