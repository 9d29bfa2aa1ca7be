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

    private readonly Lazy<(IReadOnlyDictionary<string, IImageStore> Stores, string Default)> opened = new(() => Open(config, host, types));

    /// <summary>Names of the stores, where there are several; else empty.</summary>
    public IReadOnlyList<string> Named => All.ContainsKey(Unnamed) ? [] : [.. All.Keys];

    public string? DefaultName => opened.Value.Default is { Length: > 0 } name ? name : null;

    private IReadOnlyDictionary<string, IImageStore> All => opened.Value.Stores;

    /// <summary>Removes what an earlier run left unfinished in any store.</summary>
    public void Abandon(Predicate<string> isLeftOver)
    {
        foreach (var store in All.Values)
        {
            store.Abandon(isLeftOver);
        }
    }

    /// <summary>A store by name; the default one for none.</summary>
    /// <returns>The name to record with the image, and the store.</returns>
    public (string? Name, IImageStore Store) Select(string? name)
    {
        var chosen = string.IsNullOrEmpty(name) || DefaultName is null ? opened.Value.Default : name;
        return All.TryGetValue(chosen, out var store)
            ? (chosen.Length == 0 ? null : chosen, store)
            : throw CloudException.BadRequest($"Unknown store identifier '{chosen}': choose one of {string.Join(", ", All.Keys)}.");
    }

    /// <summary>The store that holds an image.</summary>
    public IImageStore Holding(string? name) => All.TryGetValue(name ?? opened.Value.Default, out var store)
        ? store
        : throw CloudException.Unavailable($"The store '{name}' that holds the image is not configured: add it to enabled_backends.");

    public IImageStore Get(string name) => All[name];

    /// <summary>Deletes the data of an image that is deleted, then the memory of where it was; a crash between is made good at the next start.</summary>
    public async Task ForgetAsync(GlanceDatabase database, string imageId, string? store, string location, CancellationToken cancellationToken)
    {
        if (!All.ContainsKey(store ?? opened.Value.Default))
        {
            return;
        }

        await Holding(store).DeleteAsync(location, cancellationToken);
        await database.Service.WriteAsync(
            session => session.GetTable<ImageRow>().Where(row => row.Id == imageId).Set(row => row.Location, (string?)null).UpdateAsync(cancellationToken), cancellationToken);
    }

    private static (IReadOnlyDictionary<string, IImageStore> Stores, string Default) Open(GlanceConfig config, HostOptions host, IEnumerable<IImageStoreType> types)
    {
        var stores = new Dictionary<string, IImageStore>(StringComparer.Ordinal);
        var home = Path.Combine(host.DataDirectory, "glance");
        var backends = config.Get(GlanceOptions.EnabledBackends);
        if (backends.Count == 0)
        {
            stores[Unnamed] = TypeOf("file", types).Open(config.Options, GlanceOptions.DefaultStoreGroup, Path.Combine(home, "images"));
            return (stores, Unnamed);
        }

        foreach (var (name, type) in backends)
        {
            stores[name] = TypeOf(type, types).Open(config.Options, name, Path.Combine(home, $"images-{name}"));
        }

        var chosen = config.Get(GlanceOptions.DefaultBackend);
        return stores.ContainsKey(chosen)
            ? (stores, chosen)
            : throw new FormatException($"glance: [{GlanceOptions.DefaultStoreGroup}] default_backend = {chosen}: should be one of the stores in enabled_backends");
    }

    private static IImageStoreType TypeOf(string name, IEnumerable<IImageStoreType> types) =>
        types.FirstOrDefault(type => type.Name == name)
        ?? throw new FormatException($"glance: there is no store of type '{name}'; known are {string.Join(", ", types.Select(type => type.Name))}");
}
