using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Neutron.Api;

/// <summary>What values are taken, in the words of Neutron's validators.</summary>
internal static partial class Checks
{
    public static AttributeCheck Text(int max) => value =>
        value.ValueKind != JsonValueKind.String ? $"'{Shown(value)}' is not a valid string"
        : value.GetString()!.Length > max ? $"'{Shown(value)}' exceeds maximum length of {max}" : null;

    public static AttributeCheck TextOrNull(int max) => value => value.ValueKind == JsonValueKind.Null ? null : Text(max)(value);

    public static AttributeCheck OneOf(params string[] values) => value =>
        value.ValueKind == JsonValueKind.String && values.Contains(value.GetString(), StringComparer.Ordinal) ? null
        : $"'{Shown(value)}' is not in [{string.Join(", ", values.Select(text => $"'{text}'"))}]";

    /// <summary>Refused as Neutron's conversion does, with <c>InvalidInput</c>.</summary>
    public static string? Flag(JsonElement value)
    {
        ToFlag(value);
        return null;
    }

    public static AttributeCheck Number(int min, int max) => value =>
        ToNumber(value) is not { } number ? throw NeutronErrors.InvalidInput($"'{Shown(value)}' is not an integer")
        : number < min ? $"'{number}' is too small - must be at least '{min}'"
        : number > max ? $"'{number}' is too large - must be no larger than '{max}'" : null;

    public static AttributeCheck NumberOrNull(int min, int max) => value => value.ValueKind == JsonValueKind.Null ? null : Number(min, max)(value);

    public static string? Cidrs(JsonElement value) =>
        value.ValueKind != JsonValueKind.Array ? $"'{Shown(value)}' is not a list"
        : value.EnumerateArray().FirstOrDefault(item => item.ValueKind != JsonValueKind.String || !Ipam.Cidr.TryParse(item.GetString()!, out _)) is { ValueKind: not JsonValueKind.Undefined } bad
            ? $"'{Shown(bad)}' is not a valid IP subnet"
        : HasDuplicates(value) ? $"Duplicate items in the list: '{string.Join(", ", value.EnumerateArray().Select(Shown))}'" : null;

    public static string? Uuid(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && IsUuid(value.GetString()!) ? null : $"'{Shown(value)}' is not a valid UUID";

    public static string? UuidOrNull(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : Uuid(value);

    public static string? Uuids(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"'{Shown(value)}' is not a list";
        }

        var bad = value.EnumerateArray().Select(Uuid).FirstOrDefault(reason => reason is not null);
        return bad ?? (HasDuplicates(value) ? $"Duplicate items in the list: '{string.Join(", ", value.EnumerateArray().Select(Shown))}'" : null);
    }

    public static string? Mac(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && MacPattern().IsMatch(value.GetString()!) && !value.GetString()!.Replace("-", ":", StringComparison.Ordinal).Equals("00:00:00:00:00:00", StringComparison.Ordinal)
            ? null : $"'{Shown(value)}' is not a valid MAC address";

    public static string? Ip(JsonElement value) => value.ValueKind == JsonValueKind.String && IsIp(value.GetString()!) ? null : $"'{Shown(value)}' is not a valid IP address";

    public static string? IpOrNull(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null : Ip(value);

    public static string? CidrOrNull(JsonElement value) =>
        value.ValueKind == JsonValueKind.Null || (value.ValueKind == JsonValueKind.String && value.GetString()!.Contains('/', StringComparison.Ordinal) && Ipam.Cidr.TryParse(value.GetString()!, out _))
            ? null : $"'{Shown(value)}' is not a valid IP subnet";

    public static string? Pools(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"Invalid data format for IP pool: '{Shown(value)}'";
        }

        foreach (var pool in value.EnumerateArray())
        {
            if (pool.ValueKind != JsonValueKind.Object || pool.EnumerateObject().Any(member => member.Name is not ("start" or "end")))
            {
                return $"Invalid data format for IP pool: '{Shown(pool)}'";
            }

            foreach (var key in (string[])["start", "end"])
            {
                if (!pool.TryGetProperty(key, out var address))
                {
                    return $"Expected keys not found. Expected: '['start', 'end']', Provided: '{Shown(pool)}'";
                }

                if (Ip(address) is { } reason)
                {
                    return reason;
                }
            }
        }

        return null;
    }

    public static string? FixedIps(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"Invalid data format for fixed IP: '{Shown(value)}'";
        }

        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var wish in value.EnumerateArray())
        {
            if (wish.ValueKind != JsonValueKind.Object)
            {
                return $"Invalid data format for fixed IP: '{Shown(wish)}'";
            }

            foreach (var member in wish.EnumerateObject())
            {
                switch (member.Name)
                {
                    case "ip_address" when Ip(member.Value) is { } reason:
                        return reason;
                    case "ip_address" when !seen.Add(IPAddress.Parse(member.Value.GetString()!).ToString()):
                        return $"Duplicate IP address '{member.Value.GetString()}'";
                    case "subnet_id" when Uuid(member.Value) is { } reason:
                        return reason;
                    case "ip_address" or "subnet_id" or "device_owner":
                        break;
                    default:
                        return $"Invalid data format for fixed IP: '{Shown(wish)}'";
                }
            }
        }

        return null;
    }

