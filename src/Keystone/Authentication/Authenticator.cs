using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Authentication;

/// <summary>Turns a request's <c>auth</c> into a token: who by the methods, then what for by the scope.</summary>
internal sealed class Authenticator(IdentityCache cache, TokenService tokens, PasswordHasher hasher, KeystoneStore store, ServiceConfig config, TimeProvider time)
{
    private readonly bool allowRescope = config.Get(KeystoneOptions.AllowRescope);

    /// <summary>Who the methods say the caller is, and what a token that is exchanged passes on.</summary>
    private sealed record Subject(string UserId, AuthMethods Methods, DateTimeOffset? ExpiresAt = null, string? ChainId = null);

    public async Task<Token> AuthenticateAsync(JsonElement auth, CancellationToken cancellationToken)
    {
        var subject = await IdentifyAsync(auth.GetProperty("identity"), cancellationToken);
        // The scope comes second: whether a project exists is told to nobody who has not proven who they are.
        var (kind, scopeId) = await ScopeAsync(auth, subject.UserId, cancellationToken);
        return await tokens.IssueAsync(subject.UserId, subject.Methods, kind, scopeId, subject.ExpiresAt, subject.ChainId, cancellationToken);
    }

    /// <summary>Whether the password is the user's current one. Costs the same where the user has none.</summary>
    public async Task<bool> VerifyPasswordAsync(string? userId, string password, CancellationToken cancellationToken) =>
        (await FindPasswordAsync(userId, password, cancellationToken)).Valid;

    private async Task<(bool Valid, PasswordRow? Row)> FindPasswordAsync(string? userId, string password, CancellationToken cancellationToken)
    {
        PasswordRow? row = null;
        if (userId is not null)
        {
            await using var db = store.Read();
            row = await db.Passwords().Where(p => p.UserId == userId).OrderByDescending(static p => p.Id).FirstOrDefaultAsync(cancellationToken);
        }
        return (await hasher.VerifyAsync(password, row?.Hash, cancellationToken), row);
    }

    private async Task<Subject> IdentifyAsync(JsonElement identity, CancellationToken cancellationToken)
    {
        var methods = identity.GetProperty("methods").EnumerateArray().Select(static m => m.GetString()!).Distinct().ToList();
        foreach (var method in methods)
        {
            if (!identity.TryGetProperty(method, out _))
            {
                throw Fail.Expected(method, "identity");
            }
        }
        Subject? subject = null;
        foreach (var method in methods)
        {
            var proven = method switch
            {
                "password" => await ByPasswordAsync(identity.GetProperty(method), cancellationToken),
                "token" => await ByTokenAsync(identity.GetProperty(method), cancellationToken),
                _ => throw CloudException.Unauthorized("Attempted to authenticate with an unsupported method."),
            };
            if (subject is not null && subject.UserId != proven.UserId)
            {
                throw CloudException.Unauthorized();
            }
            subject = subject is null ? proven : proven with
            {
                Methods = subject.Methods | proven.Methods,
                ExpiresAt = Earliest(subject.ExpiresAt, proven.ExpiresAt),
                ChainId = subject.ChainId ?? proven.ChainId,
            };
        }
        return subject ?? throw CloudException.Unauthorized();
    }

    private static DateTimeOffset? Earliest(DateTimeOffset? one, DateTimeOffset? other) =>
        one is null ? other : other is null ? one : one < other ? one : other;

    private async Task<Subject> ByPasswordAsync(JsonElement method, CancellationToken cancellationToken)
    {
        if (!method.TryGetProperty("user", out var user))
        {
            throw Fail.Expected("user", "password");
        }
        var found = await FindUserAsync(user, cancellationToken);
        var password = user.Text("password") ?? "";
        var (valid, row) = await FindPasswordAsync(found?.Id, password, cancellationToken);
        if (!valid || found is not { Enabled: true } || await cache.Current.DomainAsync(found.DomainId, cancellationToken) is not { Enabled: true })
        {
            throw CloudException.Unauthorized();
        }
        if (row!.ExpiresAt <= time.NowMicroseconds())
        {
            throw CloudException.Unauthorized($"The password is expired and needs to be changed for user: {found.Id}.");
        }
        return new(found.Id, AuthMethods.Password);
    }

