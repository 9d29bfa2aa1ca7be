using System.Text.Json;

namespace SharpStack.Foundation.Bus;

/// <summary>What callers are told, in the same words on every bus; and a server's error as it travels.</summary>
internal static class BusErrors
{
    /// <summary>The code of an error that another version of the server would not have answered.</summary>
    public const string VersionCode = "bus.version";

    public static CloudException NobodyServes(BusTopic topic, string? host) => CloudException.Unavailable(
        host is null ? $"Nobody serves {topic} at the moment." : $"{topic} on host {host} is not running.");

    public static CloudException TimedOut(BusTopic topic, string? host, string method, TimeSpan limit, Exception? inner = null) =>
        CloudException.Unavailable($"{Place(topic, host)} did not answer {method} within {limit.TotalSeconds:0.###} s.", inner: inner);

    /// <summary>Servers are there, but of other major versions.</summary>
    public static CloudException OtherVersion(BusTopic topic, string? host, string method, BusVersion wanted) => CloudException.Unavailable(
        $"{Place(topic, host)} does not know {method} in version {wanted.Major}: it is of another release. Upgrade the older of the two.", VersionCode);

    /// <summary>The server's minor version lacks what the caller relies on.</summary>
    public static CloudException TooOld(BusTopic topic, string? host, string method, BusVersion served, int requiredMinor) => CloudException.Unavailable(
        $"{Place(topic, host)} knows {method} in version {served} only, and {served.Major}.{requiredMinor} is needed: upgrade it.", VersionCode);

    public static CloudException Unreadable(BusTopic topic, string method, string reason) =>
        CloudException.BadRequest($"{topic} cannot read the message {method}: {reason}.");

    /// <summary>What the caller sees of a handler's failure: nothing of its inside but what the handler meant to be seen.</summary>
    public static CloudException OfHandler(BusTopic topic, string method, Exception failure) =>
        failure as CloudException ?? new CloudException(ErrorKind.Internal, $"{topic} failed at {method}; its log says why.", inner: failure);

    public static byte[] Write(CloudException error)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("kind", (int)error.Kind);
            json.WriteString("message", error.Message);
            if (error.Code is not null)
            {
                json.WriteString("code", error.Code);
            }

            if (error.Detail.Length > 0)
            {
                json.WriteString("detail", error.Detail);
            }

            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    public static CloudException Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body);
            var error = document.RootElement;
            var kind = (ErrorKind)error.GetProperty("kind").GetInt32();
            return new CloudException(
                Enum.IsDefined(kind) ? kind : ErrorKind.Internal,
                error.GetProperty("message").GetString()!,
                error.TryGetProperty("code", out var code) ? code.GetString() : null)
            {
                Detail = error.TryGetProperty("detail", out var detail) ? detail.GetString()! : "",
            };
        }
        catch (Exception failure) when (failure is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return new CloudException(ErrorKind.Internal, "The server answered with an error that cannot be read.", inner: failure);
        }
    }

    private static string Place(BusTopic topic, string? host) => host is null ? topic.Name : $"{topic} on host {host}";
}
