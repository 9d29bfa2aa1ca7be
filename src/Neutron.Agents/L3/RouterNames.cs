using SharpStack.Neutron.Contracts;

namespace SharpStack.Neutron.Agents.L3;

/// <summary>OpenStack's names for a router's namespace and devices.</summary>
internal static class RouterNames
{
    public const string NamespacePrefix = "qrouter-";
    public const string InternalPrefix = "qr-";
    public const string ExternalPrefix = "qg-";
    public const string HaPrefix = "ha-";

    public static readonly IReadOnlyList<string> Prefixes = [InternalPrefix, ExternalPrefix, HaPrefix];

    public static string NamespaceOf(string routerId) => NamespacePrefix + routerId;

    public static string Internal(L3Port port) => NamespaceDevices.NameOf(InternalPrefix, port.Id);

    public static string External(L3Port port) => NamespaceDevices.NameOf(ExternalPrefix, port.Id);

    public static string Ha(L3Port port) => NamespaceDevices.NameOf(HaPrefix, port.Id);
}
