using SharpStack.Neutron.Api;
using SharpStack.Neutron.PortForwardings;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.FloatingIps;

/// <summary>A floating IP with the port that it leads to.</summary>
internal sealed record FloatingIpView(FloatingIpRow Row, PortRow? FixedPort, IReadOnlyList<PortForwardingRow> Forwardings, string? NetworkQosPolicyId, IReadOnlyList<string> Tags) : IResourceView<FloatingIpRow>;
