using System.DirectoryServices.Protocols;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Ldap;

/// <summary>A server: <c>ldap://host:389</c> or <c>ldaps://host:636</c>.</summary>
internal sealed record LdapServer(string Host, int Port, bool Secure)
{
    public static LdapServer Parse(string url) => Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri.Scheme is "ldap" or "ldaps" && uri.Host.Length > 0
        ? new(uri.Host, uri.Port > 0 ? uri.Port : uri.Scheme == "ldaps" ? 636 : 389, uri.Scheme == "ldaps")
        : throw new FormatException($"[ldap] url: {url} is no URL such as ldap://host or ldaps://host");

    public override string ToString() => $"{(Secure ? "ldaps" : "ldap")}://{Host}:{Port}";
}

/// <summary>Where to find one kind of entries, and which attributes they have.</summary>
internal sealed record LdapKind(string TreeDn, string ObjectClass, string Filter, string Id, string Name, string? Description, IReadOnlyDictionary<string, string> Additional);

/// <summary>The group <c>[ldap]</c> of one configuration, read.</summary>
internal sealed class LdapSettings
{
    /// <summary>What <c>connection_timeout = -1</c> means here: a server that never answers must not hold requests for ever.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(10);

    public LdapSettings(ServiceConfig config)
    {
        var servers = config.Get(LdapOptions.Url).Split([',', ' ', '\t', '\n'], StringSplitOptions.RemoveEmptyEntries).Select(LdapServer.Parse).ToArray();
        if (config.Get(LdapOptions.RandomizeUrls))
        {
            Random.Shared.Shuffle(servers);
        }
        Servers = servers.Length > 0 ? servers : throw new FormatException("[ldap] url: at least one is needed");
        UseTls = config.Get(LdapOptions.UseTls);
        if (UseTls && servers.Any(static s => s.Secure))
        {
            throw new FormatException("[ldap] use_tls: begins TLS on ldap URLs; ldaps URLs have it already");
        }
        User = Given(config.Get(LdapOptions.User));
        Password = Given(config.Get(LdapOptions.Password));
        CaFile = Given(config.Get(LdapOptions.TlsCaFile));
        CaDirectory = Given(config.Get(LdapOptions.TlsCaDirectory));
        RequireCertificate = config.Get(LdapOptions.TlsRequireCertificate);
        ChaseReferrals = config.Get(LdapOptions.ChaseReferrals) is { } chase && chase.ToUpperInvariant() is "TRUE" or "1" or "YES" or "ON";
        Scope = config.Get(LdapOptions.QueryScope) == "sub" ? SearchScope.Subtree : SearchScope.OneLevel;
        Aliases = config.Get(LdapOptions.AliasDereferencing) switch
        {
            "searching" => DereferenceAlias.InSearching,
            "always" => DereferenceAlias.Always,
            "finding" => DereferenceAlias.FindingBaseObject,
            _ => DereferenceAlias.Never,
        };
        PageSize = config.Get(LdapOptions.PageSize);
        UsePool = config.Get(LdapOptions.UsePool);
        PoolSize = config.Get(LdapOptions.PoolSize);
        Lifetime = TimeSpan.FromSeconds(config.Get(LdapOptions.PoolConnectionLifetime));
        UseAuthPool = UsePool && config.Get(LdapOptions.UseAuthPool);
        // Each log-in under way holds a thread.
        AuthPoolSize = Math.Min(config.Get(LdapOptions.AuthPoolSize), 32);
        AuthLifetime = TimeSpan.FromSeconds(config.Get(LdapOptions.AuthPoolConnectionLifetime));
        Tries = UsePool ? config.Get(LdapOptions.PoolRetryMax) : 1;
        TryAgainAfter = TimeSpan.FromSeconds(config.Get(LdapOptions.PoolRetryDelay));
        var timeout = UsePool && config.Get(LdapOptions.PoolConnectionTimeout) > 0 ? config.Get(LdapOptions.PoolConnectionTimeout) : config.Get(LdapOptions.ConnectionTimeout);
        Timeout = timeout > 0 ? TimeSpan.FromSeconds(timeout) : LongestWait;

        var suffix = config.Get(LdapOptions.Suffix);
        Users = new(
            Given(config.Get(LdapOptions.UserTreeDn)) ?? $"ou=Users,{suffix}",
            config.Get(LdapOptions.UserObjectClass),
            config.Get(LdapOptions.UserFilter) ?? "",
            config.Get(LdapOptions.UserId),
            config.Get(LdapOptions.UserName),
            Given(config.Get(LdapOptions.UserDescription)),
            Pairs(config.Get(LdapOptions.UserAdditionalAttributes)));
        Groups = new(
            Given(config.Get(LdapOptions.GroupTreeDn)) ?? $"ou=UserGroups,{suffix}",
            config.Get(LdapOptions.GroupObjectClass),
            config.Get(LdapOptions.GroupFilter) ?? "",
            config.Get(LdapOptions.GroupId),
            config.Get(LdapOptions.GroupName),
            Given(config.Get(LdapOptions.GroupDescription)),
            Pairs(config.Get(LdapOptions.GroupAdditionalAttributes)));
        UserIgnored = [.. config.Get(LdapOptions.UserAttributeIgnore)];
        GroupIgnored = [.. config.Get(LdapOptions.GroupAttributeIgnore)];
        UserMail = Given(config.Get(LdapOptions.UserMail));
        UserPassword = config.Get(LdapOptions.UserPass);
        UserDefaultProject = Given(config.Get(LdapOptions.UserDefaultProject));
        Enabled = config.Get(LdapOptions.UserEnabled);
        EnabledInvert = config.Get(LdapOptions.UserEnabledInvert);
        EnabledMask = config.Get(LdapOptions.UserEnabledMask);
        EnabledDefault = config.Get(LdapOptions.UserEnabledDefault);
        Member = config.Get(LdapOptions.GroupMember);
        MembersAreIds = config.Get(LdapOptions.GroupMembersAreIds);
        AdNesting = config.Get(LdapOptions.GroupAdNesting);
        var asGroup = config.Get(LdapOptions.UserEnabledEmulationGroupConfig);
        Emulation = config.Get(LdapOptions.UserEnabledEmulation)
            ? new(Given(config.Get(LdapOptions.UserEnabledEmulationDn)) ?? $"cn=enabled_users,{Users.TreeDn}", asGroup ? Member : "member", asGroup && MembersAreIds)
            : null;
    }

