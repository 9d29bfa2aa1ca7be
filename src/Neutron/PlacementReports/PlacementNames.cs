using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace SharpStack.Neutron.PlacementReports;

/// <summary>What Neutron calls its providers, traits and request groups in Placement; UUIDs are of version 5, so that everybody finds them without a look-up (neutron-lib's <c>placement.utils</c>).</summary>
internal static partial class PlacementNames
{
    /// <summary>The mechanism driver <c>openvswitch</c>.</summary>
    private static readonly Guid OpenVSwitch = new("87ee7d5c-73bb-11e8-9008-c4d987b2a692");

    [GeneratedRegex("[^0-9A-Za-z]+")]
    private static partial Regex NotOfTraits { get; }

    public static string AgentProvider(string hypervisor) => Uuid(OpenVSwitch, hypervisor);

    public static string BridgeProvider(string hypervisor, string bridge) => Uuid(OpenVSwitch, $"{hypervisor}:{bridge}");

    /// <summary>A group of a port's resource request, by the rules that it comes from.</summary>
    public static string RequestGroup(string portId, IEnumerable<string> ruleIds) => Uuid(Guid.Parse(portId), string.Join(':', ruleIds));

    public static string PhysicalNetworkTrait(string physicalNetwork) => Trait("PHYSNET_" + physicalNetwork);

    public static string VnicTypeTrait(string vnicType) => Trait("VNIC_TYPE_" + vnicType);

    private static string Trait(string text) => "CUSTOM_" + NotOfTraits.Replace(text, "_").ToUpperInvariant();

    /// <summary>RFC 9562, 5.5.</summary>
    private static string Uuid(Guid space, string name)
    {
#pragma warning disable CA5350 // The algorithm of the RFC; nothing is protected by it.
        var hash = SHA1.HashData([.. space.ToByteArray(bigEndian: true), .. Encoding.UTF8.GetBytes(name)]);
#pragma warning restore CA5350
        hash[6] = (byte)((hash[6] & 0x0f) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3f) | 0x80);
        return new Guid(hash.AsSpan(0, 16), bigEndian: true).ToString("D");
    }
}
