using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>Issues, validates and revokes tokens. Tokens are not stored: what they hold is signed, and what they stand for is looked up.</summary>
internal sealed class TokenService(ITokenFormat format, IdentityCache cache, RevocationIndex revocations, KeystoneStore store, AdminProject adminProject, ServiceConfig config, TimeProvider time)
{
    // Like the header that it comes in.
    private const int LongestToken = 8192;

    private readonly TimeSpan lifetime = TimeSpan.FromSeconds(config.Get(KeystoneOptions.TokenExpiration));

    /// <param name="expiresAt">The expiry of the token that this one comes from; null for a new one.</param>
    /// <param name="chainId">The audit id that began the chain; null where this token begins one.</param>
    /// <exception cref="CloudException">The user has no role in the scope, or one of both is disabled (401); what was delegated is no longer the delegator's (403).</exception>
    public async Task<Token> IssueAsync(
        string userId, AuthMethods methods, TokenScope scope, DateTimeOffset? expiresAt, string? chainId, CancellationToken cancellationToken)
    {
        await store.CheckAsync(cancellationToken);
        var authorization = await cache.Current.AuthorizationAsync(userId, scope, cancellationToken) ?? throw CloudException.Unauthorized();
        var now = Seconds(time.GetUtcNow());
        var until = expiresAt ?? now + lifetime;
        if (authorization.ApplicationCredential?.ExpiresAt is { } end && Timestamps.FromMicroseconds(end) is var last && last < until)
        {
            // What is signed with the credential ends with it at the latest.
            until = last;
        }
        var own = TokenPayload.NewAuditId();
        var payload = new TokenPayload(scope.Kind, userId, methods, scope.Id, until, chainId is null ? [own] : [own, chainId]) 
        {
            DelegationId = scope.DelegationId,
            Federation = scope.Federation,
        };
        return new(format.Seal(payload, now), payload, now, authorization);
    }

    /// <summary>Null for a token that is foreign, expired, revoked, or no longer good for its scope.</summary>
    /// <param name="window">How long after its expiry a token is still accepted.</param>
    public async ValueTask<Token?> FindAsync(string id, TimeSpan window, CancellationToken cancellationToken)
    {
        await store.CheckAsync(cancellationToken);
        var snapshot = cache.Current;
        var now = time.GetUtcNow();
        if (snapshot.FindToken(id) is { } known && !known.Authorization.IsStale(now))
        {
            return known.IsExpired(now, window) ? null : known;
        }
        if (id.Length > LongestToken || format.Open(id, out var issuedAt) is not { } payload || now >= payload.ExpiresAt + window)
        {
            return null;
        }
        try
        {
            if (await snapshot.AuthorizationAsync(payload.UserId, payload.Scope, cancellationToken) is not { } authorization
                || await revocations.IsRevokedAsync(payload, issuedAt, authorization, cancellationToken))
            {
                return null;
            }
            var token = new Token(id, payload, issuedAt, authorization) { IsAdminProject = adminProject.Is(authorization) };
            if (token.IsExpired(now, window))
            {
                return null;
            }
            snapshot.KeepToken(token);
            return token;
        }
        catch (CloudException refused) when (refused.Kind == ErrorKind.Forbidden)
        {
            // What was delegated has been taken back.
            return null;
        }
    }

    /// <summary>A number that grows with every change; read before a validation, it says what that one knew at least.</summary>
    public long Epoch => store.Epoch;

    public Task RevokeAsync(Token token, CancellationToken cancellationToken) =>
        store.WriteAsync(db => revocations.RevokeTokenAsync(db, token.Payload.AuditIds[0], cancellationToken), cancellationToken);

    private static DateTimeOffset Seconds(DateTimeOffset instant) => new(instant.UtcTicks / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond, TimeSpan.Zero);
}

/// <summary>Validation for the services of this process.</summary>
internal sealed class LocalTokenValidator(TokenService tokens, ServiceConfig config) : ITokenValidator
{
    private readonly TimeSpan expiredWindow = TimeSpan.FromSeconds(config.Get(KeystoneOptions.AllowExpiredWindow));

    public async ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken) =>
        (await tokens.FindAsync(token, TimeSpan.Zero, cancellationToken))?.Identity;

    public async ValueTask<RequestIdentity?> ValidateExpiredAsync(string token, CancellationToken cancellationToken) =>
        (await tokens.FindAsync(token, expiredWindow, cancellationToken))?.Identity;
}
