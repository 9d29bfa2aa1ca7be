namespace SharpStack.Neutron.Contracts;

/// <summary>Look at this port. It may be lost, doubled, or late: the receiver asks the server for the whole truth by the id.</summary>
/// <param name="Revision">The port's <c>revision_number</c> after the change; what is known to be newer needs no look.</param>
public sealed record PortHint(string PortId, string NetworkId, long Revision);

/// <summary>Look at this network: its attributes, subnets, or its very existence changed.</summary>
public sealed record NetworkHint(string NetworkId);

/// <summary>Look at these security groups: their rules, or the addresses of their members, changed.</summary>
public sealed record SecurityGroupsHint(IReadOnlyList<string> SecurityGroupIds);
