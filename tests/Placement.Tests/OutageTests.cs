using SharpStack.Foundation.Storage;
using SharpStack.TestKit;
using SharpStack.TestKit.Databases;

namespace SharpStack.Placement.Tests;

public sealed class OutageTests
{
    [Theory]
    [InlineData(DatabaseEngine.PostgreSql)]
    [InlineData(DatabaseEngine.MariaDb)]
    public async Task Requests_without_the_database_end_with_503_in_the_services_words_and_are_answered_when_it_is_back(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var way = DatabaseProxy.To(place);
        await using var cloud = await TestCloud.StartAsync([new PlacementModule()], [("placement", "placement_database", "connection", way.Url)]);
        using var api = cloud.Client("placement-api", "admin", "placement 1.39");
        (await api.PostAsync("/resource_providers", """{"name": "one"}""")).Expect(200);
        way.Cut();
        var read = (await api.GetAsync("/resource_providers")).Expect(503);
        Assert.Equal(503, read.Json.GetProperty("errors")[0].GetProperty("status").GetInt32());
        (await api.PostAsync("/resource_providers", """{"name": "two"}""")).Expect(503);
        way.Mend();
        Assert.Equal(1, (await api.GetAsync("/resource_providers")).Expect(200).Json.GetProperty("resource_providers").GetArrayLength());
        (await api.PostAsync("/resource_providers", """{"name": "two"}""")).Expect(200);
    }
}
