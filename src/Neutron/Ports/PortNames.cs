using System.Text.Json;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.Ports;

/// <summary>The names that DHCP agents give to the addresses of ports.</summary>
internal static class PortNames
{
    /// <summary>The domain with which names of ports are left out, as in Neutron: it stands for no domain.</summary>
    private const string NoDomain = "openstacklocal";

    /// <summary>A name that was sent; one with a domain must have the configured one.</summary>
    public static string Checked(string name, string configured)
    {
        if (!HasNames(configured) || !name.EndsWith('.'))
        {
            return name.TrimEnd('.');
        }

        var domain = configured.TrimEnd('.') + ".";
        return name.EndsWith("." + domain, StringComparison.Ordinal) && name.Length > domain.Length + 1 ? name[..^(domain.Length + 1)]
            : throw NeutronErrors.BadRequest(
                $"Invalid input for dns_name. Reason: The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain option in neutron.conf, that has been set to '{domain}'. It must also include one or more valid DNS labels to the left of '{domain}'.");
    }

    /// <summary>The host name that a user gave; null where there is none, or the configuration has no domain for such names.</summary>
    /// <param name="configured"><c>dns_domain</c> of neutron.conf.</param>
    public static string? GivenTo(string dnsName, string configured) => dnsName.Length > 0 && HasNames(configured) ? dnsName : null;

    /// <summary>Host and full name of an address.</summary>
    public static (string HostName, string Fqdn) Of(string dnsName, string address, string configured)
    {
        var host = GivenTo(dnsName, configured) ?? "host-" + address.Replace('.', '-').Replace(':', '-');
        return (host, configured.Length == 0 ? host : $"{host}.{configured.TrimEnd('.')}.");
    }

    public static void Write(Utf8JsonWriter json, PortView view, string configured)
    {
        json.WriteStartArray();
        foreach (var ip in view.FixedIps)
        {
            var (host, fqdn) = Of(view.Row.DnsName, ip.IpAddress, configured);
            json.WriteStartObject();
            json.WriteString("ip_address", ip.IpAddress);
            json.WriteString("hostname", host);
            json.WriteString("fqdn", fqdn);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static bool HasNames(string configured) => configured.TrimEnd('.') is not ("" or NoDomain);
}
