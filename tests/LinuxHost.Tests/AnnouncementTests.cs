using System.Net;
using SharpStack.LinuxHost.Links;
using SharpStack.LinuxHost.Netlink;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.LinuxHost.Tests;

public sealed class AnnouncementTests
{
    [Theory]
    [InlineData("192.0.2.9", "192.0.2.1/24", "192.0.2.2/24")]
    [InlineData("2001:db8::9", "2001:db8::1/64", "2001:db8::2/64")]
    public async Task A_neighbour_that_knew_another_owner_learns_the_new_one(string moving, string here, string there)
    {
        using var one = new ScratchNamespace();
        using var other = new ScratchNamespace();
        one.Routes.CreateVeth("eth0", "eth0", other.Name);
        foreach (var (scratch, address) in new[] { (one, here), (other, there) })
        {
            scratch.Routes.SetUp("eth0");
            scratch.Routes.AddAddress("eth0", InterfaceAddress.Parse(address), duplicateDetection: false);
        }

        await NeighbourAsync("replace", moving, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale");
        one.Routes.AddAddress("eth0", InterfaceAddress.Parse(moving), duplicateDetection: false);
        Announcement.Send("eth0", IPAddress.Parse(moving), isRouter: true, one.Name);
        var mac = one.Routes.GetLink("eth0").MacText;
        await Wait.Until(async () => (await NeighbourAsync("show", moving, "dev", "eth0")).Contains(mac, StringComparison.Ordinal));

        async Task<string> NeighbourAsync(params string[] words) =>
            (await Shell.TryAsync("ip", ["-n", other.Name, "neighbour", .. words], TestContext.Current.CancellationToken)).Output;
    }
}
