using System.Collections.Concurrent;
using System.Diagnostics;
using System.Reflection;
using System.Security.Cryptography;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Ec2;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Federation.OpenIdConnect;
using SharpStack.Keystone.OAuth1;
using SharpStack.Keystone.Tokens;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Authentication;

/// <summary>What a stranger learns from refusals, and what is left of secrets in logs and traces: nothing.</summary>
public class SecrecyTests
{
    private const string Wrong = """{"user": {"name": "person", "domain": {"id": "default"}, "password": "wrong"} }""";

    [Theory]
    [InlineData("password", Wrong)]
    [InlineData("password", """{"user": {"name": "nobody", "domain": {"id": "default"}, "password": "secret"} }""")]
    [InlineData("password", """{"user": {"name": "person", "domain": {"id": "none"}, "password": "secret"} }""")]
    [InlineData("password", """{"user": {"name": "person", "domain": {"name": "none"}, "password": "secret"} }""")]
    [InlineData("password", """{"user": {"id": "none", "password": "secret"} }""")]
    [InlineData("password", """{"user": {"name": "disabled", "domain": {"id": "default"}, "password": "secret"} }""")]
    [InlineData("password", """{"user": {"name": "without", "domain": {"id": "default"}, "password": ""} }""")]
    [InlineData("application_credential", """{"id": "none", "secret": "x"}""")]
    [InlineData("application_credential", """{"name": "none", "secret": "x", "user": {"name": "person", "domain": {"id": "default"} } }""")]
    [InlineData("application_credential", """{"name": "none", "secret": "x", "user": {"id": "none"} }""")]
    public async Task Who_is_refused_has_cost_one_bcrypt_and_is_told_what_a_wrong_password_is(string method, string proof)
    {
        await using var cloud = await IdentityCloud.StartAsync();
        await cloud.CreateUserAsync("person");
        await cloud.CreateAsync("users", "user", """{"name": "disabled", "password": "secret", "enabled": false}""");
        await cloud.CreateAsync("users", "user", """{"name": "without"}""");
        var hasher = cloud.Cloud.Get<PasswordHasher>();
        var usual = await LogInAsync("password", Wrong);
        var before = hasher.Comparisons;

        var answer = await LogInAsync(method, proof);

        Assert.Equal(1, hasher.Comparisons - before);
        Assert.Equal(usual.Expect(401).Text, answer.Expect(401).Text);

        Task<TestAnswer> LogInAsync(string by, string with) => cloud.AuthenticateAsync($$"""{"auth": {"identity": {"methods": ["{{by}}"], "{{by}}": {{with}} } } }""");
    }

    [Fact]
    public async Task Changing_an_unknown_users_password_costs_and_tells_what_a_wrong_one_does()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.CreateUserAsync("person");
        var hasher = cloud.Cloud.Get<PasswordHasher>();

        var (known, costOfKnown) = await ChangeAsync(person);
        var (unknown, costOfUnknown) = await ChangeAsync("none");

        Assert.Equal((1, 1), (costOfKnown, costOfUnknown));
        Assert.Equal(known.Expect(401).Text, unknown.Expect(401).Text);

