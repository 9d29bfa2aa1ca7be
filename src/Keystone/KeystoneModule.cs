using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.ApplicationCredentials;
using SharpStack.Keystone.Assignments;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Catalog;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Directories;
using SharpStack.Keystone.DomainConfigs;
using SharpStack.Keystone.Domains;
using SharpStack.Keystone.Ec2;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Federation.Saml;
using SharpStack.Keystone.Groups;
using SharpStack.Keystone.Ldap;
using SharpStack.Keystone.Limits;
using SharpStack.Keystone.OAuth1;
using SharpStack.Keystone.OAuth2;
using SharpStack.Keystone.Policies;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Receipts;
using SharpStack.Keystone.Roles;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Trusts;
using SharpStack.Keystone.Users;
using SharpStack.Keystone.Versions;

namespace SharpStack.Keystone;

/// <summary>The identity service: <c>keystone</c> on port 5000. It validates the tokens of all services in its process.</summary>
public sealed class KeystoneModule : IServiceModule
{
    public const string ServiceName = "keystone";

    public IReadOnlyList<string> Services => [ServiceName];

    public IEnumerable<(string Config, ConfigOption Option)> Options =>
        new[] { typeof(KeystoneOptions), typeof(LdapOptions), typeof(FederationOptions) }.SelectMany(ConfigOption.DeclaredIn).Concat(DatabaseOptions.All).Concat(CacheOptions.Shared).Select(static option => (ServiceName, option));

