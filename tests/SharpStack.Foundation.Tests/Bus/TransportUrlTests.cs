using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Tests.Bus;

public sealed class TransportUrlTests
{
    [Fact]
    public void A_url_names_hosts_users_and_the_virtual_host()
    {
        var transport = Read("rabbit://nova:p%40ss%2F%3Aw@one:5673,other:x@[fd00::1]:5674,three/my%2Fhost");
        Assert.Equal(
            [new RabbitHost("one", 5673, "nova", "p@ss/:w"), new RabbitHost("fd00::1", 5674, "other", "x"), new RabbitHost("three", 5672, "nova", "p@ss/:w")],
            transport.Hosts);
        Assert.Equal("my/host", transport.VirtualHost);
        Assert.Equal("one:5673,[fd00::1]:5674,three:5672/my/host", transport.DisplayName);
    }

    [Theory]
    [InlineData("rabbit://one")]
    [InlineData("rabbit://one/")]
    [InlineData("rabbit://one//")]
    [InlineData("rabbit://one/%2F")]
    public void Without_a_name_the_virtual_host_is_the_brokers_default(string url) => Assert.Equal("/", Read(url).VirtualHost);

    [Fact]
    public void Options_come_from_the_file_and_the_url_goes_before()
    {
        var config = Config("rabbit://one/?ssl=1&heartbeat_timeout_threshold=7&ssl_ca_file=%2Fetc%2Fca.pem")
            .With("oslo_messaging_rabbit", "heartbeat_timeout_threshold", "20")
            .With("oslo_messaging_rabbit", "rabbit_retry_interval", "3")
            .With("oslo_messaging_rabbit", "kombu_ssl_certfile", "/etc/me.pem");
        var transport = RabbitTransport.Read(config);
        Assert.Equal((true, TimeSpan.FromSeconds(7), "/etc/ca.pem"), (transport.Ssl, transport.Heartbeat, transport.CaFile));
        Assert.Equal((TimeSpan.FromSeconds(3), "/etc/me.pem"), (transport.RetryInterval, transport.CertFile));
        Assert.Equal((TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(30)), (transport.RetryBackoff, transport.RetryMax));
    }

    [Theory]
    [InlineData("amqp://user:hunter2@one/")]
    [InlineData("rabbit://user:hunter2@")]
    [InlineData("rabbit://user:hunter2@one:port/")]
    [InlineData("rabbit://user:hunter2@one:99999/")]
    [InlineData("rabbit://user:hunter2@[::1/")]
    [InlineData("rabbit://user:hunter2@one/?ssl=maybe")]
    [InlineData("rabbit://user:hunter2@one/?ssl")]
    public void A_url_that_is_none_is_refused_without_telling_its_password(string url)
    {
        var failure = Assert.Throws<FormatException>(() => Read(url));
        Assert.Contains("nova: [DEFAULT] transport_url", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Services_share_a_connection_where_their_transports_are_the_same()
    {
        Assert.Equal(Read("rabbit://one/").Key, RabbitTransport.Read(ServiceConfig.Empty("neutron").With("DEFAULT", "transport_url", "rabbit://one/")).Key);
        Assert.NotEqual(Read("rabbit://one/").Key, Read("rabbit://two/").Key);
        Assert.NotEqual(Read("rabbit://one/").Key, RabbitTransport.Read(Config("rabbit://one/").With("oslo_messaging_rabbit", "ssl", "true")).Key);
    }

    [Fact]
    public void A_bad_network_is_asked_for_in_shares()
    {
        Assert.Null(BusChaos.Read(ServiceConfig.Empty("nova")));
        var chaos = BusChaos.Read(ServiceConfig.Empty("nova").With("sharpstack", "bus_chaos", "drop:0.5,double:0.5"))!;
        var plans = Enumerable.Range(0, 1000).Select(_ => chaos.Plan().Count).ToList();
        Assert.InRange(plans.Count(count => count == 0), 400, 600);
        Assert.InRange(plans.Count(count => count == 2), 150, 350);
        foreach (var wrong in (string[])["drop:2", "drop:much", "lose:0.1"])
        {
            Assert.Throws<FormatException>(() => BusChaos.Read(ServiceConfig.Empty("nova").With("sharpstack", "bus_chaos", wrong)));
        }
    }

    private static ServiceConfig Config(string url) => ServiceConfig.Empty("nova").With("DEFAULT", "transport_url", url);

    private static RabbitTransport Read(string url) => RabbitTransport.Read(Config(url));
}
