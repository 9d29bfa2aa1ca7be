using System.DirectoryServices.Protocols;
using System.Globalization;
using System.Text;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Directories;

namespace SharpStack.Keystone.Ldap;

/// <summary><c>ldap</c>: users and groups of a directory, read only.</summary>
internal sealed class LdapDriver(TimeProvider time) : IIdentityDriver
{
    public string Name => "ldap";

    public IIdentityDirectory Open(ServiceConfig config)
    {
        var settings = new LdapSettings(config);
        return new LdapDirectory(settings, new LdapPool(settings, time));
    }
}

internal sealed class LdapDirectory(LdapSettings settings, LdapPool pool) : IIdentityDirectory
{
    private const string InChain = "1.2.840.113556.1.4.1941";
    private const int Chunk = 50;

    private static readonly string[] NoAttributes = ["1.1"];

    private string[]? userAttributes;
    private string[]? groupAttributes;

    private string[] UserAttributes => userAttributes ??=
    [
        .. ((string?[])
        [
            settings.Users.Id, settings.Users.Name, settings.Users.Description, settings.UserMail, settings.Enabled, settings.UserDefaultProject,
            .. settings.Users.Additional.Keys,
        ]).OfType<string>().Where(a => !a.Equals(settings.UserPassword, StringComparison.OrdinalIgnoreCase)).Distinct(StringComparer.OrdinalIgnoreCase),
    ];

    private string[] GroupAttributes => groupAttributes ??=
    [
        .. ((string?[])[settings.Groups.Id, settings.Groups.Name, settings.Groups.Description, .. settings.Groups.Additional.Keys]).OfType<string>()
            .Distinct(StringComparer.OrdinalIgnoreCase),
    ];

    public Task<DirectoryUser?> UserAsync(string id, CancellationToken cancellationToken) =>
        pool.SearchAsync(connection => Only(Users(connection, Equal(settings.Users.Id, id), 0)), cancellationToken);

    public Task<DirectoryUser?> UserByNameAsync(string name, CancellationToken cancellationToken) =>
        pool.SearchAsync(connection => Only(Users(connection, Equal(settings.Users.Name, name), 0)), cancellationToken);

    public Task<IReadOnlyList<DirectoryUser>> UsersAsync(IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken) =>
        pool.SearchAsync<IReadOnlyList<DirectoryUser>>(connection => Users(connection, Filters(settings.Users.Name, filters), limit), cancellationToken);

    public Task<DirectoryGroup?> GroupAsync(string id, CancellationToken cancellationToken) =>
        pool.SearchAsync(connection => Only(Groups(connection, Equal(settings.Groups.Id, id), 0)), cancellationToken);

    public Task<IReadOnlyList<DirectoryGroup>> GroupsAsync(IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken) =>
        pool.SearchAsync<IReadOnlyList<DirectoryGroup>>(connection => Groups(connection, Filters(settings.Groups.Name, filters), limit), cancellationToken);

    public Task<IReadOnlyList<DirectoryGroup>> GroupsOfUserAsync(string userId, CancellationToken cancellationToken) => pool.SearchAsync<IReadOnlyList<DirectoryGroup>>(
        connection => MemberValue(connection, userId, settings.MembersAreIds) is { } value
            ? Groups(connection, settings.AdNesting ? $"(member:{InChain}:={LdapNames.FilterValue(value)})" : Equal(settings.Member, value), 0)
            : [],
        cancellationToken);

    public Task<IReadOnlyList<DirectoryUser>> UsersInGroupAsync(string groupId, CancellationToken cancellationToken) =>
        pool.SearchAsync<IReadOnlyList<DirectoryUser>>(connection => UsersInGroup(connection, groupId), cancellationToken);

    public async Task<bool> AuthenticateAsync(string userId, string password, CancellationToken cancellationToken)
    {
        // A bind with a name and no password is an anonymous one, which servers accept: it proves nothing.
        if (userId.Length == 0 || password.Length == 0)
        {
            return false;
        }
        var dn = await pool.SearchAsync(connection => Entries(connection, settings.Users, Equal(settings.Users.Id, userId), NoAttributes, 0) is [var first, ..] ? first.Dn : null, cancellationToken);
        return dn is not null && await pool.BindAsync(dn, password, cancellationToken);
    }

    public void Dispose() => pool.Dispose();

    /// <summary>The first of what an id or a name was asked for.</summary>
    private static T? Only<T>(List<T> found)
        where T : class => found is [var first, ..] ? first : null;

    private static string Equal(string attribute, string value) => $"({attribute}={LdapNames.FilterValue(value)})";

    private static string Filters(string attribute, IReadOnlyList<NameFilter> filters) => string.Concat(filters.Select(filter =>
    {
        var value = LdapNames.FilterValue(filter.Value);
        return filter.Method switch
        {
            "contains" => $"({attribute}=*{value}*)",
            "startswith" => $"({attribute}={value}*)",
            "endswith" => $"({attribute}=*{value})",
            _ => $"({attribute}={value})",
        };
    }));

