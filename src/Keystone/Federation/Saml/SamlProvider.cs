using System.Collections.Concurrent;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Security.Cryptography.Xml;
using System.Text;
using System.Xml;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Federation.Saml;

/// <summary>
/// An identity provider by SAML 2.0 (Web Browser SSO and ECP profiles), configured by <c>[saml2_PROVIDER] idp_metadata</c>. What counts is read only from the very
/// element whose signature held, so that nothing wrapped around it is believed.
/// </summary>
internal sealed class SamlProvider
{
    private static readonly TimeSpan Skew = TimeSpan.FromSeconds(60);

    private static readonly string[] SignatureMethods = [SignedXml.XmlDsigRSASHA256Url, SignedXml.XmlDsigRSASHA384Url, SignedXml.XmlDsigRSASHA512Url];
    private static readonly string[] DigestMethods = [SignedXml.XmlDsigSHA256Url, SignedXml.XmlDsigSHA384Url, SignedXml.XmlDsigSHA512Url];

    private static readonly string[] Transforms =
    [
        SignedXml.XmlDsigEnvelopedSignatureTransformUrl, SignedXml.XmlDsigExcC14NTransformUrl, SignedXml.XmlDsigExcC14NWithCommentsTransformUrl,
    ];

    private readonly string entityId;
    private readonly string? ssoUrl;
    private readonly string? soapUrl;
    private readonly IReadOnlyList<X509Certificate2> certificates;
    private readonly TimeProvider time;
    private readonly ConcurrentDictionary<string, DateTimeOffset> used = new(StringComparer.Ordinal);
    private long sweptAt;

    private SamlProvider(string entityId, string? ssoUrl, string? soapUrl, IReadOnlyList<X509Certificate2> certificates, string? ownEntityId, TimeProvider time)
    {
        this.entityId = entityId;
        this.ssoUrl = ssoUrl;
        this.soapUrl = soapUrl;
        this.certificates = certificates;
        this.time = time;
        OwnEntityId = ownEntityId;
    }

    /// <summary>How this cloud calls itself as a service provider, where the configuration says so.</summary>
    public string? OwnEntityId { get; }

    /// <summary>Null where the provider is not configured.</summary>
    /// <exception cref="CloudException">The metadata cannot be read (503).</exception>
    public static SamlProvider? Read(ServiceConfig config, string provider, TimeProvider time)
    {
        var group = $"saml2_{provider}";
        if (config.Get(new ConfigOption<string>(group, "idp_metadata", "", "A file with the provider's metadata.")) is not { Length: > 0 } path)
        {
            return null;
        }
        var own = config.Get(new ConfigOption<string>(group, "sp_entity_id", "", "How this cloud calls itself; empty for the URL of its metadata."));
        try
        {
            using var file = File.OpenRead(path);
            return Parse(SamlNames.Load(file), own.Length > 0 ? own : null, time);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or CryptographicException or CloudException)
        {
            throw CloudException.Unavailable($"The metadata of identity provider {provider} cannot be read from {path}: {failure.Message}", inner: failure);
        }
    }

