using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.DomainConfigs;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Directories;

/// <summary>
/// Which directory a domain has: by a file <c>keystone.DOMAIN.conf</c> or by the domain's configuration in the database; the default domain by
/// <c>keystone.conf</c>. A changed configuration opens a new directory.
/// </summary>
internal sealed partial class DirectoryRegistry : IDisposable
{
    private readonly KeystoneStore store;
    private readonly Dictionary<string, IIdentityDriver> drivers;
    private readonly ServiceConfig config;
    private readonly ILogger<DirectoryRegistry> log;
    private readonly bool perDomain;
    private readonly bool fromDatabase;
    private readonly string fileDirectory;
    private readonly string defaultDomainId;
    private readonly ConcurrentDictionary<string, Entry> entries = new(StringComparer.Ordinal);

    /// <summary>A domain's directory, by what it was opened with.</summary>
    private sealed record Entry(string Source, DomainDirectory? Directory);

    public DirectoryRegistry(KeystoneStore store, IEnumerable<IIdentityDriver> drivers, ServiceConfig config, ILogger<DirectoryRegistry> log)
    {
        this.store = store;
        this.drivers = drivers.ToDictionary(static d => d.Name);
        this.config = config;
        this.log = log;
        perDomain = config.Get(KeystoneOptions.DomainDrivers);
        fromDatabase = config.Get(KeystoneOptions.DomainConfigsFromDatabase);
        fileDirectory = config.Get(KeystoneOptions.DomainConfigDirectory);
        defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);
        if (config.Get(KeystoneOptions.IdentityDriver) is var driver && this.drivers.TryGetValue(driver, out var found))
        {
            Default = new(defaultDomainId, found.Open(config), config, !config.Get(KeystoneOptions.BackwardCompatibleIds));
        }
    }

    /// <summary>The directory of <c>keystone.conf</c> itself, which the default domain has; null for the database.</summary>
    public DomainDirectory? Default { get; }

    public bool HasAny => perDomain || Default is not null;

    /// <summary>Whether lists are always of one domain.</summary>
    public bool PerDomain => perDomain;

    /// <summary>Null for a domain whose users are in the database.</summary>
    public async ValueTask<DomainDirectory?> OfAsync(string domainId, CancellationToken cancellationToken)
    {
        if (!perDomain)
        {
            return domainId == defaultDomainId ? Default : null;
        }
        var source = fromDatabase ? await FromDatabaseAsync(domainId, cancellationToken) : await FromFileAsync(domainId, cancellationToken);
        if (source is null)
        {
            return domainId == defaultDomainId ? Default : null;
        }
        if (entries.TryGetValue(domainId, out var known) && known.Source == source)
        {
            return known.Directory;
        }
        var opened = new Entry(source, Open(domainId, source));
        entries[domainId] = opened;
        // The former one is left to its calls under way; it is closed with its last connection.
        return opened.Directory;
    }

    public void Dispose()
    {
        foreach (var entry in entries.Values)
        {
            entry.Directory?.Directory.Dispose();
        }
        Default?.Directory.Dispose();
    }

    private DomainDirectory? Open(string domainId, string source)
    {
        try
        {
            var own = new ServiceConfig(config.Service, IniFile.Parse(source, $"the configuration of domain {domainId}"));
            return drivers.TryGetValue(own.Get(KeystoneOptions.IdentityDriver), out var driver) ? new(domainId, driver.Open(own), own, true) : null;
        }
        catch (FormatException failure)
        {
            LogUnusable(domainId, failure.Message);
            throw CloudException.Unavailable($"The configuration of domain {domainId} cannot be used: an administrator must correct it.", inner: failure);
        }
    }

    private async Task<string?> FromFileAsync(string domainId, CancellationToken cancellationToken)
    {
        string? name;
        await using (var db = store.Read())
        {
            name = await db.Projects().Where(p => p.Id == domainId && p.IsDomain).Select(static p => p.Name).FirstOrDefaultAsync(cancellationToken);
        }
        // A name is no path.
        if (name is null || name.AsSpan().ContainsAny('/', '\\', '\0'))
        {
            return null;
        }
        var path = Path.Combine(fileDirectory, $"keystone.{name}.conf");
        return File.Exists(path) ? await File.ReadAllTextAsync(path, cancellationToken) : null;
    }

    /// <summary>The domain's options as a file would have them, passwords filled in where <c>%(password)s</c> stands.</summary>
    private async Task<string?> FromDatabaseAsync(string domainId, CancellationToken cancellationToken)
    {
        List<DomainConfigRow> rows;
        await using (var db = store.Read())
        {
            rows = await db.DomainConfigs().Where(c => c.DomainId == domainId).OrderBy(static c => c.Group).ThenBy(static c => c.Option).ToListAsync(cancellationToken);
        }
        if (rows.Count == 0)
        {
            return null;
        }
        var secrets = rows.Where(static r => r.IsSensitive).ToDictionary(static r => r.Option, static r => Plain(r.Value));
        var text = new StringBuilder();
        foreach (var group in rows.GroupBy(static r => r.Group))
        {
            text.Append('[').Append(group.Key).Append("]\n");
            foreach (var row in group)
            {
                var value = Plain(row.Value);
                foreach (var (name, secret) in row.IsSensitive ? [] : secrets)
                {
                    value = value.Replace($"%({name})s", secret, StringComparison.Ordinal);
                }
                // A dollar sign would be read as a reference to another option; a line break as another line.
                text.Append(row.Option).Append(" = ").Append(value.Replace("$", "$$", StringComparison.Ordinal).ReplaceLineEndings(" ")).Append('\n');
            }
        }
        return text.ToString();
    }

    private static string Plain(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement switch
        {
            { ValueKind: JsonValueKind.String } text => text.GetString()!,
            { ValueKind: JsonValueKind.Array } list => string.Join(',', list.EnumerateArray().Select(static item => item.ToString())),
            { ValueKind: JsonValueKind.Null } => "",
            var other => other.ToString(),
        };
    }

    [LoggerMessage(EventId = 2121, Level = LogLevel.Error, Message = "The configuration of domain {DomainId} cannot be used: {Reason}")]
    private partial void LogUnusable(string domainId, string reason);
}

/// <param name="Mapped">Whether ids are made here, or are the directory's own.</param>
internal sealed record DomainDirectory(string DomainId, IIdentityDirectory Directory, ServiceConfig Config, bool Mapped)
{
    public string PublicId(string localId, string entityType) => Mapped ? IdMappingRow.Of(DomainId, localId, entityType).PublicId : localId;
}
