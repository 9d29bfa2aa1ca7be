using SharpStack.TestKit;

namespace SharpStack.Glance.Tests;

public class AccessRuleTests
{
    [Fact]
    public async Task An_application_credential_may_do_what_its_access_rules_name_and_no_more()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var demo = cloud.Glance("demo");
        using var ruled = cloud.Glance("ruled");
        var id = await demo.CreateAsync();

        (await ruled.GetAsync("/v2/images")).Expect(200);
        (await ruled.GetAsync($"/v2/images/{id}")).Expect(200);
        (await ruled.GetAsync($"/v2/images/{id}/members")).Expect(401);
        (await ruled.DeleteAsync($"/v2/images/{id}")).Expect(401);
        (await ruled.PostAsync("/v2/images", """{"name": "x"}""")).Expect(401);
        // With a service's own token beside it, the request is one that the user began elsewhere.
        (await ruled.SendAsync(HttpMethod.Get, $"/v2/images/{id}/members", headers: ("X-Service-Token", "service"))).Expect(200);
        (await ruled.SendAsync(HttpMethod.Get, $"/v2/images/{id}/members", headers: ("X-Service-Token", "demo"))).Expect(401);
        (await ruled.SendAsync(HttpMethod.Delete, $"/v2/images/{id}", headers: ("X-Service-Token", "service"))).Expect(204);
    }
}
