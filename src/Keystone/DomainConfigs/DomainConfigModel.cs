using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Ldap;

namespace SharpStack.Keystone.DomainConfigs;

/// <summary>Which options a domain may set for itself, and what the API says about others.</summary>
internal static class DomainConfigModel
{
    private static readonly Dictionary<string, ConfigOption[]> Whitelisted = new()
    {
        ["identity"] = [KeystoneOptions.IdentityDriver, KeystoneOptions.IdentityListLimit],
        ["ldap"] =
        [
            LdapOptions.Url, LdapOptions.User, LdapOptions.Suffix, LdapOptions.QueryScope, LdapOptions.PageSize, LdapOptions.AliasDereferencing,
            LdapOptions.DebugLevel, LdapOptions.ChaseReferrals, LdapOptions.UserTreeDn, LdapOptions.UserFilter, LdapOptions.UserObjectClass,
            LdapOptions.UserId, LdapOptions.UserName, LdapOptions.UserMail, LdapOptions.UserDescription, LdapOptions.UserPass, LdapOptions.UserEnabled,
            LdapOptions.UserEnabledInvert, LdapOptions.UserEnabledMask, LdapOptions.UserEnabledDefault, LdapOptions.UserAttributeIgnore,
            LdapOptions.UserDefaultProject, LdapOptions.UserEnabledEmulation, LdapOptions.UserEnabledEmulationDn,
            LdapOptions.UserEnabledEmulationGroupConfig, LdapOptions.UserAdditionalAttributes, LdapOptions.GroupTreeDn, LdapOptions.GroupFilter,
            LdapOptions.GroupObjectClass, LdapOptions.GroupId, LdapOptions.GroupName, LdapOptions.GroupMembersAreIds, LdapOptions.GroupMember,
            LdapOptions.GroupDescription, LdapOptions.GroupAttributeIgnore, LdapOptions.GroupAdditionalAttributes, LdapOptions.TlsCaFile,
            LdapOptions.TlsCaDirectory, LdapOptions.UseTls, LdapOptions.TlsRequireCertificate, LdapOptions.UsePool, LdapOptions.PoolSize,
            LdapOptions.PoolRetryMax, LdapOptions.PoolRetryDelay, LdapOptions.PoolConnectionTimeout, LdapOptions.PoolConnectionLifetime,
            LdapOptions.UseAuthPool, LdapOptions.AuthPoolSize, LdapOptions.AuthPoolConnectionLifetime,
        ],
    };

    public static IEnumerable<string> Groups => Whitelisted.Keys;

    public static IReadOnlyList<ConfigOption> OptionsOf(string group) => Whitelisted[group];

    public static bool IsSensitive(string group, string option) => (group, option) is ("ldap", "password");

    public static CloudException Invalid(string reason) => CloudException.Forbidden($"Invalid domain specific configuration: {reason}.");

    public static CloudException Missing(string domainId, string? group, string? option)
    {
        var what = option is not null ? $"option {option} in group {group}" : group is not null ? $"group {group}" : "any options";
        return CloudException.NotFound($"Could not find {what} in domain configuration for domain {domainId}.");
    }

    /// <summary>Refuses (403) a group or an option that no domain may set.</summary>
    public static void RequireKnown(string? group, string? option)
    {
        if (group is not null && !Whitelisted.ContainsKey(group))
        {
            throw Invalid($"Group {group} is not supported for domain specific configurations");
        }
        if (option is not null && !IsSensitive(group!, option) && !Whitelisted[group!].Any(o => o.Name == option))
        {
            throw Invalid($"Option {option} in group {group} is not supported for domain specific configurations");
        }
    }

    /// <summary>Reads the options of <c>{"ldap": {"url": …}}</c>; refuses (403) what is none.</summary>
    public static List<DomainConfigRow> Read(string domainId, JsonElement config)
    {
        if (config.ValueKind != JsonValueKind.Object || !config.EnumerateObject().Any())
        {
            throw Invalid("No options specified");
        }
        var rows = new List<DomainConfigRow>();
        foreach (var group in config.EnumerateObject())
        {
            if (group.Value.ValueKind != JsonValueKind.Object || !group.Value.EnumerateObject().Any())
            {
                throw Invalid($"The value of group {group.Name} specified in the config should be a dictionary of options");
            }
            foreach (var option in group.Value.EnumerateObject())
            {
                RequireKnown(group.Name, option.Name);
                rows.Add(new()
                {
                    DomainId = domainId,
                    Group = group.Name,
                    Option = option.Name,
                    Value = option.Value.GetRawText(),
                    IsSensitive = IsSensitive(group.Name, option.Name),
                });
            }
        }
        return rows;
    }

    /// <summary>Writes an option's value in a configuration as JSON has it.</summary>
    public static void WriteValue(Utf8JsonWriter json, ServiceConfig config, ConfigOption option)
    {
        switch (option)
        {
            case ConfigOption<bool> flag:
                json.WriteBoolean(option.Name, config.Get(flag));
                break;
            case ConfigOption<int> number:
                json.WriteNumber(option.Name, config.Get(number));
                break;
            case ConfigOption<double> number:
                json.WriteNumber(option.Name, config.Get(number));
                break;
            case ConfigOption<IReadOnlyList<string>> list:
                json.WriteStartArray(option.Name);
                foreach (var item in config.Get(list))
                {
                    json.WriteStringValue(item);
                }
                json.WriteEndArray();
                break;
            case ConfigOption<string> text:
                json.WriteString(option.Name, config.Get(text));
                break;
        }
    }
}
