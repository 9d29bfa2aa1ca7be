using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Keystone.Tests.OpenApi;

/// <summary>Each operation of OpenStack's document of this API is served, or is named with its reason.</summary>
public partial class CoverageTests
{
    [Fact]
    public async Task Each_operation_of_the_document_is_served_or_left_out_for_a_reason()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var routes = cloud.Cloud.Host.Routes["keystone"];
        using var document = await JsonDocument.ParseAsync(
            typeof(CoverageTests).Assembly.GetManifestResourceStream("identity-3.14")!, cancellationToken: TestContext.Current.CancellationToken);
        var operations = document.RootElement.GetProperty("operations").EnumerateArray()
            .Select(static o => Key(o.GetProperty("method").GetString()!, o.GetProperty("path").GetString()!)).ToHashSet();
        var served = routes.All.Select(static r => Key(r.Method, r.Pattern)).ToHashSet();
        var leftOut = routes.LeftOut.Select(static l => Key(l.Method, l.Pattern)).ToList();

        Assert.Equal(361, operations.Count);
        Assert.Empty(operations.Except(served).Except(leftOut));
        Assert.Empty(leftOut.Intersect(served));
        Assert.Empty(leftOut.Except(operations));
        Assert.All(routes.LeftOut, static l => Assert.True(l.Reason.Length > 10));
    }

    [Fact]
    public async Task What_is_left_out_answers_as_the_reason_says()
    {
        await using var cloud = await IdentityCloud.StartAsync();

        foreach (var left in cloud.Cloud.Host.Routes["keystone"].LeftOut)
        {
            var answer = await cloud.Admin.SendAsync(new(left.Method), left.Pattern);
            Assert.Equal(int.Parse(left.Reason[..3], CultureInfo.InvariantCulture), answer.Status);
        }
        Assert.Equal(410, (await cloud.Admin.GetAsync("/v3/OS-SIMPLE-CERT/ca")).Status);
    }

    private static string Key(string method, string path) => $"{method} {Place().Replace(path, "{}")}";

    [GeneratedRegex(@"\{\w+\}")]
    private static partial Regex Place();
}
