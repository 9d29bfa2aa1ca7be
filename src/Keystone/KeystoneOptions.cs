using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone;

/// <summary>The options of <c>keystone.conf</c> that are read.</summary>
public static class KeystoneOptions
{
    public static readonly ConfigOption<string> PublicEndpoint = new(
        "DEFAULT", "public_endpoint", "", "The URL that links begin with, where a proxy stands before the service; empty for the one of the request.");

    public static readonly ConfigOption<int> ListLimit = new(
        "DEFAULT", "list_limit", 0, "The most entries in a list; 0 for no limit.") { Min = 0 };

    public static readonly ConfigOption<int> MaxProjectTreeDepth = new(
        "DEFAULT", "max_project_tree_depth", 5, "The deepest nesting of projects below a domain.") { Min = 1 };

    public static readonly ConfigOption<string> ProjectNameUrlSafe = new(
        "resource", "project_name_url_safe", "off", "Whether names of projects may hold characters that URLs reserve: always (off), not new ones (new), and none in a log-in (strict).")
    {
        Choices = ["off", "new", "strict"],
    };

    public static readonly ConfigOption<string> DomainNameUrlSafe = new(
        "resource", "domain_name_url_safe", "off", "The same for names of domains.") { Choices = ["off", "new", "strict"] };

    public static readonly ConfigOption<int> TokenExpiration = new(
        "token", "expiration", 3600, "Seconds for which a token is valid.") { Min = 1 };

    public static readonly ConfigOption<int> AllowExpiredWindow = new(
        "token", "allow_expired_window", 2 * 24 * 3600, "Seconds after its expiry in which a service may still look a token up with allow_expired.") { Min = 0 };

    public static readonly ConfigOption<bool> AllowRescope = new(
        "token", "allow_rescope_scoped_token", true, "Whether a scoped token may be exchanged for one of another scope.");

    public static readonly ConfigOption<string> TokenProvider = new(
        "token", "provider", "fernet", "How tokens are made: encrypted with keys that all nodes share (fernet), or signed with the key of each node (jws).") { Choices = ["fernet", "jws"] };

    public static readonly ConfigOption<string> JwsPublicKeys = new(
        "jwt_tokens", "jws_public_key_repository", "", "The directory of the public keys that JWS tokens are verified with; empty for one in the data directory.");

    public static readonly ConfigOption<string> JwsPrivateKeys = new(
        "jwt_tokens", "jws_private_key_repository", "", "The directory of the key that signs JWS tokens, private.pem; empty for one in the data directory.");

    public static readonly ConfigOption<IReadOnlyList<string>> AuthMethods = new(
        "auth", "methods", Authentication.AuthMethodMap.DefaultNames, "The methods by which tokens may be asked for. Their order numbers them in tokens: append, never insert.");

    public static readonly ConfigOption<string> ExternalPlugin = new(
        "auth", "external", "DefaultDomain", "Where the domain of a REMOTE_USER comes from: always the default one, or the header REMOTE_DOMAIN.")
    {
        Choices = ["DefaultDomain", "Domain", "KerberosDomain"],
    };

    public static readonly ConfigOption<IReadOnlyList<string>> TrustedProxies = new(
        "auth", "trusted_proxies", [], "Addresses and networks of the web servers that are believed when they name a user who they have authenticated; empty for none.");

    public static readonly ConfigOption<string> RemoteUserHeader = new(
        "auth", "remote_user_header", "X-Remote-User", "The header in which a trusted proxy names the user.");

    public static readonly ConfigOption<string> RemoteDomainHeader = new(
        "auth", "remote_domain_header", "X-Remote-Domain", "The header in which a trusted proxy names the user's domain.");

    public static readonly ConfigOption<string> RemoteTypeHeader = new(
        "auth", "auth_type_header", "X-Auth-Type", "The header in which a trusted proxy says how it authenticated the user (Negotiate for KerberosDomain).");

