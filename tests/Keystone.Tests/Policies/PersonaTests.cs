using System.Text.RegularExpressions;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Policies;

/// <summary>
/// What each persona may do by default (<c>personas.txt</c>): asked of the rules for every one of them, and of the service for every route.
/// </summary>
public partial class PersonaTests
{
    private sealed record Persona(string Scope, string Letter, PolicyCredentials Credentials);

    private sealed record Row(string Rule, string Unknown, string Own, string UnknownUnscoped, string OwnUnscoped);

    private static readonly (string Letter, string[] Roles)[] Roles =
        [("a", ["admin", "member", "reader"]), ("g", ["manager", "member", "reader"]), ("m", ["member", "reader"]), ("r", ["reader"])];

    private static readonly List<Persona> Personas =
    [
        .. Roles.Select(static r => new Persona("system", r.Letter, new() { UserId = "me", SystemScope = "all", Roles = r.Roles })),
        .. Roles.Select(static r => new Persona("domain", r.Letter, new() { UserId = "me", DomainId = "d1", Roles = r.Roles })),
        .. Roles.Select(static r => new Persona("project", r.Letter, new() { UserId = "me", ProjectId = "p1", ProjectDomainId = "d1", Roles = r.Roles })),
        new("service", "", new() { UserId = "me", ProjectId = "p1", ProjectDomainId = "d1", Roles = ["service"] }),
        new("none", "", new() { UserId = "me" }),
    ];

    private static readonly PolicyTarget Own = PolicyTarget.Of(
        ("user_id", "me"),
        ("target.user.id", "me"),
        ("target.user.domain_id", "d1"),
        ("target.group.domain_id", "d1"),
        ("target.project.id", "p1"),
        ("target.project.domain_id", "d1"),
        ("target.domain.id", "d1"),
        ("target.domain_id", "d1"),
        ("target.role.domain_id", null),
        ("target.token.user_id", "me"),
        ("target.credential.user_id", "me"),
        ("target.limit.domain.id", "d1"),
        ("target.limit.project.domain_id", "d1"),
        ("target.limit.project_id", "p1"),
        ("target.trust.trustor_user_id", "me"),
        ("target.trust.trustee_user_id", "me"));

