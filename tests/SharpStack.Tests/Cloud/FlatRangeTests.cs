using System.Net;
using SharpStack.Cloud;
using SharpStack.CommandLine;

namespace SharpStack.Tests.Cloud;

public sealed class FlatRangeTests
{
    [Fact]
    public void The_first_choice_is_the_range_of_the_labs_with_a_pool_of_nine()
    {
        var range = FlatRange.Choose([IPNetwork.Parse("192.0.2.0/24")]);

        Assert.Equal(new FlatRange("172.16.0.0/12", "172.16.0.1", "172.16.0.2", "172.16.0.10"), range);
    }

    [Fact]
    public void A_range_that_the_machine_routes_elsewhere_is_passed_over()
    {
        Assert.Equal("172.16.0.0/24", FlatRange.Choose([IPNetwork.Parse("172.17.0.0/16")]).Cidr);
        Assert.Equal("192.168.172.0/24", FlatRange.Choose([IPNetwork.Parse("172.16.0.0/12")]).Cidr);
    }

    [Fact]
    public void Where_every_range_is_taken_the_message_names_the_option()
    {
        var failure = Assert.Throws<CommandException>(() => FlatRange.Choose([.. FlatRange.Preferred.Select(range => IPNetwork.Parse(range.Cidr))]));

        Assert.Contains("--subnet", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("fd00::/64")]
    [InlineData("10.0.0.0/30")]
    [InlineData("10.0.0.0/4")]
    [InlineData("ten")]
    public void A_range_that_cannot_hold_the_demo_is_refused(string cidr) => Assert.Throws<UsageException>(() => FlatRange.Of(cidr));
}
