using System.Buffers;
using System.IO.Pipelines;
using SharpStack.Foundation.Hosting;
using SharpStack.Glance.Data;

namespace SharpStack.Glance.Imports;

/// <summary>Where data waits between <c>stage</c> and <c>import</c>.</summary>
internal sealed class StagingArea(GlanceConfig config, HostOptions host)
{
    private const int ChunkSize = 256 << 10;

    private readonly Lazy<string> directory = new(() =>
    {
        var uri = config.Get(GlanceOptions.NodeStagingUri);
        var path = uri.Length == 0 ? Path.Combine(host.DataDirectory, "glance", "staging")
            : uri.StartsWith("file://", StringComparison.Ordinal) ? uri["file://".Length..]
            : throw new FormatException($"glance: [DEFAULT] node_staging_uri = {uri}: should be file:///path");
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return Path.GetFullPath(path);
    });

    public bool Has(string imageId) => File.Exists(PathOf(imageId));

    public void Remove(string imageId) => File.Delete(PathOf(imageId));

    public Stream Open(string imageId) => new FileStream(PathOf(imageId), FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous | FileOptions.SequentialScan);

    /// <returns>The number of bytes.</returns>
    public async Task<long> WriteAsync(string imageId, string claim, PipeReader data, DataLimit limit, CancellationToken cancellationToken)
    {
        var path = PathOf(imageId);
        var part = PartOf(claim);
        var chunk = ArrayPool<byte>.Shared.Rent(ChunkSize);
        try
        {
            var size = 0L;
            await using (var file = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous))
            {
                await foreach (var piece in PipeChunks.ReadAsync(data, chunk, ChunkSize, cancellationToken))
                {
                    size += piece.Length;
                    if (size > limit.Bytes)
                    {
                        throw limit.Exceeded();
                    }

                    await file.WriteAsync(piece, cancellationToken);
                }

                file.Flush(flushToDisk: true);
            }

            File.Move(part, path, overwrite: true);
            return size;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
            File.Delete(part);
        }
    }

    /// <summary>Removes the unfinished files of those claims.</summary>
    public void Abandon(Predicate<string> isLeftOver)
    {
        foreach (var path in Directory.EnumerateFiles(directory.Value, ".*.part").Where(path => isLeftOver(Path.GetFileNameWithoutExtension(path)[1..])))
        {
            File.Delete(path);
        }
    }

    private string PartOf(string claim) => Path.Combine(directory.Value, $".{claim}.part");

    private string PathOf(string imageId) => Path.Combine(directory.Value, imageId);
}
