using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.Neutron.Agents.Inspection;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.Inspection;

public sealed class NetworkInspectorTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("sharpstack-inspect-");

    private HostOptions Host => new() { DataDirectory = folder.FullName, HostName = "host1" };

    [Fact]
    public async Task The_switch_is_told_with_the_ports_that_its_devices_are_marked_as()
    {
        await using var sandbox = await OpenVSwitchSandbox.StartAsync(withSwitch: false);
        await sandbox.VsctlAsync("--no-wait", "add-br", "br-int");
        await sandbox.VsctlAsync("--no-wait", "add-port", "br-int", "tap11111111-11", "--", "set", "Interface", "tap11111111-11", "external_ids:iface-id=11111111-1111-1111-1111-111111111111");
        await sandbox.VsctlAsync("--no-wait", "add-port", "br-int", "other");
        await sandbox.VsctlAsync("--no-wait", "add-br", "tbr-22222222-2", "--", "add-port", "tbr-22222222-2", "tap33333333-33", "--", "set", "Interface", "tap33333333-33", "external_ids:iface-id=33333333-3333-3333-3333-333333333333");
        await sandbox.VsctlAsync("--no-wait", "add-port", "tbr-22222222-2", "spt-44444444-44", "tag=7", "--", "set", "Interface", "spt-44444444-44", "type=patch", "options:peer=spi-44444444-44", "external_ids:iface-id=44444444-4444-4444-4444-444444444444");
        var config = ServiceConfig.Empty("neutron").With("ovs", "ovsdb_connection", sandbox.Database);
        var view = await NetworkInspector.InspectSwitchAsync(config, Host, TestContext.Current.CancellationToken);
        Assert.Equal("host1", view.Host);
        Assert.Contains(view.Ports, port => port is { Name: "tap11111111-11", PortId: "11111111-1111-1111-1111-111111111111" });
        Assert.Contains(view.Ports, port => port is { Name: "other", PortId: null });
        var trunk = Assert.Single(view.Trunks);
        Assert.Equal(("tbr-22222222-2", "33333333-3333-3333-3333-333333333333", new TrunkSubPortView("44444444-4444-4444-4444-444444444444", 7)), (trunk.Name, trunk.PortId, Assert.Single(trunk.SubPorts)));
    }

    [Fact]
    public void A_DHCP_server_is_told_by_its_folder_or_its_namespace_with_its_entries()
    {
        var (left, namespaced) = (Guid.NewGuid().ToString("D"), Guid.NewGuid().ToString("D"));
        var files = Directory.CreateDirectory(Path.Combine(folder.FullName, "neutron", "dhcp", left)).FullName;
        File.WriteAllLines(Path.Combine(files, "host"),
        [
            "fa:16:3e:00:00:01,host-10-0-0-5.openstacklocal,10.0.0.5",
            "fa:16:3e:00:00:02,id:ff:00,host-10-0-0-6.openstacklocal,10.0.0.6,set:port-1",
            "fa:16:3e:00:00:02,tag:dhcpv6,host-fd00--6.openstacklocal,[fd00::6]",
        ]);
        NetworkNamespace.Create("qdhcp-" + namespaced);
        try
        {
            var view = NetworkInspector.InspectDhcp(ServiceConfig.Empty("neutron"), Host);
            var first = Assert.Single(view.Networks, network => network.NetworkId == left);
            Assert.Equal((false, false), (first.HasNamespace, first.IsRunning));
            Assert.Equal([new DhcpEntryView("fa:16:3e:00:00:01", "10.0.0.5"), new DhcpEntryView("fa:16:3e:00:00:02", "10.0.0.6")], first.Entries);
            var second = Assert.Single(view.Networks, network => network.NetworkId == namespaced);
            Assert.Equal((true, false), (second.HasNamespace, second.IsRunning));
        }
        finally
        {
            NetworkNamespace.Delete("qdhcp-" + namespaced);
        }
    }

    public void Dispose() => folder.Delete(recursive: true);
}
