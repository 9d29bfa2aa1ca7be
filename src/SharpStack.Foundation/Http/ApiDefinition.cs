using SharpStack.Foundation.Policy;

namespace SharpStack.Foundation.Http;

/// <summary>One HTTP API: its name, place, envelope, versions, policies and routes.</summary>
public sealed record ApiDefinition
{
    /// <summary>OpenStack's name of the service: <c>keystone</c>, <c>glance-api</c>, <c>placement-api</c>, <c>nova-api</c>, <c>nova-metadata-api</c>, <c>neutron-server</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The type in the catalog: <c>identity</c>, <c>image</c>, <c>placement</c>, <c>compute</c>, <c>network</c>.</summary>
    public required string ServiceType { get; init; }

    public required int DefaultPort { get; init; }

    public required IApiErrors Errors { get; init; }

    public MicroversionRange? Microversions { get; init; }

    /// <summary>Extra response header that carries the request id (<c>x-compute-request-id</c>).</summary>
    public string? RequestIdHeader { get; init; }

    /// <summary>The largest JSON body read; 114,688 bytes is oslo.middleware's default.</summary>
    public int MaxBodySize { get; init; } = 114_688;

    public required Func<IServiceProvider, PolicyEnforcer> Policies { get; init; }

    /// <summary>Adds the routes; called once at the start.</summary>
    public required Action<ApiRoutes, IServiceProvider> Map { get; init; }

    /// <summary>False where a token has no meaning and is not looked at: the metadata service, whose callers are instances.</summary>
    public bool ReadsTokens { get; init; } = true;

    /// <summary>Refuses identities that this API does not take from anyone; null admits.</summary>
    public Func<Identity.RequestIdentity, CloudException?> Admit { get; init; } = static _ => null;

    /// <summary>The configuration that it reads (<c>nova</c> of <c>nova-api</c>).</summary>
    public string Config => Name.Split('-')[0];

    /// <summary>True where a path with a slash at its end is another one, which does not exist (Glance: <c>/v2/images/</c> is an image without an id).</summary>
    public bool StrictSlashes { get; init; }

    /// <summary>Where it listens, if not on its port of the host's address: the metadata service inside network namespaces.</summary>
    public IReadOnlyList<System.Net.EndPoint>? EndPoints { get; init; }

    /// <summary>Turns a schema's finding into the service's own message; Nova, Keystone and Neutron word it differently.</summary>
    public Func<SchemaError, CloudException> SchemaFailure { get; init; } = static error =>
        CloudException.BadRequest($"Invalid input for field/attribute {(error.Path.Count > 0 ? error.Path[^1] : "body")}. Value: {error.Value}. {error.Message}");
}
