using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Observability;
using SharpStack.Serve;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

/// <summary>What holds for every route of every API.</summary>
public sealed class RoutesTests : IAsyncLifetime
{
    private TestCloud cloud = null!;

    public static TheoryData<string> Apis
    {
        get
        {
            var data = Directory.CreateTempSubdirectory();
            var host = CloudHost.Create(new HostOptions { DataDirectory = data.FullName, Listen = null }, CloudModules.All(fake: true));
            var names = host.Routes.Keys.Where(name => name is not MetricsModule.ServiceName).ToArray();
            host.DisposeAsync().AsTask().GetAwaiter().GetResult();
            data.Delete(recursive: true);
            return [.. names];
        }
    }

    public async ValueTask InitializeAsync() =>
        cloud = await TestCloud.StartAsync(
            CloudModules.All(fake: true),
            settings: [("nova", "DEFAULT", "compute_driver", "fake.FakeDriver")],
            services: container => container.AddSingleton<ITokenValidator, TestIdentities>());

    public ValueTask DisposeAsync() => cloud.DisposeAsync();

    [Theory]
    [MemberData(nameof(Apis))]
    public void Each_route_declares_its_policy(string api) => RouteWalk.EachRouteDeclaresItsPolicy(cloud, api);

    [Theory]
    [MemberData(nameof(Apis))]
    public Task Each_route_refuses_a_request_without_a_token(string api) => RouteWalk.EachRouteRefusesAnonymous(cloud, api);

    [Theory]
    [MemberData(nameof(Apis))]
    public Task Each_route_refuses_someone_without_rights_and_fails_for_nobody(string api) => RouteWalk.EachRouteRefusesWithoutRights(cloud, api);

    [Fact]
    public void The_coverage_page_is_what_the_routes_say()
    {
        using var text = new StringWriter();
        RoutesCommand.Write(cloud.Host, text);
        var page = Path.Combine(Repository.Root, "docs", "operators", "coverage.md");
        Assert.True(text.ToString() == File.ReadAllText(page), "docs/operators/coverage.md is not up to date: out/sharpstack routes > docs/operators/coverage.md");
    }
}
