using System.Net;
using System.Collections.Concurrent;
using System.Security.Claims;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;
using OpenIddict.Abstractions;
using OpenIddict.Server;
using static OpenIddict.Abstractions.OpenIddictConstants;
using static OpenIddict.Server.OpenIddictServerEvents;

namespace SharpStack.Keystone.Tests.Federation;

/// <summary>A real OpenID Connect provider (OpenIddict) on a port of its own, whose only user is bob.</summary>
internal sealed class OpenIddictServer : IAsyncDisposable
{
    public const string ClientId = "keystone";
    public const string ClientSecret = "client/secret+1";

    // Those of servers that are gone: to make them takes longer than most tests. No two that run have the same.
    private static readonly ConcurrentBag<Keys> Free = [];

    private readonly WebApplication app;
    private readonly Keys keys;

    private OpenIddictServer(WebApplication app, Keys keys)
    {
        this.app = app;
        this.keys = keys;
    }

    private sealed record Keys(RsaSecurityKey Signing, RsaSecurityKey Encryption)
    {
        public static Keys New() => new(NewKey(), NewKey());

        private static RsaSecurityKey NewKey() => new(RSA.Create(2048)) { KeyId = Guid.NewGuid().ToString("N") };
    }

    public string Issuer => app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single() + "/";

    /// <param name="groups">What the provider says of bob.</param>
    /// <param name="audience">Whom its access tokens are for.</param>
    /// <param name="opaque">Whether access tokens can only be looked up.</param>
    public static async Task<OpenIddictServer> StartAsync(string[]? groups = null, string audience = ClientId, bool opaque = false)
    {
        var keys = Free.TryTake(out var free) ? free : Keys.New();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(static kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        builder.Services.AddOpenIddict().AddServer(options =>
        {
            options.EnableDegradedMode();
            options.SetAuthorizationEndpointUris("authorize").SetTokenEndpointUris("token").SetIntrospectionEndpointUris("introspect").SetUserInfoEndpointUris("userinfo");
            options.AllowAuthorizationCodeFlow().AllowClientCredentialsFlow().RequireProofKeyForCodeExchange();
            options.RegisterScopes(Scopes.OpenId, Scopes.Email, Scopes.Profile);
            options.AddEncryptionKey(keys.Encryption).AddSigningKey(keys.Signing);
            if (!opaque)
            {
                options.DisableAccessTokenEncryption();
            }
            options.UseAspNetCore().DisableTransportSecurityRequirement();
            options.AddEventHandler<ValidateAuthorizationRequestContext>(static handler => handler.UseInlineHandler(static context =>
            {
                if (context.ClientId != ClientId)
                {
                    context.Reject(Errors.InvalidClient);
                }
                return default;
            }));
            options.AddEventHandler<ValidateTokenRequestContext>(static handler => handler.UseInlineHandler(static context =>
            {
                if (context.ClientId != ClientId || context.ClientSecret != ClientSecret)
                {
                    context.Reject(Errors.InvalidClient);
                }
                return default;
            }));
            options.AddEventHandler<ValidateIntrospectionRequestContext>(static handler => handler.UseInlineHandler(static context =>
            {
                if (context.ClientId != ClientId || context.ClientSecret != ClientSecret)
                {
                    context.Reject(Errors.InvalidClient);
                }
                return default;
            }));
            options.AddEventHandler<HandleAuthorizationRequestContext>(handler => handler.UseInlineHandler(context =>
            {
                context.SignIn(Bob(context.Request.GetScopes(), groups ?? [], audience));
                return default;
            }));
            options.AddEventHandler<HandleTokenRequestContext>(handler => handler.UseInlineHandler(context =>
            {
                if (context.Request.IsClientCredentialsGrantType())
                {
                    context.SignIn(Bob(context.Request.GetScopes(), groups ?? [], audience));
                }
                return default;
            }));
            options.AddEventHandler<HandleUserInfoRequestContext>(static handler => handler.UseInlineHandler(static context =>
            {
                context.Claims["department"] = "research";
                return default;
            }));
        });
        var app = builder.Build();
        app.UseAuthentication();
        await app.StartAsync(TestContext.Current.CancellationToken);
        var server = new OpenIddictServer(app, keys);
        // The first answer of a cold server may take longer than a login waits.
        using var http = new HttpClient();
        _ = await http.GetStringAsync(new Uri(server.Issuer + ".well-known/openid-configuration"), TestContext.Current.CancellationToken);
        return server;
    }

    /// <summary>An access token, as a client of the provider gets it.</summary>
    public async Task<string> AccessTokenAsync()
    {
        using var http = new HttpClient();
        using var form = new FormUrlEncodedContent(new Dictionary<string, string>
        {
            ["grant_type"] = "client_credentials", ["client_id"] = ClientId, ["client_secret"] = ClientSecret, ["scope"] = "openid email",
        });
        using var answer = await http.PostAsync(new Uri(Issuer + "token"), form, TestContext.Current.CancellationToken);
        var text = await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, text);
        using var json = System.Text.Json.JsonDocument.Parse(text);
        return json.RootElement.GetProperty("access_token").GetString()!;
    }

    public async ValueTask DisposeAsync()
    {
        await app.StopAsync();
        await app.DisposeAsync();
        Free.Add(keys);
    }

    private static ClaimsPrincipal Bob(IEnumerable<string> scopes, string[] groups, string audience)
    {
        var identity = new ClaimsIdentity("OpenIddict");
        identity.SetClaim(Claims.Subject, "bob-1").SetClaim(Claims.PreferredUsername, "bob").SetClaim(Claims.Email, "bob@example.com").SetClaims("groups", [.. groups]);
        identity.SetScopes(scopes);
        identity.SetAudiences(audience);
        identity.SetDestinations(static _ => [Destinations.AccessToken, Destinations.IdentityToken]);
        return new(identity);
    }
}
