using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Xml;
using LinqToDB;
using LinqToDB.Async;
using Microsoft.AspNetCore.Http;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Federation.Saml;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Federation;

/// <summary>
/// Tokens for those whom another vouches for (Identity API v3, OS-FEDERATION): by a bearer token, by a browser that logs in at its provider (OpenID Connect,
/// SAML 2.0), by another cloud's assertion; and assertions for this cloud's own users before other clouds.
/// </summary>
internal sealed class FederationRoutes(
    KeystoneStore store,
    FederationProviders providers,
    AssertionReader assertions,
    FederatedLogin login,
    Authenticator authenticator,
    ExternalMethod proxy,
    TokenService tokens,
    TokenAnswers tokenAnswers,
    SsoCookies cookies,
    SamlIssuer issuer,
    Answers answers,
    ServiceConfig config)
{
    private const string Auth = "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth";
    private const string Callback = "/auth/OS-FEDERATION/oidc/callback";
    private const string AssertionConsumer = "/auth/OS-FEDERATION/saml2/acs";
    private const long LargestForm = 1 << 20;

    /// <summary>Where Apache's mod_shib takes assertions; other clouds know a cloud that stood behind one by it.</summary>
    private const string Shibboleth = "/Shibboleth.sso/SAML2/ECP";

    private static readonly JsonSchema SamlBody = Schemas.Envelope("auth", JsonSchema.Object(
        false,
        ("identity!", JsonSchema.Object(false, ("token!", JsonSchema.Object(false, ("id!", Schemas.Text))), ("methods", new JsonSchema { Types = ["array"] }))),
        ("scope!", JsonSchema.Object(false, ("service_provider!", JsonSchema.Object(false, ("id!", Schemas.Text)))))));

    private readonly IReadOnlyList<string> dashboards = config.Get(FederationOptions.TrustedDashboards);
    private readonly string template = config.Get(FederationOptions.SsoCallbackTemplate);

    public void Map(ApiRoutes routes)
    {
        routes.Get(Auth, AuthenticateAsync).Public();
        routes.Head(Auth, AuthenticateAsync).Public();
        routes.Post(Auth, AuthenticateAsync).Public();
        foreach (var method in new[] { "GET", "HEAD", "POST" })
        {
            routes.Map(method, "/v3/auth/OS-FEDERATION/websso/{protocol_id}", BeginAnyAsync).Public();
            routes.Map(method, "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso", BeginAsync).Public();
        }
        routes.Get("/v3" + Callback, EndOpenIdAsync).Public();
        routes.Post("/v3" + AssertionConsumer, EndSamlAsync).Public();
        routes.Post("/v3/auth/OS-FEDERATION/saml2/sp/{idp_id}/ecp", ReceiveAsync).Public();
        routes.Post(Shibboleth, ReceiveFromAnyAsync).Public();
        routes.Get("/v3/auth/OS-FEDERATION/saml2/sp/{idp_id}/metadata", ServiceMetadataAsync).Public();
        routes.Get("/v3/OS-FEDERATION/saml2/metadata", MetadataAsync).Public();
        routes.Head("/v3/OS-FEDERATION/saml2/metadata", MetadataAsync).Public();
        routes.Post("/v3/auth/OS-FEDERATION/saml2", context => VouchAsync(context, static (response, _) => response.OuterXml)).Public().Body(SamlBody);
        routes.Post("/v3/auth/OS-FEDERATION/saml2/ecp", context => VouchAsync(context, SamlIssuer.Envelope)).Public().Body(SamlBody);
    }

    private async Task AuthenticateAsync(ApiContext context)
    {
        var (idp, protocol) = (context.Route("idp_id"), context.Route("protocol_id"));
        if (await assertions.ReadAsync(context.Http, idp, context.Aborted) is not { } assertion)
        {
            if (!IsEnhancedClient(context.Http.Request) || providers.Saml(idp) is not { } saml)
            {
                throw CloudException.Unauthorized();
            }
            await BeginEnhancedAsync(context, saml, idp, protocol);
            return;
        }
        var subject = await login.LoginAsync(idp, protocol, assertion, context.Aborted);
        await tokenAnswers.WriteAsync(context, 201, await authenticator.IssueAsync(subject, context.Aborted));
    }

    /// <summary>Whether the client would carry a request to its provider itself (ECP): it takes PAOS, and says so in both headers.</summary>
    private static bool IsEnhancedClient(HttpRequest request) =>
        request.Headers.Accept.ToString().Contains(SamlNames.PaosType, StringComparison.OrdinalIgnoreCase)
        && request.Headers["PAOS"].ToString().Contains(SamlNames.Ecp, StringComparison.Ordinal);

    /// <summary>Gives the client the request that it brings to its provider; the provider's answer comes back to <see cref="ReceiveAsync"/>.</summary>
    private async Task BeginEnhancedAsync(ApiContext context, SamlProvider saml, string idp, string protocol)
    {
        await using (var db = store.Read())
        {
            await ProtocolRoutes.GetAsync(db, idp, protocol, context.Aborted);
        }
        var root = answers.Root(context);
        var state = new SsoState(SsoCookies.NewId(), idp, protocol, "", SamlNames.NewId(), "");
        var envelope = saml.RequestEnvelope(state.Nonce, OwnEntityId(saml, root, idp), Receiver(root, idp), cookies.Seal(state));
        // Clients compare the type to the letter, so it names no charset.
        context.Http.Response.ContentType = SamlNames.PaosType;
        context.Http.Response.Headers.CacheControl = "no-store";
        await context.Http.Response.WriteAsync(envelope, context.Aborted);
    }

    private async Task BeginAnyAsync(ApiContext context)
    {
        var protocol = context.Route("protocol_id");
        await using var db = store.Read();
        var rows = await db.FederationProtocols().Where(p => p.Id == protocol).ToListAsync(context.Aborted);
        if (proxy.Assertion(context.Http.Request) is { } vouched)
        {
            var remote = rows.Select(r => login.RemoteIdAttributeOf(r) is { } name && vouched.Attributes.TryGetValue(name, out var value) ? value[0] : null).FirstOrDefault(static r => r is not null)
                ?? throw CloudException.Unauthorized("Missing entity ID from environment");
            var idp = await db.RemoteIds().Where(r => r.RemoteId == remote).Select(static r => r.IdpId).FirstOrDefaultAsync(context.Aborted)
                ?? throw Fail.NotFound("Identity Provider", remote);
            await SendTokenAsync(context, Origin(context), await login.LoginAsync(idp, protocol, vouched, context.Aborted));
            return;
        }
        var here = rows.Where(r => providers.OpenId(r.IdpId) is not null || providers.Saml(r.IdpId) is not null).Select(static r => r.IdpId).ToArray();
        await BeginAsync(context, here switch
        {
            [var only] => only,
            [] => throw CloudException.NotFound($"No identity provider is configured for protocol {protocol}."),
            _ => throw CloudException.BadRequest($"Several identity providers have protocol {protocol}: use the address with the provider's id in it."),
        });
    }

    private async Task BeginAsync(ApiContext context)
    {
        var idp = context.Route("idp_id");
        if (proxy.Assertion(context.Http.Request) is { } vouched)
        {
            await SendTokenAsync(context, Origin(context), await login.LoginAsync(idp, context.Route("protocol_id"), vouched, context.Aborted));
            return;
        }
        await BeginAsync(context, idp);
    }

    /// <summary>Sends the browser to its provider.</summary>
    private async Task BeginAsync(ApiContext context, string idp)
    {
        var origin = Origin(context);
        var root = answers.Root(context);
        string url;
        SsoState state;
        if (providers.OpenId(idp) is { } openId)
        {
            state = new(SsoCookies.NewId(), idp, context.Route("protocol_id"), origin, SsoCookies.NewId(), SsoCookies.NewId() + SsoCookies.NewId());
            url = await openId.AuthorizationUrlAsync(root + Callback, state.Id, state.Nonce, state.Verifier, context.Aborted);
        }
        else if (providers.Saml(idp) is { } saml)
        {
            state = new(SsoCookies.NewId(), idp, context.Route("protocol_id"), origin, SamlNames.NewId(), "");
            url = saml.RequestUrl(state.Nonce, OwnEntityId(saml, root, idp), root + AssertionConsumer, state.Id);
        }
        else
        {
            throw CloudException.NotFound($"There is no [oidc_{idp}] or [saml2_{idp}] in the configuration.");
        }
        cookies.Begin(context.Http, state);
        context.Http.Response.Headers.CacheControl = "no-store";
        context.Http.Response.Redirect(url);
    }

    private async Task EndOpenIdAsync(ApiContext context)
    {
        var state = cookies.End(context.Http, context.Query["state"]) ?? throw Stale();
        if (context.Query["code"] is not { Length: > 0 } code)
        {
            throw CloudException.Unauthorized($"The identity provider refused: {context.Query["error"] ?? "it gave no code"}.");
        }
        var provider = providers.OpenId(state.IdpId) ?? throw Stale();
        var assertion = await provider.ByCodeAsync(code, answers.Root(context) + Callback, state.Nonce, state.Verifier, context.Aborted);
        await SendTokenAsync(context, state.Origin, await login.LoginAsync(state.IdpId, state.ProtocolId, assertion, context.Aborted));
    }

    private async Task EndSamlAsync(ApiContext context)
    {
        if (!context.Http.Request.HasFormContentType || context.Http.Request.ContentLength is null or > LargestForm)
        {
            throw CloudException.BadRequest("The identity provider must post a form with SAMLResponse, of a mebibyte at most.");
        }
        var form = await context.Http.Request.ReadFormAsync(context.Aborted);
        var state = cookies.End(context.Http, form["RelayState"]) ?? throw Stale();
        var provider = providers.Saml(state.IdpId) ?? throw Stale();
        var root = answers.Root(context);
        var bytes = new byte[form["SAMLResponse"].ToString().Length];
        if (!Convert.TryFromBase64String(form["SAMLResponse"].ToString(), bytes, out var length))
        {
            throw CloudException.BadRequest("SAMLResponse must be in Base64.");
        }
        var assertion = provider.Verify(
            SamlNames.Load(new MemoryStream(bytes, 0, length)).DocumentElement!, root + AssertionConsumer, OwnEntityId(provider, root, state.IdpId), state.Nonce);
        await SendTokenAsync(context, state.Origin, await login.LoginAsync(state.IdpId, state.ProtocolId, assertion, context.Aborted));
    }

    /// <summary>
    /// A client brings its provider's answer to our request, or another cloud's assertion that nobody asked for (ECP): what it says is remembered for the
    /// request for a token that follows.
    /// </summary>
    private async Task ReceiveAsync(ApiContext context)
    {
        var idp = context.Route("idp_id");
        var provider = Saml(idp);
        var (response, relayState) = await EnvelopeAsync(context);
        await EnterAsync(context, idp, provider, response, relayState, Receiver(answers.Root(context), idp));
    }

    /// <summary>The same at the one address for all providers: the assertion's issuer says whose it is, which the provider's key then has to prove.</summary>
    private async Task ReceiveFromAnyAsync(ApiContext context)
    {
        var (response, relayState) = await EnvelopeAsync(context);
        var issuer = response.Child(SamlNames.Assertion, "Assertion")?.Child(SamlNames.Assertion, "Issuer")?.InnerText.Trim();
        string idp;
        await using (var db = store.Read())
        {
            idp = await db.RemoteIds().Where(r => r.RemoteId == issuer).Select(static r => r.IdpId).FirstOrDefaultAsync(context.Aborted)
                ?? throw CloudException.Unauthorized("No identity provider has the SAML assertion's issuer as a remote id.");
        }
        await EnterAsync(context, idp, Saml(idp), response, relayState, answers.Root(context)[..^"/v3".Length] + Shibboleth);
    }

    /// <summary>The response in the envelope that a client brings, and the state that goes with it.</summary>
    private static async Task<(XmlElement Response, string? RelayState)> EnvelopeAsync(ApiContext context)
    {
        if (context.Http.Request.ContentLength is null or > LargestForm)
        {
            throw CloudException.BadRequest("The envelope must have a length, of a mebibyte at most.");
        }
        using var body = new MemoryStream();
        await context.Http.Request.Body.CopyToAsync(body, context.Aborted);
        body.Position = 0;
        var envelope = SamlNames.Load(body).DocumentElement!;
        var (response, relayState) = envelope is { NamespaceURI: SamlNames.Soap, LocalName: "Envelope" }
            ? (envelope.Child(SamlNames.Soap, "Body")?.Child(SamlNames.Protocol, "Response"), envelope.Child(SamlNames.Soap, "Header")?.Child(SamlNames.Ecp, "RelayState")?.InnerText.Trim())
            : (envelope, null);
        return (response ?? throw CloudException.BadRequest("The envelope holds no SAML response."), relayState);
    }

    private async Task EnterAsync(ApiContext context, string idp, SamlProvider provider, XmlElement response, string? relayState, string receiver)
    {
        var root = answers.Root(context);
        var begun = relayState is not null && cookies.Open(relayState) is { Origin.Length: 0 } state && state.IdpId == idp ? state : null;
        var assertion = provider.Verify(response, receiver, OwnEntityId(provider, root, idp), begun?.Nonce);
        cookies.Remember(context.Http, new(idp, assertion.Attributes.ToDictionary(static a => a.Key, static a => a.Value.ToList()), assertion.RemoteUser));
        context.Http.Response.Headers.Location = $"{root}/OS-FEDERATION/identity_providers/{idp.Escaped()}/protocols/{(begun?.ProtocolId ?? await FirstProtocolAsync(idp, context.Aborted)).Escaped()}/auth";
        await context.NoContentAsync(303);
    }

    /// <summary>Where another cloud's user goes on: the first protocol of the provider.</summary>
    private async Task<string> FirstProtocolAsync(string idp, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        return await db.FederationProtocols().Where(p => p.IdpId == idp).OrderBy(static p => p.Id).Select(static p => p.Id).FirstOrDefaultAsync(cancellationToken)
            ?? throw Fail.NotFound("Identity Provider", idp);
    }

    private Task ServiceMetadataAsync(ApiContext context)
    {
        var idp = context.Route("idp_id");
        var provider = Saml(idp);
        var root = answers.Root(context);
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("md", "EntityDescriptor", SamlNames.Metadata);
            xml.WriteAttributeString("entityID", OwnEntityId(provider, root, idp));
            xml.WriteStartElement("SPSSODescriptor", SamlNames.Metadata);
            xml.WriteAttributeString("protocolSupportEnumeration", SamlNames.Protocol);
            xml.WriteAttributeString("WantAssertionsSigned", "true");
            WriteConsumer(0, SamlNames.PostBinding, root + AssertionConsumer);
            WriteConsumer(1, SamlNames.PaosBinding, Receiver(root, idp));
            xml.WriteEndElement();
            xml.WriteEndElement();

            void WriteConsumer(int index, string binding, string location)
            {
                xml.WriteStartElement("AssertionConsumerService", SamlNames.Metadata);
                xml.WriteAttributeString("Binding", binding);
                xml.WriteAttributeString("Location", location);
                xml.WriteAttributeString("index", index.ToString(CultureInfo.InvariantCulture));
                xml.WriteEndElement();
            }
        }
        return XmlAsync(context, text.ToString());
    }

    private Task MetadataAsync(ApiContext context) => XmlAsync(context, issuer.Metadata());

    private async Task VouchAsync(ApiContext context, Func<XmlElement, string, string> render)
    {
        var auth = (await context.ReadJsonAsync()).GetProperty("auth");
        var id = auth.GetProperty("scope").GetProperty("service_provider").Text("id")!;
        await using var db = store.Read();
        var token = await tokens.FindAsync(auth.GetProperty("identity").GetProperty("token").Text("id")!, TimeSpan.Zero, context.Aborted) ?? throw CloudException.NotFound("Failed to validate token");
        var provider = await ServiceProviderRoutes.GetAsync(db, id, context.Aborted);
        if (!provider.Enabled)
        {
            throw CloudException.Forbidden($"Service Provider {id} is disabled");
        }
        var authorization = token.Authorization;
        if (authorization.Project is null)
        {
            throw CloudException.Forbidden("You are not authorized to perform the requested action: Use a project scoped token when attempting to create a SAML assertion.");
        }
        var userId = authorization.User.Id;
        var groups = await (
            from m in db.Memberships()
            join g in db.Groups() on m.GroupId equals g.Id
            join d in db.Projects() on g.DomainId equals d.Id
            where m.UserId == userId
            orderby g.Id
            select new { g.Name, Domain = d.Name }).ToListAsync(context.Aborted);
        var subject = new SamlSubject(
            authorization.User.Name,
            authorization.UserDomain.Name,
            [.. authorization.Roles.Select(static r => r.Name)],
            authorization.Project.Name,
            authorization.Domain!.Name,
            [.. groups.Select(static g => $"JSON:{JsonSerializer.Serialize(new { name = g.Name, domain = new { name = g.Domain } })}")]);
        context.Http.Response.Headers["X-sp-url"] = provider.SpUrl;
        context.Http.Response.Headers["X-auth-url"] = provider.AuthUrl;
        await XmlAsync(context, render(issuer.Vouch(subject, provider.SpUrl), provider.RelayStatePrefix + SsoCookies.NewId()));
    }

    private async Task SendTokenAsync(ApiContext context, string dashboard, FederatedSubject subject)
    {
        var token = await authenticator.IssueAsync(subject, context.Aborted);
        await SsoPage.WriteAsync(context.Http, template.Length > 0 ? await File.ReadAllTextAsync(template, context.Aborted) : null, dashboard, token.Id);
    }

    /// <summary>The dashboard that sent the browser here; only one that the configuration names gets a token.</summary>
    private string Origin(ApiContext context)
    {
        var origin = context.Query["origin"] is { Length: > 0 } given ? given : throw CloudException.BadRequest("Request must have an origin query parameter");
        return dashboards.Contains(origin) ? origin : throw CloudException.Unauthorized($"{origin} is not a trusted dashboard host");
    }

    private SamlProvider Saml(string idp) => providers.Saml(idp) ?? throw CloudException.NotFound($"There is no [saml2_{idp}] in the configuration.");

    private static string OwnEntityId(SamlProvider provider, string root, string idp) => provider.OwnEntityId ?? $"{root}/auth/OS-FEDERATION/saml2/sp/{idp.Escaped()}/metadata";

    private static string Receiver(string root, string idp) => $"{root}/auth/OS-FEDERATION/saml2/sp/{idp.Escaped()}/ecp";

    private static Task XmlAsync(ApiContext context, string xml)
    {
        context.Http.Response.ContentType = "text/xml; charset=utf-8";
        return HttpMethods.IsHead(context.Http.Request.Method) ? Task.CompletedTask : context.Http.Response.WriteAsync(xml, context.Aborted);
    }

    private static CloudException Stale() => CloudException.Unauthorized("This login was not begun here, or too long ago: begin again at the dashboard.");
}
