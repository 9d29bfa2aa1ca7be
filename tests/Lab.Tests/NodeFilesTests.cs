using System.Text.RegularExpressions;
using SharpStack.Lab.Configuration;
using SharpStack.Lab.Definitions;

namespace SharpStack.Lab.Tests;

public sealed class NodeFilesTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("sharpstack-test-");
    private readonly LabSecrets secrets = LabSecrets.Create();

    public void Dispose() => folder.Delete(recursive: true);

    [Theory]
    [InlineData("keystone/keystone.conf", "database", "connection", "mysql+pymysql://keystone:{0}@controller/keystone")]
    [InlineData("glance/glance-api.conf", "DEFAULT", "bind_host", "192.168.1.11")]
    [InlineData("placement/placement.conf", "placement_database", "connection", "mysql+pymysql://placement:{0}@controller/placement")]
    [InlineData("nova/nova.conf", "api_database", "connection", "mysql+pymysql://nova:{0}@controller/nova_api")]
    [InlineData("nova/nova.conf", "DEFAULT", "transport_url", "rabbit://openstack:{0}@controller")]
    [InlineData("nova/nova.conf", "DEFAULT", "metadata_listen", "192.168.1.11")]
    [InlineData("neutron/neutron.conf", "keystone_authtoken", "password", "{0}")]
    [InlineData("neutron/plugins/ml2/ml2_conf.ini", "ml2", "type_drivers", "local,flat")]
    [InlineData("neutron/plugins/ml2/ml2_conf.ini", "ml2", "tenant_network_types", "")]
    [InlineData("neutron/dhcp_agent.ini", "DEFAULT", "dnsmasq_dns_servers", "1.1.1.1")]
    [InlineData("neutron/metadata_agent.ini", "DEFAULT", "nova_metadata_host", "controller")]
    public void The_controller_of_lab_5_has_the_values_of_the_labs(string file, string group, string option, string value) =>
        Assert.Equal(string.Format(value, secrets.Service), Value(5, "controller", file, group, option));

    [Theory]
    [InlineData(7, "controller", "neutron/plugins/ml2/ml2_conf.ini", "ml2_type_vlan", "network_vlan_ranges", "physnet")]
    [InlineData(9, "controller", "neutron/plugins/ml2/ml2_conf.ini", "ml2_type_vxlan", "vni_ranges", "2000:2100")]
    [InlineData(9, "compute1", "neutron/plugins/ml2/openvswitch_agent.ini", "ovs", "local_ip", "192.168.1.21")]
    [InlineData(10, "compute2", "neutron/plugins/ml2/openvswitch_agent.ini", "ovs", "local_ip", "192.168.2.22")]
    [InlineData(10, "controller", "neutron/plugins/ml2/ml2_conf.ini", "ml2", "physical_network_mtus", "physnet:1450")]
    [InlineData(5, "compute1", "nova/nova-compute.conf", "libvirt", "virt_type", "qemu")]
    [InlineData(5, "compute2", "nova/nova.conf", "vnc", "server_proxyclient_address", "192.168.1.22")]
    public void Nodes_have_what_their_lab_adds(int number, string node, string file, string group, string option, string value) =>
        Assert.Equal(value, Value(number, node, file, group, option));

    [Fact]
    public void A_compute_node_has_no_database() =>
        Assert.DoesNotContain(Files(5, "compute1"), file => file.Content.Contains("mysql+pymysql", StringComparison.Ordinal));

    [Fact]
    public void All_nodes_are_in_the_file_of_names() =>
        Assert.All(LabCatalog.Get(10).Nodes, node => Assert.Contains($"{node.Address} {node.Name}\n", Files(10, "network").Single(file => file.Path == "hosts").Content, StringComparison.Ordinal));

    [Fact]
    public void What_holds_a_password_is_not_for_all_to_read() =>
        Assert.All(
            Files(5, "controller").Where(file => new[] { secrets.Admin, secrets.DatabaseRoot, secrets.Shared, secrets.Demo }.Any(secret => file.Content.Contains(secret, StringComparison.Ordinal))),
            file => Assert.Equal(UnixFileMode.None, file.Mode & UnixFileMode.OtherRead));

    [Fact]
    public void Services_and_the_administrator_have_one_password_and_all_others_differ()
    {
        Assert.Equal(secrets.Admin, secrets.Service);
        Assert.Equal(4, new[] { secrets.Admin, secrets.Demo, secrets.Shared, secrets.DatabaseRoot }.Distinct().Count());
    }

    [Fact]
    public void The_state_is_read_as_it_was_written_and_is_its_owners_alone()
    {
        var layout = new LabLayout(folder.FullName);
        var state = new LabState { Number = 7, Secrets = secrets, HostIds = { ["compute1"] = Guid.NewGuid() }, Bootstrapped = true };

        state.Save(layout);

        var found = LabState.Load(layout)!;
        Assert.Equal((state.Number, state.Secrets, state.Bootstrapped, state.HostIds["compute1"]), (found.Number, found.Secrets, found.Bootstrapped, found.HostIds["compute1"]));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(layout.State));
        Assert.Null(LabState.Load(new LabLayout(Path.Combine(folder.FullName, "elsewhere"))));
    }

    private (string Path, string Content, UnixFileMode Mode)[] Files(int number, string node)
    {
        var lab = LabCatalog.Get(number);
        var state = new LabState { Number = number, Secrets = secrets, HostIds = lab.Nodes.ToDictionary(one => one.Name, _ => Guid.NewGuid()) };
        return [.. new NodeFiles(new LabLayout(folder.FullName), lab, state, "qemu", "netdev").Files(lab.Node(node))];
    }

    private string Value(int number, string node, string path, string group, string option)
    {
        var content = Files(number, node).Single(file => file.Path == path).Content;
        var section = Regex.Match(content, $@"(?ms)^\[{group}\]\n(.*?)(?=^\[|\z)").Groups[1].Value;
        return Regex.Match(section, $"(?m)^{option} = ?(.*)$").Groups[1].Value;
    }
}
