using System.Text.Json.Nodes;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Neutron.Agents.Tests;

public sealed class ResourceProviderOptionsTests
{
    private static readonly Dictionary<string, string> Mappings = new() { ["physnet0"] = "br-ex", ["physnet1"] = "br-fast" };

    [Fact]
    public void Guarantees_are_reported_by_the_keys_of_neutrons_own_agent()
    {
        var config = ServiceConfig.Empty("neutron")
            .With("ovs", "resource_provider_bandwidths", "br-ex:10000000:5000000,br-fast::100")
            .With("ovs", "resource_provider_inventory_defaults", "allocation_ratio:2.5,reserved:10")
            .With("ovs", "resource_provider_hypervisors", "br-fast:other.local")
            .With("ovs", "resource_provider_packet_processing_without_direction", ":1000");
        var report = ResourceProviderOptions.Read(config, "host1", Mappings);
        Assert.True(
            JsonNode.DeepEquals(
                JsonNode.Parse(
                    """
                    {"resource_provider_bandwidths": {"br-ex": {"egress": 10000000, "ingress": 5000000}, "br-fast": {"egress": null, "ingress": 100}},
                     "resource_provider_inventory_defaults": {"allocation_ratio": 2.5, "reserved": 10},
                     "resource_provider_hypervisors": {"br-ex": "host1", "br-fast": "other.local"},
                     "resource_provider_packet_processing_without_direction": {"host1": {"any": 1000}},
                     "resource_provider_packet_processing_with_direction": {},
                     "resource_provider_packet_processing_inventory_defaults": {"allocation_ratio": 1.0, "min_unit": 1, "step_size": 1, "reserved": 0}}
                    """),
                JsonNode.Parse(report.ToJsonString())),
            report.ToJsonString());
    }

    [Theory]
    [InlineData("resource_provider_bandwidths", "br-none:1:1", "bridge 'br-none' is not in bridge_mappings")]
    [InlineData("resource_provider_bandwidths", "br-ex:1", "'br-ex:1' is not NAME:EGRESS:INGRESS")]
    [InlineData("resource_provider_bandwidths", "br-ex:1:-1", "'-1' is not a whole number from 0 on")]
    [InlineData("resource_provider_bandwidths", "br-ex:1:1,br-ex:2:2", "'br-ex' is there twice")]
    [InlineData("resource_provider_inventory_defaults", "total:5", "there is no 'total'")]
    [InlineData("resource_provider_inventory_defaults", "allocation_ratio:much", "'much' is no ratio")]
    [InlineData("resource_provider_packet_processing_with_direction", ":1:1", "not beside resource_provider_packet_processing_without_direction")]
    public void What_cannot_be_meant_is_refused_at_the_start(string name, string value, string reason)
    {
        var config = ServiceConfig.Empty("neutron").With("ovs", name, value);
        if (name.EndsWith("with_direction", StringComparison.Ordinal))
        {
            config.With("ovs", "resource_provider_packet_processing_without_direction", ":5");
        }

        var failure = Assert.Throws<FormatException>(() => ResourceProviderOptions.Read(config, "host1", Mappings));
        Assert.Equal($"neutron: [ovs] {name}: {reason}", failure.Message);
    }
}