    /// <summary>The URL to which a browser is sent to log in (HTTP-Redirect binding).</summary>
    public string RequestUrl(string requestId, string ownEntityId, string assertionConsumer, string relayState)
    {
        var target = ssoUrl ?? throw CloudException.Unavailable($"The identity provider {entityId} names no single sign-on service with the redirect binding.");
        var request = new StringBuilder();
        using (var xml = XmlWriter.Create(request, new XmlWriterSettings { OmitXmlDeclaration = true }))
        {
            WriteRequest(xml, requestId, ownEntityId, assertionConsumer, SamlNames.PostBinding, target);
        }
        using var packed = new MemoryStream();
        using (var deflate = new DeflateStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        {
            deflate.Write(Encoding.UTF8.GetBytes(request.ToString()));
        }
        var separator = target.Contains('?', StringComparison.Ordinal) ? '&' : '?';
        return $"{target}{separator}SAMLRequest={Uri.EscapeDataString(Convert.ToBase64String(packed.ToArray()))}&RelayState={Uri.EscapeDataString(relayState)}";
    }

    /// <summary>The envelope with a request that a client without a browser carries to its provider (ECP profile).</summary>
    public string RequestEnvelope(string requestId, string ownEntityId, string assertionConsumer, string relayState)
    {
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("S", "Envelope", SamlNames.Soap);
            xml.WriteStartElement("Header", SamlNames.Soap);
            xml.WriteStartElement("paos", "Request", SamlNames.Paos);
            xml.WriteForNextActor();
            xml.WriteAttributeString("responseConsumerURL", assertionConsumer);
            xml.WriteAttributeString("service", SamlNames.Ecp);
            xml.WriteEndElement();
            xml.WriteStartElement("ecp", "Request", SamlNames.Ecp);
            xml.WriteForNextActor();
            xml.WriteAttributeString("IsPassive", "false");
            xml.WriteElementString("saml", "Issuer", SamlNames.Assertion, ownEntityId);
            xml.WriteEndElement();
            xml.WriteStartElement("ecp", "RelayState", SamlNames.Ecp);
            xml.WriteForNextActor();
            xml.WriteString(relayState);
            xml.WriteEndElement();
            xml.WriteEndElement();
            xml.WriteStartElement("Body", SamlNames.Soap);
            WriteRequest(xml, requestId, ownEntityId, assertionConsumer, SamlNames.PaosBinding, soapUrl);
            xml.WriteEndElement();
            xml.WriteEndElement();
        }
        return text.ToString();
    }

    /// <summary>What a response says, once all of it has been proven. A response is taken once.</summary>
    /// <param name="response">A <c>samlp:Response</c>.</param>
    /// <param name="requestId">The request that it must answer; null for one that nobody asked for (another cloud's).</param>
    /// <exception cref="CloudException">Something does not hold (401).</exception>
    public Assertion Verify(XmlElement response, string assertionConsumer, string ownEntityId, string? requestId)
    {
        Require(response is { NamespaceURI: SamlNames.Protocol, LocalName: "Response" } && response.GetAttribute("Version") == "2.0", "is no response of SAML 2.0");
        var code = response.Child(SamlNames.Protocol, "Status")?.Child(SamlNames.Protocol, "StatusCode")?.GetAttribute("Value");
        Require(code == SamlNames.Success, $"reports {code ?? "no status"}");
        Require(response.Value("Destination") is null or { Length: 0 } || response.GetAttribute("Destination") == assertionConsumer, "is for another address");
        Require(response.Value("InResponseTo") is not { } answered || answered == requestId, "answers another request");

        var signed = SignedElement(response);
        var assertion = signed.LocalName == "Assertion" ? signed : signed.Child(SamlNames.Assertion, "Assertion")!;
        Require(assertion.Child(SamlNames.Assertion, "Issuer")?.InnerText.Trim() == entityId, "was issued by another provider");
        CheckConditions(assertion, ownEntityId);
        var subject = assertion.Child(SamlNames.Assertion, "Subject");
        Require(
            subject is not null && subject.Children(SamlNames.Assertion, "SubjectConfirmation").Any(c => IsConfirmed(c, assertionConsumer, requestId)),
            "is not confirmed for this login");
        Require(IsFirstUse(assertion.GetAttribute("ID"), subject!), "was used before");
        return Read(assertion, subject!);
    }

