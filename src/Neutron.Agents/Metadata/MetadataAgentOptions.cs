using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Identity;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>The options of neutron-metadata-agent (<c>metadata_agent.ini</c>).</summary>
internal static class MetadataAgentOptions
{
    public static readonly ConfigOption<string> NovaMetadataHost = new("DEFAULT", "nova_metadata_host", "127.0.0.1", "The host of Nova's metadata service.");

    public static readonly ConfigOption<int> NovaMetadataPort = new("DEFAULT", "nova_metadata_port", 8775, "The port of Nova's metadata service.") { Min = 1, Max = 65535 };

    public static readonly ConfigOption<string> NovaMetadataProtocol = new("DEFAULT", "nova_metadata_protocol", "http", "The protocol of Nova's metadata service.") { Choices = ["http", "https"] };

    public static readonly ConfigOption<string> SharedSecret = new("DEFAULT", "metadata_proxy_shared_secret", "", "What instance ids are signed with; the same as in Nova's [neutron] group.") { Secret = true };

    public static readonly ConfigOption<bool> NovaMetadataInsecure = new("DEFAULT", "nova_metadata_insecure", false, "Believe whatever certificate Nova's metadata service shows: for tests only.");

    public static readonly ConfigOption<string> AuthCaCert = new("DEFAULT", "auth_ca_cert", "", "The PEM file of the authorities that Nova's metadata service is trusted by; empty for the system's.");

    public static readonly ConfigOption<string> NovaClientCert = new("DEFAULT", "nova_client_cert", "", "The PEM file of the certificate to show to Nova's metadata service.");

    public static readonly ConfigOption<string> NovaClientKey = new("DEFAULT", "nova_client_priv_key", "", "The PEM file of that certificate's key.");

    public static ClientTls Tls(ServiceConfig config) => new(
        config.Get(AuthCaCert) is { Length: > 0 } authorities ? authorities : null,
        config.Get(NovaMetadataInsecure),
        config.Get(NovaClientCert) is { Length: > 0 } certificate ? certificate : null,
        config.Get(NovaClientKey) is { Length: > 0 } key ? key : null);
}