    /// <summary>The group whose members are enabled.</summary>
    public sealed record EnabledGroup(string Dn, string Member, bool MembersAreIds);

    public IReadOnlyList<LdapServer> Servers { get; }

    public bool UseTls { get; }

    public string? User { get; }

    public string? Password { get; }

    public string? CaFile { get; }

    public string? CaDirectory { get; }

    public string RequireCertificate { get; }

    public bool ChaseReferrals { get; }

    public SearchScope Scope { get; }

    public DereferenceAlias Aliases { get; }

    public int PageSize { get; }

    public bool UsePool { get; }

    public int PoolSize { get; }

    public TimeSpan Lifetime { get; }

    public bool UseAuthPool { get; }

    public int AuthPoolSize { get; }

    public TimeSpan AuthLifetime { get; }

    public int Tries { get; }

    public TimeSpan TryAgainAfter { get; }

    public TimeSpan Timeout { get; }

    public LdapKind Users { get; }

    public LdapKind Groups { get; }

    public HashSet<string> UserIgnored { get; }

    public HashSet<string> GroupIgnored { get; }

    public string? UserMail { get; }

    public string UserPassword { get; }

    public string? UserDefaultProject { get; }

    public string Enabled { get; }

    public bool EnabledInvert { get; }

    public int EnabledMask { get; }

    public string EnabledDefault { get; }

    public string Member { get; }

    public bool MembersAreIds { get; }

    public bool AdNesting { get; }

    /// <summary>Null where users say themselves whether they are enabled.</summary>
    public EnabledGroup? Emulation { get; }

    private static string? Given(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static Dictionary<string, string> Pairs(IReadOnlyList<string> list)
    {
        var pairs = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var item in list)
        {
            if (item.Split(':') is not [{ Length: > 0 } attribute, { Length: > 0 } name])
            {
                throw new FormatException($"[ldap] additional attributes are ldap_attribute:name, and not {item}");
            }
            pairs[attribute] = name;
        }
        return pairs;
    }
}
