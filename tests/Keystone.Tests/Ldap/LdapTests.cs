using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using SharpStack.Keystone.Ldap;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Ldap;

/// <summary>A domain whose users are in a real slapd.</summary>
public class LdapTests
{
    [Fact]
    public async Task Users_of_the_directory_log_in_and_have_the_roles_of_their_groups()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();
        var domain = await DomainAsync(cloud, directory);
        var project = await cloud.CreateAsync("projects", "project", $$"""{"name": "work", "domain_id": "{{domain}}" }""");
        var group = (await cloud.Admin.GetAsync($"/v3/groups?domain_id={domain}&name=Staff")).Expect(200).Json.GetProperty("groups")[0];
        Assert.Equal("those who work", group.GetProperty("description").GetString());
        Assert.Equal(PublicId(domain, "group", "staff"), group.GetProperty("id").GetString());
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/groups/{group.GetProperty("id").GetString()}/roles/{await cloud.IdOfAsync("roles", "member")}")).Expect(204);

        var answer = await LogInAsync(cloud, domain, "Ada", "ada-secret", $$"""{"project": {"id": "{{project}}" } }""");
        var token = answer.Expect(201).Json.GetProperty("token");
        Assert.Equal(PublicId(domain, "user", "ada"), token.GetProperty("user").GetProperty("id").GetString());
        Assert.Equal(["member", "reader"], token.GetProperty("roles").Texts("name").Order());
        (await cloud.ValidateAsync(IdentityCloud.TokenOf(answer))).Expect(200);

        (await LogInAsync(cloud, domain, "Ada", "wrong")).Expect(401);
        (await LogInAsync(cloud, domain, "Ada", "")).Expect(401);
        (await LogInAsync(cloud, domain, "Nobody", "ada-secret")).Expect(401);
        (await LogInAsync(cloud, domain, "Bob", "bob-secret", $$"""{"project": {"id": "{{project}}" } }""")).Expect(401);
        (await LogInAsync(cloud, domain, "Bob", "bob-secret")).Expect(201);

