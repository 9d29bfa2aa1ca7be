using SharpStack.Foundation.Configuration;

namespace SharpStack.Serve;

/// <summary>Where OpenStack's services keep what their configuration does not place: an operator who brings their own files finds it where it was.</summary>
internal static class OpenStackPlaces
{
    private static readonly (string Project, string Group, string Name, string Value)[] Places =
    [
        ("keystone", "fernet_tokens", "key_repository", "/etc/keystone/fernet-keys"),
        ("keystone", "credential", "key_repository", "/etc/keystone/credential-keys"),
        ("keystone", "oslo_policy", "policy_file", "/etc/keystone/policy.yaml"),
        ("keystone", "oslo_policy", "policy_dirs", "/etc/keystone/policy.d"),
        ("keystone", "database", "connection", "sqlite:////var/lib/keystone/keystone.db"),
        ("glance", "database", "connection", "sqlite:////var/lib/glance/glance.db"),
        ("glance", "glance_store", "filesystem_store_datadir", "/var/lib/glance/images"),
        ("glance", "DEFAULT", "node_staging_uri", "file:///var/lib/glance/staging"),
        ("placement", "placement_database", "connection", "sqlite:////var/lib/placement/placement.db"),
        ("nova", "DEFAULT", "state_path", "/var/lib/nova"),
        ("nova", "DEFAULT", "instances_path", "$state_path/instances"),
        ("nova", "database", "connection", "sqlite:////var/lib/nova/nova.db"),
        ("neutron", "DEFAULT", "state_path", "/var/lib/neutron"),
        ("neutron", "database", "connection", "sqlite:////var/lib/neutron/neutron.db"),
    ];

    /// <summary>Where the rest of a process's state is: the folder of its first project, which that project's user can write to.</summary>
    public static string StateOf(IEnumerable<string> projects) => $"/var/lib/{projects.FirstOrDefault() ?? "sharpstack"}";

    public static void Fill(IReadOnlyDictionary<string, ServiceConfig> configs)
    {
        foreach (var (project, group, name, value) in Places)
        {
            if (configs.TryGetValue(project, out var config) && !config.IsSet(new ConfigOption<string>(group, name, "", "")))
            {
                config.With(group, name, value);
            }
        }
    }
}
