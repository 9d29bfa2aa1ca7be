using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Policy;

/// <summary>The options of <c>[oslo_policy]</c>, the same in every service.</summary>
public static class PolicyOptions
{
    public static readonly ConfigOption<string> PolicyFile = new("oslo_policy", "policy_file", "policy.yaml", "The file of policy overrides; relative to /etc/SERVICE.");

    public static readonly ConfigOption<IReadOnlyList<string>> PolicyDirs = new("oslo_policy", "policy_dirs", ["policy.d"], "Folders of policy overrides; relative to /etc/SERVICE.");

    public static readonly ConfigOption<bool> EnforceScope = new("oslo_policy", "enforce_scope", true, "Refuse tokens of a scope that a rule does not accept.");

    public static readonly ConfigOption<bool> EnforceNewDefaults = new("oslo_policy", "enforce_new_defaults", true, "Do not also accept what the deprecated rules accepted.");

    public static IEnumerable<ConfigOption> All { get; } = [PolicyFile, PolicyDirs, EnforceScope, EnforceNewDefaults];

    /// <summary>The enforcer of a service: its defaults, overridden by the files that its configuration names.</summary>
    /// <param name="enforceScope">Where the configuration does not say; a release of a service may differ.</param>
    /// <param name="enforceNewDefaults">Where the configuration does not say.</param>
    public static PolicyEnforcer Enforcer(ServiceConfig config, IEnumerable<PolicyRule> defaults, bool enforceScope = true, bool enforceNewDefaults = true)
    {
        var home = Path.Combine("/etc", config.Service);
        var paths = config.Get(PolicyDirs).Prepend(config.Get(PolicyFile)).Select(path => Path.Combine(home, path));
        return new PolicyEnforcer(defaults, PolicyOverrides.Load(paths), Or(EnforceScope, enforceScope), Or(EnforceNewDefaults, enforceNewDefaults));

        bool Or(ConfigOption<bool> option, bool value) => config.IsSet(option) ? config.Get(option) : value;
    }
}
