using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Federation;
using SharpStack.Keystone.Receipts;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;
using SharpStack.Keystone.Trusts;

namespace SharpStack.Keystone.Authentication;

/// <summary>Turns a request's <c>auth</c> into a token: who by the methods, then what for by the scope.</summary>
internal sealed class Authenticator(
    IEnumerable<IAuthMethod> methods,
    AuthMethodMap enabled,
    UserFinder finder,
    IdentityCache cache,
    TokenService tokens,
    ReceiptService receipts,
    PasswordMethod passwords,
    KeystoneStore store,
    TimeProvider time)
{
    private readonly Dictionary<string, IAuthMethod> methods = methods.ToDictionary(static method => method.Name);

    public async Task<Token> AuthenticateAsync(AuthRequest request, CancellationToken cancellationToken)
    {
        await store.CheckAsync(cancellationToken);
        var subject = await IdentifyAsync(request, cancellationToken);
        subject = await PassFactorsAsync(subject, request, cancellationToken);
        // The scope comes second: whether a project exists is told to nobody who has not proven who they are.
        var scope = (subject.Scope ?? await ScopeAsync(request.Auth, subject.UserId, cancellationToken)).Of(subject.Federation);
        var token = await tokens.IssueAsync(subject.UserId, subject.Methods, scope, subject.ExpiresAt, subject.ChainId, cancellationToken);
        if (token.Authorization.Trust is { } trust)
        {
            await ConsumeAsync(trust.Row, cancellationToken);
        }
        return token;
    }

    /// <summary>An unscoped token for somebody whom an identity provider vouched for.</summary>
    public Task<Token> IssueAsync(FederatedSubject subject, CancellationToken cancellationToken)
    {
        var method = AuthMethodMap.Find(subject.Federation?.ProtocolId ?? "mapped") & enabled.Enabled;
        return tokens.IssueAsync(subject.UserId, method == AuthMethods.None ? AuthMethods.Mapped : method, TokenScope.Unscoped.Of(subject.Federation), null, null, cancellationToken);
    }

    /// <summary>Whether the password is the user's current one. Costs the same where the user has none.</summary>
    public async Task<bool> VerifyPasswordAsync(string? userId, string password, CancellationToken cancellationToken) =>
        (await passwords.CompareAsync(userId, password, cancellationToken)).Matches;

    /// <summary>The same for a user who may be kept in a directory.</summary>
    public async Task<bool> VerifyPasswordAsync(UserRow? user, string password, CancellationToken cancellationToken) =>
        (await passwords.CompareAsync(user, password, cancellationToken)).Matches;

    /// <summary>Takes one of the trust's uses. Of two at once that would both take the last one, one fails.</summary>
    public async Task ConsumeAsync(TrustRow trust, CancellationToken cancellationToken)
    {
        if (trust.RemainingUses is null)
        {
            return;
        }
        var taken = await store.WriteAsync(
            db => db.Trusts().Where(t => t.Id == trust.Id && t.RemainingUses > 0).Set(static t => t.RemainingUses, static t => t.RemainingUses - 1).UpdateAsync(cancellationToken),
            cancellationToken);
        if (taken == 0)
        {
            throw CloudException.Forbidden($"No remaining uses for trust: {trust.Id}.");
        }
    }

    private async Task<AuthProof> IdentifyAsync(AuthRequest request, CancellationToken cancellationToken)
    {
        var names = request.Identity.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()!).Distinct().ToList();
        foreach (var name in names)
        {
            if (!request.Identity.TryGetProperty(name, out var payload) || payload.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null))
            {
                throw Fail.Expected(name, "identity");
            }
            if (!methods.ContainsKey(name) || (AuthMethodMap.Find(name) & enabled.Enabled) == 0)
            {
                throw new MethodsException("Attempted to authenticate with an unsupported method.", AuthMethodMap.Names(enabled.Enabled));
            }
        }
        if (names.Contains("application_credential") && request.Auth.Has("scope"))
        {
            throw new MethodsException("Error authenticating with application credential: Application credentials cannot request a scope.", null);
        }
        AuthProof? subject = null;
        foreach (var name in names)
        {
            var proof = await methods[name].ProveAsync(request.Identity.GetProperty(name), request, cancellationToken);
            subject = subject is null ? proof : Both(subject, proof);
        }
        if (methods.GetValueOrDefault("external") is ExternalMethod external && (enabled.Enabled & AuthMethods.External) != 0 && external.RemoteUser(request.Http) is not null)
        {
            AuthProof? named = null;
            try
            {
                named = await external.ProveAsync(default, request, cancellationToken);
            }
            catch (CloudException failure) when (failure.Kind == ErrorKind.Unauthorized)
            {
                // Whom the proxy names and nobody knows goes by the other methods alone.
            }
            subject = named is null ? subject : subject is null ? named : Both(subject, named);
        }
        return subject ?? throw CloudException.Unauthorized();
    }

    private static AuthProof Both(AuthProof one, AuthProof other) => one.UserId != other.UserId
        ? throw CloudException.Unauthorized()
        : one with
        {
            Methods = one.Methods | other.Methods,
            ExpiresAt = one.ExpiresAt is null || other.ExpiresAt < one.ExpiresAt ? other.ExpiresAt ?? one.ExpiresAt : one.ExpiresAt,
            ChainId = one.ChainId ?? other.ChainId,
            Scope = one.Scope ?? other.Scope,
            Federation = one.Federation ?? other.Federation,
        };

    /// <summary>Adds what a receipt proves, and asks whether that is enough for the user's rules.</summary>
    private async Task<AuthProof> PassFactorsAsync(AuthProof subject, AuthRequest request, CancellationToken cancellationToken)
    {
        if (request.Http.Headers[ReceiptService.Header] is [{ Length: > 0 } id])
        {
            var receipt = receipts.Read(id);
            if (receipt.UserId != subject.UserId)
            {
                throw CloudException.Unauthorized();
            }
            subject = subject with { Methods = subject.Methods | receipt.Methods };
        }
        if (await cache.Current.ActiveUserAsync(subject.UserId, cancellationToken) is not var (user, domain))
        {
            throw CloudException.Unauthorized();
        }
        var rules = MultiFactorRules.Of(user);
        return MultiFactorRules.Pass(rules, subject.Methods, enabled.Enabled)
            ? subject
            : throw new ReceiptException(
                receipts.Issue(user.Id, subject.Methods), user, domain, MultiFactorRules.Started(rules, subject.Methods, enabled.Enabled));
    }

    private async Task<TokenScope> ScopeAsync(JsonElement auth, string userId, CancellationToken cancellationToken)
    {
        const string kinds = "system, project, domain, OS-TRUST:trust or unscoped";
        if (!auth.TryGetProperty("scope", out var scope))
        {
            return await DefaultScopeAsync(userId, cancellationToken);
        }
        var names = scope.ValueKind == JsonValueKind.String
            ? [scope.GetString()!]
            : scope.EnumerateObject().Select(static p => p.Name).Where(static n => n is "system" or "project" or "domain" or "unscoped" or "OS-TRUST:trust").ToArray();
        return names switch
        {
            ["unscoped"] => TokenScope.Unscoped,
            ["system"] => TokenScope.System,
            _ when scope.ValueKind == JsonValueKind.String => throw Fail.Expected(kinds, "scope"),
            ["domain"] => await finder.DomainAsync(scope.GetProperty("domain"), "scope/domain", cancellationToken) is { } domain
                ? TokenScope.Domain(domain.Id)
                : throw CloudException.Unauthorized(),
            ["project"] => await finder.ProjectAsync(scope.GetProperty("project"), cancellationToken) is { } project
                ? TokenScope.Project(project.Id)
                : throw CloudException.Unauthorized(),
            ["OS-TRUST:trust"] => await TrustScopeAsync(scope.GetProperty("OS-TRUST:trust"), cancellationToken),
            _ => throw Fail.Expected(kinds, "scope"),
        };
    }

    private async Task<TokenScope> TrustScopeAsync(JsonElement reference, CancellationToken cancellationToken)
    {
        var id = reference.Text("id") is { Length: > 0 } given ? given : throw Fail.Expected("trust_id", "trust");
        await using var db = store.Read();
        return await db.Trusts().FirstOrDefaultAsync(t => t.Id == id, cancellationToken) is { } trust && TrustOperations.IsUsable(trust, time.NowMicroseconds())
            ? new(PayloadKind.Trust, trust.ProjectId, trust.Id)
            : throw CloudException.Unauthorized();
    }

    /// <summary>A token without a scope is for the user's default project, where the user may still use that.</summary>
    private async Task<TokenScope> DefaultScopeAsync(string userId, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        return await snapshot.UserAsync(userId, cancellationToken) is { DefaultProjectId: { } project }
            && await snapshot.AuthorizationAsync(userId, TokenScope.Project(project), cancellationToken) is not null
            ? TokenScope.Project(project)
            : TokenScope.Unscoped;
    }
}
