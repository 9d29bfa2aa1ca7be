using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Glance.Images;
using SharpStack.Glance.Inspection;
using SharpStack.Glance.Storage;
using SharpStack.Glance.Stores;

namespace SharpStack.Glance.Data;

/// <summary>Brings data into images at constant memory: hashed and inspected on the way, visible whole or not at all.</summary>
internal sealed class ImageData(GlanceDatabase database, ImageRepository images, ImageStores stores, GlanceConfig config, UploadClaims claims, TimeProvider time)
{
    private const int ChunkSize = 256 << 10;
    private const string HashAlgorithm = "sha512";

    /// <summary>Containers whose content is an archive, not a disk.</summary>
    private static readonly HashSet<string> Archives = ["ovf", "ova", "docker", "compressed"];

    /// <summary>Claims a queued image for one upload, stores the data and makes the image active; whatever goes wrong, it is queued again and nothing is left.</summary>
    /// <param name="length">Bytes announced; null where unknown.</param>
    public async Task UploadAsync(string imageId, Viewer viewer, Action<Image> check, string? store, PipeReader data, long? length, CancellationToken cancellationToken)
    {
        var (storeName, chosen) = stores.Select(store);
        var claim = claims.New();
        var image = await images.ChangeAsync(
            imageId,
            viewer,
            image =>
            {
                check(image);
                RequireTransition(image.Row, ImageStatus.Queued, ImageStatus.Saving);
                RequireFormats(image.Row);
                return image with { Row = image.Row with { Status = ImageStatus.Saving, Claim = claim } };
            },
            cancellationToken);
        var finished = false;
        try
        {
            await StoreAsync(image.Row, claim, storeName, chosen, data, length, cancellationToken);
            finished = true;
        }
        finally
        {
            if (!finished)
            {
                await ReleaseAsync(imageId, claim);
            }
        }
    }

    /// <summary>Stores data for an image whose row carries the claim, then makes the image active.</summary>
    public async Task StoreAsync(ImageRow image, string claim, string? storeName, IImageStore store, PipeReader data, long? length, CancellationToken cancellationToken)
    {
        var limit = await LimitAsync(image, length, cancellationToken);
        await using var upload = store.Begin(image.Id, claim);
        var stored = await CopyAsync(image, upload, data, limit, cancellationToken);
        var location = await upload.CommitAsync(cancellationToken);
        var now = time.NowMicroseconds();
        var kept = await database.Service.WriteAsync(
            session => session.GetTable<ImageRow>()
                .Where(row => row.Id == image.Id && row.Claim == claim && row.Status == image.Status)
                .Set(row => row.Status, ImageStatus.Active)
                .Set(row => row.Claim, (string?)null)
                .Set(row => row.Size, stored.Size)
                .Set(row => row.VirtualSize, stored.VirtualSize)
                .Set(row => row.Checksum, stored.Md5)
                .Set(row => row.HashAlgorithm, HashAlgorithm)
                .Set(row => row.HashValue, stored.Sha512)
                .Set(row => row.Store, storeName)
                .Set(row => row.Location, location)
                .Set(row => row.UpdatedAt, now)
                .Set(row => row.Revision, row => row.Revision + 1)
                .UpdateAsync(CancellationToken.None),
            CancellationToken.None);
        if (kept == 0)
        {
            await store.DeleteAsync(location, CancellationToken.None);
            throw new CloudException(
                ErrorKind.Gone, $"Image {image.Id} could not be found after upload. The image may have been deleted during the upload, cleaning up the chunks uploaded.");
        }
    }

    /// <summary>Makes an image queued again, unless somebody else has it by now.</summary>
    public Task ReleaseAsync(string imageId, string claim) =>
        database.Service.WriteAsync(session => session.GetTable<ImageRow>()
            .Where(row => row.Id == imageId && row.Claim == claim && row.Status != ImageStatus.Deleted)
            .Set(row => row.Status, ImageStatus.Queued)
            .Set(row => row.Size, (long?)null)
            .Set(row => row.Claim, (string?)null)
            .Set(row => row.Revision, row => row.Revision + 1)
            .UpdateAsync());

    public static void RequireTransition(ImageRow image, string from, string to)
    {
        if (image.Status != from)
        {
            throw CloudException.Conflict($"Image status transition from {image.Status} to {to} is not allowed");
        }
    }

    public static void RequireFormats(ImageRow image)
    {
        string[] missing = [.. new[] { ("disk_format", image.DiskFormat), ("container_format", image.ContainerFormat) }.Where(pair => string.IsNullOrEmpty(pair.Item2)).Select(pair => pair.Item1)];
        if (missing.Length > 0)
        {
            throw CloudException.BadRequest($"{(missing.Length == 1 ? "Property" : "Properties")} {string.Join(", ", missing)} must be set prior to saving data.");
        }
    }

