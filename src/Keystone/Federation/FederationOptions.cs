using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Federation;

/// <summary>The options of <c>[federation]</c> and <c>[saml]</c> in <c>keystone.conf</c>.</summary>
internal static class FederationOptions
{
    public static readonly ConfigOption<string> AssertionPrefix = new(
        "federation", "assertion_prefix", "", "Only attributes whose names begin so are given to the mapping.");

    public static readonly ConfigOption<string> RemoteIdAttribute = new(
        "federation", "remote_id_attribute", "", "The attribute of an assertion that names the identity provider, where neither the protocol nor its group of options says another.");

    public static readonly ConfigOption<IReadOnlyList<string>> TrustedDashboards = new(
        "federation", "trusted_dashboard", [], "Dashboards to which a browser may be sent back with a token: https://host/auth/websso. May be repeated.");

    public static readonly ConfigOption<string> SsoCallbackTemplate = new(
        "federation", "sso_callback_template", "", "An HTML file with $host and $token that posts the token to the dashboard; empty for the built-in page.");

    public static readonly ConfigOption<int> DefaultAuthorizationTtl = new(
        "federation", "default_authorization_ttl", 0, "Minutes for which group memberships that a mapping gave outlive the token; 0: they do not.") { Min = 0 };

    public static readonly ConfigOption<string> RelayStatePrefix = new(
        "saml", "relay_state_prefix", "ss:mem:", "What begins the RelayState that is sent to a service provider.");

    public static readonly ConfigOption<int> AssertionExpirationTime = new(
        "saml", "assertion_expiration_time", 3600, "Seconds for which an assertion made here is valid.") { Min = 1 };

    public static readonly ConfigOption<string> CertFile = new(
        "saml", "certfile", "", "The certificate, PEM, by which service providers check assertions made here.");

    public static readonly ConfigOption<string> KeyFile = new(
        "saml", "keyfile", "", "The private key, PEM, that signs assertions made here.");

    public static readonly ConfigOption<string> IdpEntityId = new(
        "saml", "idp_entity_id", "", "How this cloud calls itself as an identity provider, a URI.");

    public static readonly ConfigOption<string> IdpSsoEndpoint = new(
        "saml", "idp_sso_endpoint", "", "The URL of the single sign-on service that the metadata names.");

    public static readonly ConfigOption<string> IdpMetadataPath = new(
        "saml", "idp_metadata_path", "", "The file with the metadata that service providers read; empty to make them from the options.");

    public static readonly ConfigOption<string> IdpOrganizationName = new("saml", "idp_organization_name", "SAML Identity Provider", "The organization in the metadata.");

    public static readonly ConfigOption<string> IdpOrganizationUrl = new("saml", "idp_organization_url", "https://example.com/", "Its URL.");

    public static readonly ConfigOption<string> IdpContactEmail = new("saml", "idp_contact_email", "support@example.com", "Whom the metadata name as contact.");
}
