using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Security.Cryptography.Xml;
using System.Text;
using System.Xml;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Federation.Saml;

/// <summary>Whom this cloud vouches for before another one.</summary>
/// <param name="Groups">As <c>JSON:{"name": …, "domain": {"name": …}}</c>.</param>
internal sealed record SamlSubject(string User, string UserDomain, IReadOnlyList<string> Roles, string Project, string ProjectDomain, IReadOnlyList<string> Groups);

/// <summary>This cloud as an identity provider for others (Keystone to Keystone): signed assertions, and the metadata by which they are checked.</summary>
internal sealed class SamlIssuer(ServiceConfig config, TimeProvider time)
{
    private readonly string entityId = config.Get(FederationOptions.IdpEntityId);
    private readonly TimeSpan lifetime = TimeSpan.FromSeconds(config.Get(FederationOptions.AssertionExpirationTime));

    /// <summary>The metadata, from the configured file or made from the options.</summary>
    /// <exception cref="CloudException">Neither is configured (404), or what is cannot be read (503).</exception>
    public string Metadata()
    {
        if (config.Get(FederationOptions.IdpMetadataPath) is { Length: > 0 } path)
        {
            try
            {
                return File.ReadAllText(path);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                throw CloudException.Unavailable($"The metadata cannot be read from {path}: {failure.Message}", inner: failure);
            }
        }
        using var certificate = Certificate();
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("md", "EntityDescriptor", SamlNames.Metadata);
            xml.WriteAttributeString("entityID", entityId);
            xml.WriteStartElement("IDPSSODescriptor", SamlNames.Metadata);
            xml.WriteAttributeString("protocolSupportEnumeration", SamlNames.Protocol);
            xml.WriteStartElement("KeyDescriptor", SamlNames.Metadata);
            xml.WriteAttributeString("use", "signing");
            xml.WriteStartElement("ds", "KeyInfo", SamlNames.Signature);
            xml.WriteStartElement("X509Data", SamlNames.Signature);
            xml.WriteElementString("X509Certificate", SamlNames.Signature, Convert.ToBase64String(certificate.RawData));
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("SingleSignOnService", SamlNames.Metadata);
            xml.WriteAttributeString("Binding", "urn:oasis:names:tc:SAML:2.0:bindings:URI");
            xml.WriteAttributeString("Location", config.Get(FederationOptions.IdpSsoEndpoint));
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("Organization", SamlNames.Metadata);
            Localized("OrganizationName", config.Get(FederationOptions.IdpOrganizationName));
            Localized("OrganizationDisplayName", config.Get(FederationOptions.IdpOrganizationName));
            Localized("OrganizationURL", config.Get(FederationOptions.IdpOrganizationUrl));
            xml.WriteEndElement();
            xml.WriteStartElement("ContactPerson", SamlNames.Metadata);
            xml.WriteAttributeString("contactType", "support");
            xml.WriteElementString("EmailAddress", SamlNames.Metadata, config.Get(FederationOptions.IdpContactEmail));
            xml.WriteEndElement();
            xml.WriteEndElement();

            void Localized(string name, string value)
            {
                xml.WriteStartElement(name, SamlNames.Metadata);
                xml.WriteAttributeString("xml", "lang", null, "en");
                xml.WriteString(value);
                xml.WriteEndElement();
            }
        }
        return text.ToString();
    }

    /// <summary>A response with one signed assertion.</summary>
    /// <param name="recipient">The service provider's <c>sp_url</c>.</param>
    public XmlElement Vouch(SamlSubject subject, string recipient)
    {
        using var certificate = Certificate();
        var now = SamlNames.Text(time.GetUtcNow());
        var until = SamlNames.Text(time.GetUtcNow() + lifetime);
        var id = SamlNames.NewId();
        var document = new XmlDocument { PreserveWhitespace = true, XmlResolver = null };
        using (var xml = document.CreateNavigator()!.AppendChild())
        {
            xml.WriteStartElement("samlp", "Response", SamlNames.Protocol);
            xml.WriteAttributeString("xmlns", "saml", null, SamlNames.Assertion);
            xml.WriteAttributeString("ID", SamlNames.NewId());
            xml.WriteAttributeString("Version", "2.0");
            xml.WriteAttributeString("IssueInstant", now);
            xml.WriteAttributeString("Destination", recipient);
            WriteIssuer(xml);
            xml.WriteStartElement("Status", SamlNames.Protocol);
            xml.WriteStartElement("StatusCode", SamlNames.Protocol);
            xml.WriteAttributeString("Value", SamlNames.Success);
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("Assertion", SamlNames.Assertion);
            xml.WriteAttributeString("ID", id);
            xml.WriteAttributeString("Version", "2.0");
            xml.WriteAttributeString("IssueInstant", now);
            WriteIssuer(xml);
            xml.WriteStartElement("Subject", SamlNames.Assertion);
            xml.WriteElementString("NameID", SamlNames.Assertion, subject.User);
            xml.WriteStartElement("SubjectConfirmation", SamlNames.Assertion);
            xml.WriteAttributeString("Method", SamlNames.Bearer);
            xml.WriteStartElement("SubjectConfirmationData", SamlNames.Assertion);
            xml.WriteAttributeString("NotOnOrAfter", until);
            xml.WriteAttributeString("Recipient", recipient);
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("AuthnStatement", SamlNames.Assertion);
            xml.WriteAttributeString("AuthnInstant", now);
            xml.WriteAttributeString("SessionIndex", SamlNames.NewId());
            xml.WriteAttributeString("SessionNotOnOrAfter", until);
            xml.WriteStartElement("AuthnContext", SamlNames.Assertion);
            xml.WriteElementString("AuthnContextClassRef", SamlNames.Assertion, "urn:oasis:names:tc:SAML:2.0:ac:classes:Password");
            xml.WriteElementString("AuthenticatingAuthority", SamlNames.Assertion, entityId);
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("AttributeStatement", SamlNames.Assertion);
            WriteAttribute(xml, "openstack_user", [subject.User]);
            WriteAttribute(xml, "openstack_roles", subject.Roles);
            WriteAttribute(xml, "openstack_project", [subject.Project]);
            WriteAttribute(xml, "openstack_project_domain", [subject.ProjectDomain]);
            WriteAttribute(xml, "openstack_user_domain", [subject.UserDomain]);
            if (subject.Groups.Count > 0)
            {
                WriteAttribute(xml, "openstack_groups", subject.Groups);
            }
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteEndElement();
        }
        Sign(document, document.DocumentElement!.Child(SamlNames.Assertion, "Assertion")!, certificate);
        return document.DocumentElement!;
    }

    /// <summary>The response in the envelope that clients carry to the service provider (ECP profile).</summary>
    public static string Envelope(XmlElement response, string relayState)
    {
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("soap", "Envelope", SamlNames.Soap);
            xml.WriteStartElement("Header", SamlNames.Soap);
            xml.WriteStartElement("ecp", "RelayState", SamlNames.Ecp);
            xml.WriteForNextActor();
            xml.WriteString(relayState);
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("Body", SamlNames.Soap);
            response.WriteTo(xml);
            xml.WriteEndElement();
            xml.WriteEndElement();
        }
        return text.ToString();
    }

    private static void Sign(XmlDocument document, XmlElement assertion, X509Certificate2 certificate)
    {
        using var key = certificate.GetRSAPrivateKey();
        var signed = new SignedXml(assertion) { SigningKey = key };
        signed.SignedInfo!.CanonicalizationMethod = SignedXml.XmlDsigExcC14NTransformUrl;
        signed.SignedInfo.SignatureMethod = SignedXml.XmlDsigRSASHA256Url;
        var reference = new Reference("#" + assertion.GetAttribute("ID")) { DigestMethod = SignedXml.XmlDsigSHA256Url };
        reference.AddTransform(new XmlDsigEnvelopedSignatureTransform());
        reference.AddTransform(new XmlDsigExcC14NTransform());
        signed.AddReference(reference);
        signed.KeyInfo = new KeyInfo();
        signed.KeyInfo.AddClause(new KeyInfoX509Data(certificate));
        signed.ComputeSignature();
        // The schema wants it right after the issuer.
        assertion.InsertAfter(document.ImportNode(signed.GetXml(), deep: true), assertion.Child(SamlNames.Assertion, "Issuer"));
    }

    private void WriteIssuer(XmlWriter xml)
    {
        xml.WriteStartElement("Issuer", SamlNames.Assertion);
        xml.WriteAttributeString("Format", "urn:oasis:names:tc:SAML:2.0:nameid-format:entity");
        xml.WriteString(entityId);
        xml.WriteEndElement();
    }

    private static void WriteAttribute(XmlWriter xml, string name, IReadOnlyList<string> values)
    {
        xml.WriteStartElement("Attribute", SamlNames.Assertion);
        xml.WriteAttributeString("Name", name);
        foreach (var value in values)
        {
            xml.WriteElementString("AttributeValue", SamlNames.Assertion, value);
        }
        xml.WriteEndElement();
    }

    private X509Certificate2 Certificate()
    {
        var (certificate, key) = (config.Get(FederationOptions.CertFile), config.Get(FederationOptions.KeyFile));
        if (entityId.Length == 0 || certificate.Length == 0 || key.Length == 0)
        {
            throw CloudException.NotFound("This cloud does not vouch for its users: [saml] idp_entity_id, certfile and keyfile are not set.");
        }
        try
        {
            return X509Certificate2.CreateFromPemFile(certificate, key);
        }
        catch (Exception failure) when (failure is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw CloudException.Unavailable($"[saml] certfile and keyfile cannot be used: {failure.Message}", inner: failure);
        }
    }
}
