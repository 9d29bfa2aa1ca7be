using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Keystone.Tests.Ldap;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Federation;

/// <summary>Logins by SAML 2.0 against an independent provider (pysaml2), and what forgers try.</summary>
public sealed class SamlTests(SamlProvider provider) : IClassFixture<SamlProvider>, IDisposable
{
    private const string SsoPath = "/v3/auth/OS-FEDERATION/identity_providers/campus/protocols/saml2/websso?origin=" + FederationCloud.Dashboard;
    private const string ConsumerPath = "/v3/auth/OS-FEDERATION/saml2/acs";

    private const string Rules = """
        [{"local": [{"user": {"name": "{0}", "email": "{1}"}}, {"groups": "{2}", "domain": {"id": "default"}}],
          "remote": [{"type": "uid"}, {"type": "MELLON_mail"}, {"type": "groups"}]}]
        """;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("sharpstack-saml-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task A_browser_comes_back_from_its_provider_with_a_token_for_the_dashboard()
    {
        await using var cloud = await StartAsync();
        var (group, _) = await cloud.AddGroupAsync("developers", "member");
        var login = await BeginAsync(cloud);

        var page = (await PostAsync(cloud, login, login.Response)).Expect(200);

        var user = (await cloud.ValidateAsync(FederationCloud.TokenInPage(page.Text))).Expect(200).Json.GetProperty("token").GetProperty("user");
        Assert.Equal("bob", user.GetProperty("name").GetString());
        Assert.Equal([group], user.GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
    }

    [Fact]
    public async Task A_response_serves_the_login_that_asked_for_it_and_no_other()
    {
        await using var cloud = await StartAsync();
        var mine = await BeginAsync(cloud);
        var other = await BeginAsync(cloud);

        (await PostAsync(cloud, other, mine.Response)).Expect(401);
        (await PostAsync(cloud, mine with { Cookies = other.Cookies }, mine.Response)).Expect(401);
        (await PostAsync(cloud, mine with { Cookies = "" }, mine.Response)).Expect(401);
    }

    [Theory]
    [InlineData("attribute")]
    [InlineData("comment")]
    [InlineData("unsigned")]
    [InlineData("wrapped")]
    [InlineData("wrapped-in-extensions")]
    [InlineData("second-assertion")]
    [InlineData("same-id")]
    [InlineData("status")]
    [InlineData("doctype")]
    [InlineData("garbage")]
    public async Task A_forged_response_is_refused(string forgery)
    {
        await using var cloud = await StartAsync();
        var login = await BeginAsync(cloud);
        var genuine = Encoding.UTF8.GetString(Convert.FromBase64String(login.Response));
        var assertion = Between(genuine, ":Assertion ", ":Assertion>");
        var evil = assertion.Replace(">bob<", ">admin<", StringComparison.Ordinal);
        Assert.NotEqual(assertion, evil);
        var id = Value(assertion, " ID=\"");
        var forged = forgery switch
        {
            "attribute" => genuine.Replace(">bob<", ">admin<", StringComparison.Ordinal),
            "comment" => genuine.Replace(">bob@", ">root@<!---->bob@", StringComparison.Ordinal),
            "unsigned" => genuine.Replace(Between(genuine, ":Signature ", ":Signature>"), "", StringComparison.Ordinal),
            // The signed assertion is kept, where its signature still holds, inside one that says something else.
            "wrapped" => genuine.Replace(assertion, evil.Replace(id, "_evil", StringComparison.Ordinal)[..^Closing(assertion).Length] + assertion + Closing(assertion), StringComparison.Ordinal),
            "wrapped-in-extensions" => genuine.Replace(
                assertion, $"<x:Extensions xmlns:x=\"urn:oasis:names:tc:SAML:2.0:protocol\">{assertion}</x:Extensions>{evil.Replace(id, "_evil", StringComparison.Ordinal)}", StringComparison.Ordinal),
            "second-assertion" => genuine.Replace(assertion, evil.Replace(id, "_evil", StringComparison.Ordinal) + assertion, StringComparison.Ordinal),
            "same-id" => genuine.Replace(assertion, $"<x xmlns=\"urn:x\" ID=\"{id}\"/>{assertion}", StringComparison.Ordinal),
            "status" => genuine.Replace("status:Success", "status:Responder", StringComparison.Ordinal),
            "doctype" => "<!DOCTYPE x [<!ENTITY e \"admin\">]>" + genuine[(genuine.IndexOf("?>", StringComparison.Ordinal) is var end and > 0 ? end + 2 : 0)..],
            _ => "not xml at all",
        };

        var answer = await PostAsync(cloud, login, Convert.ToBase64String(Encoding.UTF8.GetBytes(forged)));

        Assert.True(answer.Status is 400 or 401, $"{answer.Status}: {answer.Text}");
        Assert.DoesNotContain("name=\"token\"", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_response_of_another_key_is_refused()
    {
        await using var cloud = await StartAsync();
        // The provider's metadata were read with the old key; what it signs now is by another.
        var first = await BeginAsync(cloud);
        (await PostAsync(cloud, first, first.Response)).Expect(200);
        WriteKey(SamlKey.New());

        var login = await BeginAsync(cloud);

        (await PostAsync(cloud, login, login.Response)).Expect(401);
    }

    [Fact]
    public async Task A_response_expires()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var cloud = await StartAsync(time);
        var login = await BeginAsync(cloud);

        time.Advance(TimeSpan.FromMinutes(7));

        (await PostAsync(cloud, login, login.Response)).Expect(401);
    }

    [Theory]
    [InlineData("/v3/auth/OS-FEDERATION/saml2/sp/home/ecp")]
    [InlineData("/Shibboleth.sso/SAML2/ECP")]
    public async Task A_user_of_one_cloud_comes_into_another_by_its_assertion(string receiver)
    {
        WriteKey(provider.Key);
        await using var home = await IdentityCloud.StartAsync(null,
        [
            ("saml", "idp_entity_id", "https://home.test/idp"), ("saml", "idp_sso_endpoint", "https://home.test/sso"),
            ("saml", "certfile", PathOf("idp.crt")), ("saml", "keyfile", PathOf("idp.key")),
        ]);
        using var anonymous = home.Client(null);
        await File.WriteAllTextAsync(PathOf("home.xml"), (await anonymous.GetAsync("/v3/OS-FEDERATION/saml2/metadata")).Expect(200).Text, TestContext.Current.CancellationToken);
        await using var away = await IdentityCloud.StartAsync(null, [("saml2_home", "idp_metadata", PathOf("home.xml")), ("saml2_home", "sp_entity_id", "https://away.test/sp")]);
        await away.AddProviderAsync(
            "home", "saml2", """[{"local": [{"user": {"name": "{0} at {1}"}}, {"groups": "{2}"}], "remote": [{"type": "openstack_user"}, {"type": "openstack_project"}, {"type": "openstack_groups"}]}]""", "https://home.test/idp");
        var (awayGroup, _) = await away.AddGroupAsync("travellers", "reader");
        (await home.Admin.PutAsync(
            "/v3/OS-FEDERATION/service_providers/away",
            $$"""{"service_provider": {"enabled": true, "auth_url": "http://keystone.local/v3/OS-FEDERATION/identity_providers/home/protocols/saml2/auth", "sp_url": "http://keystone.local{{receiver}}"} }""")).Expect(201);
        var (user, _, token) = await home.PersonAsync("alice", "member");
        var homeGroup = await home.CreateAsync("groups", "group", """{"name": "travellers"}""");
        (await home.Admin.PutAsync($"/v3/groups/{homeGroup}/users/{user}")).Expect(204);
        token = await home.TokenAsync("alice", "secret", IdentityCloud.ProjectScope("alice"));

        var vouched = (await anonymous.PostAsync(
            "/v3/auth/OS-FEDERATION/saml2/ecp", $$"""{"auth": {"identity": {"methods": ["token"], "token": {"id": "{{token}}"} }, "scope": {"service_provider": {"id": "away"} } } }""")).Expect(200);
        using var traveller = away.Client(null);
        var received = (await traveller.SendAsync(HttpMethod.Post, receiver, vouched.Text, "application/vnd.paos+xml")).Expect(303);
        var entered = (await traveller.SendAsync(
            HttpMethod.Get, "/v3/OS-FEDERATION/identity_providers/home/protocols/saml2/auth", headers: ("Cookie", received.Headers.Cookies()))).Expect(201);

        var guest = entered.Json.GetProperty("token").GetProperty("user");
        Assert.Equal("alice at alice", guest.GetProperty("name").GetString());
        Assert.Equal([awayGroup], guest.GetProperty("OS-FEDERATION").GetProperty("groups").Texts("id"));
        Assert.Equal($"http://keystone.local{receiver}", vouched.Headers.GetValues("X-sp-url").Single());
        Assert.EndsWith("/v3/OS-FEDERATION/identity_providers/home/protocols/saml2/auth", received.Headers.Location!.OriginalString, StringComparison.Ordinal);
        (await traveller.SendAsync(HttpMethod.Post, receiver, vouched.Text, "application/vnd.paos+xml")).Expect(401);
        (await traveller.SendAsync(HttpMethod.Post, receiver, vouched.Text.Replace("alice", "admin", StringComparison.Ordinal), "application/vnd.paos+xml")).Expect(401);
        (await traveller.SendAsync(HttpMethod.Post, receiver, vouched.Text.Replace("https://home.test/idp", "https://none.test/idp", StringComparison.Ordinal), "application/vnd.paos+xml")).Expect(401);
    }

    [Fact]
    public async Task The_clients_plugin_for_providers_without_a_browser_comes_in()
    {
        WriteKey(provider.Key);
        var (port, providerPort) = (FreePorts.One(), FreePorts.One());
        await File.WriteAllTextAsync(PathOf("idp.xml"), await ProviderAsync("metadata", $"{providerPort}"), Cancelled);
        await using var cloud = await IdentityCloud.ListenAsync(port, ("saml2_campus", "idp_metadata", PathOf("idp.xml")), ("saml2", "remote_id_attribute", "MELLON_IDP"));
        await cloud.AddProviderAsync("campus", "saml2", Rules, "urn:test:idp");
        await cloud.AddGroupAsync("developers", "member");
        using var http = new HttpClient();
        await File.WriteAllTextAsync(PathOf("sp.xml"), await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/v3/auth/OS-FEDERATION/saml2/sp/campus/metadata"), Cancelled), Cancelled);
        using var listening = SamlProvider.Start("saml_idp.py", folder.FullName, "serve", PathOf("sp.xml"), $"{providerPort}");
        try
        {
            Assert.Equal("ready", await listening.StandardOutput.ReadLineAsync(Cancelled));
            string[] login = ["saml", $"http://127.0.0.1:{port}/v3", "campus", "saml2", $"http://127.0.0.1:{providerPort}/ecp", "bob"];

            var came = JsonDocument.Parse(await RunAsync("federated_client.py", [.. login, "bob-secret", "developers"])).RootElement;

            Assert.Equal(("bob", "developers"), (came.GetProperty("user").GetString(), came.GetProperty("project").GetString()));
            Assert.Contains("member", came.GetProperty("roles").EnumerateArray().Select(static r => r.GetString()));
            (await cloud.ValidateAsync(came.GetProperty("token").GetString()!)).Expect(200);
            using var refused = SamlProvider.Start("federated_client.py", [.. login, "wrong", "developers"]);
            await refused.WaitForExitAsync(Cancelled);
            Assert.NotEqual(0, refused.ExitCode);
        }
        finally
        {
            listening.Kill();
            await listening.WaitForExitAsync(CancellationToken.None);
        }
    }

    [Fact]
    public async Task The_clients_plugin_for_keystone_to_keystone_comes_in()
    {
        WriteKey(provider.Key);
        var (homePort, awayPort) = (FreePorts.One(), FreePorts.One());
        await using var home = await IdentityCloud.ListenAsync(
            homePort,
            ("saml", "idp_entity_id", "https://home.test/idp"), ("saml", "idp_sso_endpoint", "https://home.test/sso"), ("saml", "certfile", PathOf("idp.crt")), ("saml", "keyfile", PathOf("idp.key")));
        using var anonymous = home.Client(null);
        await File.WriteAllTextAsync(PathOf("home.xml"), (await anonymous.GetAsync("/v3/OS-FEDERATION/saml2/metadata")).Expect(200).Text, Cancelled);
        await using var away = await IdentityCloud.ListenAsync(awayPort, ("saml2_home", "idp_metadata", PathOf("home.xml")));
        await away.AddProviderAsync(
            "home", "saml2", """[{"local": [{"user": {"name": "{0}"}}, {"groups": "{1}"}], "remote": [{"type": "openstack_user"}, {"type": "openstack_groups"}]}]""", "https://home.test/idp");
        await away.AddGroupAsync("travellers", "reader");
        (await home.Admin.PutAsync(
            "/v3/OS-FEDERATION/service_providers/away",
            $$"""
            {"service_provider": {"enabled": true, "auth_url": "http://127.0.0.1:{{awayPort}}/v3/OS-FEDERATION/identity_providers/home/protocols/saml2/auth",
              "sp_url": "http://127.0.0.1:{{awayPort}}/v3/auth/OS-FEDERATION/saml2/sp/home/ecp"} }
            """)).Expect(201);
        var (user, _, _) = await home.PersonAsync("alice", "member");
        var group = await home.CreateAsync("groups", "group", """{"name": "travellers"}""");
        (await home.Admin.PutAsync($"/v3/groups/{group}/users/{user}")).Expect(204);

        var came = JsonDocument.Parse(await RunAsync("federated_client.py", "k2k", $"http://127.0.0.1:{homePort}/v3", "alice", "secret", "alice", "away", "travellers")).RootElement;

        Assert.Equal(("alice", "travellers"), (came.GetProperty("user").GetString(), came.GetProperty("project").GetString()));
        (await away.ValidateAsync(came.GetProperty("token").GetString()!)).Expect(200);
        (await home.ValidateAsync(came.GetProperty("token").GetString()!)).Expect(404);
    }

    private sealed record Login(string Response, string RelayState, string Cookies);

    private string PathOf(string name) => Path.Combine(folder.FullName, name);

    private async Task<IdentityCloud> StartAsync(TimeProvider? time = null)
    {
        WriteKey(provider.Key);
        await File.WriteAllTextAsync(PathOf("idp.xml"), await ProviderAsync("metadata"), TestContext.Current.CancellationToken);
        var cloud = await IdentityCloud.StartAsync(
            time, [("saml2_campus", "idp_metadata", PathOf("idp.xml")), ("saml2", "remote_id_attribute", "MELLON_IDP"), ("federation", "trusted_dashboard", FederationCloud.Dashboard)]);
        await cloud.AddProviderAsync("campus", "saml2", Rules, "urn:test:idp");
        return cloud;
    }

    private void WriteKey(SamlKey key)
    {
        File.WriteAllText(PathOf("idp.crt"), key.Certificate);
        File.WriteAllText(PathOf("idp.key"), key.PrivateKey);
    }

    private async Task<Login> BeginAsync(IdentityCloud cloud)
    {
        using var browser = cloud.Client(null);
        var begun = (await browser.GetAsync(SsoPath)).Expect(302);
        var url = begun.Headers.Location!.OriginalString;
        await File.WriteAllTextAsync(
            PathOf("sp.xml"), (await browser.GetAsync("/v3/auth/OS-FEDERATION/saml2/sp/campus/metadata")).Expect(200).Text, TestContext.Current.CancellationToken);
        var relayState = Uri.UnescapeDataString(url.Split("RelayState=")[1]);
        Assert.InRange(relayState.Length, 1, 80);
        var response = await ProviderAsync("respond", PathOf("sp.xml"), url);
        return new(Convert.ToBase64String(Encoding.UTF8.GetBytes(response)), relayState, begun.Headers.Cookies());
    }

    private static async Task<TestAnswer> PostAsync(IdentityCloud cloud, Login login, string response)
    {
        using var browser = cloud.Client(null);
        var form = $"SAMLResponse={Uri.EscapeDataString(response)}&RelayState={Uri.EscapeDataString(login.RelayState)}";
        return await browser.SendAsync(HttpMethod.Post, ConsumerPath, form, "application/x-www-form-urlencoded", ("Cookie", login.Cookies));
    }

    private Task<string> ProviderAsync(params string[] arguments) => provider.AskAsync([folder.FullName, .. arguments]);

    private static async Task<string> RunAsync(string script, params string[] arguments)
    {
        using var process = SamlProvider.Start(script, arguments);
        var errors = process.StandardError.ReadToEndAsync(Cancelled);
        var output = await process.StandardOutput.ReadToEndAsync(Cancelled);
        await process.WaitForExitAsync(Cancelled);
        Assert.True(process.ExitCode == 0, await errors);
        return output.Trim();
    }

    /// <summary>The first element whose tag goes on with <paramref name="open"/>, with both its tags.</summary>
    private static string Between(string xml, string open, string close)
    {
        var start = xml.LastIndexOf('<', xml.IndexOf(open, StringComparison.Ordinal));
        return xml[start..(xml.IndexOf(close, start, StringComparison.Ordinal) + close.Length)];
    }

    private static string Closing(string element) => element[element.LastIndexOf("</", StringComparison.Ordinal)..];

    private static string Value(string element, string attribute) => element.Split(attribute)[1].Split('"')[0];
}
