using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary>Whether a user may boot an image with a flavor.</summary>
internal sealed class ImageCheck(UserClients clients)
{
    private const long GiB = 1L << 30;

    /// <summary>Members of an image that are not properties for the guest.</summary>
    private static readonly HashSet<string> Standard =
    [
        "id", "name", "status", "visibility", "size", "virtual_size", "disk_format", "container_format", "checksum", "os_hash_algo", "os_hash_value", "min_disk",
        "min_ram", "owner", "created_at", "updated_at", "protected", "tags", "self", "file", "schema", "locations", "direct_url", "os_hidden", "stores",
    ];

    /// <exception cref="CloudException">400 where the image is unknown, not active, or does not fit the flavor.</exception>
    public async Task<ImageSpec> CheckAsync(string token, string imageId, FlavorRow flavor, CancellationToken cancellationToken)
    {
        using var document = await GetAsync(token, imageId, cancellationToken);
        var image = document.RootElement;
        var minRam = Number(image, "min_ram");
        var minDisk = Number(image, "min_disk");
        if (minRam > flavor.MemoryMb)
        {
            throw CloudException.BadRequest("Flavor's memory is too small for requested image.");
        }

        var size = Math.Max(Number(image, "size"), Number(image, "virtual_size"));
        if (flavor.RootGb != 0)
        {
            var root = flavor.RootGb * GiB;
            if (size > root)
            {
                throw CloudException.BadRequest($"Flavor's disk is too small for requested image. Flavor disk is {root} bytes, image is {size} bytes.");
            }

            if (minDisk > flavor.RootGb)
            {
                throw CloudException.BadRequest(
                    $"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is {root} bytes, minimum size is {minDisk * GiB} bytes.");
            }
        }

        return SpecOf(imageId, image);
    }

    /// <summary>An image as hosts are told of it.</summary>
    /// <exception cref="CloudException">400 where the image is unknown or not active.</exception>
    public async Task<ImageSpec> FindAsync(string token, string imageId, CancellationToken cancellationToken)
    {
        using var document = await GetAsync(token, imageId, cancellationToken);
        return SpecOf(imageId, document.RootElement);
    }

    private async Task<JsonDocument> GetAsync(string token, string imageId, CancellationToken cancellationToken)
    {
        var document = await clients.GetImageAsync(token, $"/v2/images/{imageId}", cancellationToken) ?? throw CloudException.BadRequest("Can not find requested image");
        if (document.RootElement.Text("status") == "active")
        {
            return document;
        }

        document.Dispose();
        throw CloudException.BadRequest($"Image {imageId} is not active.");
    }

    private static ImageSpec SpecOf(string imageId, JsonElement image) =>
        new(imageId, image.Text("name") ?? "", image.Text("disk_format") ?? "", image.Text("container_format") ?? "", Number(image, "size"))
        {
            HashAlgorithm = image.Text("os_hash_algo"),
            HashValue = image.Text("os_hash_value"),
            MinDiskGb = (int)Number(image, "min_disk"),
            MinMemoryMb = (int)Number(image, "min_ram"),
            Properties = image.EnumerateObject()
                .Where(member => member.Value.ValueKind is JsonValueKind.String or JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False)
                .Where(member => !Standard.Contains(member.Name))
                .ToDictionary(member => member.Name, member => member.Value.ToString()),
        };

    private static long Number(JsonElement image, string name) =>
        image.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? Convert.ToInt64(value.GetDouble(), CultureInfo.InvariantCulture) : 0;
}
