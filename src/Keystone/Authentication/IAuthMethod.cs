using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Authentication;

/// <summary>A request for a token, as the methods see it.</summary>
/// <param name="Auth">The body's <c>auth</c>, checked by the schema.</param>
/// <param name="Url">The URL that the client asked, as this service is known by: what OAuth signatures cover.</param>
internal sealed record AuthRequest(JsonElement Auth, HttpRequest Http, string Url)
{
    public JsonElement Identity => Auth.GetProperty("identity");
}

/// <summary>Who a method says the caller is.</summary>
/// <param name="Methods">The method itself, and those that led to a token that was exchanged.</param>
internal sealed record AuthProof(string UserId, AuthMethods Methods)
{
    /// <summary>The new token ends no later.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The audit id of the token that began the chain.</summary>
    public string? ChainId { get; init; }

    /// <summary>Where the user comes from, if from another's identity provider.</summary>
    public FederatedIdentity? Federation { get; init; }

    /// <summary>What the method is good for, where the caller cannot choose.</summary>
    public TokenScope? Scope { get; init; }
}

/// <summary>A way to prove who one is; registered by OpenStack's name for it, enabled by <c>[auth] methods</c>.</summary>
internal interface IAuthMethod
{
    string Name { get; }

    /// <param name="payload">The member of <c>auth.identity</c> that has the method's name.</param>
    /// <exception cref="Foundation.CloudException">The proof is none (401), or malformed (400).</exception>
    Task<AuthProof> ProveAsync(JsonElement payload, AuthRequest request, CancellationToken cancellationToken);
}

/// <summary>One log-in by password: its user, the newest password, and whether the given one is it.</summary>
/// <param name="Password">Null where the user has none here.</param>
internal sealed record PasswordAttempt(UserRow User, PasswordRow? Password, bool Matches);

/// <summary>
/// What else decides on a log-in by password (lock-out, inactivity, expiry), or keeps count of it. Rules are asked in the order of their registration, for
/// users that exist; the password has been hashed by then, whatever the rules say, so that no answer comes sooner than others.
/// </summary>
internal interface IPasswordRule
{
    /// <exception cref="Foundation.CloudException">The log-in is refused (401), for this reason.</exception>
    Task CheckAsync(PasswordAttempt attempt, CancellationToken cancellationToken);
}
