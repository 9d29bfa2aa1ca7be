using System.Text.Json;
using System.Text.RegularExpressions;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using Xunit;

namespace SharpStack.TestKit;

/// <summary>Walks every route of an API: what holds for all of them is asserted once. The cloud's tokens are those of <see cref="TestIdentities"/>.</summary>
public static partial class RouteWalk
{
    /// <summary>Each route says which rules guard it, and the rules exist; or it says that it is open.</summary>
    public static void EachRouteDeclaresItsPolicy(TestCloud cloud, string api)
    {
        var routes = cloud.Host.Routes[api];
        var rules = cloud.Host.Policies[api].Defaults;
        Assert.NotEmpty(routes.All);
        Assert.All(routes.All, route =>
        {
            Assert.True(route.Policies.Count > 0 || route.IsPublic || route.IsForEveryToken, $"{route.Method} {route.Pattern} names no policy");
            Assert.All(route.Policies, rule => Assert.True(rules.ContainsKey(rule), $"{route.Method} {route.Pattern}: there is no rule {rule}"));
        });
    }

    public static async Task EachRouteRefusesAnonymous(TestCloud cloud, string api)
    {
        using var client = cloud.Client(api, token: null);
        foreach (var route in cloud.Host.Routes[api].All.Where(route => !route.IsPublic))
        {
            var answer = await SendAsync(client, route);
            Assert.True(answer.Status == 401, $"{route.Method} {route.Pattern} without a token: {answer.Status} {answer.Text}");
        }
    }

    /// <summary>Someone without a role gets nothing, but where a rule allows it; and nobody gets an internal error.</summary>
    public static async Task EachRouteRefusesWithoutRights(TestCloud cloud, string api, string? microversion = null)
    {
        using var client = cloud.Client(api, "nobody", microversion);
        var nobody = (await cloud.Get<Foundation.Identity.ITokenValidator>().ValidateAsync("nobody", TestContext.Current.CancellationToken))!;
        var own = PolicyTarget.Of(("project_id", nobody.ProjectId), ("tenant_id", nobody.ProjectId), ("user_id", nobody.UserId), ("security_group:tenant_id", nobody.ProjectId),
            ("target.user.id", nobody.UserId), ("target.credential.user_id", nobody.UserId));
        var policies = cloud.Host.Policies[api];
        foreach (var route in cloud.Host.Routes[api].All.Where(route => !route.IsPublic && !route.IsForEveryToken))
        {
            var answer = await SendAsync(client, route);
            var allowed = route.Policies.Any(rule => policies.Check(rule, nobody.Credentials, own));
            Assert.True(answer.Status < 500 || answer.Status == 501, $"{route.Method} {route.Pattern} failed: {answer.Status} {answer.Text}");
            // A list leaves out what its reader may not see: nothing of it is left here.
            Assert.True(allowed || answer.Status >= 400 || (route.Method == "GET" && IsEmptyList(answer)), $"{route.Method} {route.Pattern} answered {answer.Status} to someone without rights: {answer.Text}");
        }
    }

    private static bool IsEmptyList(TestAnswer answer) =>
        answer.Json.ValueKind == JsonValueKind.Object
        && answer.Json.EnumerateObject().All(member => member.Value.ValueKind == JsonValueKind.Array && member.Value.GetArrayLength() == 0);

    private static Task<TestAnswer> SendAsync(TestClient client, ApiRoute route)
    {
        var path = Parameter().Replace(route.Pattern, _ => Guid.NewGuid().ToString("N"));
        return client.SendAsync(new HttpMethod(route.Method), path, route.Method is "POST" or "PUT" or "PATCH" ? "{}" : null);
    }

    [GeneratedRegex(@"\{[^}]+\}")]
    private static partial Regex Parameter();
}
