using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace SharpStack.OpenVSwitch;

/// <summary>A 48-bit Ethernet address, printed as <c>fa:16:3e:00:00:01</c>.</summary>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>The address of all 48 bits set.</summary>
    public static readonly MacAddress Broadcast = new(0xffff_ffff_ffff);

    /// <summary>Reads six pairs of hexadecimal digits with colons between them.</summary>
    /// <exception cref="FormatException">The text is none.</exception>
    public static MacAddress Parse(string text) =>
        TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not a MAC address: six pairs of hexadecimal digits with colons between them are expected.");

    /// <summary>Reads six pairs of hexadecimal digits with colons between them.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MacAddress address)
    {
        address = default;
        if (text is not { Length: 17 })
        {
            return false;
        }

        ulong value = 0;
        for (var i = 0; i < 17; i += 3)
        {
            if (!byte.TryParse(text.AsSpan(i, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var octet) || (i < 15 && text[i + 2] != ':'))
            {
                return false;
            }

            value = (value << 8) | octet;
        }

        address = new(value);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(17, Value, static (span, value) =>
    {
        for (var i = 0; i < 6; i++)
        {
            ((byte)(value >> (40 - (8 * i)))).TryFormat(span[(3 * i)..], out _, "x2", CultureInfo.InvariantCulture);
            if (i < 5)
            {
                span[(3 * i) + 2] = ':';
            }
        }
    });
}