    private async Task<Subject> ByTokenAsync(JsonElement method, CancellationToken cancellationToken)
    {
        var id = method.Text("id") ?? throw Fail.Expected("id", "token");
        var token = await tokens.FindAsync(id, TimeSpan.Zero, cancellationToken) ?? throw CloudException.NotFound("Failed to validate token");
        if (!allowRescope && token.Payload.Kind is PayloadKind.Project or PayloadKind.Domain)
        {
            throw CloudException.Forbidden("You are not authorized to perform the requested action: rescope a scoped token.");
        }
        return new(token.Payload.UserId, token.Payload.Methods | AuthMethods.Token, token.Payload.ExpiresAt, token.Payload.AuditChainId);
    }

    private async Task<UserRow?> FindUserAsync(JsonElement user, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (user.Text("id") is { } id)
        {
            return await snapshot.UserAsync(id, cancellationToken);
        }
        if (user.Text("name") is not { } name)
        {
            throw CloudException.BadRequest("Invalid input for field identity/password/user: id or name must be present.");
        }
        if (!user.TryGetProperty("domain", out var reference))
        {
            throw Fail.Expected("domain", "user");
        }
        return await FindDomainAsync(reference, "identity/password/user/domain", cancellationToken) is { } domain
            ? await snapshot.UserByNameAsync(domain.Id, name, cancellationToken)
            : null;
    }

    private async Task<ProjectRow?> FindDomainAsync(JsonElement domain, string path, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        return domain.Text("id") is { } id ? await snapshot.DomainAsync(id, cancellationToken)
            : domain.Text("name") is { } name ? await snapshot.ProjectByNameAsync("", name, cancellationToken)
            : throw CloudException.BadRequest($"Invalid input for field {path}: id or name must be present.");
    }

    private async Task<(PayloadKind Kind, string? Id)> ScopeAsync(JsonElement auth, string userId, CancellationToken cancellationToken)
    {
        if (!auth.TryGetProperty("scope", out var scope))
        {
            return await DefaultScopeAsync(userId, cancellationToken);
        }
        var names = scope.ValueKind == JsonValueKind.String
            ? [scope.GetString()!]
            : scope.EnumerateObject().Select(static p => p.Name).Where(static n => n is "system" or "project" or "domain" or "unscoped" or "OS-TRUST:trust").ToArray();
        if (names is not [var name])
        {
            throw Fail.Expected("system, project, domain, OS-TRUST:trust or unscoped", "scope");
        }
        switch (name)
        {
            case "unscoped":
                return (PayloadKind.Unscoped, null);
            case "system":
                return (PayloadKind.System, "all");
            case "domain":
                return (PayloadKind.Domain, (await FindDomainAsync(scope.GetProperty("domain"), "scope/domain", cancellationToken) ?? throw CloudException.Unauthorized()).Id);
            case "project":
                return (PayloadKind.Project, (await FindProjectAsync(scope.GetProperty("project"), cancellationToken) ?? throw CloudException.Unauthorized()).Id);
            case "OS-TRUST:trust":
                throw CloudException.Unauthorized("Trusts are not supported by this release.");
            default:
                throw Fail.Expected("system, project, domain, OS-TRUST:trust or unscoped", "scope");
        }
    }

    private async Task<ProjectRow?> FindProjectAsync(JsonElement project, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (project.Text("name") is not { } name)
        {
            return project.Text("id") is { } id
                ? await snapshot.ProjectAsync(id, cancellationToken)
                : throw CloudException.BadRequest("Invalid input for field scope/project: id or name must be present.");
        }
        if (!project.TryGetProperty("domain", out var reference))
        {
            throw Fail.Expected("domain", "project");
        }
        return await FindDomainAsync(reference, "scope/project/domain", cancellationToken) is { } domain
            ? await snapshot.ProjectByNameAsync(domain.Id, name, cancellationToken)
            : null;
    }

    /// <summary>A token without a scope is for the user's default project, where the user may still use that.</summary>
    private async Task<(PayloadKind Kind, string? Id)> DefaultScopeAsync(string userId, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        return await snapshot.UserAsync(userId, cancellationToken) is { DefaultProjectId: { } project }
            && await snapshot.AuthorizationAsync(userId, PayloadKind.Project, project, cancellationToken) is not null
            ? (PayloadKind.Project, project)
            : (PayloadKind.Unscoped, null);
    }
}