    private static SamlProvider Parse(XmlDocument metadata, string? ownEntityId, TimeProvider time)
    {
        var root = metadata.DocumentElement!;
        var entity = root is { NamespaceURI: SamlNames.Metadata, LocalName: "EntityDescriptor" }
            ? root
            : root.Children(SamlNames.Metadata, "EntityDescriptor").FirstOrDefault(static e => e.Child(SamlNames.Metadata, "IDPSSODescriptor") is not null);
        var idp = entity?.Child(SamlNames.Metadata, "IDPSSODescriptor") ?? throw CloudException.Unavailable("it describes no identity provider");
        var certificates = idp.Children(SamlNames.Metadata, "KeyDescriptor")
            .Where(static k => k.GetAttribute("use") is "" or "signing")
            .SelectMany(static k => k.GetElementsByTagName("X509Certificate", SamlNames.Signature).OfType<XmlElement>())
            .Select(static c => X509CertificateLoader.LoadCertificate(Convert.FromBase64String(string.Concat(c.InnerText.Where(static x => !char.IsWhiteSpace(x))))))
            .ToList();
        if (certificates.Count == 0)
        {
            throw CloudException.Unavailable("it has no certificate for signatures");
        }
        return new(entity!.GetAttribute("entityID"), SignOn(SamlNames.RedirectBinding), SignOn(SamlNames.SoapBinding), certificates, ownEntityId, time);

        string? SignOn(string binding) =>
            idp.Children(SamlNames.Metadata, "SingleSignOnService").FirstOrDefault(s => s.GetAttribute("Binding") == binding)?.GetAttribute("Location");
    }

    private void WriteRequest(XmlWriter xml, string requestId, string ownEntityId, string assertionConsumer, string binding, string? destination)
    {
        xml.WriteStartElement("samlp", "AuthnRequest", SamlNames.Protocol);
        xml.WriteAttributeString("ID", requestId);
        xml.WriteAttributeString("Version", "2.0");
        xml.WriteAttributeString("IssueInstant", SamlNames.Text(time.GetUtcNow()));
        if (destination is not null)
        {
            xml.WriteAttributeString("Destination", destination);
        }
        xml.WriteAttributeString("ProtocolBinding", binding);
        xml.WriteAttributeString("AssertionConsumerServiceURL", assertionConsumer);
        xml.WriteElementString("saml", "Issuer", SamlNames.Assertion, ownEntityId);
        xml.WriteEndElement();
    }

    /// <summary>Remembers an assertion, in this process, for as long as it could be brought again.</summary>
    private bool IsFirstUse(string id, XmlElement subject)
    {
        var now = time.GetUtcNow();
        var swept = Interlocked.Read(ref sweptAt);
        if (now.UtcTicks - swept > TimeSpan.TicksPerMinute && Interlocked.CompareExchange(ref sweptAt, now.UtcTicks, swept) == swept)
        {
            foreach (var (old, end) in used)
            {
                if (end < now)
                {
                    used.TryRemove(old, out _);
                }
            }
        }
        var until = subject.Children(SamlNames.Assertion, "SubjectConfirmation")
            .Select(static c => c.Child(SamlNames.Assertion, "SubjectConfirmationData")?.Time("NotOnOrAfter"))
            .Max() ?? now;
        return used.TryAdd(id, until + Skew);
    }

    /// <summary>The response, or its only assertion: whichever carries a signature that holds.</summary>
    private XmlElement SignedElement(XmlElement response)
    {
        var document = response.OwnerDocument;
        var elements = document.GetElementsByTagName("*").OfType<XmlElement>().ToList();
        var ids = elements.Select(static e => e.Value("ID")).OfType<string>().ToList();
        Require(ids.Distinct().Count() == ids.Count, "has two elements of one ID");
        var assertions = elements.Where(static e => e is { NamespaceURI: SamlNames.Assertion, LocalName: "Assertion" or "EncryptedAssertion" }).ToList();
        Require(assertions is [{ LocalName: "Assertion" } only] && only.ParentNode == response, "must hold exactly one assertion, not encrypted");
        foreach (var candidate in new[] { assertions[0], response })
        {
            var signatures = candidate.Children(SamlNames.Signature, "Signature").ToList();
            if (signatures.Count > 0)
            {
                Require(signatures.Count == 1, "is signed twice");
                CheckSignature(candidate, signatures[0]);
                return candidate;
            }
        }
        throw Refused("is not signed");
    }

