using System.Globalization;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.L3;

/// <summary>
/// Two network nodes, each with its switch, its agent and a real keepalived, joined by a trunk. Namespaces of one name cannot be twice on a machine, so that the two
/// halves of the router have ids of their own here, and all else in common.
/// </summary>
public sealed class HaRouterTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const string Floating = "203.0.113.60";

    private L3Node first = null!;
    private L3Node second = null!;
    private L3Router active = null!;
    private L3Router standby = null!;

    public async ValueTask InitializeAsync()
    {
        first = await L3Node.StartAsync("net1");
        second = await L3Node.StartAsync("net2");
        using (var links = RouteClient.Open(first.Sandbox.Namespace))
        {
            links.CreateVeth("trunk", "trunk", second.Sandbox.Namespace);
        }

        foreach (var node in new[] { first, second })
        {
            using var links = RouteClient.Open(node.Sandbox.Namespace);
            links.SetUp("trunk");
            await node.Sandbox.VsctlAsync("add-port", "br-int", "trunk");
        }

        active = Half(1);
        standby = Half(2);
    }

    public async ValueTask DisposeAsync()
    {
        await first.DisposeAsync();
        await second.DisposeAsync();
    }

    [Fact]
    public async Task The_other_host_takes_over_with_all_addresses_where_the_one_that_serves_dies()
    {
        var guest = await second.MachineAsync("vm1", 1, 0x11, "10.4.0.11/24", "10.4.0.1");
        var outside = await second.MachineAsync("out", 3, 0x91, "203.0.113.1/24", null);
        await first.ServeAsync(active);
        await Eventually.TrueAsync(() => first.Server.States.GetValueOrDefault(active.Id) == "active", "the first host serves");
        await second.ServeAsync(standby);
        await Eventually.TrueAsync(() => second.Server.States.GetValueOrDefault(standby.Id) == "standby", "the second host stands by");
        Assert.Equal(Floating, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7001, outside))?.ToString());
        Assert.Equal("203.0.113.1", (await L3Node.ConnectAsync(outside, Floating, 7002, guest))?.ToString());
        Assert.Empty(OuterAddresses(standby));

        // The ping outlasts the failover: it ends with the answer of a packet that was sent after it.
        var pings = OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", guest, "ping", "-i", "0.1", "-W", "1", "-c", "150", "203.0.113.1");
        await first.Sandbox.StopSwitchAsync();
        await Eventually.TrueAsync(() => second.Server.States.GetValueOrDefault(standby.Id) == "active", "the second host serves");
        var (sent, received) = Counts((await pings).Output);
        output.WriteLine($"{sent - received} of {sent} pings, ten a second, were lost in the failover");
        Assert.InRange(received, 1, sent - 1);
        Assert.Contains("203.0.113.60/32", OuterAddresses(standby));
        Assert.Equal(Floating, (await L3Node.ConnectAsync(guest, "203.0.113.1", 7003, outside))?.ToString());
        Assert.Equal("203.0.113.1", (await L3Node.ConnectAsync(outside, Floating, 7004, guest))?.ToString());
        await first.Sandbox.StartSwitchAsync();
    }

    [Fact]
    public async Task A_host_that_does_not_hear_the_others_yet_does_not_serve()
    {
        await first.ServeAsync(active);
        await Eventually.TrueAsync(() => first.Server.States.GetValueOrDefault(active.Id) == "active", "the first host serves");
        await second.Server.SetAsync(standby);
        await second.SettleAsync(standby);
        Assert.False(File.Exists(Path.Combine(second.Files(standby.Id), "keepalived.conf")));

        await second.ServeAsync(standby);
        await Eventually.TrueAsync(() => second.Server.States.GetValueOrDefault(standby.Id) == "standby", "the second host stands by");
        Assert.Empty(OuterAddresses(standby));
    }

    private static L3Router Half(int number)
    {
        var router = L3Samples.Router();
        var port = L3Samples.Port($"{number}b1b1c1d-0000-4000-8000-000000000004", $"fa:16:3e:00:04:0{number}", $"169.254.192.{number}", "169.254.192.0/18", null);
        return router with
        {
            Ha = new L3HighAvailability(7, 50, port, "169.254.0.7/24"),
            FloatingIps = [L3Samples.Floating(Floating, "10.4.0.11")],
        };
    }

    private static IEnumerable<string> OuterAddresses(L3Router router)
    {
        using var links = RouteClient.Open(RouterNames.NamespaceOf(router.Id));
        return [.. links.ListAddresses(RouterNames.External(router.Gateway!.Port)).Select(address => address.ToString())];
    }

    /// <summary>Of <c>150 packets transmitted, 120 received, …</c>.</summary>
    private static (int Sent, int Received) Counts(string words)
    {
        var numbers = words.Split('\n').Single(line => line.Contains("packets transmitted", StringComparison.Ordinal)).Split(' ');
        return (int.Parse(numbers[0], CultureInfo.InvariantCulture), int.Parse(numbers[3], CultureInfo.InvariantCulture));
    }
}