    private List<DirectoryUser> Users(LdapConnection connection, string filter, int limit)
    {
        var entries = Entries(connection, settings.Users, filter, UserAttributes, limit);
        var enabled = settings.Emulation is { } group && !settings.UserIgnored.Contains("enabled") ? Enabled(connection, group, entries) : null;
        var emulation = settings.Emulation is { } by ? LdapNames.Normal(by.Dn) : null;
        return
        [
            .. entries.Where(e => emulation is null || LdapNames.Normal(e.Dn) != emulation)
                .Select(e => User(e, enabled))
                .OfType<DirectoryUser>(),
        ];
    }

    private DirectoryUser? User(Entry entry, HashSet<string>? enabledMembers)
    {
        if (IdOf(settings.Users, entry) is not { } id || Value(settings.Users.Name) is not { } name || string.IsNullOrWhiteSpace(name))
        {
            return null;
        }
        var extra = new Dictionary<string, string>(StringComparer.Ordinal);
        Add("description", settings.Users.Description);
        Add("email", settings.UserMail);
        foreach (var (attribute, name2) in settings.Users.Additional)
        {
            Add(name2, attribute);
        }
        var enabled = enabledMembers?.Contains(settings.Emulation!.MembersAreIds ? id : LdapNames.Normal(entry.Dn)) ?? IsEnabled(Value(settings.Enabled));
        var project = settings.UserIgnored.Contains("default_project_id") ? null : Value(settings.UserDefaultProject);
        return new(id, name, enabled, project, extra);

        string? Value(string? attribute) => attribute is null ? null : entry.First(attribute);

        void Add(string attributeName, string? attribute)
        {
            if (!settings.UserIgnored.Contains(attributeName) && Value(attribute) is { } value)
            {
                extra[attributeName] = value;
            }
        }
    }

