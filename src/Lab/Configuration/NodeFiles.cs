using System.Security.Cryptography;
using System.Text;
using SharpStack.Lab.Definitions;

namespace SharpStack.Lab.Configuration;

/// <summary>Writes what a node has in its /etc and in its user's folder: OpenStack's own files with the labs' values, and those of the engines.</summary>
/// <param name="virtualization">libvirt's <c>virt_type</c>: <c>qemu</c>, or <c>kvm</c> where the machine has it.</param>
/// <param name="datapath">Open vSwitch's: <c>netdev</c> without the kernel's module.</param>
public sealed class NodeFiles(LabLayout layout, LabDefinition lab, LabState state, string virtualization, string datapath)
{
    private const UnixFileMode Public = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private const UnixFileMode Service = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;
    private const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    // QEMU runs as root without the drivers that need systemd, cgroups or another user's rights on the disks.
    private const string QemuConfiguration =
        """
        user = "root"
        group = "root"
        dynamic_ownership = 0
        remember_owner = 0
        security_driver = "none"
        stdio_handler = "file"
        cgroup_controllers = [ ]
        namespaces = [ ]

        """;

    /// <summary>Writes the files of a node; the lab host has those of its user alone.</summary>
    public void Write(LabNode node)
    {
        foreach (var (path, content, mode) in Files(node))
        {
            LabLayout.Write(Path.Combine(layout.Etc(node.Name), path), content, mode);
        }

        foreach (var (path, content) in UserFiles())
        {
            LabLayout.Write(Path.Combine(layout.Home(node.Name), path), content, Secret);
        }
    }

    /// <summary>The files of a node below /etc.</summary>
    internal IEnumerable<(string Path, string Content, UnixFileMode Mode)> Files(LabNode node)
    {
        yield return ("hostname", node.Name + "\n", Public);
        yield return ("hosts", $"127.0.0.1 localhost\n{string.Concat(lab.Nodes.Select(other => $"{other.Address} {other.Name}\n"))}", Public);
        // Names are those of the file above: nobody is asked who cannot be reached.
        yield return ("resolv.conf", "", Public);
        if (state.Bare)
        {
            yield break;
        }

        yield return ("openstack/clouds.yaml", $"clouds:\n{Cloud("admin", state.Secrets.Admin)}{Cloud("demo", state.Secrets.Demo)}", Secret);
        var openStack = new OpenStackFiles(lab, node, state.Secrets, virtualization, datapath);
        foreach (var (path, content) in openStack.All())
        {
            yield return (path, content, Service);
        }

        if (node.Roles.HasFlag(LabRoles.Controller))
        {
            foreach (var file in Engines(node))
            {
                yield return file;
            }
        }

        if (lab.Exit is { } exit && exit.Node == node.Name)
        {
            yield return ("iptables/rules.v4", Rules(exit), Public);
        }

        if (node.Roles.HasFlag(LabRoles.Compute))
        {
            foreach (var file in Libvirt(node))
            {
                yield return file;
            }
        }
    }

    private IEnumerable<(string Path, string Content, UnixFileMode Mode)> Engines(LabNode node)
    {
        var secrets = state.Secrets;
        yield return ("mysql/mariadb.conf.d/99-openstack.cnf",
            $"""
            [mysqld]
            bind-address = {node.Address}
            default-storage-engine = innodb
            innodb_file_per_table = on
            max_connections = 4096
            collation-server = utf8_general_ci
            character-set-server = utf8
            init_file = /etc/mysql/openstack.sql

            """, Public);
        var sql = new StringBuilder($"ALTER USER root@localhost IDENTIFIED BY '{secrets.DatabaseRoot}';\n");
        void User(string name, string password, string scope)
        {
            foreach (var host in new[] { "localhost", "%" })
            {
                sql.Append($"CREATE USER IF NOT EXISTS '{name}'@'{host}';\nALTER USER '{name}'@'{host}' IDENTIFIED BY '{password}';\nGRANT ALL PRIVILEGES ON {scope} TO '{name}'@'{host}'{(scope == "*.*" ? " WITH GRANT OPTION" : "")};\n");
            }
        }

        User("root", secrets.DatabaseRoot, "*.*");
        foreach (var (database, user) in new[] { ("keystone", "keystone"), ("glance", "glance"), ("placement", "placement"), ("nova_api", "nova"), ("nova", "nova"), ("nova_cell0", "nova"), ("neutron", "neutron") })
        {
            sql.Append($"CREATE DATABASE IF NOT EXISTS {database};\n");
            User(user, secrets.Service, $"{database}.*");
        }

        yield return ("mysql/openstack.sql", sql.ToString(), Secret);
        yield return ("rabbitmq/rabbitmq.conf",
            $"""
            listeners.tcp.1 = {node.Address}:5672
            load_definitions = /etc/rabbitmq/openstack.json

            """, Public);
        yield return ("rabbitmq/openstack.json",
            $$"""
            {
              "vhosts": [{"name": "/"}],
              "users": [{"name": "openstack", "password_hash": "{{BrokerHash(secrets.Service)}}", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}],
              "permissions": [{"user": "openstack", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}]
            }

            """, Secret);
    }