        async Task<(TestAnswer Answer, long Cost)> ChangeAsync(string user)
        {
            using var client = cloud.Client(null);
            var before = hasher.Comparisons;
            return (await client.PostAsync($"/v3/users/{user}/password", """{"user": {"original_password": "wrong", "password": "other"} }"""), hasher.Comparisons - before);
        }
    }

    /// <summary>Each of these types decides by a secret or by what is made from one.</summary>
    [Theory]
    [InlineData(typeof(FernetKey))]
    [InlineData(typeof(TotpMethod))]
    [InlineData(typeof(Ec2Signature))]
    [InlineData(typeof(OAuthSignature))]
    [InlineData(typeof(OAuthRoutes))]
    [InlineData(typeof(SsoCookies))]
    [InlineData(typeof(OpenIdProvider))]
    public void A_secret_is_compared_in_constant_time(Type type) =>
        Assert.Contains(CallsOf(type), static called => called is { Name: nameof(CryptographicOperations.FixedTimeEquals) } && called.DeclaringType == typeof(CryptographicOperations));

    [Fact]
    public async Task No_secret_is_in_a_log_or_a_trace()
    {
        using var seen = new Seen();
        await using var cloud = await IdentityCloud.StartAsync(
            null,
            services => services.AddSingleton<ILoggerProvider>(seen).PostConfigure<LoggerFilterOptions>(static filter =>
            {
                filter.MinLevel = LogLevel.Trace;
                filter.Rules.Clear();
            }),
            ("identity", "domain_specific_drivers_enabled", "true"), ("identity", "domain_configurations_from_database", "true"));
        var secrets = new List<string> { IdentityCloud.AdminPassword, cloud.AdminToken };

        var (userId, _, token) = await cloud.PersonAsync("person", "member");
        secrets.Add(token);
        (await cloud.Admin.PatchAsync($"/v3/users/{userId}", $$"""{"user": {"password": "{{Secret()}}" } }""")).Expect(200);
        var password = secrets[^1];
        // What was issued in the second of the change is revoked with the older ones.
        await Eventually.TrueAsync(
            async () =>
            {
                token = await cloud.TokenAsync("person", password, IdentityCloud.ProjectScope("person"));
                secrets.Add(token);
                return (await cloud.ValidateAsync(token)).Status == 200;
            },
            "a token of the new password is valid");
        using var person = cloud.Client(token);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("person", Secret()))).Expect(401);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("nobody", Secret()))).Expect(401);
        (await cloud.AuthenticateAsync($$"""{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 1, "password": "{{Secret()}}" } } } } }""")).Expect(400);
        (await cloud.AuthenticateAsync($$"""{"auth": {"identity": {"methods": ["password"], "password": "{{Secret()}}""")).Expect(400);
        (await cloud.AuthenticateAsync(IdentityCloud.TokenAuth(token))).Expect(201);
        (await cloud.ValidateAsync(token)).Expect(200);
        (await cloud.ValidateAsync(Secret())).Expect(404);
        (await cloud.Client(Secret()).GetAsync("/v3/users")).Expect(401);
        (await person.PostAsync($"/v3/users/{userId}/application_credentials", $$"""{"application_credential": {"name": "robot", "secret": "{{Secret()}}" } }""")).Expect(201);
        var ec2 = (await person.PostAsync($"/v3/users/{userId}/credentials/OS-EC2", $$"""{"tenant_id": "{{(await cloud.IdOfAsync("projects", "person"))}}" }""")).Expect(201);
        secrets.Add(ec2.Json.GetProperty("credential").GetProperty("secret").GetString()!);
        await cloud.CreateAsync("credentials", "credential", $$"""{"type": "totp", "blob": "{{Secret()}}", "user_id": "{{userId}}" }""");
        secrets.Add((await cloud.Admin.PostAsync("/v3/OS-OAUTH1/consumers", """{"consumer": {} }""")).Expect(201).Json.GetProperty("consumer").GetProperty("secret").GetString()!);
        var domain = await cloud.CreateAsync("domains", "domain", """{"name": "elsewhere"}""");
        (await cloud.Admin.PutAsync($"/v3/domains/{domain}/config", $$"""{"config": {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://127.0.0.1:1", "user": "cn=x", "password": "{{Secret()}}", "suffix": "dc=x"} } }""")).Expect(201);
        (await cloud.AuthenticateAsync(IdentityCloud.PasswordAuth("ada", Secret(), domain: domain))).Expect(503);
        (await cloud.Admin.PostAsync("/v3/users", $$"""{"user": {"name": "person", "password": "{{Secret()}}" } }""")).Expect(409);
        (await cloud.Admin.SendAsync(HttpMethod.Delete, "/v3/auth/tokens", headers: ("X-Subject-Token", token))).Expect(204);

        // It was listened to everything: the log of requests, the storage below it, and the traces of the web server.
        Assert.Contains(seen.Lines, static line => line.Contains("POST /v3/auth/tokens 401", StringComparison.Ordinal));
        Assert.Contains(seen.Lines, static line => line.StartsWith("trace ", StringComparison.Ordinal));
        foreach (var secret in secrets)
        {
            Assert.DoesNotContain(seen.Lines, line => line.Contains(secret, StringComparison.Ordinal));
        }

        string Secret()
        {
            secrets.Add($"secret{Guid.NewGuid():N}");
            return secrets[^1];
        }
    }

    private static IEnumerable<MethodBase> CallsOf(Type type)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        const byte call = 0x28;
        foreach (var method in type.GetMethods(all))
        {
            var code = method.GetMethodBody()?.GetILAsByteArray() ?? [];
            for (var i = 0; i + sizeof(int) < code.Length; i++)
            {
                MethodBase? called = null;
                try
                {
                    called = code[i] == call ? type.Module.ResolveMethod(BitConverter.ToInt32(code, i + 1), type.IsGenericType ? type.GetGenericArguments() : null, null) : null;
                }
                catch (ArgumentException)
                {
                    // These bytes were something else.
                }
                if (called is not null)
                {
                    yield return called;
                }
            }
        }
        // An asynchronous method's code is in a type of the compiler's.
        foreach (var called in type.GetNestedTypes(all).SelectMany(CallsOf))
        {
            yield return called;
        }
    }

    /// <summary>Every line of every log at every level, and every trace of the process.</summary>
    private sealed class Seen : ILoggerProvider, ILogger
    {
        private readonly ActivityListener listener;

        public Seen()
        {
            listener = new()
            {
                ShouldListenTo = static _ => true,
                Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
                ActivityStopped = activity => Lines.Enqueue(
                    $"trace {activity.DisplayName} {string.Join(' ', activity.TagObjects.Concat(activity.Events.SelectMany(static e => e.Tags)))} {string.Join(' ', activity.Baggage)} {activity.StatusDescription}"),
            };
            ActivitySource.AddActivityListener(listener);
        }

        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose() => listener.Dispose();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
        {
            Lines.Enqueue($"scope {state}");
            return null;
        }

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue($"{formatter(state, exception)} {(state is IEnumerable<KeyValuePair<string, object?>> parts ? string.Join(' ', parts) : "")} {exception}");
    }
}