    private void CheckSignature(XmlElement element, XmlElement signature)
    {
        var signed = new StrictSignedXml(element);
        try
        {
            signed.LoadXml(signature);
        }
        catch (Exception failure) when (failure is CryptographicException or FormatException)
        {
            throw Refused("has a malformed signature");
        }
        var info = signed.SignedInfo!;
        Require(info.References is [Reference reference] && reference.Uri == "#" + element.GetAttribute("ID"), "has a signature of something else");
        var of = (Reference)info.References[0]!;
        Require(Enumerable.Range(0, of.TransformChain.Count).All(i => Transforms.Contains(of.TransformChain[i].Algorithm)), "has a signature with a transform that is not allowed");
        Require(SignatureMethods.Contains(info.SignatureMethod) && DigestMethods.Contains(of.DigestMethod), "is signed by a method that is too weak; SHA-256 or better is needed");
        Require(certificates.Any(c => signed.CheckSignature(c, verifySignatureOnly: true)), "has a signature that does not hold");
    }

    private void CheckConditions(XmlElement assertion, string ownEntityId)
    {
        var conditions = assertion.Child(SamlNames.Assertion, "Conditions");
        if (conditions is null)
        {
            return;
        }
        var now = time.GetUtcNow();
        Require(conditions.Time("NotBefore") is not { } from || from - Skew <= now, "is not valid yet");
        Require(conditions.Time("NotOnOrAfter") is not { } until || now < until + Skew, "has expired");
        Require(
            conditions.Children(SamlNames.Assertion, "AudienceRestriction").All(
                r => r.Children(SamlNames.Assertion, "Audience").Any(a => a.InnerText.Trim() == ownEntityId)),
            "is for another audience");
    }

    private bool IsConfirmed(XmlElement confirmation, string assertionConsumer, string? requestId) =>
        confirmation.GetAttribute("Method") == SamlNames.Bearer
        && confirmation.Child(SamlNames.Assertion, "SubjectConfirmationData") is { } data
        && data.Value("Recipient") == assertionConsumer
        && data.Time("NotOnOrAfter") is { } until && time.GetUtcNow() < until + Skew
        && data.Value("InResponseTo") == requestId;

    /// <summary>Attributes by their names, and as Apache's mellon names them.</summary>
    private Assertion Read(XmlElement assertion, XmlElement subject)
    {
        var attributes = new Dictionary<string, IReadOnlyList<string>> { ["MELLON_IDP"] = [entityId], ["Shib-Identity-Provider"] = [entityId] };
        foreach (var statement in assertion.Children(SamlNames.Assertion, "AttributeStatement"))
        {
            foreach (var attribute in statement.Children(SamlNames.Assertion, "Attribute"))
            {
                var values = attribute.Children(SamlNames.Assertion, "AttributeValue").Select(static v => v.InnerText.Trim()).ToList();
                foreach (var name in new[] { attribute.Value("Name"), attribute.Value("FriendlyName") }.OfType<string>())
                {
                    attributes.TryAdd(name, values);
                    attributes.TryAdd($"MELLON_{name}", values);
                }
            }
        }
        var remoteUser = subject.Child(SamlNames.Assertion, "NameID")?.InnerText.Trim();
        if (remoteUser is { Length: > 0 })
        {
            attributes["MELLON_NAME_ID"] = [remoteUser];
            attributes["REMOTE_USER"] = [remoteUser];
        }
        return new(attributes, remoteUser);
    }

    private static void Require(bool holds, string fault)
    {
        if (!holds)
        {
            throw Refused(fault);
        }
    }

    private static CloudException Refused(string fault) => CloudException.Unauthorized($"The identity provider's SAML response {fault}.");

    /// <summary>Finds what a signature is of by the attribute that SAML uses, and only that.</summary>
    private sealed class StrictSignedXml : SignedXml
    {
        private readonly XmlElement element;

        public StrictSignedXml(XmlElement element)
            : base(element) => this.element = element;

        public override XmlElement? GetIdElement(XmlDocument? document, string idValue) => element.GetAttribute("ID") == idValue ? element : null;
    }
}
