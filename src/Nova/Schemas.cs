using System.Text.RegularExpressions;
using SharpStack.Foundation.Http;

namespace SharpStack.Nova;

/// <summary>Parts of schemas that several resources use.</summary>
internal static partial class Schemas
{
    /// <summary>1 to 255 printable characters, no space at either end.</summary>
    public static readonly JsonSchema Name = JsonSchema.String(1, 255, Printable());

    /// <summary>As <see cref="Name"/>, with space at the ends for the service to take off.</summary>
    public static readonly JsonSchema NameWithSpaces = JsonSchema.String(1, 255, PrintableWithin());

    /// <summary>As <see cref="Name"/>, without a colon.</summary>
    public static readonly JsonSchema ZoneName = JsonSchema.String(1, 255, PrintableWithoutColon());

    public static readonly JsonSchema Boolean = new() { EnumTexts = ["true", "True", "TRUE", "1", "ON", "On", "on", "YES", "Yes", "yes", "false", "False", "FALSE", "0", "OFF", "Off", "off", "NO", "No", "no"] };

    public static readonly JsonSchema PositiveInteger = JsonSchema.AnyOf(JsonSchema.Integer(1), JsonSchema.String(1, null, Positive()));

    public static readonly JsonSchema NotNegativeInteger = JsonSchema.AnyOf(JsonSchema.Integer(0), JsonSchema.String(1, null, Digits()));

    public static readonly JsonSchema Metadata = new()
    {
        Types = ["object"],
        AdditionalAllowed = false,
        PatternProperties = [(MetadataKey(), JsonSchema.String(0, 255))],
    };

    /// <summary>Items of metadata, where null removes one.</summary>
    public static readonly JsonSchema MetadataOrNull = Metadata with { PatternProperties = [(MetadataKey(), JsonSchema.String(0, 255).OrNull())] };

    public static readonly JsonSchema Description = JsonSchema.String(0, 255, PrintableOrEmpty()).OrNull();

    public static readonly JsonSchema Fqdn = JsonSchema.String(1, 255, FqdnText());

    public static readonly JsonSchema Hostname = JsonSchema.String(2, 63, HostnameText());

    public static readonly JsonSchema Tag = JsonSchema.String(1, 60, TagText());

    public static readonly JsonSchema Empty = JsonSchema.Null;

    [GeneratedRegex(@"^(?!\s)[^\p{C}\p{Zl}\p{Zp}]*(?<!\s)$")]
    private static partial Regex Printable();

    [GeneratedRegex(@"^[^\p{C}\p{Zl}\p{Zp}]*[^\p{C}\p{Z}][^\p{C}\p{Zl}\p{Zp}]*$")]
    private static partial Regex PrintableWithin();

    [GeneratedRegex(@"^(?!\s)[^:\p{C}\p{Zl}\p{Zp}]*(?<!\s)$")]
    private static partial Regex PrintableWithoutColon();

    [GeneratedRegex(@"^[^\p{Cs}\p{Co}\p{Cn}\p{Cc}\p{Zl}\p{Zp}]*$")]
    private static partial Regex PrintableOrEmpty();

    [GeneratedRegex("^0*[1-9][0-9]*$")]
    private static partial Regex Positive();

    [GeneratedRegex("^[0-9]+$")]
    private static partial Regex Digits();

    [GeneratedRegex("^[a-zA-Z0-9-_:. ]{1,255}$")]
    private static partial Regex MetadataKey();

    [GeneratedRegex("^[a-zA-Z0-9-._]*$")]
    private static partial Regex FqdnText();

    [GeneratedRegex("^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$")]
    private static partial Regex HostnameText();

    [GeneratedRegex("^[^,/]*$")]
    private static partial Regex TagText();
}
