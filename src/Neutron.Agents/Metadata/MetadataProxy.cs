using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.LinuxHost.Kestrel;
using SharpStack.Neutron.Agents.Dhcp;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>Neutron's configuration, as the metadata agent reads it.</summary>
internal sealed record MetadataSettings(ServiceConfig Config);

/// <summary>
/// Passes an instance's request on to Nova with who it is, signed. Who asks is known by the namespace that the request came in through and the
/// address that it came from; no header of the guest's is passed on or believed.
/// </summary>
internal sealed partial class MetadataProxy
{
    /// <summary>Encrypted passwords are the longest that guests send.</summary>
    private const int LargestBody = 64 << 10;

    private const int ConcurrentInNamespace = 64;
    private const int LargestCache = 10_000;

    private static readonly TimeSpan CacheTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly IMessageBus bus;
    private readonly HttpMessageInvoker http;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly string nova;
    private readonly byte[] secret;
    private readonly ConcurrentDictionary<(string Namespace, string Address), (MetadataInstanceAnswer Answer, long Found)> cache = new();
    private readonly ConcurrentDictionary<string, int> busy = new();

    public MetadataProxy(MetadataSettings settings, IMessageBus bus, ServiceClients clients, TimeProvider time, ILogger<MetadataProxy> log)
    {
        this.bus = bus;
        this.time = time;
        this.log = log;
        var config = settings.Config;
        http = clients.Http(MetadataAgentOptions.Tls(config));
        var host = config.Get(MetadataAgentOptions.NovaMetadataHost);
        nova = $"{config.Get(MetadataAgentOptions.NovaMetadataProtocol)}://{(host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host)}:{config.Get(MetadataAgentOptions.NovaMetadataPort)}";
        secret = Encoding.UTF8.GetBytes(config.Get(MetadataAgentOptions.SharedSecret));
    }

    public void Map(ApiRoutes routes)
    {
        foreach (var method in new[] { "GET", "HEAD", "POST", "PUT" })
        {
            routes.Map(method, "/{**path}", AnswerAsync).Public();
        }
    }

    private async Task AnswerAsync(ApiContext context)
    {
        var place = context.Http.Features.Get<INetworkNamespaceFeature>()?.NetworkNamespace;
        if (place is null || context.Http.Connection.RemoteIpAddress is not { } address)
        {
            throw NotFound();
        }

        if (busy.AddOrUpdate(place, 1, static (_, count) => count + 1) > ConcurrentInNamespace)
        {
            busy.AddOrUpdate(place, 0, static (_, count) => count - 1);
            throw CloudException.Unavailable("The metadata service is busy with other requests of this network: try again.");
        }

        try
        {
            using var limit = new CancellationTokenSource(Patience, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, context.Aborted);
            await ProxyAsync(context, place, TextOf(address), either.Token);
        }
        catch (OperationCanceledException) when (!context.Aborted.IsCancellationRequested)
        {
            throw CloudException.Unavailable("The metadata service did not answer in time: try again.");
        }
        finally
        {
            if (busy.AddOrUpdate(place, 0, static (_, count) => count - 1) == 0)
            {
                busy.TryRemove(new KeyValuePair<string, int>(place, 0));
            }
        }
    }

    /// <summary>Without the link of a link-local address, which means nothing outside the namespace.</summary>
    private static string TextOf(IPAddress address) =>
        (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address.IsIPv6LinkLocal ? new IPAddress(address.GetAddressBytes()) : address).ToString();

    private async Task ProxyAsync(ApiContext context, string place, string address, CancellationToken cancellationToken)
    {
        var body = await ReadBodyAsync(context.Http.Request, cancellationToken);
        var instance = await FindAsync(place, address, cancellationToken);
        using var first = await SendAsync(context, instance, address, body, cancellationToken);
        if (first.StatusCode != HttpStatusCode.NotFound)
        {
            await CopyAsync(context, first, cancellationToken);
            return;
        }

        // The address may have a new owner since it was asked for.
        cache.TryRemove((place, address), out _);
        var again = await FindAsync(place, address, cancellationToken);
        if (again.InstanceId == instance.InstanceId)
        {
            await CopyAsync(context, first, cancellationToken);
            return;
        }

        using var second = await SendAsync(context, again, address, body, cancellationToken);
        await CopyAsync(context, second, cancellationToken);
    }

