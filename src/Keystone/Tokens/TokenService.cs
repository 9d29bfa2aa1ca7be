using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Tokens;

/// <summary>Issues, validates and revokes tokens. Tokens are not stored: what they hold is signed, and what they stand for is looked up.</summary>
internal sealed class TokenService(KeyRepository keys, IdentityCache cache, RevocationIndex revocations, KeystoneStore store, ServiceConfig config, TimeProvider time)
{
    private const int LongestToken = 4096;

    private readonly TimeSpan lifetime = TimeSpan.FromSeconds(config.Get(KeystoneOptions.TokenExpiration));

    /// <param name="expiresAt">The expiry of the token that this one comes from; null for a new one.</param>
    /// <param name="chainId">The audit id that began the chain; null where this token begins one.</param>
    /// <exception cref="CloudException">The user has no role in the scope, or one of both is disabled (401).</exception>
    public async Task<Token> IssueAsync(
        string userId, AuthMethods methods, PayloadKind kind, string? scopeId, DateTimeOffset? expiresAt, string? chainId, CancellationToken cancellationToken)
    {
        var authorization = await cache.Current.AuthorizationAsync(userId, kind, scopeId, cancellationToken) ?? throw CloudException.Unauthorized();
        var now = Seconds(time.GetUtcNow());
        var own = TokenPayload.NewAuditId();
        var payload = new TokenPayload(kind, userId, methods, scopeId, expiresAt ?? now + lifetime, chainId is null ? [own] : [own, chainId]);
        return new(keys.Encrypt(payload.Pack(stackalloc byte[1024]), now), payload, now, authorization);
    }

    /// <summary>Null for a token that is foreign, expired, revoked, or no longer good for its scope.</summary>
    /// <param name="window">How long after its expiry a token is still accepted.</param>
    public async ValueTask<Token?> FindAsync(string id, TimeSpan window, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        var now = time.GetUtcNow();
        if (snapshot.FindToken(id) is { } known)
        {
            return known.IsExpired(now, window) ? null : known;
        }
        if (id.Length > LongestToken || keys.Decrypt(id, out var issuedAt) is not { } packed || TryUnpack(packed) is not { } payload || now >= payload.ExpiresAt + window)
        {
            return null;
        }
        if (await snapshot.AuthorizationAsync(payload.UserId, payload.Kind, payload.ScopeId, cancellationToken) is not { } authorization
            || await revocations.IsRevokedAsync(payload, issuedAt, authorization, cancellationToken))
        {
            return null;
        }
        var token = new Token(id, payload, issuedAt, authorization);
        snapshot.KeepToken(token);
        return token;
    }

    public Task RevokeAsync(Token token, CancellationToken cancellationToken) =>
        store.WriteAsync(db => revocations.RevokeTokenAsync(db, token.Payload.AuditIds[0], cancellationToken), cancellationToken);

    private static TokenPayload? TryUnpack(byte[] packed)
    {
        try
        {
            return TokenPayload.Unpack(packed);
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private static DateTimeOffset Seconds(DateTimeOffset instant) => new(instant.UtcTicks / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond, TimeSpan.Zero);
}

/// <summary>Validation for the services of this process.</summary>
internal sealed class LocalTokenValidator(TokenService tokens) : ITokenValidator
{
    public async ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken) =>
        (await tokens.FindAsync(token, TimeSpan.Zero, cancellationToken))?.Identity;
}
