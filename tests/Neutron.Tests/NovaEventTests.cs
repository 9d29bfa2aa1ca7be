using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using static SharpStack.Neutron.Tests.NeutronCloud;

namespace SharpStack.Neutron.Tests;

public sealed class NovaEventTests
{
    private readonly NovaStandIn nova = new();

    [Fact]
    public async Task Nova_hears_when_a_servers_port_is_plugged_changed_unplugged_and_deleted()
    {
        await using var cloud = await StartAsync(nova);
        using var admin = cloud.Client("neutron-server");
        var agent = new FakeAgent(cloud.Get<SharpStack.Foundation.Bus.IMessageBus>(), AgentTypes.OpenVSwitch, "compute1", "{}");
        await agent.ReportAsync();
        var server = Guid.NewGuid().ToString();
        var network = (await CreateAsync(admin, "networks", "{}")).Id();
        await CreateAsync(admin, "subnets", $"{{'network_id': '{network}', 'ip_version': 4, 'cidr': '10.0.0.0/24'}}");
        var port = (await CreateAsync(admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova', 'device_id': '{server}'}}")).Id();
        await agent.UpAsync(port);
        await nova.HeardAsync(("network-vif-plugged", server, port));
        (await admin.PutAsync($"/v2.0/ports/{port}", Json("{'port': {'fixed_ips': [{'ip_address': '10.0.0.77'}]}}"))).Expect(200);
        await nova.HeardAsync(("network-changed", server, port));
        await agent.DownAsync(port);
        await nova.HeardAsync(("network-vif-unplugged", server, port));
        (await admin.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
        await nova.HeardAsync(("network-vif-deleted", server, port));
        Assert.Equal(["network-vif-plugged", "network-changed", "network-vif-unplugged", "network-vif-deleted"], nova.Events.Select(heard => heard.Name));
    }

    [Fact]
    public async Task A_port_of_no_server_is_not_Novas_business()
    {
        await using var cloud = await StartAsync(nova);
        using var admin = cloud.Client("neutron-server");
        var agent = new FakeAgent(cloud.Get<SharpStack.Foundation.Bus.IMessageBus>(), AgentTypes.OpenVSwitch, "compute1", "{}");
        await agent.ReportAsync();
        var network = (await CreateAsync(admin, "networks", "{}")).Id();
        var server = Guid.NewGuid().ToString();
        foreach (var device in (string[])["", "'device_owner': 'network:dhcp', 'device_id': 'x', ", "'device_owner': 'compute:nova', 'device_id': 'no-uuid', "])
        {
            var other = (await CreateAsync(admin, "ports", $"{{{device}'network_id': '{network}', 'binding:host_id': 'compute1'}}")).Id();
            await agent.UpAsync(other);
        }

        var port = (await CreateAsync(admin, "ports", $"{{'network_id': '{network}', 'binding:host_id': 'compute1', 'device_owner': 'compute:nova', 'device_id': '{server}'}}")).Id();
        await agent.UpAsync(port);
        await nova.HeardAsync(("network-vif-plugged", server, port));
        Assert.Single(nova.Events);
    }

    [Fact]
    public async Task An_event_outlives_Novas_absence_and_a_restart_of_Neutron()
    {
        nova.IsAway = true;
        var first = await StartAsync(nova);
        var server = Guid.NewGuid().ToString();
        string port;
        using (var admin = first.Client("neutron-server"))
        {
            var network = (await CreateAsync(admin, "networks", "{}")).Id();
            port = (await CreateAsync(admin, "ports", $"{{'network_id': '{network}', 'device_owner': 'compute:nova', 'device_id': '{server}'}}")).Id();
            (await admin.DeleteAsync($"/v2.0/ports/{port}")).Expect(204);
            await Eventually.TrueAsync(() => nova.Refused > 0, "an attempt was refused");
        }

        var data = await first.StopAndKeepDataAsync();
        nova.IsAway = false;
        await using var second = await StartAsync(nova, data);
        await nova.HeardAsync(("network-vif-deleted", server, port));
    }

    private static Task<TestCloud> StartAsync(NovaStandIn nova, string? data = null) =>
        TestCloud.StartAsync([new NeutronModule(), nova], [("neutron", "nova", "username", "neutron")], data);
}
