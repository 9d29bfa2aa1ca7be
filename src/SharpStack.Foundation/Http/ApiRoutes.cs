using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;

namespace SharpStack.Foundation.Http;

public delegate Task ApiHandler(ApiContext context);

/// <summary>What a route declares of itself; endpoint metadata, so that one test can walk all routes.</summary>
public sealed class ApiRoute(string method, string pattern)
{
    public string Method { get; } = method;

    public string Pattern { get; } = pattern;

    /// <summary>Names of the policy rules that the handler enforces; the first is the one that <see cref="ApiContext.Enforce()"/> means.</summary>
    public IReadOnlyList<string> Policies { get; private set; } = [];

    /// <summary>Open to requests without a token.</summary>
    public bool IsPublic { get; private set; }

    /// <summary>Any valid token may call it: the answer depends on the token alone.</summary>
    public bool IsForEveryToken { get; private set; }

    public Microversion? MinVersion { get; private set; }

    public Microversion? MaxVersion { get; private set; }

    internal List<(Microversion? Min, Microversion? Max, JsonSchema Schema)> Schemas { get; } = [];

    public ApiRoute Policy(params string[] rules)
    {
        Policies = rules;
        return this;
    }

    public ApiRoute Public()
    {
        IsPublic = true;
        return this;
    }

    public ApiRoute ForEveryToken()
    {
        IsForEveryToken = true;
        return this;
    }

    /// <summary>Outside these versions the route answers 404.</summary>
    public ApiRoute Versions(string min, string? max = null)
    {
        MinVersion = Microversion.Parse(min);
        MaxVersion = max is null ? null : Microversion.Parse(max);
        return this;
    }

    /// <summary>The schema of the body, for a range of versions where it changed.</summary>
    public ApiRoute Body(JsonSchema schema, string? min = null, string? max = null)
    {
        Schemas.Add((min is null ? null : Microversion.Parse(min), max is null ? null : Microversion.Parse(max), schema));
        return this;
    }

    internal JsonSchema? SchemaFor(Microversion version) =>
        Schemas.Find(entry => (entry.Min is null || entry.Min <= version) && (entry.Max is null || version <= entry.Max)).Schema;
}

/// <summary>An operation that OpenStack's documents have and this program has not.</summary>
/// <param name="Reason">For operators.</param>
public sealed record LeftOut(string Method, string Pattern, string Reason);

/// <summary>Where a service adds its routes.</summary>
public sealed class ApiRoutes(IEndpointRouteBuilder builder)
{
    private readonly List<ApiRoute> all = [];
    private readonly List<LeftOut> leftOut = [];

    public IReadOnlyList<ApiRoute> All => all;

    /// <summary>Operations of OpenStack's documents that are not served, for the page that operators read.</summary>
    public IReadOnlyList<LeftOut> LeftOut => leftOut;

    public ApiRoute Get(string pattern, ApiHandler handler) => Map("GET", pattern, handler);

    public ApiRoute Head(string pattern, ApiHandler handler) => Map("HEAD", pattern, handler);

    public ApiRoute Post(string pattern, ApiHandler handler) => Map("POST", pattern, handler);

    public ApiRoute Put(string pattern, ApiHandler handler) => Map("PUT", pattern, handler);

    public ApiRoute Patch(string pattern, ApiHandler handler) => Map("PATCH", pattern, handler);

    public ApiRoute Delete(string pattern, ApiHandler handler) => Map("DELETE", pattern, handler);

    /// <summary>Says that operations are left out on purpose; each answers 404, or 405 where the path has other methods.</summary>
    public void LeaveOut(string reason, string pattern, params string[] methods) => leftOut.AddRange(methods.Select(method => new LeftOut(method, pattern, reason)));

    public ApiRoute Map(string method, string pattern, ApiHandler handler)
    {
        var route = new ApiRoute(method, pattern);
        all.Add(route);
        builder.MapMethods(pattern, [method], context => ApiPipeline.RunAsync(context, route, handler)).WithMetadata(route);
        return route;
    }
}
