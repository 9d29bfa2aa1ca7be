using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost.Processes;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Images;

/// <summary>An image in the cache, raw: what guests' disks are laid over.</summary>
/// <param name="Size">Bytes that a guest sees.</param>
internal sealed record CachedImage(string Path, long Size);

/// <summary>
/// Images by the SHA-1 of their id, as Nova names them. One is fetched once however many guests wait for it, checked against Glance's hash, looked into,
/// and made raw: a guest over a compressed image would unpack it at each boot.
/// </summary>
internal sealed partial class ImageCache : IAsyncDisposable
{
    /// <summary>Nova's limits for qemu-img, which reads what users upload.</summary>
    // Each of qemu-img's threads reserves 64 MiB of addresses for its heap, and on a busy machine there are many at once: 1 GiB is too little.
    private static readonly CommandLimits ConvertLimits = new(TimeSpan.FromMinutes(30), ProcessorSeconds: 1200, AddressSpace: 4L << 30);

    private const int BufferSize = 1 << 20;

    private readonly string directory;
    private readonly IImageSource source;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly ConcurrentDictionary<string, Lazy<Task<CachedImage>>> fetching = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource stopping = new();

    public ImageCache(string directory, IImageSource source, TimeProvider time, ILogger log)
    {
        this.directory = directory;
        this.source = source;
        this.time = time;
        this.log = log;
    }

    /// <summary>Makes the folder, and removes what a crash left half-fetched.</summary>
    public void Open()
    {
        Directory.CreateDirectory(directory);
        foreach (var path in Directory.EnumerateFiles(directory).Where(IsPart))
        {
            File.Delete(path);
        }
    }

    /// <summary>The image, fetched first where it is not here.</summary>
    /// <param name="image">The image.</param>
    /// <param name="limit">The size of the disk that it must fit in, bytes; 0 for none.</param>
    /// <exception cref="ComputeException">It cannot be used, or is larger than the disk.</exception>
    public async Task<CachedImage> GetAsync(ImageSpec image, long limit, CancellationToken cancellationToken)
    {
        if (limit > 0 && image.Size > limit)
        {
            throw TooLarge(image, image.Size, limit);
        }

        var path = PathOf(image.Id);
        var cached = Find(path);
        if (cached is null)
        {
            var fetch = fetching.GetOrAdd(image.Id, _ => new Lazy<Task<CachedImage>>(() => FetchAsync(image, path)));
            // Whoever gives up leaves the others their download.
            cached = await fetch.Value.WaitAsync(cancellationToken);
        }

        return limit > 0 && cached.Size > limit ? throw TooLarge(image, cached.Size, limit) : cached;
    }

