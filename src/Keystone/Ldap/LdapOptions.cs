using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Ldap;

/// <summary>The group <c>[ldap]</c>, of <c>keystone.conf</c> and of a domain's own configuration.</summary>
public static class LdapOptions
{
    public static readonly ConfigOption<string> Url = new("ldap", "url", "ldap://localhost", "URLs of the servers, separated by commas; the first that answers is used.");

    public static readonly ConfigOption<bool> RandomizeUrls = new("ldap", "randomize_urls", false, "Try the URLs in another order in each process.");

    public static readonly ConfigOption<string?> User = new("ldap", "user", null, "The DN that queries are made as.");

    public static readonly ConfigOption<string?> Password = new("ldap", "password", null, "Its password.") { Secret = true };

    public static readonly ConfigOption<string> Suffix = new("ldap", "suffix", "cn=example,cn=com", "Where the trees begin that have no DN of their own.");

    public static readonly ConfigOption<string> QueryScope = new("ldap", "query_scope", "one", "How deep the trees are searched.") { Choices = ["one", "sub"] };

    public static readonly ConfigOption<int> PageSize = new("ldap", "page_size", 0, "Entries that are asked for at a time; 0 for all at once.") { Min = 0 };

    public static readonly ConfigOption<string> AliasDereferencing = new("ldap", "alias_dereferencing", "default", "When aliases are followed.")
    {
        Choices = ["never", "searching", "always", "finding", "default"],
    };

    public static readonly ConfigOption<string?> DebugLevel = new("ldap", "debug_level", null, "Accepted for the domains' configuration; the client library's own setting decides.");

    public static readonly ConfigOption<string?> ChaseReferrals = new("ldap", "chase_referrals", null, "Whether referrals are followed; unset for the client library's default.");

    public static readonly ConfigOption<string?> UserTreeDn = new("ldap", "user_tree_dn", null, "Where users are; ou=Users below the suffix by default.");

    public static readonly ConfigOption<string?> UserFilter = new("ldap", "user_filter", null, "A filter that users must match.");

    public static readonly ConfigOption<string> UserObjectClass = new("ldap", "user_objectclass", "inetOrgPerson", "The object class of users.");

    public static readonly ConfigOption<string> UserId = new("ldap", "user_id_attribute", "cn", "The attribute with a user's id.");

    public static readonly ConfigOption<string> UserName = new("ldap", "user_name_attribute", "sn", "The attribute with a user's name.");

    public static readonly ConfigOption<string> UserDescription = new("ldap", "user_description_attribute", "description", "The attribute with a user's description.");

    public static readonly ConfigOption<string> UserMail = new("ldap", "user_mail_attribute", "mail", "The attribute with a user's email.");

    public static readonly ConfigOption<string> UserPass = new("ldap", "user_pass_attribute", "userPassword", "The attribute with a user's password; it is never read.");

    public static readonly ConfigOption<string> UserEnabled = new("ldap", "user_enabled_attribute", "enabled", "The attribute that says whether a user is enabled.");

    public static readonly ConfigOption<bool> UserEnabledInvert = new("ldap", "user_enabled_invert", false, "Whether that attribute says that a user is locked.");

    public static readonly ConfigOption<int> UserEnabledMask = new("ldap", "user_enabled_mask", 0, "The bit of that attribute that says that a user is disabled; 0 for none.") { Min = 0 };

    public static readonly ConfigOption<string> UserEnabledDefault = new("ldap", "user_enabled_default", "True", "What holds where a user has no such attribute.");

    public static readonly ConfigOption<IReadOnlyList<string>> UserAttributeIgnore = new(
        "ldap", "user_attribute_ignore", ["default_project_id"], "Attributes of users that are not read.");

    public static readonly ConfigOption<string?> UserDefaultProject = new("ldap", "user_default_project_id_attribute", null, "The attribute with a user's default project.");

    public static readonly ConfigOption<bool> UserEnabledEmulation = new("ldap", "user_enabled_emulation", false, "Whether members of one group are enabled, and others not.");

    public static readonly ConfigOption<string?> UserEnabledEmulationDn = new("ldap", "user_enabled_emulation_dn", null, "That group; cn=enabled_users in the users' tree by default.");

    public static readonly ConfigOption<bool> UserEnabledEmulationGroupConfig = new(
        "ldap", "user_enabled_emulation_use_group_config", false, "Whether that group is one by the settings of groups.");

