using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Metadata;

/// <summary>
/// What guests ask at 169.254.169.254, passed on by Neutron's proxy, which says who asks and signs it. Nothing is answered to a request that is not signed with the
/// shared secret.
/// </summary>
internal sealed class MetadataApi(NovaStore store, ServiceConfig config)
{
    public const string Name = "nova-metadata-api";

    private readonly string secret = config.Get(NovaOptions.MetadataSecret);
    private readonly bool proxied = config.Get(NovaOptions.MetadataProxy) || config.Get(NovaOptions.MetadataSecret).Length > 0;
    private readonly string domain = config.Get(NovaOptions.DhcpDomain);
    private readonly string defaultZone = config.Get(NovaOptions.DefaultZone);

    public static ApiDefinition Definition() =>
        new()
        {
            Name = Name,
            ServiceType = "metadata",
            DefaultPort = 8775,
            Errors = new MetadataErrors(),
            Policies = _ => new PolicyEnforcer([]),
            Map = (routes, services) =>
            {
                var api = services.GetRequiredService<MetadataApi>();
                routes.Get("/", api.AnswerAsync).Public();
                routes.Get("/{**path}", api.AnswerAsync).Public();
            },
        };

    private async Task AnswerAsync(ApiContext context)
    {
        context.Http.Request.RouteValues.TryGetValue("path", out var rest);
        var path = ((string?)rest ?? "").Split('/', StringSplitOptions.RemoveEmptyEntries);
        // The lists of versions are the same for all.
        var tree = path.Length == 0 || path is ["openstack"] ? null : await TreeAsync(context);
        var found = MetadataTree.Find(tree, path) ?? throw CloudException.NotFound("The resource could not be found.");
        var body = found.Binary ?? Encoding.UTF8.GetBytes(found.Text);
        context.Http.Response.ContentType = found.ContentType;
        context.Http.Response.ContentLength = body.Length;
        await context.Http.Response.Body.WriteAsync(body, context.Aborted);
    }

    private async Task<MetadataTree> TreeAsync(ApiContext context)
    {
        var headers = context.Http.Request.Headers;
        var instanceId = One(headers, "X-Instance-ID");
        var tenantId = One(headers, "X-Tenant-ID");
        var signature = One(headers, "X-Instance-ID-Signature");
        if (!proxied || secret.Length == 0)
        {
            throw CloudException.Forbidden("The metadata service answers Neutron's proxy only: set [neutron] service_metadata_proxy and metadata_proxy_shared_secret.");
        }

        if (instanceId is null || tenantId is null)
        {
            throw CloudException.BadRequest($"{(instanceId is null ? "X-Instance-ID" : "X-Tenant-ID")} header is missing from request.");
        }

        var expected = Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(instanceId)));
        if (signature is null || !CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(expected), Encoding.UTF8.GetBytes(signature)))
        {
            throw CloudException.Forbidden("Invalid proxy request signature.");
        }

        await using var session = store.Read();
        var row = await session.FindInstanceAsync(instanceId, context.Aborted);
        if (row is not { IsDeleted: false } || row.ProjectId != tenantId)
        {
            throw CloudException.NotFound("The resource could not be found.");
        }

        return new MetadataTree(row, await session.UserDataAsync(row.Uuid, context.Aborted), domain, defaultZone);
    }

    private static string? One(IHeaderDictionary headers, string name) => headers[name] is [{ Length: > 0 } value] ? value : null;

    private sealed class MetadataErrors : IApiErrors
    {
        public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
        {
            json.WriteStartObject();
            json.WriteString("message", error.Message);
            json.WriteEndObject();
        }

        public (string ContentType, string Text)? Render(string accept, int status, CloudException error) =>
            ("text/plain", $"{status} {ReasonPhrases.Of(status)}\n\n{error.Message}\n");
    }
}