    /// <summary>Deletes images that none of the disks lies over and that were not used for a while.</summary>
    public void RemoveUnused(IReadOnlySet<string> used, TimeSpan minimumAge)
    {
        foreach (var path in Directory.EnumerateFiles(directory))
        {
            if (!IsPart(path) && !used.Contains(path) && time.GetUtcNow() - File.GetLastWriteTimeUtc(path) >= minimumAge)
            {
                File.Delete(path);
                LogRemoved(path);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await stopping.CancelAsync();
        stopping.Dispose();
    }

    internal string PathOf(string imageId)
    {
#pragma warning disable CA5350 // A file's name, as Nova's; nothing is protected by it.
        return Path.Combine(directory, Convert.ToHexStringLower(SHA1.HashData(Encoding.UTF8.GetBytes(imageId))));
#pragma warning restore CA5350
    }

    private static bool IsPart(string path) => path.EndsWith(".part", StringComparison.Ordinal) || path.EndsWith(".raw", StringComparison.Ordinal);

    private static ComputeException TooLarge(ImageSpec image, long size, long limit) => new(
        $"Flavor's disk is too small for image {image.Name}: the image is {size} bytes and the disk {limit} bytes. Take a flavor with a larger disk.");

    /// <summary>Marks the image as used now; null where it is not here.</summary>
    private CachedImage? Find(string path)
    {
        try
        {
            var size = new FileInfo(path).Length;
            File.SetLastWriteTimeUtc(path, time.GetUtcNow().UtcDateTime);
            return new CachedImage(path, size);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private async Task<CachedImage> FetchAsync(ImageSpec image, string path)
    {
        // Off the first caller's stack: it waits like the others.
        await Task.Yield();
        var part = path + ".part";
        var raw = path + ".raw";
        try
        {
            if (Find(path) is { } already)
            {
                return already;
            }

            var started = time.GetTimestamp();
            await DownloadAsync(image, part, stopping.Token);
            var size = ImageInspector.Check(part, image.DiskFormat, image.Name);
            if (image.DiskFormat == "qcow2")
            {
                await ConvertAsync(image, part, raw, size, stopping.Token);
                File.Delete(part);
            }
            else
            {
                File.Move(part, raw, overwrite: true);
            }

            // A power cut must not leave a file under the image's name with less than the image in it.
            using (var written = File.OpenHandle(raw, access: FileAccess.ReadWrite))
            {
                RandomAccess.FlushToDisk(written);
            }

            File.SetLastWriteTimeUtc(raw, time.GetUtcNow().UtcDateTime);
            File.Move(raw, path);
            var seconds = time.GetElapsedTime(started).TotalSeconds;
            LogFetched(image.Id, size, seconds);
            return new CachedImage(path, size);
        }
        finally
        {
            File.Delete(part);
            File.Delete(raw);
            fetching.TryRemove(image.Id, out _);
        }
    }

    private async Task DownloadAsync(ImageSpec image, string part, CancellationToken cancellationToken)
    {
        using var hash = HashOf(image);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferSize);
        try
        {
            await using var stream = await source.OpenAsync(image.Id, cancellationToken);
            await using var file = new FileStream(part, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                BufferSize = 0,
                Options = FileOptions.Asynchronous,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead,
            });
            long total = 0;
            int count;
            while ((count = await stream.ReadAsync(buffer, cancellationToken)) > 0)
            {
                total += count;
                if (total > image.Size)
                {
                    throw new ComputeException($"Image {image.Name} is larger than the {image.Size} bytes that Glance says it has: upload it again.");
                }

                hash?.AppendData(buffer, 0, count);
                await file.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
            }

            if (total != image.Size)
            {
                throw new IOException($"The download of image {image.Id} ended after {total} of {image.Size} bytes.");
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        if (hash is not null && !Convert.ToHexStringLower(hash.GetHashAndReset()).Equals(image.HashValue, StringComparison.OrdinalIgnoreCase))
        {
            throw new ComputeException($"The data of image {image.Name} does not match its {image.HashAlgorithm} hash: it was damaged; upload it again.");
        }
    }

    private static IncrementalHash? HashOf(ImageSpec image) => image.HashValue is null ? null : image.HashAlgorithm?.ToLowerInvariant() switch
    {
        "sha512" => IncrementalHash.CreateHash(HashAlgorithmName.SHA512),
        "sha384" => IncrementalHash.CreateHash(HashAlgorithmName.SHA384),
        "sha256" => IncrementalHash.CreateHash(HashAlgorithmName.SHA256),
        "md5" => IncrementalHash.CreateHash(HashAlgorithmName.MD5),
        _ => null,
    };

    private async Task ConvertAsync(ImageSpec image, string from, string to, long size, CancellationToken cancellationToken)
    {
        var result = await BoundedCommand.RunAsync(
            "qemu-img", ["convert", "-f", "qcow2", "-O", "raw", from, to], ConvertLimits with { FileSize = Math.Max(size, 1 << 20) }, time, cancellationToken);
        if (result.ExitCode == 127)
        {
            throw new ComputeException("qemu-img is missing on the host: install qemu-utils.", reschedule: true);
        }

        if (result.ExitCode != 0)
        {
            throw new ComputeException(
                $"Image {image.Name} cannot be converted: it is damaged, or the host's disk is full. Check it with `qemu-img check` and upload it again.",
                inner: new IOException(result.Error));
        }
    }

    [LoggerMessage(EventId = 5301, Level = LogLevel.Information, Message = "Image {Id} is in the cache: {Size} bytes for guests, {Seconds:0.0} s")]
    private partial void LogFetched(string id, long size, double seconds);

    [LoggerMessage(EventId = 5302, Level = LogLevel.Information, Message = "Cached image {Path} was not used any more and is deleted")]
    private partial void LogRemoved(string path);
}