    private async Task<MetadataInstanceAnswer> FindAsync(string place, string address, CancellationToken cancellationToken)
    {
        var now = time.GetTimestamp();
        if (cache.TryGetValue((place, address), out var known) && time.GetElapsedTime(known.Found, now) < CacheTime)
        {
            return known.Answer;
        }

        var request = place.StartsWith(DhcpDevice.NamespacePrefix, StringComparison.Ordinal) ? new MetadataInstanceRequest(place[DhcpDevice.NamespacePrefix.Length..], address)
            : place.StartsWith(RouterNames.NamespacePrefix, StringComparison.Ordinal) ? new MetadataInstanceRequest(null, address, place[RouterNames.NamespacePrefix.Length..])
            : throw NotFound();
        var answer = await bus.CallAsync(MetadataContracts.FindInstance, request, cancellationToken: cancellationToken);
        if (string.IsNullOrEmpty(answer.InstanceId))
        {
            LogUnknown(address, place);
            throw NotFound();
        }

        if (cache.Count >= LargestCache)
        {
            cache.Clear();
        }

        cache[(place, address)] = (answer, now);
        return answer;
    }

    private async Task<HttpResponseMessage> SendAsync(ApiContext context, MetadataInstanceAnswer instance, string address, byte[] body, CancellationToken cancellationToken)
    {
        var asked = context.Http.Request;
        // As the guest wrote it, but for what the path's own form escapes.
        using var request = new HttpRequestMessage(new HttpMethod(asked.Method), new Uri(nova + asked.Path.ToUriComponent() + asked.QueryString.ToUriComponent()));
        request.Headers.TryAddWithoutValidation("X-Forwarded-For", address);
        request.Headers.TryAddWithoutValidation("X-Instance-ID", instance.InstanceId);
        request.Headers.TryAddWithoutValidation("X-Tenant-ID", instance.ProjectId);
        request.Headers.TryAddWithoutValidation("X-Instance-ID-Signature", Convert.ToHexStringLower(HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes(instance.InstanceId!))));
        if (body.Length > 0)
        {
            request.Content = new ByteArrayContent(body);
        }

        try
        {
            return await http.SendAsync(request, cancellationToken);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            LogUnreachable(nova, failure.Message);
            throw CloudException.Unavailable("The metadata service cannot be reached: try again.", inner: failure);
        }
    }

    private async Task CopyAsync(ApiContext context, HttpResponseMessage answer, CancellationToken cancellationToken)
    {
        switch ((int)answer.StatusCode)
        {
            case 200:
                var response = context.Http.Response;
                response.ContentType = answer.Content.Headers.ContentType?.ToString() ?? "text/plain";
                response.ContentLength = answer.Content.Headers.ContentLength;
                await answer.Content.CopyToAsync(response.Body, cancellationToken);
                return;
            case 403:
                LogForbidden();
                throw CloudException.Forbidden("Access was denied to this resource.");
            case 404:
                throw NotFound();
            case var status and (400 or 405 or 409):
                throw new CloudException((ErrorKind)status, "The metadata service refused the request.");
            default:
                throw new CloudException(ErrorKind.Internal, "Remote metadata server experienced an internal server error.");
        }
    }

    private static async Task<byte[]> ReadBodyAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (request.ContentLength > LargestBody)
        {
            throw TooLarge();
        }

        using var body = new MemoryStream();
        var buffer = new byte[4096];
        int read;
        while ((read = await request.Body.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (body.Length + read > LargestBody)
            {
                throw TooLarge();
            }

            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }

    private static CloudException TooLarge() => new(ErrorKind.PayloadTooLarge, $"At most {LargestBody} bytes can be sent to the metadata service.");

    private static CloudException NotFound() => CloudException.NotFound("The resource could not be found.");

    [LoggerMessage(EventId = 6311, Level = LogLevel.Information, Message = "A request from {Address} in {Namespace} is no instance's")]
    private partial void LogUnknown(string address, string @namespace);

    [LoggerMessage(EventId = 6312, Level = LogLevel.Warning, Message = "Nova's metadata service at {Url} cannot be reached: {Reason}")]
    private partial void LogUnreachable(string url, string reason);

    [LoggerMessage(EventId = 6313, Level = LogLevel.Warning, Message = "Nova's metadata service refused a request; most often metadata_proxy_shared_secret differs between the two services' files")]
    private partial void LogForbidden();
}
