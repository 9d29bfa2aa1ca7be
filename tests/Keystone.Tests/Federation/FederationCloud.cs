using System.Net.Http.Headers;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Federation;

/// <summary>Makes the provider, the mapping and the protocol that the tests of logins need.</summary>
internal static class FederationCloud
{
    public const string Dashboard = "https://dashboard.test/auth/websso";

    /// <param name="rules">The mapping's rules.</param>
    public static async Task AddProviderAsync(this IdentityCloud cloud, string idp, string protocol, string rules, string remoteId)
    {
        (await cloud.Admin.PutAsync($"/v3/OS-FEDERATION/mappings/{idp}-mapping", $$"""{"mapping": {"rules": {{rules}} } }""")).Expect(201);
        (await cloud.Admin.PutAsync($"/v3/OS-FEDERATION/identity_providers/{idp}", $$"""{"identity_provider": {"enabled": true, "remote_ids": ["{{remoteId}}"] } }""")).Expect(201);
        (await cloud.Admin.PutAsync(
            $"/v3/OS-FEDERATION/identity_providers/{idp}/protocols/{protocol}", $$"""{"protocol": {"mapping_id": "{{idp}}-mapping"} }""")).Expect(201);
    }

    /// <summary>A group of the default domain with a role on a new project of the same name.</summary>
    public static async Task<(string GroupId, string ProjectId)> AddGroupAsync(this IdentityCloud cloud, string name, string role)
    {
        var group = await cloud.CreateAsync("groups", "group", $$"""{"name": "{{name}}"}""");
        var project = await cloud.CreateProjectAsync(name);
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/groups/{group}/roles/{await cloud.IdOfAsync("roles", role)}")).Expect(204);
        return (group, project);
    }

    /// <summary>The cookies that an answer sets, as a browser sends them back.</summary>
    public static string Cookies(this HttpResponseHeaders headers) =>
        string.Join("; ", headers.GetValues("Set-Cookie").Select(static c => c.Split(';')[0]).Where(static c => !c.EndsWith('=')));

    /// <summary>The token in the page that goes back to the dashboard.</summary>
    public static string TokenInPage(string html)
    {
        Assert.Contains($"action=\"{Dashboard}\"", html, StringComparison.Ordinal);
        return html.Split("name=\"token\"")[1].Split("value=\"")[1].Split('"')[0];
    }
}