    public static readonly ConfigOption<int> TotpPreviousWindows = new(
        "totp", "included_previous_windows", 1, "How many passcodes before the current one are taken too.") { Min = 0, Max = 10 };

    public static readonly ConfigOption<int> ReceiptExpiration = new(
        "receipt", "expiration", 300, "Seconds in which the missing methods of a log-in must follow.") { Min = 0, Max = 86_400 };

    public static readonly ConfigOption<string> ReceiptKeyRepository = new(
        "fernet_receipts", "key_repository", "", "The directory of the keys of receipts; empty for those of the tokens.");

    public static readonly ConfigOption<int> ReceiptMaxActiveKeys = new(
        "fernet_receipts", "max_active_keys", 3, "Keys kept at a rotation of the receipts' own.") { Min = 1 };

    public static readonly ConfigOption<int> MaxRedelegationCount = new(
        "trust", "max_redelegation_count", 3, "How many times a trust may be passed on.");

    public static readonly ConfigOption<bool> ApplicationCredentialsManageTrusts = new(
        "security_compliance",
        "allow_insecure_application_credential_trust_escalation",
        false,
        "Whether tokens of unrestricted application credentials may make trusts, as orchestration needs; such a trust can hold more roles than the credential.");

    public static readonly ConfigOption<int> ApplicationCredentialLimit = new(
        "application_credential", "user_limit", -1, "Application credentials that a user may have; -1 for any number.");

    public static readonly ConfigOption<int> CredentialLimit = new(
        "credential", "user_limit", -1, "Credentials that a user may have; -1 for any number.");

    public static readonly ConfigOption<int> CredentialAuthTtl = new(
        "credential", "auth_ttl", 15, "Minutes for which a signed EC2 or S3 request is valid.");

    public static readonly ConfigOption<int> RequestTokenDuration = new(
        "oauth1", "request_token_duration", 28_800, "Seconds in which a request token must be authorized; 0 for any time.") { Min = 0 };

    public static readonly ConfigOption<int> AccessTokenDuration = new(
        "oauth1", "access_token_duration", 86_400, "Seconds for which an access token is good; 0 for ever.") { Min = 0 };

    public static readonly ConfigOption<string> KeyRepository = new(
        "fernet_tokens", "key_repository", "", "The directory of the token keys; empty for one in the data directory.");

    public static readonly ConfigOption<int> MaxActiveKeys = new(
        "fernet_tokens", "max_active_keys", 3, "Keys kept at a rotation: the staged one, the primary one and the secondary ones.") { Min = 1 };

    public static readonly ConfigOption<string> CredentialKeyRepository = new(
        "credential", "key_repository", "", "The directory of the keys that encrypt stored credentials; empty for one in the data directory.");

    public static readonly ConfigOption<string> DefaultDomainId = new(
        "identity", "default_domain_id", "default", "The domain of resources that are created without one.");

    public static readonly ConfigOption<int> PasswordHashRounds = new(
        "identity", "password_hash_rounds", 12, "The logarithm of bcrypt's rounds.") { Min = 4, Max = 31 };

    public static readonly ConfigOption<int> MaxPasswordLength = new(
        "identity", "max_password_length", 4096, "Longer passwords are refused.") { Min = 1 };

    public static readonly ConfigOption<bool> ReturnAllEndpoints = new(
        "endpoint_filter", "return_all_endpoints_if_no_filter", true, "Whether a project that no endpoints were given to has the whole catalog.");

    public static readonly ConfigOption<bool> CatalogCaching = new("catalog", "caching", true, "Whether the catalog is shared between processes through the cache of [cache].");

    public static readonly ConfigOption<string> EnforcementModel = new(
        "unified_limit", "enforcement_model", "flat", "How the limits of projects and domains bind each other.") { Choices = ["flat", "strict_two_level"] };