        var effective = (await cloud.Admin.GetAsync($"/v3/role_assignments?effective&include_names&scope.project.id={project}")).Expect(200).Json.GetProperty("role_assignments");
        Assert.Equal(2, effective.GetArrayLength());
        Assert.Equal("Ada", effective[0].GetProperty("user").GetProperty("name").GetString());
        using var ada = cloud.Client(IdentityCloud.TokenOf(answer));
        Assert.Equal(["work"], (await ada.GetAsync("/v3/auth/projects")).Expect(200).Json.GetProperty("projects").Texts("name"));
    }

    [Fact]
    public async Task Users_and_groups_of_the_directory_are_listed_shown_and_never_changed()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();
        var domain = await DomainAsync(cloud, directory, """, "user_additional_attribute_mapping": ["title:job"]""");
        var ada = PublicId(domain, "user", "ada");
        var staff = PublicId(domain, "group", "staff");

        Assert.Equal(["Ada", "Bob", "Eve (*)"], (await ListAsync(cloud, $"users?domain_id={domain}")).Order());
        Assert.Equal(["Ada"], await ListAsync(cloud, $"users?domain_id={domain}&name=ada"));
        Assert.Equal(["Bob"], await ListAsync(cloud, $"users?domain_id={domain}&name__contains=o"));
        Assert.Equal(["Bob"], await ListAsync(cloud, $"users?domain_id={domain}&name__startswith=B"));
        Assert.Single(await ListAsync(cloud, $"users?domain_id={domain}&limit=1"));
        Assert.DoesNotContain("Ada", await ListAsync(cloud, "users"));
        var shown = (await cloud.Admin.GetAsync($"/v3/users/{ada}")).Expect(200).Json.GetProperty("user");
        Assert.Equal("ada@house.test", shown.GetProperty("email").GetString());
        Assert.Equal("counts", shown.GetProperty("description").GetString());
        Assert.Equal("countess", shown.GetProperty("job").GetString());
        Assert.Equal(domain, shown.GetProperty("domain_id").GetString());
        Assert.Equal("{}", shown.GetProperty("options").GetRawText());
        Assert.DoesNotContain("secret", shown.GetRawText(), StringComparison.Ordinal);
        Assert.Equal(["Staff"], await ListAsync(cloud, $"users/{ada}/groups", "groups"));
        // A member that is gone from the directory is none.
        Assert.Equal(["Ada"], await ListAsync(cloud, $"groups/{staff}/users", "users"));
        (await cloud.Admin.HeadAsync($"/v3/groups/{staff}/users/{ada}")).Expect(204);
        (await cloud.Admin.HeadAsync($"/v3/groups/{staff}/users/{PublicId(domain, "user", "bob")}")).Expect(404);
        (await cloud.Admin.GetAsync($"/v3/users/{PublicId(domain, "user", "nobody")}")).Expect(404);

        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "new", "domain_id": "{{domain}}" } }""")).Expect(403);
        (await cloud.Admin.PostAsync("/v3/groups", $$"""{"group": {"name": "new", "domain_id": "{{domain}}" } }""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/users/{ada}", """{"user": {"enabled": false}}""")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/users/{ada}")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/groups/{staff}", """{"group": {"name": "x"}}""")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/groups/{staff}")).Expect(403);
        (await cloud.Admin.PutAsync($"/v3/groups/{staff}/users/{ada}")).Expect(403);
        (await cloud.Admin.DeleteAsync($"/v3/groups/{staff}/users/{ada}")).Expect(403);
        (await cloud.Client(null).PostAsync($"/v3/users/{ada}/password", """{"user": {"original_password": "ada-secret", "password": "x"}}""")).Expect(403);
        (await cloud.Client(null).PostAsync($"/v3/users/{ada}/password", """{"user": {"original_password": "wrong", "password": "x"}}""")).Expect(401);
    }

    [Fact]
    public async Task What_users_send_is_a_value_in_a_filter_and_never_its_form()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();
        var domain = await DomainAsync(cloud, directory);

        (await LogInAsync(cloud, domain, "*", "ada-secret")).Expect(401);
        (await LogInAsync(cloud, domain, "Ada)(cn=*", "ada-secret")).Expect(401);
        (await LogInAsync(cloud, domain, "A*", "ada-secret")).Expect(401);
        (await LogInAsync(cloud, domain, "Eve (*)", "eve-secret")).Expect(201);
        Assert.Empty(await ListAsync(cloud, $"users?domain_id={domain}&name=*"));
        Assert.Equal(["Eve (*)"], await ListAsync(cloud, $"users?domain_id={domain}&name__contains=(*)"));
        Assert.Equal(PublicId(domain, "user", "eve (guest)*"), (await cloud.Admin.GetAsync($"/v3/users?domain_id={domain}&name=Eve%20(*)")).Json
            .GetProperty("users")[0].GetProperty("id").GetString());
        Assert.Equal(@"\2a\28\29\5c\00", LdapNames.FilterValue("*()\\\0"));
        Assert.Equal(("cn", "Smith, Ada"), LdapNames.First(@"cn=Smith\, Ada,ou=Users"));
        Assert.Equal(LdapNames.Normal("CN=Ada , OU=Users"), LdapNames.Normal("cn=ada,ou=users"));
        Assert.Equal(LdapNames.Normal(@"cn=\c3\a4,ou=x"), LdapNames.Normal("cn=ä,ou=x"));
    }

    [Fact]
    public async Task Enabled_users_are_told_by_an_attribute_a_bit_or_a_group()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();

        Assert.Equal("Ada Eve (*)", await EnabledAsync(""", "user_enabled_attribute": "employeeType" """));
        Assert.Equal("Bob", await EnabledAsync(""", "user_enabled_attribute": "employeeType", "user_enabled_invert": true """));
        Assert.Equal("Ada Eve (*)", await EnabledAsync(""", "user_enabled_attribute": "employeeNumber", "user_enabled_mask": 2, "user_enabled_default": "512" """));
        Assert.Equal("Ada", await EnabledAsync(""", "user_enabled_emulation": true """));
        Assert.Equal("Ada Bob", await EnabledAsync(""", "user_enabled_emulation": true, "user_enabled_emulation_dn": "cn=posix,ou=UserGroups,dc=house", "user_enabled_emulation_use_group_config": true, "group_member_attribute": "memberUid", "group_members_are_ids": true """));

        async Task<string> EnabledAsync(string options)
        {
            var domain = await DomainAsync(cloud, directory, options);
            var enabled = (await ListAsync(cloud, $"users?domain_id={domain}&enabled=true")).Order().ToList();
            foreach (var (name, password) in ((string, string)[])[("Ada", "ada-secret"), ("Bob", "bob-secret")])
            {
                (await LogInAsync(cloud, domain, name, password)).Expect(enabled.Contains(name) ? 201 : 401);
            }
            return string.Join(' ', enabled);
        }
    }

    [Fact]
    public async Task The_tree_is_searched_as_deep_and_filtered_as_configured_and_page_by_page()
    {
        var many = string.Concat(Enumerable.Range(0, 120).Select(static i => $"\ndn: cn=u{i:d3},ou=Deep,ou=Users,dc=house\nobjectClass: inetOrgPerson\ncn: u{i:d3}\nsn: U{i:d3}\n"));
        await using var directory = await TestDirectory.StartAsync(many);
        await using var cloud = await StartAsync();

        var deep = await DomainAsync(cloud, directory, """, "query_scope": "sub", "page_size": 50""");
        Assert.Equal(124, (await ListAsync(cloud, $"users?domain_id={deep}")).Count);
        (await LogInAsync(cloud, deep, "Dan", "dan-secret")).Expect(201);
        var filtered = await DomainAsync(cloud, directory, """, "query_scope": "sub", "user_filter": "(description=*)" """);
        Assert.Equal(["Ada"], await ListAsync(cloud, $"users?domain_id={filtered}"));
        (await LogInAsync(cloud, filtered, "Bob", "bob-secret")).Expect(401);
        var posix = await DomainAsync(
            cloud, directory, """, "group_objectclass": "posixGroup", "group_name_attribute": "cn", "group_member_attribute": "memberUid", "group_members_are_ids": true""");
        Assert.Equal(["Ada", "Bob"], (await ListAsync(cloud, $"groups/{PublicId(posix, "group", "posix")}/users", "users", $"groups?domain_id={posix}")).Order());
        Assert.Equal(["posix"], await ListAsync(cloud, $"users/{PublicId(posix, "user", "bob")}/groups", "groups", $"users?domain_id={posix}"));
    }

    [Fact]
    public async Task Groups_within_groups_are_asked_for_by_the_chain_rule_of_active_directory()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var relay = new LdapRelay(directory.Port);
        await using var cloud = await IdentityCloud.StartAsync(
            null,
            ("identity", "driver", "ldap"),
            ("ldap", "url", relay.Url),
            ("ldap", "user", TestDirectory.Reader),
            ("ldap", "password", TestDirectory.ReaderPassword),
            ("ldap", "suffix", TestDirectory.Suffix),
            ("ldap", "group_ad_nesting", "true"));

        // OpenLDAP does not know the rule and finds nobody; that it takes the query shows that it is well formed.
        Assert.Empty(await ListAsync(cloud, "users/ada/groups", "groups"));
        Assert.Empty(await ListAsync(cloud, "groups/staff/users", "users"));

        Assert.True(relay.Asked(LdapRelay.Extensible("1.2.840.113556.1.4.1941", "member", "cn=ada,ou=Users,dc=house")), "the user's groups were not asked for by the rule");
        Assert.True(relay.Asked(LdapRelay.Extensible("1.2.840.113556.1.4.1941", "memberOf", "cn=staff,ou=UserGroups,dc=house")), "the group's users were not asked for by the rule");
    }

    [Fact]
    public async Task Connections_are_made_by_tls_and_a_server_that_proves_nothing_is_refused()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();

        var starttls = await DomainAsync(cloud, directory, $$""", "use_tls": true, "tls_cacertfile": "{{directory.Authority}}" """);
        (await LogInAsync(cloud, starttls, "Ada", "ada-secret")).Expect(201);
        var secure = await DomainAsync(cloud, directory, $$""", "tls_cacertfile": "{{directory.Authority}}" """, directory.SecureUrl);
        (await LogInAsync(cloud, secure, "Ada", "ada-secret")).Expect(201);
        var careless = await DomainAsync(cloud, directory, """, "tls_req_cert": "never" """, directory.SecureUrl);
        (await LogInAsync(cloud, careless, "Ada", "ada-secret")).Expect(201);
        var untrusted = await DomainAsync(cloud, directory, "", directory.SecureUrl);
        (await LogInAsync(cloud, untrusted, "Ada", "ada-secret")).Expect(503);
        var both = await DomainAsync(cloud, directory, """, "use_tls": true""", directory.SecureUrl);
        (await LogInAsync(cloud, both, "Ada", "ada-secret")).Expect(503);
    }

    [Fact]
    public async Task The_first_server_that_answers_is_used()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();

        var domain = await DomainAsync(cloud, directory, "", $"ldap://127.0.0.1:1,{directory.Url}");

        (await LogInAsync(cloud, domain, "Ada", "ada-secret")).Expect(201);
    }

    [Fact]
    public async Task A_directory_that_is_slow_or_gone_holds_up_nobody_else()
    {
        using var mute = new TcpListener(IPAddress.Loopback, 0);
        mute.Start();
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();
        await cloud.CreateUserAsync("local");
        var slow = await DomainAsync(cloud, directory, """, "pool_connection_timeout": 1, "pool_size": 2""", $"ldap://127.0.0.1:{((IPEndPoint)mute.LocalEndpoint).Port}");
        var gone = await DomainAsync(cloud, directory, """, "pool_connection_timeout": 1""", "ldap://127.0.0.1:1");
        var good = await DomainAsync(cloud, directory);

        var waiting = Enumerable.Range(0, 20).Select(_ => LogInAsync(cloud, slow, "Ada", "ada-secret")).ToList();
        var watch = Stopwatch.StartNew();
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("local", "secret"))).Expect(201);
        (await LogInAsync(cloud, good, "Ada", "ada-secret")).Expect(201);
        (await cloud.ValidateAsync(cloud.AdminToken)).Expect(200);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"others waited {watch.Elapsed}");
        foreach (var answer in await Task.WhenAll(waiting))
        {
            answer.Expect(503);
        }
        (await LogInAsync(cloud, gone, "Ada", "ada-secret")).Expect(503);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(40), $"those of the slow one waited {watch.Elapsed}");
    }

    [Fact]
    public async Task Tokens_outlive_the_directory_as_long_as_it_is_believed()
    {
        var directory = await TestDirectory.StartAsync();
        await using var cloud = await StartAsync();
        var domain = await DomainAsync(cloud, directory, """, "pool_connection_timeout": 1""");
        var token = IdentityCloud.TokenOf(await LogInAsync(cloud, domain, "Ada", "ada-secret"));

        await directory.DisposeAsync();

        (await cloud.ValidateAsync(token)).Expect(200);
        // Another write begins a new snapshot; what the directory said is still known.
        await cloud.CreateProjectAsync("other");
        (await cloud.ValidateAsync(token)).Expect(200);
        (await LogInAsync(cloud, domain, "Ada", "ada-secret")).Expect(503);
    }

    [Fact]
    public async Task A_domain_may_have_its_configuration_in_a_file()
    {
        await using var directory = await TestDirectory.StartAsync();
        var files = Directory.CreateTempSubdirectory("sharpstack-domains-");
        try
        {
            await File.WriteAllTextAsync(
                Path.Combine(files.FullName, "keystone.people.conf"),
                $"[identity]\ndriver = ldap\n[ldap]\nurl = {directory.Url}\nuser = {TestDirectory.Reader}\npassword = {TestDirectory.ReaderPassword}\nsuffix = {TestDirectory.Suffix}\n",
                TestContext.Current.CancellationToken);
            await using var cloud = await IdentityCloud.StartAsync(
                null, ("identity", "domain_specific_drivers_enabled", "true"), ("identity", "domain_config_dir", files.FullName));
            var domain = await cloud.CreateAsync("domains", "domain", """{"name": "people"}""");
            var other = await cloud.CreateAsync("domains", "domain", """{"name": "others"}""");

            (await LogInAsync(cloud, domain, "Ada", "ada-secret")).Expect(201);
            (await LogInAsync(cloud, other, "Ada", "ada-secret")).Expect(401);
        }
        finally
        {
            files.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task The_default_domain_may_be_a_directory_with_its_own_ids()
    {
        await using var directory = await TestDirectory.StartAsync();
        await using var cloud = await IdentityCloud.StartAsync(
            null,
            ("identity", "driver", "ldap"),
            ("ldap", "url", directory.Url),
            ("ldap", "user", TestDirectory.Reader),
            ("ldap", "password", TestDirectory.ReaderPassword),
            ("ldap", "suffix", TestDirectory.Suffix));

        var answer = (await LogInAsync(cloud, "default", "Ada", "ada-secret")).Expect(201);

        Assert.Equal("ada", answer.Json.GetProperty("token").GetProperty("user").GetProperty("id").GetString());
        Assert.Contains("Ada", await ListAsync(cloud, "users"));
        var project = await cloud.CreateProjectAsync("work");
        (await cloud.Admin.PutAsync($"/v3/projects/{project}/users/ada/roles/{await cloud.IdOfAsync("roles", "reader")}")).Expect(204);
        (await LogInAsync(cloud, "default", "Ada", "ada-secret", IdentityCloud.ProjectScope("work"))).Expect(201);
    }

    private static string PublicId(string domain, string type, string local) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(domain + type + local)));

    private static Task<IdentityCloud> StartAsync() => IdentityCloud.StartAsync(
        null, ("identity", "domain_specific_drivers_enabled", "true"), ("identity", "domain_configurations_from_database", "true"));

    /// <summary>A new domain whose users are in the directory.</summary>
    /// <param name="options">Further options of [ldap], as JSON.</param>
    private static async Task<string> DomainAsync(IdentityCloud cloud, TestDirectory directory, string options = "", string? url = null)
    {
        var domain = await cloud.CreateAsync("domains", "domain", $$"""{"name": "people-{{Guid.NewGuid():N}}" }""");
        (await cloud.Admin.PutAsync($"/v3/domains/{domain}/config", $$"""
            {"config": {"identity": {"driver": "ldap"}, "ldap": {"url": "{{url ?? directory.Url}}", "user": "{{TestDirectory.Reader}}",
                "password": "{{TestDirectory.ReaderPassword}}", "suffix": "{{TestDirectory.Suffix}}" {{options}} } } }
            """)).Expect(201);
        return domain;
    }

    private static Task<TestAnswer> LogInAsync(IdentityCloud cloud, string domain, string name, string password, string? scope = null) =>
        cloud.AuthenticateAsync(IdentityCloud.PasswordAuth(name, password, scope, domain));

    /// <param name="first">A list to read before, so that the ids in the path are known.</param>
    private static async Task<List<string>> ListAsync(IdentityCloud cloud, string path, string? collection = null, string? first = null)
    {
        if (first is not null)
        {
            (await cloud.Admin.GetAsync("/v3/" + first)).Expect(200);
        }

        return [.. (await cloud.Admin.GetAsync("/v3/" + path)).Expect(200).Json.GetProperty(collection ?? path.Split('?')[0]).Texts("name")];
    }
}