    public void Register(ModuleContext context)
    {
        var config = context.Config(ServiceName);
        var data = Path.Combine(context.Host.DataDirectory, ServiceName);
        var services = context.Services;
        DatabaseOptions.Register<KeystoneModule>(context, config, typeof(M0001Identity).Namespace!, file: Path.Combine(ServiceName, "keystone.db"));
        services.AddSingleton(provider => new KeystoneStore(provider.GetRequiredKeyedService<ServiceDatabase>(ServiceName), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => Keys(
            provider, config.Get(KeystoneOptions.KeyRepository) is { Length: > 0 } directory ? directory : Path.Combine(data, "fernet-keys"), config.Get(KeystoneOptions.MaxActiveKeys)));
        services.AddSingleton(provider => new CredentialKeys(Keys(
            provider, config.Get(KeystoneOptions.CredentialKeyRepository) is { Length: > 0 } directory ? directory : Path.Combine(data, "credential-keys"), CredentialKeys.MaxActiveKeys)));
        services.AddSingleton(provider => new ReceiptKeys(
            config.Get(KeystoneOptions.ReceiptKeyRepository) is { Length: > 0 } directory && directory != config.Get(KeystoneOptions.KeyRepository)
                ? Keys(provider, directory, config.Get(KeystoneOptions.ReceiptMaxActiveKeys))
                : provider.GetRequiredService<KeyRepository>()));
        services.AddSingleton(provider => new JwsKeys(
            config.Get(KeystoneOptions.JwsPrivateKeys) is { Length: > 0 } directory ? directory : Path.Combine(data, "jws-keys", "private"),
            config.Get(KeystoneOptions.JwsPublicKeys) is { Length: > 0 } other ? other : Path.Combine(data, "jws-keys", "public"),
            provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(new AuthMethodMap(config.Get(KeystoneOptions.AuthMethods)));
        services.AddSingleton<ITokenFormat>(provider => config.Get(KeystoneOptions.TokenProvider) == "jws"
            ? new JwsFormat(provider.GetRequiredService<JwsKeys>())
            : new FernetFormat(provider.GetRequiredService<KeyRepository>(), provider.GetRequiredService<AuthMethodMap>()));
        services.AddSingleton<IdentityCache>();
        services.AddSingleton(provider => new RevocationIndex(
            provider.GetRequiredService<KeystoneStore>(),
            provider.GetRequiredService<TimeProvider>(),
            TimeSpan.FromSeconds(config.Get(KeystoneOptions.TokenExpiration) + config.Get(KeystoneOptions.AllowExpiredWindow))));
        services.AddSingleton(_ => new PasswordHasher(config.Get(KeystoneOptions.PasswordHashRounds)));
        services.AddSingleton(_ => new Answers(config));
        services.AddSingleton<ProjectQueries>();
        AddWithConfig<CatalogReader>();
        services.AddSingleton<IIdentityDriver, LdapDriver>();
        AddWithConfig<DirectoryRegistry>();
        AddWithConfig<DirectoryIdentities>();
        AddWithConfig<TokenService>();
        AddWithConfig<UrlSafeNames>();
        services.AddSingleton<UserFinder>();
        services.AddSingleton<PasswordMethod>();
        services.AddSingleton<IAuthMethod>(static provider => provider.GetRequiredService<PasswordMethod>());
        AddWithConfig<TokenMethod>();
        services.AddSingleton<IAuthMethod>(static provider => provider.GetRequiredService<TokenMethod>());
        services.AddSingleton<IAuthMethod>(Route<TotpMethod>);
        services.AddSingleton<IAuthMethod, ApplicationCredentialMethod>();
        services.AddSingleton<IAuthMethod, OAuth1Method>();
        AddWithConfig<AdminProject>();
        services.AddSingleton<TokenWriter>();
        AddWithConfig<ApplicationCredentialOperations>();
        AddWithConfig<CredentialOperations>();
        AddWithConfig<ExternalMethod>();
        services.AddSingleton<IAuthMethod>(static provider => provider.GetRequiredService<ExternalMethod>());
        AddWithConfig<FederatedGroups>();
        AddWithConfig<FederatedLogin>();
        AddWithConfig<FederationProviders>();
        AddWithConfig<SamlIssuer>();
        services.AddSingleton<SsoCookies>();
        services.AddSingleton<AssertionReader>();
        foreach (var name in MappedMethod.Names)
        {
            services.AddSingleton<IAuthMethod>(provider => ActivatorUtilities.CreateInstance<MappedMethod>(provider, name));
        }
        services.AddSingleton<TokenAnswers>();
        AddWithConfig<ReceiptService>();
        AddWithConfig<Authenticator>();
        AddWithConfig<TrustOperations>();
        AddWithConfig<PasswordRules>();
        AddWithConfig<AccountRules>();
        services.AddSingleton<IPasswordRule>(static provider => provider.GetRequiredService<AccountRules>());
        AddWithConfig<UserOperations>();
        AddWithConfig<UserRoutes>();
        AddWithConfig<ProjectOperations>();
        services.AddSingleton(provider => new KeystoneBootstrap(
            provider.GetRequiredService<KeystoneStore>(),
            provider.GetRequiredService<KeyRepository>(),
            provider.GetRequiredService<CredentialKeys>(),
            provider.GetRequiredService<ReceiptKeys>(),
            provider.GetRequiredService<JwsKeys>(),
            provider.GetRequiredService<PasswordHasher>(),
            provider.GetRequiredService<Authenticator>(),
            provider.GetRequiredService<RevocationIndex>(),
            provider.GetRequiredService<TimeProvider>(),
            config));
        services.AddSingleton(provider => new KeystoneAdmin(
            provider.GetRequiredService<KeyRepository>(),
            provider.GetRequiredService<ReceiptKeys>(),
            provider.GetRequiredService<CredentialKeys>(),
            provider.GetRequiredService<CredentialOperations>(),
            provider.GetRequiredService<JwsKeys>(),
            provider.GetRequiredService<ITokenFormat>(),
            provider.GetRequiredService<TokenService>(),
            provider.GetRequiredService<TimeProvider>(),
            config));
        services.AddSingleton<ITokenValidator>(Route<LocalTokenValidator>);
        context.AddWorker<KeystoneWorker>();
        context.AddApi(new ApiDefinition
        {
            Name = ServiceName,
            ServiceType = "identity",
            DefaultPort = 5000,
            Errors = new KeystoneErrors(),
            SchemaFailure = KeystoneErrors.SchemaFailure,
            Admit = static identity => Delegation.HasMethod(identity, "ec2credential")
                ? CloudException.Forbidden("EC2 credential tokens cannot be used for authorization.")
                : null,
            Policies = _ => KeystonePolicies.Enforcer(config, data),
            Map = (routes, provider) =>
            {
                Route<VersionRoutes>(provider).Map(routes);
                Route<TokenRoutes>(provider).Map(routes);
                Route<UserRoutes>(provider).Map(routes);
                Route<GroupRoutes>(provider).Map(routes);
                Route<ProjectRoutes>(provider).Map(routes);
                Route<DomainRoutes>(provider).Map(routes);
                Route<RoleRoutes>(provider).Map(routes);
                Route<ImpliedRoleRoutes>(provider).Map(routes);
                Route<GrantRoutes>(provider).Map(routes);
                Route<RoleAssignmentRoutes>(provider).Map(routes);
                Route<RegionRoutes>(provider).Map(routes);
                Route<ServiceRoutes>(provider).Map(routes);
                Route<EndpointRoutes>(provider).Map(routes);
                Route<EndpointGroupRoutes>(provider).Map(routes);
                Route<EndpointFilterRoutes>(provider).Map(routes);
                Route<CredentialRoutes>(provider).Map(routes);
                Route<PolicyBlobRoutes>(provider).Map(routes);
                Route<PolicyAssociationRoutes>(provider).Map(routes);
                Route<RegisteredLimitRoutes>(provider).Map(routes);
                Route<LimitRoutes>(provider).Map(routes);
                Route<DomainConfigRoutes>(provider).Map(routes);
                Route<TrustRoutes>(provider).Map(routes);
                Route<ApplicationCredentialRoutes>(provider).Map(routes);
                Route<Ec2Routes>(provider).Map(routes);
                Route<OAuthRoutes>(provider).Map(routes);
                Route<AccessTokenRoutes>(provider).Map(routes);
                Route<OAuth2Routes>(provider).Map(routes);
                Route<RevocationRoutes>(provider).Map(routes);
                Route<IdentityProviderRoutes>(provider).Map(routes);
                Route<ProtocolRoutes>(provider).Map(routes);
                Route<MappingRoutes>(provider).Map(routes);
                Route<ServiceProviderRoutes>(provider).Map(routes);
                Route<FederationRoutes>(provider).Map(routes);
                foreach (var pattern in (string[])["/v3/ec2tokens", "/v3/s3tokens", "/v3/OS-OAUTH1/request_token", "/v3/OS-OAUTH1/access_token", "/v3/auth/OS-FEDERATION/saml2", "/v3/auth/OS-FEDERATION/saml2/ecp"])
                {
                    routes.LeaveOut("405, as OpenStack's keystone answers: only POST has a meaning here", pattern, "GET", "HEAD");
                }
            },
        });

        static KeyRepository Keys(IServiceProvider provider, string directory, int maxActiveKeys) =>
            new(directory, maxActiveKeys, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<KeyRepository>>());

        void AddWithConfig<T>()
            where T : class => services.AddSingleton(Route<T>);

        // The configuration differs from service to service, so it is given by hand and not from the container.
        T Route<T>(IServiceProvider provider)
            where T : class =>
            typeof(T).GetConstructors()[0].GetParameters().Any(static p => p.ParameterType == typeof(ServiceConfig))
                ? ActivatorUtilities.CreateInstance<T>(provider, config)
                : ActivatorUtilities.CreateInstance<T>(provider);
    }
}

/// <summary>Removes expired revocations from time to time.</summary>
internal sealed partial class KeystoneWorker(RevocationIndex revocations, TimeProvider time, ILogger<KeystoneWorker> log) : IWorker, IDisposable
{
    private static readonly TimeSpan PrunePeriod = TimeSpan.FromMinutes(10);

    private readonly CancellationTokenSource stopping = new();
    private Task pruning = Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        pruning = PruneAsync();
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await stopping.CancelAsync();
        await pruning;
    }

    public void Dispose() => stopping.Dispose();

    private async Task PruneAsync()
    {
        using var timer = new PeriodicTimer(PrunePeriod, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stopping.Token))
            {
                try
                {
                    await revocations.PruneAsync(stopping.Token);
                }
                catch (Exception failure) when (failure is not OperationCanceledException)
                {
                    LogPruneFailed(failure);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
    }

    [LoggerMessage(EventId = 2102, Level = LogLevel.Warning, Message = "Expired revocations could not be removed; the next round tries again")]
    private partial void LogPruneFailed(Exception failure);
}