    public static readonly ConfigOption<IReadOnlyList<string>> UserAdditionalAttributes = new(
        "ldap", "user_additional_attribute_mapping", [], "Further attributes of users: ldap_attribute:user_attribute.");

    public static readonly ConfigOption<string?> GroupTreeDn = new("ldap", "group_tree_dn", null, "Where groups are; ou=UserGroups below the suffix by default.");

    public static readonly ConfigOption<string?> GroupFilter = new("ldap", "group_filter", null, "A filter that groups must match.");

    public static readonly ConfigOption<string> GroupObjectClass = new("ldap", "group_objectclass", "groupOfNames", "The object class of groups.");

    public static readonly ConfigOption<string> GroupId = new("ldap", "group_id_attribute", "cn", "The attribute with a group's id.");

    public static readonly ConfigOption<string> GroupName = new("ldap", "group_name_attribute", "ou", "The attribute with a group's name.");

    public static readonly ConfigOption<bool> GroupMembersAreIds = new("ldap", "group_members_are_ids", false, "Whether members are named by id (posixGroup) and not by DN.");

    public static readonly ConfigOption<string> GroupMember = new("ldap", "group_member_attribute", "member", "The attribute with a group's members.");

    public static readonly ConfigOption<string> GroupDescription = new("ldap", "group_desc_attribute", "description", "The attribute with a group's description.");

    public static readonly ConfigOption<IReadOnlyList<string>> GroupAttributeIgnore = new("ldap", "group_attribute_ignore", [], "Attributes of groups that are not read.");

    public static readonly ConfigOption<IReadOnlyList<string>> GroupAdditionalAttributes = new(
        "ldap", "group_additional_attribute_mapping", [], "Further attributes of groups: ldap_attribute:group_attribute.");

    public static readonly ConfigOption<bool> GroupAdNesting = new("ldap", "group_ad_nesting", false, "Whether groups within groups count, as Active Directory can say.");

    public static readonly ConfigOption<string?> TlsCaFile = new("ldap", "tls_cacertfile", null, "The file of the authorities that sign servers' certificates.");

    public static readonly ConfigOption<string?> TlsCaDirectory = new("ldap", "tls_cacertdir", null, "The directory of the authorities, where there is no file.");

    public static readonly ConfigOption<bool> UseTls = new("ldap", "use_tls", false, "Whether connections begin TLS (StartTLS); not for ldaps URLs.");

    public static readonly ConfigOption<string> TlsRequireCertificate = new("ldap", "tls_req_cert", "demand", "Whether the server must prove who it is.")
    {
        Choices = ["demand", "never", "allow"],
    };

    public static readonly ConfigOption<int> ConnectionTimeout = new("ldap", "connection_timeout", -1, "Seconds until a server is given up; -1 for a bound of this program's own.") { Min = -1 };

    public static readonly ConfigOption<bool> UsePool = new("ldap", "use_pool", true, "Whether connections are kept.");

    public static readonly ConfigOption<int> PoolSize = new("ldap", "pool_size", 10, "The most connections at a time.") { Min = 1 };

    public static readonly ConfigOption<int> PoolRetryMax = new("ldap", "pool_retry_max", 3, "How often a connection is tried.") { Min = 1 };

    public static readonly ConfigOption<double> PoolRetryDelay = new("ldap", "pool_retry_delay", 0.1, "Seconds between two tries.") { Min = 0 };

    public static readonly ConfigOption<int> PoolConnectionTimeout = new("ldap", "pool_connection_timeout", -1, "As connection_timeout, for connections that are kept.") { Min = -1 };

    public static readonly ConfigOption<int> PoolConnectionLifetime = new("ldap", "pool_connection_lifetime", 600, "Seconds for which a connection is kept.") { Min = 1 };

    public static readonly ConfigOption<bool> UseAuthPool = new("ldap", "use_auth_pool", true, "Whether connections of users are kept.");

    public static readonly ConfigOption<int> AuthPoolSize = new("ldap", "auth_pool_size", 100, "The most log-ins at a time.") { Min = 1 };

    public static readonly ConfigOption<int> AuthPoolConnectionLifetime = new("ldap", "auth_pool_connection_lifetime", 60, "Seconds for which connections of users are kept.") { Min = 1 };
}
