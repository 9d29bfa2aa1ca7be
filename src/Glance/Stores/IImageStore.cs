using SharpStack.Foundation.Configuration;

namespace SharpStack.Glance.Stores;

/// <summary>A kind of store, by OpenStack's name for it (<c>file</c>).</summary>
public interface IImageStoreType
{
    string Name { get; }

    /// <summary>Opens a store whose options are in <paramref name="group"/>.</summary>
    /// <param name="defaultDirectory">Where a store may keep data that no option places.</param>
    IImageStore Open(ServiceConfig config, string group, string defaultDirectory);
}

/// <summary>Where image data lies.</summary>
public interface IImageStore
{
    /// <summary>What <c>GET /v2/info/stores/detail</c> tells of it.</summary>
    IReadOnlyDictionary<string, string> Properties { get; }

    /// <summary>Begins to store an image's data; nothing of it is visible until <see cref="IImageUpload.CommitAsync"/>.</summary>
    /// <param name="claim">Names this attempt, so that what a crash leaves behind is known again.</param>
    IImageUpload Begin(string imageId, string claim);

    /// <summary>Writes a part of the data to a stream.</summary>
    /// <exception cref="FileNotFoundException">There is no such data.</exception>
    Task ReadAsync(string location, long offset, long count, Stream destination, CancellationToken cancellationToken);

    /// <summary>Deletes data; nothing happens where there is none.</summary>
    Task DeleteAsync(string location, CancellationToken cancellationToken);

    /// <summary>Removes the unfinished uploads of those claims.</summary>
    void Abandon(Predicate<string> isLeftOver);
}

/// <summary>Data on its way into a store; disposing before the commit leaves nothing.</summary>
public interface IImageUpload : IAsyncDisposable
{
    ValueTask WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken);

    /// <summary>Makes the data durable and visible.</summary>
    /// <returns>The location, a URL of the store's own.</returns>
    Task<string> CommitAsync(CancellationToken cancellationToken);
}
