using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;

namespace SharpStack.Nova.Clients;

/// <summary>Asks other services with the user's own token: what the user may not see, Nova does not give them.</summary>
internal sealed class UserClients(ServiceClients clients, ServiceConfig config)
{
    private readonly ServiceClient image = clients.For(config, "glance", "image");
    private readonly ServiceClient network = clients.For(config, "neutron", "network");

    /// <returns>Null for a 404.</returns>
    public Task<JsonDocument?> GetImageAsync(string token, string path, CancellationToken cancellationToken) => GetAsync(image, "image", token, path, cancellationToken);

    /// <inheritdoc cref="GetImageAsync"/>
    public Task<JsonDocument?> GetNetworkAsync(string token, string path, CancellationToken cancellationToken) => GetAsync(network, "network", token, path, cancellationToken);

    private async Task<JsonDocument?> GetAsync(ServiceClient service, string name, string token, string path, CancellationToken cancellationToken)
    {
        var (_, endpoint) = await service.AuthorizeAsync(cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Get, endpoint + path);
        request.Headers.TryAddWithoutValidation("X-Auth-Token", token);
        HttpResponseMessage response;
        try
        {
            response = await service.Http.SendAsync(request, cancellationToken);
        }
        catch (Exception failure) when (failure is HttpRequestException or IOException)
        {
            throw CloudException.Unavailable($"The {name} service cannot be reached at {request.RequestUri!.GetLeftPart(UriPartial.Authority)}: {failure.Message}", inner: failure);
        }

        using (response)
        {
            if (response.StatusCode == System.Net.HttpStatusCode.NotFound)
            {
                return null;
            }

            if (!response.IsSuccessStatusCode)
            {
                throw new CloudException((ErrorKind)(int)response.StatusCode, $"The {name} service answered {(int)response.StatusCode} to {request.RequestUri!.AbsolutePath}.");
            }

            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            return await JsonDocument.ParseAsync(body, cancellationToken: cancellationToken);
        }
    }
}
