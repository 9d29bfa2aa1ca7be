using SharpStack.Lab.Definitions;
using SharpStack.Lab.Nodes;

namespace SharpStack.Lab.Tests;

public sealed class DefinitionTests
{
    public static TheoryData<int> Numbers => [.. LabCatalog.All.Select(lab => lab.Number)];

    [Theory]
    [MemberData(nameof(Numbers))]
    public void Nodes_have_addresses_of_their_own_on_networks_that_exist(int number)
    {
        var lab = LabCatalog.Get(number);

        var addresses = lab.Nodes.SelectMany(node => node.Interfaces).Select(link => link.Address).OfType<string>().ToArray();
        Assert.Equal(addresses.Length, addresses.Distinct().Count());
        Assert.All(lab.Nodes, node => Assert.Contains(node.Interfaces, link => link.Network == "mgmt" && link.Address == node.Address));
        Assert.All(lab.Nodes.SelectMany(node => node.Interfaces), link => Assert.Contains(lab.Networks, network => network.Name == link.Network));
        Assert.All(lab.Networks, network => Assert.All(lab.Nodes, node => Assert.InRange($"{network.Name}-{node.Name}".Length, 1, 15)));
    }

    [Theory]
    [MemberData(nameof(Numbers))]
    public void Demos_name_networks_that_they_make(int number)
    {
        var demo = LabCatalog.Get(number).Demo;

        Assert.All(demo.Servers, server => Assert.Contains(demo.Networks, network => network.Name == server.Network));
        Assert.All(demo.Servers.Where(server => server.FloatingFrom is not null), server => Assert.Contains(demo.Networks, network => network.Name == server.FloatingFrom && network.External));
        if (demo.Router is { } router)
        {
            Assert.Contains(demo.Networks, network => network.Name == router.Gateway && network.External);
            Assert.Contains(demo.Networks, network => network.Subnet.Name == router.Subnet);
        }
    }

    [Fact]
    public void A_plan_within_what_is_supported_and_the_steps_beyond_it_are_the_whole_plan()
    {
        var demo = LabCatalog.Get(10).Demo;
        var supported = new HashSet<LabFeature> { LabFeature.Flat };

        var within = demo.Within(supported);
        var beyond = demo.Beyond(supported);

        Assert.Equal(["flat-network"], within.Networks.Select(network => network.Name));
        Assert.Equal(["demo-instance-3"], within.Servers.Select(server => server.Name));
        Assert.Null(within.Router);
        Assert.Equal(demo.Networks.Count + demo.Servers.Count, within.Networks.Count + within.Servers.Count + beyond.Count(step => step.StartsWith("network ") || step.StartsWith("server ")));
        Assert.Contains(beyond, step => step.Contains("demo-router"));
        Assert.Empty(demo.Beyond(Enum.GetValues<LabFeature>().ToHashSet()));
    }

    [Fact]
    public void A_plan_of_which_all_is_supported_stays_as_it_is()
    {
        var demo = LabCatalog.Get(9).Demo;

        var within = demo.Within(Enum.GetValues<LabFeature>().ToHashSet());

        Assert.Equal(demo.Networks, within.Networks);
        Assert.Equal(demo.Servers, within.Servers);
        Assert.Equal(demo.Router, within.Router);
    }

    [Fact]
    public void A_node_runs_the_services_of_its_roles_that_the_program_has()
    {
        var lab = LabCatalog.Get(8);
        var services = new NodeServices(lab, new LabProgram("/program", new HashSet<string> { "keystone", "nova-compute", "neutron-openvswitch-agent" }));

        Assert.Equal(
            ["mariadb", "rabbitmq", "memcached", "ovsdb-server", "ovs-vswitchd", "keystone", "neutron-openvswitch-agent"],
            services.Of(lab.Controller).Select(service => service.Name));
        Assert.Equal(
            ["ovsdb-server", "ovs-vswitchd", "libvirtd", "neutron-openvswitch-agent", "nova-compute"],
            services.Of(lab.Node("compute1")).Select(service => service.Name));
        Assert.Contains("neutron-l3-agent", services.Missing);
        Assert.DoesNotContain("keystone", services.Missing);
    }

    [Fact]
    public void A_lab_that_does_not_exist_is_refused_with_those_that_do() =>
        Assert.Contains("5, 7, 8, 9, 10", Assert.Throws<LabException>(() => LabCatalog.Get(6)).Message, StringComparison.Ordinal);
}
