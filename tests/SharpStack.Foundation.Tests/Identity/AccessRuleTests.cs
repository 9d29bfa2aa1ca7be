using SharpStack.Foundation.Identity;

namespace SharpStack.Foundation.Tests.Identity;

public class AccessRuleTests
{
    // As keystonemiddleware's _path_matches reads them.
    [Theory]
    [InlineData("/v2.1/servers", "/v2.1/servers", true)]
    [InlineData("/v2.1/servers", "/v2.1/servers/detail", false)]
    [InlineData("/v2.1/servers", "/v2/servers", false)]
    [InlineData("/v2.1/servers", "/v2x1/servers", false)]
    [InlineData("/v2.1/servers/*", "/v2.1/servers/one", true)]
    [InlineData("/v2.1/servers/*", "/v2.1/servers/one/ips", false)]
    [InlineData("/v2.1/servers/*", "/v2.1/servers/", false)]
    [InlineData("/v2.1/servers/{server_id}/ips", "/v2.1/servers/one/ips", true)]
    [InlineData("/v2.1/servers/{server_id}/ips", "/v2.1/servers/one/two/ips", false)]
    [InlineData("/v2.1/**", "/v2.1/servers/one/ips", true)]
    [InlineData("/v2.1/**", "/v2.1/", true)]
    [InlineData("/v2.1/**", "/v2.0/servers", false)]
    [InlineData("**", "/anything", true)]
    [InlineData("/v2/**/file", "/v2/images/one/file", true)]
    [InlineData("/v2/**/file", "/v2/images/one/file/", false)]
    [InlineData("/v2/images", "/v2/images\n", false)]
    public void A_path_matches_its_pattern(string pattern, string path, bool matches) =>
        Assert.Equal(matches, new AccessRule("id", "compute", "GET", pattern).Allows("compute", "GET", path));

    [Fact]
    public void A_rule_is_for_its_service_and_its_method_alone()
    {
        AccessRule[] rules = [new("id", "compute", "GET", "/**")];

        Assert.True(AccessRule.Allow(null, "image", "DELETE", "/v2/images/x"));
        Assert.True(AccessRule.Allow(rules, "compute", "GET", "/v2.1/servers"));
        Assert.False(AccessRule.Allow(rules, "image", "GET", "/v2/images"));
        Assert.False(AccessRule.Allow(rules, "compute", "HEAD", "/v2.1/servers"));
        Assert.False(AccessRule.Allow([], "compute", "GET", "/v2.1/servers"));
        Assert.True(AccessRule.Allow([], "identity", "GET", "/v3/auth/tokens"));
        Assert.False(AccessRule.Allow([], "identity", "DELETE", "/v3/auth/tokens"));
    }
}
