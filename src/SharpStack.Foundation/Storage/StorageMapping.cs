using LinqToDB.Mapping;

namespace SharpStack.Foundation.Storage;

/// <summary>How values are stored alike on every engine.</summary>
internal static class StorageMapping
{
    public static readonly MappingSchema Schema = new("SharpStack");
}

/// <summary>Time stamps as they are stored (microseconds since 1970, UTC) and as OpenStack's services write them.</summary>
public static class Timestamps
{
    public static long NowMicroseconds(this TimeProvider time) => ToMicroseconds(time.GetUtcNow());

    public static long ToMicroseconds(DateTimeOffset instant) => (instant.UtcTicks - DateTimeOffset.UnixEpoch.Ticks) / 10;

    public static DateTimeOffset FromMicroseconds(long microseconds) => DateTimeOffset.UnixEpoch.AddTicks(microseconds * 10);

    /// <summary><c>2026-01-31T08:15:30Z</c>: Nova, Glance, Neutron.</summary>
    public static string Seconds(long microseconds) => FromMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'");

    /// <summary><c>2026-01-31T08:15:30.000000Z</c>: Keystone.</summary>
    public static string Micros(long microseconds) => FromMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");

    /// <summary><c>2026-01-31T08:15:30.000000</c>, without a zone: Nova's older extensions.</summary>
    public static string MicrosNoZone(long microseconds) => FromMicroseconds(microseconds).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff");
}
