using System.Globalization;

namespace SharpStack.Foundation.Http;

/// <summary>A microversion such as 2.96; compared by its parts.</summary>
public readonly record struct Microversion(int Major, int Minor) : IComparable<Microversion>
{
    public static bool TryParse(ReadOnlySpan<char> text, out Microversion version)
    {
        version = default;
        var dot = text.IndexOf('.');
        if (dot <= 0
            || !int.TryParse(text[..dot], NumberStyles.None, CultureInfo.InvariantCulture, out var major)
            || !int.TryParse(text[(dot + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var minor))
        {
            return false;
        }

        version = new Microversion(major, minor);
        return true;
    }

    public static Microversion Parse(string text) => TryParse(text, out var version) ? version : throw new FormatException($"'{text}' is no microversion");

    /// <summary>Same major version and at least this minor one.</summary>
    public bool AtLeast(int minor) => Minor >= minor;

    public int CompareTo(Microversion other) => Major != other.Major ? Major.CompareTo(other.Major) : Minor.CompareTo(other.Minor);

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Major}.{Minor}");

    public static bool operator <(Microversion left, Microversion right) => left.CompareTo(right) < 0;

    public static bool operator >(Microversion left, Microversion right) => left.CompareTo(right) > 0;

    public static bool operator <=(Microversion left, Microversion right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Microversion left, Microversion right) => left.CompareTo(right) >= 0;
}

/// <summary>How a service negotiates microversions: <c>OpenStack-API-Version: compute 2.96</c>, and Nova's older header.</summary>
/// <param name="ServiceType">The word before the version in the header.</param>
/// <param name="Min">Also the version of a request that names none.</param>
/// <param name="Max">The version that <c>latest</c> stands for.</param>
/// <param name="LegacyHeader"><c>X-OpenStack-Nova-API-Version</c>, where there is one.</param>
public sealed record MicroversionRange(string ServiceType, Microversion Min, Microversion Max, string? LegacyHeader = null);