    private static Dictionary<string, Row> Table => Resources.Lines("personas").Select(static line => line.Split('|', StringSplitOptions.TrimEntries))
        .Select(static p => new Row(p[0], p[1], p[2], p[3], p[4])).ToDictionary(static r => r.Rule);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Each_rule_allows_exactly_its_personas(bool scoped)
    {
        var policies = KeystonePolicies.Enforcer(ServiceConfig.Empty("keystone").With("oslo_policy", "enforce_scope", scoped ? "true" : "false"), Path.GetTempPath());
        var table = Table;
        var wrong = new List<string>();

        foreach (var rule in KeystonePolicies.Defaults.Select(static r => r.Name).Where(static n => n.StartsWith("identity:", StringComparison.Ordinal)))
        {
            var row = table[rule];
            foreach (var (expected, target, what) in ((string, PolicyTarget, string)[])
                [(scoped ? row.Unknown : row.UnknownUnscoped, PolicyTarget.Empty, "unknown"), (scoped ? row.Own : row.OwnUnscoped, Own, "own")])
            {
                var found = Cell(Personas.Where(p => policies.Check(rule, p.Credentials, target)));
                if (found != expected)
                {
                    wrong.Add($"{rule} of {what}: expected {expected}, found {found}");
                }
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void An_override_file_replaces_a_default_and_leaves_the_others()
    {
        var file = Path.Combine(Directory.CreateTempSubdirectory("sharpstack-policy-").FullName, "policy.yaml");
        File.WriteAllText(file, "\"identity:list_users\": \"role:reader and system_scope:all\"\n");
        try
        {
            var policies = KeystonePolicies.Enforcer(ServiceConfig.Empty("keystone").With("oslo_policy", "policy_file", file), Path.GetTempPath());

            Assert.Equal("system:agmr", Cell(Personas.Where(p => policies.Check("identity:list_users", p.Credentials, Own))));
            Assert.Equal(Table["identity:list_groups"].Own, Cell(Personas.Where(p => policies.Check("identity:list_groups", p.Credentials, Own))));
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(file)!, recursive: true);
        }
    }

    [Fact]
    public async Task Each_route_refuses_exactly_those_whom_its_rule_refuses()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var tokens = await TokensAsync(cloud);
        var table = Table;
        var wrong = new List<string>();
        var asked = 0;

        foreach (var route in cloud.Cloud.Host.Routes["keystone"].All.Where(static r => !r.IsPublic && r.Policies.Count > 0 && r.Method != "HEAD"))
        {
            var row = table[route.Policies[0]];
            var path = Place().Replace(route.Pattern, "none");
            var body = route.Method is "POST" or "PUT" or "PATCH" ? RouteTests.BodyOf(route.Pattern) : null;
            var refused = new List<Persona>();
            foreach (var persona in Personas)
            {
                using var client = cloud.Client(tokens[persona]);
                var answer = await client.SendAsync(new(route.Method), path, body);
                asked++;
                if (answer.Status == 403 && IsRefusal(answer))
                {
                    refused.Add(persona);
                }
                Assert.True(answer.Status < 500, $"{route.Method} {path} failed for {persona.Scope}:{persona.Letter}: {answer.Text}");
            }
            var allowed = Cell(Personas.Except(refused));
            // A list that a domain's token asks for is that domain's.
            if (allowed != row.Unknown && !(allowed == row.Own && route.Pattern is "/v3/users" or "/v3/groups" or "/v3/projects" or "/v3/role_assignments") && !LooksFirst(route))
            {
                wrong.Add($"{route.Method} {route.Pattern} ({route.Policies[0]}): expected {row.Unknown}, found {allowed}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(asked > 2000, $"only {asked} requests were made");
    }

    private static bool IsRefusal(TestAnswer answer) =>
        answer.Text.Contains("You are not authorized to perform the requested action: identity:", StringComparison.Ordinal);

    /// <summary>
    /// As OpenStack's: what does not exist is said (404) before the rule is asked, as the rule is about its owner; a list of credentials has in it what the asker may
    /// see; the list of revoked PKI tokens is refused to all in other words.
    /// </summary>
    private static bool LooksFirst(ApiRoute route) => route.Pattern.Contains("{trust_id}", StringComparison.Ordinal) || RouteTests.AbsenceIsOpen.Contains((route.Method, route.Pattern))
        || route.Policies[0] is "identity:list_credentials" or "identity:ec2_get_credential" or "identity:ec2_delete_credential" or "identity:revocation_list";

    private static string Cell(IEnumerable<Persona> allowed) =>
        string.Join(' ', allowed.GroupBy(static p => p.Scope).Select(static g => string.Concat(g.Select(static p => p.Letter)) is { Length: > 0 } letters ? $"{g.Key}:{letters}" : g.Key))
            is { Length: > 0 } cell ? cell : "nobody";

    /// <summary>A user for each set of roles, with a token for each scope.</summary>
    private static async Task<Dictionary<Persona, string>> TokensAsync(IdentityCloud cloud)
    {
        var tokens = new Dictionary<Persona, string>();
        var manager = await cloud.CreateAsync("roles", "role", """{"name": "manager"}""");
        (await cloud.Admin.PutAsync($"/v3/roles/{manager}/implies/{await cloud.IdOfAsync("roles", "member")}")).Expect(201);
        var project = await cloud.CreateProjectAsync("p1");
        foreach (var group in Personas.GroupBy(static p => p.Letter.Length > 0 ? p.Credentials.Roles[0] : p.Scope))
        {
            var name = "one-" + group.Key;
            var user = await cloud.CreateUserAsync(name);
            if (group.Key != "none")
            {
                var role = await cloud.IdOfAsync("roles", group.Key);
                foreach (var target in (string[])["system", "domains/default", $"projects/{project}"])
                {
                    (await cloud.Admin.PutAsync($"/v3/{target}/users/{user}/roles/{role}")).Expect(204);
                }
            }
            foreach (var persona in group)
            {
                tokens[persona] = await cloud.TokenAsync(name, "secret", persona.Scope switch
                {
                    "system" => IdentityCloud.SystemScope,
                    "domain" => """{"domain": {"id": "default"}}""",
                    "none" => "\"unscoped\"",
                    _ => IdentityCloud.ProjectScope("p1"),
                });
            }
        }
        return tokens;
    }

    [GeneratedRegex(@"\{\w+\}")]
    private static partial Regex Place();
}