    private bool IsEnabled(string? value)
    {
        if (settings.UserIgnored.Contains("enabled"))
        {
            return true;
        }
        value ??= settings.EnabledDefault;
        if (settings.EnabledMask != 0)
        {
            return int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var bits) && (bits & settings.EnabledMask) != settings.EnabledMask;
        }
        return value.Equals("true", StringComparison.OrdinalIgnoreCase) != settings.EnabledInvert;
    }

    /// <summary>Who of some users is in the group of the enabled: ids, or normal forms of DNs.</summary>
    private HashSet<string> Enabled(LdapConnection connection, LdapSettings.EnabledGroup group, List<Entry> entries)
    {
        // One user is asked for, many are compared with the whole group.
        var filter = entries.Count != 1 ? "(objectClass=*)"
            : Equal(group.Member, group.MembersAreIds ? IdOf(settings.Users, entries[0]) ?? "" : entries[0].Dn);
        var found = Search(connection, group.Dn, SearchScope.Base, filter, entries.Count == 1 ? NoAttributes : [group.Member], 0);
        if (entries.Count == 1)
        {
            return found.Count == 0 ? [] : [group.MembersAreIds ? IdOf(settings.Users, entries[0]) ?? "" : LdapNames.Normal(entries[0].Dn)];
        }
        var members = found.SelectMany(e => e.All(group.Member));
        return [.. group.MembersAreIds ? members : members.Select(LdapNames.Normal)];
    }

    private List<DirectoryGroup> Groups(LdapConnection connection, string filter, int limit)
    {
        var groups = new List<DirectoryGroup>();
        foreach (var entry in Entries(connection, settings.Groups, filter, GroupAttributes, limit))
        {
            if (IdOf(settings.Groups, entry) is not { } id || entry.First(settings.Groups.Name) is not { } name || string.IsNullOrWhiteSpace(name))
            {
                continue;
            }
            var extra = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var (attribute, attributeName) in settings.Groups.Additional)
            {
                if (!settings.GroupIgnored.Contains(attributeName) && entry.First(attribute) is { } value)
                {
                    extra[attributeName] = value;
                }
            }
            var description = settings.Groups.Description is null || settings.GroupIgnored.Contains("description") ? null : entry.First(settings.Groups.Description);
            groups.Add(new(id, name, description, extra));
        }
        return groups;
    }

    private List<DirectoryUser> UsersInGroup(LdapConnection connection, string groupId)
    {
        if (Entries(connection, settings.Groups, Equal(settings.Groups.Id, groupId), [settings.Groups.Id, settings.Member], 0) is not [var group, ..])
        {
            return [];
        }
        if (settings.AdNesting)
        {
            return Users(connection, $"(memberOf:{InChain}:={LdapNames.FilterValue(group.Dn)})", 0);
        }
        var ids = new List<string>();
        foreach (var member in group.All(settings.Member))
        {
            if (settings.MembersAreIds)
            {
                ids.Add(member);
            }
            else if (LdapNames.First(member) is { } first && first.Attribute.Equals(settings.Users.Id, StringComparison.OrdinalIgnoreCase))
            {
                ids.Add(first.Value);
            }
            else if (Search(connection, member, SearchScope.Base, "(objectClass=*)", [settings.Users.Id], 0) is [var entry, ..] && entry.First(settings.Users.Id) is { } id)
            {
                ids.Add(id);
            }
        }
        return [.. ids.Chunk(Chunk).SelectMany(chunk => Users(connection, $"(|{string.Concat(chunk.Select(id => Equal(settings.Users.Id, id)))})", 0))];
    }

    /// <summary>What groups call a user: the id or the DN.</summary>
    private string? MemberValue(LdapConnection connection, string userId, bool isId) =>
        isId ? userId : Entries(connection, settings.Users, Equal(settings.Users.Id, userId), NoAttributes, 0) is [var first, ..] ? first.Dn : null;

    /// <summary>An id that has several values is none: then the one in the DN counts.</summary>
    private static string? IdOf(LdapKind kind, Entry entry) => entry.All(kind.Id) switch
    {
        [var only] => only,
        [] => null,
        _ => LdapNames.First(entry.Dn) is { } first && first.Attribute.Equals(kind.Id, StringComparison.OrdinalIgnoreCase) ? first.Value : entry.First(kind.Id),
    };

    private List<Entry> Entries(LdapConnection connection, LdapKind kind, string filter, string[] attributes, int limit) =>
        Search(connection, kind.TreeDn, settings.Scope, $"(&{filter}{kind.Filter}(objectClass={kind.ObjectClass})({kind.Id}=*))", attributes, limit);

    private List<Entry> Search(LdapConnection connection, string dn, SearchScope scope, string filter, string[] attributes, int limit)
    {
        var request = new SearchRequest(dn, filter, scope, attributes) { Aliases = settings.Aliases, SizeLimit = limit };
        var pages = settings.PageSize > 0 && limit == 0 && scope != SearchScope.Base ? new PageResultRequestControl(settings.PageSize) : null;
        if (pages is not null)
        {
            request.Controls.Add(pages);
        }
        var entries = new List<Entry>();
        while (true)
        {
            SearchResponse answer;
            try
            {
                answer = (SearchResponse)connection.SendRequest(request, settings.Timeout);
            }
            catch (DirectoryOperationException failure) when (failure.Response is SearchResponse response)
            {
                if (response.ResultCode == ResultCode.NoSuchObject)
                {
                    return entries;
                }
                if (response.ResultCode == ResultCode.SizeLimitExceeded && limit > 0)
                {
                    return [.. response.Entries.Cast<SearchResultEntry>().Select(static e => new Entry(e))];
                }
                throw CloudException.Unavailable(
                    response.ResultCode == ResultCode.SizeLimitExceeded
                        ? "Number of User/Group entities returned by LDAP exceeded size limit. Contact your LDAP administrator."
                        : $"The LDAP server refused a query ({response.ResultCode}): an administrator must correct the configuration of [ldap].",
                    inner: failure);
            }
            entries.AddRange(answer.Entries.Cast<SearchResultEntry>().Select(static e => new Entry(e)));
            if (pages is null || answer.Controls.OfType<PageResultResponseControl>().FirstOrDefault() is not { Cookie.Length: > 0 } next)
            {
                return entries;
            }
            pages.Cookie = next.Cookie;
        }
    }

    /// <summary>An entry with its values as text, whatever the case of its attributes' names.</summary>
    private sealed class Entry
    {
        private static readonly UTF8Encoding Utf8 = new(false, true);

        private readonly Dictionary<string, List<string>> values = new(StringComparer.OrdinalIgnoreCase);

        public Entry(SearchResultEntry entry)
        {
            Dn = entry.DistinguishedName;
            foreach (System.Collections.DictionaryEntry pair in entry.Attributes)
            {
                values[(string)pair.Key] = [.. ((DirectoryAttribute)pair.Value!).GetValues(typeof(byte[])).Cast<byte[]>().Select(Text).OfType<string>()];
            }
        }

        public string Dn { get; }

        public List<string> All(string attribute) => values.GetValueOrDefault(attribute) ?? [];

        public string? First(string attribute) => values.GetValueOrDefault(attribute) is [var first, ..] ? first : null;

        /// <summary>Active Directory's object GUIDs are bytes.</summary>
        private static string? Text(byte[] value)
        {
            try
            {
                return Utf8.GetString(value);
            }
            catch (DecoderFallbackException)
            {
                return value.Length == 16 ? new Guid(value).ToString("D") : null;
            }
        }
    }
}