    /// <summary>The rules of the labs' network node: instances get out, replies get in, and nobody opens a connection to the node but by SSH.</summary>
    private static string Rules(LabExit exit) =>
        $"""
        *raw
        :PREROUTING ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        COMMIT
        *nat
        :PREROUTING ACCEPT [0:0]
        :INPUT ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        -A POSTROUTING -o {exit.Device} -j MASQUERADE
        COMMIT
        *mangle
        :PREROUTING ACCEPT [0:0]
        :INPUT ACCEPT [0:0]
        :FORWARD ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        COMMIT
        *filter
        :INPUT ACCEPT [0:0]
        :FORWARD DROP [0:0]
        :OUTPUT ACCEPT [0:0]
        -A FORWARD -i {LabCluster.ExternalBridge} -j ACCEPT
        -A FORWARD -i {exit.Device} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A INPUT -i {exit.Device} -p tcp -m tcp --dport 22 -j ACCEPT
        -A INPUT -i {exit.Device} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A INPUT -i {exit.Device} -j DROP
        -A INPUT -i {LabCluster.ExternalBridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A INPUT -i {LabCluster.ExternalBridge} -p icmp -j ACCEPT
        -A INPUT -i {LabCluster.ExternalBridge} -j DROP
        COMMIT

        """;

    private IEnumerable<(string Path, string Content, UnixFileMode Mode)> Libvirt(LabNode node)
    {
        yield return ("libvirt/qemu.conf", QemuConfiguration, Secret);
        yield return ("libvirt/libvirtd.conf",
            $"""
            auth_unix_rw = "none"
            auth_unix_ro = "none"
            unix_sock_group = "root"
            unix_sock_rw_perms = "0700"
            host_uuid = "{state.HostIds[node.Name]}"

            """, Secret);
        // libvirt looks its own user up even where QEMU runs as another; Debian's package for a system-wide libvirtd makes it.
        foreach (var (file, line) in new[] { ("passwd", "libvirt-qemu:x:64055:64055:QEMU:/var/lib/libvirt:/usr/sbin/nologin"), ("group", "libvirt-qemu:x:64055:") })
        {
            var machine = File.ReadAllText($"/etc/{file}");
            if (!machine.Split('\n').Any(entry => entry.StartsWith("libvirt-qemu:", StringComparison.Ordinal)))
            {
                yield return (file, machine + line + "\n", Public);
            }
        }
    }

    private IEnumerable<(string Path, string Content)> UserFiles()
    {
        yield return ("admin-openrc", Openrc("admin", state.Secrets.Admin));
        yield return ("demo-openrc", Openrc("demo", state.Secrets.Demo));
        yield return ("demo-key", File.ReadAllText(layout.DemoKey));
        yield return ("demo-key.pub", File.ReadAllText(layout.DemoKey + ".pub"));
    }

    private static string Openrc(string user, string password) =>
        $"""
        export OS_PROJECT_DOMAIN_NAME=Default
        export OS_USER_DOMAIN_NAME=Default
        export OS_PROJECT_NAME={user}
        export OS_USERNAME={user}
        export OS_PASSWORD={password}
        export OS_AUTH_URL={OpenStackFiles.AuthUrl}
        export OS_IDENTITY_API_VERSION=3
        export OS_IMAGE_API_VERSION=2

        """;

    private static string Cloud(string user, string password) =>
        $"""
          {user}:
            region_name: {OpenStackFiles.Region}
            identity_api_version: 3
            auth:
              auth_url: {OpenStackFiles.AuthUrl}
              username: {user}
              password: {password}
              project_name: {user}
              user_domain_name: Default
              project_domain_name: Default

        """;

    /// <summary>The form in which RabbitMQ keeps passwords: the salt, and SHA-256 of the salt and the password.</summary>
    private static string BrokerHash(string password)
    {
        // The same for the same password, so that a file that says the same stays the same.
        var salt = SHA256.HashData(Encoding.UTF8.GetBytes("salt " + password)).AsSpan(0, 4);
        var salted = new byte[4 + Encoding.UTF8.GetByteCount(password)];
        salt.CopyTo(salted);
        Encoding.UTF8.GetBytes(password, salted.AsSpan(4));
        return Convert.ToBase64String([.. salt, .. SHA256.HashData(salted)]);
    }
}
