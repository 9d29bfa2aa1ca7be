using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents.Metadata;

/// <summary>The options of neutron-metadata-agent (<c>metadata_agent.ini</c>).</summary>
internal static class MetadataAgentOptions
{
    public static readonly ConfigOption<string> NovaMetadataHost = new("DEFAULT", "nova_metadata_host", "127.0.0.1", "The host of Nova's metadata service.");

    public static readonly ConfigOption<int> NovaMetadataPort = new("DEFAULT", "nova_metadata_port", 8775, "The port of Nova's metadata service.") { Min = 1, Max = 65535 };

    public static readonly ConfigOption<string> NovaMetadataProtocol = new("DEFAULT", "nova_metadata_protocol", "http", "The protocol of Nova's metadata service.") { Choices = ["http", "https"] };

    public static readonly ConfigOption<string> SharedSecret = new("DEFAULT", "metadata_proxy_shared_secret", "", "What instance ids are signed with; the same as in Nova's [neutron] group.") { Secret = true };
}