    public static string? Nameservers(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"Invalid data format for nameserver: '{Shown(value)}'";
        }

        var bad = value.EnumerateArray().FirstOrDefault(item => Ip(item) is not null);
        return bad.ValueKind != JsonValueKind.Undefined ? $"'{Shown(bad)}' is not a valid nameserver. {Ip(bad)}"
            : HasDuplicates(value) ? $"Duplicate nameserver '{Shown(value)}'" : null;
    }

    public static string? HostRoutes(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"Invalid data format for hostroute: '{Shown(value)}'";
        }

        foreach (var route in value.EnumerateArray())
        {
            if (route.ValueKind != JsonValueKind.Object || !route.TryGetProperty("destination", out var destination) || !route.TryGetProperty("nexthop", out var nexthop)
                || route.EnumerateObject().Count() != 2)
            {
                return $"Invalid data format for hostroute: '{Shown(route)}'";
            }

            if (destination.ValueKind == JsonValueKind.Null || CidrOrNull(destination) is not null)
            {
                return $"'{Shown(destination)}' is not a valid IP subnet";
            }

            if (Ip(nexthop) is { } reason)
            {
                return reason;
            }
        }

        return HasDuplicates(value) ? $"Duplicate hostroute '{Shown(value)}'" : null;
    }

    public static string? AddressPairs(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            throw NeutronErrors.BadRequest("Allowed address pairs must be a list.");
        }

        foreach (var pair in value.EnumerateArray())
        {
            if (pair.ValueKind != JsonValueKind.Object || !pair.TryGetProperty("ip_address", out var address))
            {
                throw NeutronErrors.InvalidInput("AllowedAddressPair must contain ip_address", "AllowedAddressPairsMissingIP");
            }

            if (address.ValueKind != JsonValueKind.String || !Ipam.Cidr.TryParse(address.GetString()!, out _))
            {
                return $"'{Shown(address)}' is not a valid IP address";
            }

            if (pair.TryGetProperty("mac_address", out var mac) && mac.ValueKind != JsonValueKind.Null && Mac(mac) is { } reason)
            {
                return reason;
            }

            if (pair.EnumerateObject().Select(member => member.Name).FirstOrDefault(name => name is not ("ip_address" or "mac_address")) is { } unknown)
            {
                return $"Unrecognized attribute(s) '{unknown}'";
            }
        }

        return null;
    }

    public static string? DhcpOptions(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"'{Shown(value)}' is not a list";
        }

        foreach (var option in value.EnumerateArray())
        {
            // The values end in a file that dnsmasq reads line by line.
            if (option.ValueKind != JsonValueKind.Object
                || !option.TryGetProperty("opt_name", out var name) || name.ValueKind != JsonValueKind.String || !OptionName().IsMatch(name.GetString()!)
                || (option.TryGetProperty("opt_value", out var text) && text.ValueKind != JsonValueKind.Null && (Text(255)(text) is not null || text.GetString()!.AsSpan().ContainsAny('\n', '\r', '\0')))
                || (option.TryGetProperty("ip_version", out var version) && ToNumber(version) is not (4 or 6)))
            {
                return $"'{Shown(option)}' is not a valid DHCP option";
            }
        }

        return null;
    }

    public static string? Object(JsonElement value) => value.ValueKind is JsonValueKind.Object or JsonValueKind.Null ? null : $"'{Shown(value)}' is not a dictionary";

    /// <summary>Places of a network: objects with provider attributes.</summary>
    public static string? Segments(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return $"'{Shown(value)}' is not a list";
        }

        foreach (var segment in value.EnumerateArray())
        {
            if (segment.ValueKind != JsonValueKind.Object
                || segment.EnumerateObject().Any(member => member.Value.ValueKind != JsonValueKind.Null && member.Name switch
                {
                    "provider:network_type" => Text(16)(member.Value) is not null,
                    "provider:physical_network" => Text(64)(member.Value) is not null,
                    "provider:segmentation_id" => ToNumber(member.Value) is null or < 0,
                    _ => true,
                }))
            {
                return $"'{Shown(segment)}' is not a segment of provider:network_type, provider:physical_network and provider:segmentation_id";
            }
        }

        return null;
    }

    public static string? Texts(JsonElement value) =>
        value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) ? null : $"'{Shown(value)}' is not a list";

    public static bool ToFlag(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.Number when value.TryGetInt32(out var number) && number is 0 or 1 => number == 1,
        JsonValueKind.String => ToFlag(value.GetString()!),
        _ => throw NeutronErrors.InvalidInput($"'{Shown(value)}' cannot be converted to boolean"),
    };

    public static bool ToFlag(string text) => text.ToUpperInvariant() switch
    {
        "TRUE" or "1" => true,
        "FALSE" or "0" => false,
        _ => throw NeutronErrors.InvalidInput($"'{text}' cannot be converted to boolean"),
    };

    public static int? ToNumber(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number when value.TryGetInt32(out var number) => number,
        JsonValueKind.String when int.TryParse(value.GetString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) => number,
        _ => null,
    };

    public static List<int> ToNumbers(string name, List<string> values) =>
        values.ConvertAll(text => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? number : throw NeutronErrors.InvalidInput($"'{text}' is not an integer: {name} is compared with numbers"));

    public static bool IsUuid(string text) => Guid.TryParseExact(text, "D", out _) || Guid.TryParseExact(text, "N", out _);

    public static bool IsIp(string text) =>
        IPAddress.TryParse(text, out var address) && !text.Contains('%', StringComparison.Ordinal)
        && (address.AddressFamily == AddressFamily.InterNetworkV6 ? !text.Contains('[', StringComparison.Ordinal) : address.ToString() == text);

    /// <summary>A value as Python would print it, cut where it is long.</summary>
    public static string Shown(JsonElement value)
    {
        var text = value.ValueKind switch
        {
            JsonValueKind.String => value.GetString()!,
            JsonValueKind.True => "True",
            JsonValueKind.False => "False",
            JsonValueKind.Null => "None",
            _ => value.GetRawText().Replace('"', '\''),
        };
        return text.Length > 300 ? string.Concat(text.AsSpan(0, 300), "…") : text;
    }

    private static bool HasDuplicates(JsonElement list) =>
        list.EnumerateArray().Select(item => item.GetRawText()).Distinct(StringComparer.Ordinal).Count() != list.GetArrayLength();

    [GeneratedRegex("^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}$")]
    private static partial Regex MacPattern();

    [GeneratedRegex("^[A-Za-z0-9_:-]{1,64}$")]
    private static partial Regex OptionName();
}
