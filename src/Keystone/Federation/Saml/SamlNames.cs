using System.Globalization;
using System.Xml;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Federation.Saml;

internal static class SamlNames
{
    public const string Assertion = "urn:oasis:names:tc:SAML:2.0:assertion";
    public const string Protocol = "urn:oasis:names:tc:SAML:2.0:protocol";
    public const string Metadata = "urn:oasis:names:tc:SAML:2.0:metadata";
    public const string Signature = "http://www.w3.org/2000/09/xmldsig#";
    public const string Soap = "http://schemas.xmlsoap.org/soap/envelope/";
    public const string Ecp = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp";
    public const string Paos = "urn:liberty:paos:2003-08";
    public const string PaosType = "application/vnd.paos+xml";
    public const string NextActor = "http://schemas.xmlsoap.org/soap/actor/next";
    public const string Success = "urn:oasis:names:tc:SAML:2.0:status:Success";
    public const string Bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
    public const string PostBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
    public const string PaosBinding = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS";
    public const string SoapBinding = "urn:oasis:names:tc:SAML:2.0:bindings:SOAP";
    public const string RedirectBinding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

    private const int LargestDocument = 1 << 20;

    /// <summary>Reads XML from the network: no document type, no entities, nothing fetched.</summary>
    /// <exception cref="CloudException">It is none (400).</exception>
    public static XmlDocument Load(Stream stream)
    {
        var settings = new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null, MaxCharactersInDocument = LargestDocument };
        var document = new XmlDocument { PreserveWhitespace = true, XmlResolver = null };
        try
        {
            using var reader = XmlReader.Create(stream, settings);
            document.Load(reader);
        }
        catch (XmlException failure)
        {
            throw CloudException.BadRequest($"The SAML message is not well formed: {failure.Message}");
        }
        return document;
    }

    public static IEnumerable<XmlElement> Children(this XmlElement parent, string ns, string name) =>
        parent.ChildNodes.OfType<XmlElement>().Where(e => e.NamespaceURI == ns && e.LocalName == name);

    public static XmlElement? Child(this XmlElement parent, string ns, string name) => parent.Children(ns, name).FirstOrDefault();

    /// <summary>An attribute's value; null where it is absent.</summary>
    public static string? Value(this XmlElement element, string attribute) => element.HasAttribute(attribute) ? element.GetAttribute(attribute) : null;

    public static DateTimeOffset? Time(this XmlElement element, string attribute) =>
        element.Value(attribute) is not { } text ? null
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time
        : throw CloudException.Unauthorized($"The SAML message's {attribute} is no time.");

    public static string Text(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    /// <summary>Marks a header block that whoever carries the envelope must understand.</summary>
    public static void WriteForNextActor(this XmlWriter xml)
    {
        xml.WriteAttributeString("actor", Soap, NextActor);
        xml.WriteAttributeString("mustUnderstand", Soap, "1");
    }

    /// <summary>Ids begin with no digit.</summary>
    public static string NewId() => "_" + Guid.NewGuid().ToString("N");
}