    public static readonly ConfigOption<string> AdminProjectName = new(
        "resource", "admin_project_name", "", "The project whose tokens carry is_admin_project; empty for none.");

    public static readonly ConfigOption<string> AdminProjectDomainName = new(
        "resource", "admin_project_domain_name", "", "The domain of that project.");

    public static readonly ConfigOption<string> PolicyFile = new(
        "oslo_policy", "policy_file", "policy.yaml", "Overrides of the policy: relative to the data directory, or absolute.");

    public static readonly ConfigOption<IReadOnlyList<string>> PolicyDirs = new(
        "oslo_policy", "policy_dirs", ["policy.d"], "Directories of further overrides.");

    public static readonly ConfigOption<bool> EnforceScope = new(
        "oslo_policy", "enforce_scope", true, "Refuse tokens of a scope that a rule does not name.");

    public static readonly ConfigOption<bool> EnforceNewDefaults = new(
        "oslo_policy", "enforce_new_defaults", false, "Leave out the deprecated checks that are accepted beside the new ones.");

    public static readonly ConfigOption<string> IdentityDriver = new(
        "identity", "driver", "sql", "Where users and groups are kept.") { Choices = ["sql", "ldap"] };

    public static readonly ConfigOption<int> IdentityListLimit = new("identity", "list_limit", 0, "The most users or groups in a list; 0 for the one of all lists.") { Min = 0 };

    public static readonly ConfigOption<int> IdentityCacheTime = new(
        "identity", "cache_time", 600, "Seconds for which what a directory said is believed without asking it again.") { Min = 0 };

    public static readonly ConfigOption<bool> DomainDrivers = new(
        "identity", "domain_specific_drivers_enabled", false, "Whether domains may keep their users elsewhere.");

    public static readonly ConfigOption<bool> DomainConfigsFromDatabase = new(
        "identity", "domain_configurations_from_database", false, "Whether their configuration is read from the database, and not from files.");

    public static readonly ConfigOption<string> DomainConfigDirectory = new(
        "identity", "domain_config_dir", "/etc/keystone/domains", "Where the files keystone.DOMAIN.conf are.");

    public static readonly ConfigOption<bool> BackwardCompatibleIds = new(
        "identity_mapping", "backward_compatible_ids", true, "Whether users of the default LDAP have their own ids there as ids here.");

    public static readonly ConfigOption<int> DaysInactive = new(
        "security_compliance", "disable_user_account_days_inactive", 0, "Days without a log-in after which a user is disabled; 0 for never.") { Min = 0 };

    public static readonly ConfigOption<int> LockoutAttempts = new(
        "security_compliance", "lockout_failure_attempts", 0, "Wrong passwords after which a user is locked; 0 for never.") { Min = 0 };

    public static readonly ConfigOption<int> LockoutDuration = new(
        "security_compliance", "lockout_duration", 1800, "Seconds for which the user is locked.") { Min = 1 };

    public static readonly ConfigOption<int> PasswordExpiresDays = new(
        "security_compliance", "password_expires_days", 0, "Days after which a password must be changed; 0 for never.") { Min = 0 };

    public static readonly ConfigOption<int> UniquePasswords = new(
        "security_compliance", "unique_last_password_count", 0, "How many of the last passwords a new one must differ from; 0 for none.") { Min = 0 };

    public static readonly ConfigOption<int> MinimumPasswordAge = new(
        "security_compliance", "minimum_password_age", 0, "Days before users may change their password again.") { Min = 0 };

    public static readonly ConfigOption<string?> PasswordRegex = new(
        "security_compliance", "password_regex", null, "What a password must match.");

    public static readonly ConfigOption<string?> PasswordRegexDescription = new(
        "security_compliance", "password_regex_description", null, "What users are told that a password must be like.");

    public static readonly ConfigOption<bool> ChangePasswordFirst = new(
        "security_compliance", "change_password_upon_first_use", false, "Whether a password that an administrator set must be changed before it is good for anything.");
}