    /// <summary>The most bytes that an image may have: the cap, or what its owner's quota leaves.</summary>
    /// <exception cref="CloudException">413 where the announced length is more.</exception>
    public async Task<DataLimit> LimitAsync(ImageRow image, long? length, CancellationToken cancellationToken)
    {
        var cap = config.Get(GlanceOptions.ImageSizeCap);
        var limit = new DataLimit(cap, $"The incoming image is too large: The provided image is too large: at most {cap} bytes are allowed.");
        if (StorageQuota.Parse(config.Get(GlanceOptions.UserStorageQuota)) is > 0 and var quota)
        {
            var left = Math.Max(0, quota - await images.StoredAsync(image.Owner, cancellationToken));
            if (left < cap)
            {
                limit = new DataLimit(left, $"Image exceeds the storage quota: The size of the data {length?.ToString() ?? "sent"} will exceed the limit. {left} bytes remaining.");
            }
        }

        return length > limit.Bytes ? throw limit.Exceeded() : limit;
    }

    private async Task<StoredData> CopyAsync(ImageRow image, IImageUpload upload, PipeReader data, DataLimit limit, CancellationToken cancellationToken)
    {
        using var inspector = Archives.Contains(image.ContainerFormat!)
            ? null
            : new ImageInspector(image.DiskFormat!, config.Get(GlanceOptions.RequireImageFormatMatch), config.Get(GlanceOptions.VmdkAllowedTypes));
#pragma warning disable CA5351 // The API's checksum is MD5 by definition; integrity rests on SHA-512.
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
#pragma warning restore CA5351
        using var sha512 = IncrementalHash.CreateHash(HashAlgorithmName.SHA512);
        var size = 0L;
        // Requests arrive in pieces of 4 KiB; disks and hashes like more.
        var chunk = ArrayPool<byte>.Shared.Rent(ChunkSize);
        try
        {
            await foreach (var part in PipeChunks.ReadAsync(data, chunk, ChunkSize, cancellationToken))
            {
                size += part.Length;
                if (size > limit.Bytes)
                {
                    throw limit.Exceeded();
                }

                inspector?.Feed(part.Span);
                md5.AppendData(part.Span);
                sha512.AppendData(part.Span);
                await upload.WriteAsync(part, cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }

        var found = inspector?.Finish();
        return new StoredData(size, found?.VirtualSize, Convert.ToHexStringLower(md5.GetHashAndReset()), Convert.ToHexStringLower(sha512.GetHashAndReset()));
    }

    private sealed record StoredData(long Size, long? VirtualSize, string Md5, string Sha512);
}

/// <summary>How many bytes may come, and what to say where more do.</summary>
internal sealed record DataLimit(long Bytes, string Message)
{
    public CloudException Exceeded() => new(ErrorKind.PayloadTooLarge, Message);
}

/// <summary>Reads a pipe in large pieces through one buffer.</summary>
internal static class PipeChunks
{
    /// <summary>Each piece is valid until the next is asked for.</summary>
    public static async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(
        PipeReader data, byte[] buffer, int size, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var filled = 0;
        while (true)
        {
            var result = await data.ReadAsync(cancellationToken);
            var rest = result.Buffer;
            while (!rest.IsEmpty)
            {
                var taken = (int)Math.Min(rest.Length, size - filled);
                rest.Slice(0, taken).CopyTo(buffer.AsSpan(filled));
                rest = rest.Slice(taken);
                filled += taken;
                if (filled == size)
                {
                    yield return buffer.AsMemory(0, filled);
                    filled = 0;
                }
            }

            data.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                break;
            }
        }

        if (filled > 0)
        {
            yield return buffer.AsMemory(0, filled);
        }
    }
}

/// <summary><c>user_storage_quota</c>: a number and a unit.</summary>
internal static class StorageQuota
{
    private static readonly string[] Units = ["B", "KB", "MB", "GB", "TB"];

    /// <returns>Bytes; 0 for no limit.</returns>
    public static long Parse(string text)
    {
        var digits = text.TrimEnd().TakeWhile(char.IsAsciiDigit).Count();
        var unit = text[digits..].Trim().ToUpperInvariant();
        var power = unit.Length == 0 ? 0 : Array.IndexOf(Units, unit);
        return power >= 0 && long.TryParse(text.AsSpan(0, digits), out var number)
            ? checked(number << (10 * power))
            : throw new FormatException($"glance: [DEFAULT] user_storage_quota = {text}: should be a number with B, KB, MB, GB or TB");
    }
}
