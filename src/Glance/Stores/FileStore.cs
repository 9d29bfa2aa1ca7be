using System.Buffers;
using Microsoft.Win32.SafeHandles;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Glance.Stores;

/// <summary>The store <c>file</c>: a file an image, in the folder <c>filesystem_store_datadir</c>.</summary>
internal sealed class FileStoreType : IImageStoreType
{
    public string Name => "file";

    public IImageStore Open(ServiceConfig config, string group, string defaultDirectory) =>
        new FileStore(config.Get(GlanceOptions.DataDirOf(group)) is { Length: > 0 } directory ? directory : defaultDirectory);
}

internal sealed class FileStore : IImageStore
{
    private const string Scheme = "file://";
    private const int ChunkSize = 1 << 16;

    private readonly string directory;

    public FileStore(string directory)
    {
        this.directory = Path.GetFullPath(directory);
        Directory.CreateDirectory(this.directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public IReadOnlyDictionary<string, string> Properties => new Dictionary<string, string> { ["data_dir"] = directory };

    public IImageUpload Begin(string imageId, string claim) => new Upload(Path.Combine(directory, imageId), Path.Combine(directory, $".{claim}.part"));

    public async Task ReadAsync(string location, long offset, long count, Stream destination, CancellationToken cancellationToken)
    {
        using var file = File.OpenHandle(PathOf(location), options: FileOptions.Asynchronous | FileOptions.SequentialScan);
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkSize);
        try
        {
            while (count > 0)
            {
                var read = await RandomAccess.ReadAsync(file, buffer.AsMemory(0, (int)Math.Min(count, ChunkSize)), offset, cancellationToken);
                if (read == 0)
                {
                    throw new EndOfStreamException($"{location} is shorter than the image's size.");
                }

                await destination.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                offset += read;
                count -= read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public Task DeleteAsync(string location, CancellationToken cancellationToken)
    {
        File.Delete(PathOf(location));
        return Task.CompletedTask;
    }

    public void Abandon(Predicate<string> isLeftOver)
    {
        foreach (var path in Directory.EnumerateFiles(directory, ".*.part").Where(path => isLeftOver(Path.GetFileNameWithoutExtension(path)[1..])))
        {
            File.Delete(path);
        }
    }

    private static string PathOf(string location) =>
        location.StartsWith(Scheme, StringComparison.Ordinal) ? location[Scheme.Length..] : throw new FileNotFoundException($"{location} is no location of a file store.");

    private sealed class Upload : IImageUpload
    {
        private readonly string target;
        private readonly string part;
        private readonly SafeFileHandle file;
        private long written;
        private bool committed;

        public Upload(string target, string part)
        {
            this.target = target;
            this.part = part;
            file = File.OpenHandle(part, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.Asynchronous);
        }

        public async ValueTask WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        {
            try
            {
                await RandomAccess.WriteAsync(file, data, written, cancellationToken);
            }
            catch (IOException failure) when (failure.HResult == NoSpaceLeft)
            {
                throw new CloudException(ErrorKind.PayloadTooLarge, "Image storage media is full: There is not enough disk space on the image storage media.", inner: failure);
            }

            written += data.Length;
        }

        public Task<string> CommitAsync(CancellationToken cancellationToken)
        {
            RandomAccess.FlushToDisk(file);
            file.Dispose();
            var place = target;
            try
            {
                File.Move(part, place, overwrite: false);
            }
            catch (IOException) when (File.Exists(target))
            {
                // Of another attempt, which may yet be the one that counts: neither overwrites the other, and the loser deletes its own.
                place = $"{target}.{Guid.NewGuid():N}";
                File.Move(part, place, overwrite: false);
            }

            committed = true;
            return Task.FromResult(Scheme + place);
        }

        public ValueTask DisposeAsync()
        {
            file.Dispose();
            if (!committed)
            {
                File.Delete(part);
            }

            return ValueTask.CompletedTask;
        }

        private const int NoSpaceLeft = 28;
    }
}
