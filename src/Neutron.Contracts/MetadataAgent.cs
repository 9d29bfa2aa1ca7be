using SharpStack.Foundation.Bus;

namespace SharpStack.Neutron.Contracts;

/// <param name="NetworkId">The network in whose namespace the request came in; null where it came in through a router.</param>
/// <param name="FixedIp">The address that the request came from, as the socket says (never a header of the guest's).</param>
/// <param name="RouterId">The router in whose namespace the request came in; null where it came in on an isolated network.</param>
public sealed record MetadataInstanceRequest(string? NetworkId, string FixedIp, string? RouterId = null);

/// <param name="InstanceId">The port's <c>device_id</c>; null where no port, or more than one, has that address there.</param>
public sealed record MetadataInstanceAnswer(string? InstanceId, string? ProjectId, string? PortId);

/// <summary>What the metadata agent asks.</summary>
public static class MetadataContracts
{
    public static readonly BusContract<MetadataInstanceRequest, MetadataInstanceAnswer> FindInstance =
        new(NeutronTopics.Server, "find_metadata_instance", 1, NeutronContractsJson.Default.MetadataInstanceRequest, NeutronContractsJson.Default.MetadataInstanceAnswer);
}
