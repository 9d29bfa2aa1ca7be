using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.IdentityModel.Tokens;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Federation;

/// <summary>What a login remembers while the browser is at its identity provider.</summary>
/// <param name="Id">Goes with the browser to the provider and back (<c>state</c>, <c>RelayState</c>).</param>
/// <param name="Origin">The dashboard to which the token goes.</param>
/// <param name="Nonce">What the provider's answer must repeat: the ID token's nonce, the SAML request's id.</param>
/// <param name="Verifier">The secret of the code exchange; empty for SAML.</param>
internal sealed record SsoState(string Id, string IdpId, string ProtocolId, string Origin, string Nonce, string Verifier);

/// <summary>What a provider said of a client that will ask for its token in a moment.</summary>
internal sealed record SsoSession(string IdpId, Dictionary<string, List<string>> Attributes, string? RemoteUser);

[JsonSerializable(typeof(SsoState))]
[JsonSerializable(typeof(SsoSession))]
internal sealed partial class SsoJson : JsonSerializerContext;

/// <summary>
/// Keeps a login's state in the browser, encrypted by the token keys: every process that shares them can end what another began, and only the browser
/// that began it.
/// </summary>
internal sealed class SsoCookies(KeyRepository keys, TimeProvider time)
{
    private const string LoginCookie = "keystone-sso";
    private const string SessionCookie = "keystone-federation";

    private static readonly TimeSpan LoginAge = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan SessionAge = TimeSpan.FromMinutes(1);

    public static string NewId() => Base64UrlEncoder.Encode(RandomNumberGenerator.GetBytes(24));

    public void Begin(HttpContext http, SsoState state) => Set(http, LoginCookie, JsonSerializer.SerializeToUtf8Bytes(state, SsoJson.Default.SsoState), LoginAge);

    /// <summary>Null where this browser has begun no login of that id, or too long ago.</summary>
    public SsoState? End(HttpContext http, string? id)
    {
        var state = Read(http, LoginCookie, LoginAge) is { } text ? JsonSerializer.Deserialize(text, SsoJson.Default.SsoState) : null;
        http.Response.Cookies.Delete(LoginCookie);
        return state is not null && id is not null && CryptographicOperations.FixedTimeEquals(System.Text.Encoding.UTF8.GetBytes(state.Id), System.Text.Encoding.UTF8.GetBytes(id)) ? state : null;
    }

    /// <summary>The same of a client that keeps no cookies until it has logged in (ECP): the state goes with it, sealed.</summary>
    public string Seal(SsoState state) => keys.Encrypt(JsonSerializer.SerializeToUtf8Bytes(state, SsoJson.Default.SsoState), time.GetUtcNow());

    /// <summary>Null where it is no state that was sealed here, or is too old.</summary>
    public SsoState? Open(string sealedState) => Open(sealedState, LoginAge) is { } text ? JsonSerializer.Deserialize(text, SsoJson.Default.SsoState) : null;

    public void Remember(HttpContext http, SsoSession session) => Set(http, SessionCookie, JsonSerializer.SerializeToUtf8Bytes(session, SsoJson.Default.SsoSession), SessionAge);

    public SsoSession? Recall(HttpContext http) => Read(http, SessionCookie, SessionAge) is { } text ? JsonSerializer.Deserialize(text, SsoJson.Default.SsoSession) : null;

    private void Set(HttpContext http, string name, byte[] content, TimeSpan age) =>
        http.Response.Cookies.Append(name, keys.Encrypt(content, time.GetUtcNow()), new CookieOptions
        {
            HttpOnly = true,
            Secure = http.Request.IsHttps,
            // SAML comes back by a POST from the provider's site, which carries a cookie only so.
            SameSite = http.Request.IsHttps ? SameSiteMode.None : SameSiteMode.Unspecified,
            MaxAge = age,
            Path = "/v3",
        });

    private byte[]? Read(HttpContext http, string name, TimeSpan age) => http.Request.Cookies[name] is { } cookie ? Open(cookie, age) : null;

    private byte[]? Open(string text, TimeSpan age)
    {
        // A token is encrypted by the same keys, but is no object in JSON.
        return text is { Length: > 0 and < 8192 } && keys.Decrypt(text, out var at) is [(byte)'{', ..] content && time.GetUtcNow() < at + age + TimeSpan.FromSeconds(1)
            ? content
            : null;
    }
}
