using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Hosting;
using SharpStack.Glance.Images;
using SharpStack.Glance.Storage;

namespace SharpStack.Glance.Stores;

/// <summary>The stores that are configured: one without a name, or several with.</summary>
internal sealed class ImageStores(GlanceConfig config, HostOptions host, IEnumerable<IImageStoreType> types)
{
    private const string Unnamed = "";

    private readonly Dictionary<string, IImageStore> stores = new(StringComparer.Ordinal);
    private string defaultStore = Unnamed;

    /// <summary>Names of the stores, where there are several; else empty.</summary>
    public IReadOnlyList<string> Named => stores.ContainsKey(Unnamed) ? [] : [.. stores.Keys];

    public string? DefaultName => defaultStore.Length == 0 ? null : defaultStore;

    /// <summary>Opens every store; what an earlier run of this host left unfinished is removed.</summary>
    public void Open()
    {
        var home = Path.Combine(host.DataDirectory, "glance");
        var backends = config.Get(GlanceOptions.EnabledBackends);
        if (backends.Count == 0)
        {
            stores[Unnamed] = TypeOf("file").Open(config.Options, GlanceOptions.DefaultStoreGroup, Path.Combine(home, "images"));
        }

        foreach (var (name, type) in backends)
        {
            stores[name] = TypeOf(type).Open(config.Options, name, Path.Combine(home, $"images-{name}"));
        }

        defaultStore = backends.Count == 0 ? Unnamed : config.Get(GlanceOptions.DefaultBackend);
        if (!stores.ContainsKey(defaultStore))
        {
            throw new FormatException($"glance: [{GlanceOptions.DefaultStoreGroup}] default_backend = {defaultStore}: should be one of the stores in enabled_backends");
        }

        foreach (var store in stores.Values)
        {
            store.Abandon(Data.ImageData.ClaimPrefix(host.HostName));
        }
    }

    /// <summary>A store by name; the default one for none.</summary>
    /// <returns>The name to record with the image, and the store.</returns>
    public (string? Name, IImageStore Store) Select(string? name)
    {
        var chosen = string.IsNullOrEmpty(name) || defaultStore.Length == 0 ? defaultStore : name;
        return stores.TryGetValue(chosen, out var store)
            ? (chosen.Length == 0 ? null : chosen, store)
            : throw CloudException.BadRequest($"Unknown store identifier '{chosen}': choose one of {string.Join(", ", stores.Keys)}.");
    }

    /// <summary>The store that holds an image.</summary>
    public IImageStore Holding(string? name) => stores.TryGetValue(name ?? defaultStore, out var store)
        ? store
        : throw CloudException.Unavailable($"The store '{name}' that holds the image is not configured: add it to enabled_backends.");

    public IImageStore Get(string name) => stores[name];

    /// <summary>Deletes the data of an image that is deleted, then the memory of where it was; a crash between is made good at the next start.</summary>
    public async Task ForgetAsync(GlanceDatabase database, string imageId, string? store, string location, CancellationToken cancellationToken)
    {
        if (!stores.ContainsKey(store ?? defaultStore))
        {
            return;
        }

        await Holding(store).DeleteAsync(location, cancellationToken);
        await database.Service.WriteAsync(
            session => session.GetTable<ImageRow>().Where(row => row.Id == imageId).Set(row => row.Location, (string?)null).UpdateAsync(cancellationToken), cancellationToken);
    }

    private IImageStoreType TypeOf(string name) =>
        types.FirstOrDefault(type => type.Name == name)
        ?? throw new FormatException($"glance: there is no store of type '{name}'; known are {string.Join(", ", types.Select(type => type.Name))}");
}
