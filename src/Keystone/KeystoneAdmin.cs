using System.Globalization;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Receipts;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone;

/// <summary>What an operator does on the machine itself, without the API: the keys, the encryption of credentials, a look at what is wrong or at a token.</summary>
public sealed class KeystoneAdmin
{
    private readonly KeyRepository tokenKeys;
    private readonly ReceiptKeys receiptKeys;
    private readonly CredentialKeys credentialKeys;
    private readonly CredentialOperations credentials;
    private readonly JwsKeys jwsKeys;
    private readonly ITokenFormat format;
    private readonly TokenService tokens;
    private readonly TimeProvider time;
    private readonly ServiceConfig config;

    internal KeystoneAdmin(
        KeyRepository tokenKeys,
        ReceiptKeys receiptKeys,
        CredentialKeys credentialKeys,
        CredentialOperations credentials,
        JwsKeys jwsKeys,
        ITokenFormat format,
        TokenService tokens,
        TimeProvider time,
        ServiceConfig config)
    {
        this.tokenKeys = tokenKeys;
        this.receiptKeys = receiptKeys;
        this.credentialKeys = credentialKeys;
        this.credentials = credentials;
        this.jwsKeys = jwsKeys;
        this.format = format;
        this.tokens = tokens;
        this.time = time;
        this.config = config;
    }

    /// <summary>The directories of token and receipt keys, where they are not the same.</summary>
    public IEnumerable<string> TokenKeyDirectories => new[] { tokenKeys.Directory, receiptKeys.Repository.Directory }.Distinct();

    public string CredentialKeyDirectory => credentialKeys.Repository.Directory;

    public IEnumerable<string> JwsKeyDirectories => [jwsKeys.PrivateDirectory, jwsKeys.PublicDirectory];

    /// <summary>Makes the keys of tokens and receipts where there are none.</summary>
    public void SetupTokenKeys()
    {
        tokenKeys.Setup();
        receiptKeys.Repository.Setup();
    }

    /// <summary>Makes the staged keys primary and stages new ones; tokens of the former keys stay valid while those are kept.</summary>
    public void RotateTokenKeys()
    {
        tokenKeys.Rotate();
        if (!ReferenceEquals(receiptKeys.Repository, tokenKeys))
        {
            receiptKeys.Repository.Rotate();
        }
    }

    /// <summary>Makes the keys of credentials where there are none.</summary>
    public void SetupCredentialKeys() => credentialKeys.Repository.Setup();

    /// <exception cref="CloudException">A credential still needs an older key (409): after this rotation nothing could read it.</exception>
    public async Task RotateCredentialKeysAsync(CancellationToken cancellationToken)
    {
        if (!await credentials.IsMigratedAsync(cancellationToken))
        {
            throw CloudException.Conflict(
                "Not all credentials are encrypted with the newest key, and a rotation might remove the one that they need: run `sharpstack keystone credential-migrate` first.");
        }
        credentialKeys.Repository.Rotate();
    }

    /// <summary>Encrypts with the newest key what older keys encrypted.</summary>
    /// <returns>How many credentials were.</returns>
    public Task<int> MigrateCredentialsAsync(CancellationToken cancellationToken) => credentials.MigrateAsync(cancellationToken);

    /// <summary>Makes the pair of keys of JWS tokens.</summary>
    /// <param name="again">Also where there is one: tokens of the former stay valid, its public key stays.</param>
    /// <returns>False where there was one, and nothing was done.</returns>
    public bool CreateJwsKeys(bool again)
    {
        if (!again && jwsKeys.Exist)
        {
            return false;
        }
        jwsKeys.Create();
        return true;
    }

    /// <summary>What is wrong with this installation, and what to do about it; empty where nothing is.</summary>
    public async Task<IReadOnlyList<string>> DiagnoseAsync(CancellationToken cancellationToken)
    {
        var found = new List<string>();
        var usesJws = config.Get(KeystoneOptions.TokenProvider) == "jws";
        if (usesJws && !jwsKeys.Exist)
        {
            found.Add("[token] provider is jws and there is no key pair: run `sharpstack keystone create-jws-keypair`.");
        }
        if (!usesJws)
        {
            Look("tokens", tokenKeys, "fernet-setup");
        }
        Look("receipts", receiptKeys.Repository, "fernet-setup");
        Look("credentials", credentialKeys.Repository, "credential-setup");
        if (credentialKeys.Repository.Directory == tokenKeys.Directory)
        {
            found.Add("[credential] key_repository is the one of the tokens: a rotation of those would make credentials unreadable. Give it a directory of its own.");
        }
        if (config.Get(KeystoneOptions.MaxActiveKeys) < 2)
        {
            found.Add("[fernet_tokens] max_active_keys is below 2: nodes that have not got a new key yet refuse the tokens of those that have. Set 3.");
        }
        if (credentialKeys.Repository.Inspect().Count > 0)
        {
            if (!await credentials.IsMigratedAsync(cancellationToken))
            {
                found.Add("Some credentials are encrypted with an older key: run `sharpstack keystone credential-migrate`.");
            }
        }
        return found;

        void Look(string what, KeyRepository keys, string setup)
        {
            var (count, readable) = keys.Inspect();
            if (count == 0)
            {
                found.Add($"There are no keys of {what} in {keys.Directory}: run `sharpstack keystone {setup}`.");
            }
            if (readable)
            {
                found.Add($"The keys of {what} in {keys.Directory} can be read by every user of this machine: chmod 0700 the directory.");
            }
        }
    }

    /// <summary>What a token holds, as lines of a name and a value; nothing with which one could make another token.</summary>
    /// <exception cref="CloudException">None of the keys here made it (404).</exception>
    public async Task<IReadOnlyList<(string Name, string Value)>> ExplainAsync(string token, CancellationToken cancellationToken)
    {
        if (format.Open(token, out var issuedAt) is not { } payload)
        {
            throw CloudException.NotFound("None of the keys here made this token, or it is none: is it whole, and is [token] provider the one that made it?");
        }
        var valid = await tokens.FindAsync(token, TimeSpan.Zero, cancellationToken);
        var lines = new List<(string, string)>
        {
            ("kind", payload.Kind.ToString()),
            ("user", valid is null ? payload.UserId : $"{payload.UserId} ({valid.Authorization.User.Name})"),
            ("methods", string.Join(", ", AuthMethodMap.Names(payload.Methods))),
        };
        if (payload.ScopeId is { } scope)
        {
            lines.Add(("scope", valid?.Authorization.Project is { } project ? $"{scope} ({project.Name})" : scope));
        }
        if (payload.DelegationId is { } delegation)
        {
            lines.Add((payload.Kind switch { PayloadKind.Trust => "trust", PayloadKind.OAuth1 => "access token", _ => "application credential" }, delegation));
        }
        if (payload.Federation is { } federation)
        {
            lines.Add(("identity provider", $"{federation.IdentityProviderId} by {federation.ProtocolId}"));
            lines.Add(("groups", string.Join(", ", federation.GroupIds)));
        }
        lines.Add(("issued at", Time(issuedAt)));
        lines.Add(("expires at", Time(payload.ExpiresAt)));
        lines.Add(("audit ids", string.Join(", ", payload.AuditIds)));
        if (valid is not null)
        {
            lines.Add(("roles", string.Join(", ", valid.Authorization.Roles.Select(static role => role.Name))));
        }
        lines.Add(("state", valid is not null ? "valid" : time.GetUtcNow() >= payload.ExpiresAt ? "expired" : "refused: revoked, or its user, scope or roles are gone"));
        return lines;

        static string Time(DateTimeOffset instant) => instant.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
    }
}
