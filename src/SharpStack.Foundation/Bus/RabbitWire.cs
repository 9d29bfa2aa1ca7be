using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using RabbitMQ.Client;

namespace SharpStack.Foundation.Bus;

internal enum RabbitQueueKind
{
    /// <summary>One method of a topic, consumed by all who serve it.</summary>
    Shared,

    /// <summary>All methods of a topic at one host.</summary>
    Host,

    /// <summary>What is fanned out to this process.</summary>
    Fanout,
}

internal sealed record RabbitQueue(string Name, RabbitQueueKind Kind, string? Host);

/// <summary>A message on its way to the broker.</summary>
internal sealed record RabbitOutgoing(BusMethod Method, BusVersion Version, int RequiredMinor, string Kind, string Exchange, string RoutingKey, byte[] Body)
{
    /// <summary>How often it was handed to a handler before.</summary>
    public int Attempts { get; init; }

    public string? CorrelationId { get; init; }

    public string? ReplyTo { get; init; }

    /// <summary>Milliseconds, as AMQP writes them; null for as long as its queue lives.</summary>
    public string? Expiration { get; init; }

    public BasicProperties Properties() => new()
    {
        AppId = RabbitWire.Prefix,
        ContentType = "application/json",
        Type = Kind,
        CorrelationId = CorrelationId,
        ReplyTo = ReplyTo,
        Expiration = Expiration,
        Headers = new Dictionary<string, object?>
        {
            [RabbitWire.TopicHeader] = $"{Method.Topic.Service}/{Method.Topic.Name}",
            [RabbitWire.MethodHeader] = Method.Name,
            [RabbitWire.VersionHeader] = Version.ToString(),
            [RabbitWire.RequiredHeader] = RequiredMinor,
            [RabbitWire.AttemptsHeader] = Attempts,
        },
    };
}

/// <summary>A message as it came; what its headers do not say is null, as anybody with access to the broker may have sent it.</summary>
internal sealed record RabbitDelivery(RabbitQueue Queue, ulong Tag, bool Redelivered, IReadOnlyBasicProperties Properties, byte[] Body)
{
    public string Kind => Properties.Type ?? "";

    public string? ReplyTo => Properties.ReplyTo;

    public BusMethod? Method { get; } = MethodOf(Properties);

    public BusVersion Version { get; } = VersionOf(Properties) ?? default;

    public int RequiredMinor { get; } = Number(Properties, RabbitWire.RequiredHeader);

    public int Attempts { get; } = Number(Properties, RabbitWire.AttemptsHeader);

    /// <summary>The same message for the same queue, once more.</summary>
    public RabbitOutgoing Again() =>
        new(Method!, Version, RequiredMinor, Kind, "", Queue.Name, Body)
        {
            Attempts = Attempts + 1, CorrelationId = Properties.CorrelationId, ReplyTo = ReplyTo, Expiration = Properties.Expiration,
        };

    private static BusMethod? MethodOf(IReadOnlyBasicProperties properties) =>
        Text(properties, RabbitWire.TopicHeader)?.Split('/', 2) is [var service, var topic]
        && Text(properties, RabbitWire.MethodHeader) is { Length: > 0 } method
        && VersionOf(properties) is { } version
            ? new BusMethod(new BusTopic(service, topic), method, version.Major)
            : null;

    private static BusVersion? VersionOf(IReadOnlyBasicProperties properties) =>
        Text(properties, RabbitWire.VersionHeader)?.Split('.') is [var major, var minor]
        && int.TryParse(major, NumberStyles.None, CultureInfo.InvariantCulture, out var majorNumber)
        && int.TryParse(minor, NumberStyles.None, CultureInfo.InvariantCulture, out var minorNumber)
            ? new BusVersion(majorNumber, minorNumber)
            : null;

    private static string? Text(IReadOnlyBasicProperties properties, string name) =>
        properties.Headers is { } headers && headers.TryGetValue(name, out var value) && value is byte[] text ? Encoding.UTF8.GetString(text) : null;

    private static int Number(IReadOnlyBasicProperties properties, string name) =>
        properties.Headers is { } headers && headers.TryGetValue(name, out var value) && value is int number and >= 0 ? number : 0;
}

/// <summary>Names at the broker. Only what every virtual host has (the default exchange and <c>amq.direct</c>) and queues of our own are used.</summary>
internal static class RabbitWire
{
    public const string Prefix = "sharpstack";
    public const string DeadLetters = "sharpstack.dead-letters";
    public const int MaxDeadLetters = 10_000;
    public const int MaxQueueLength = 10_000;
    public const string Direct = "amq.direct";

    public const string TopicHeader = "topic";
    public const string MethodHeader = "method";
    public const string VersionHeader = "version";
    public const string RequiredHeader = "required-minor";
    public const string AttemptsHeader = "attempts";

    public const string Call = "call";
    public const string Cast = "cast";
    public const string Fanout = "fanout";
    public const string Reply = "reply";
    public const string Error = "error";

    public static string SharedQueue(BusMethod method) => Bounded($"{TopicName(method.Topic)}/{MethodName(method)}");

    public static string HostQueue(BusTopic topic, string host) => Bounded($"{TopicName(topic)}@{host}");

    public static string HostKey(BusMethod method, string host) => Bounded($"{TopicName(method.Topic)}@{host}/{MethodName(method)}");

    public static string FanoutKey(BusMethod method) => Bounded($"{TopicName(method.Topic)}*{MethodName(method)}");

    private static string TopicName(BusTopic topic) => $"{Prefix}.{topic.Service}.{topic.Name}";

    private static string MethodName(BusMethod method) => $"{method.Name}.v{method.Major}";

    /// <summary>AMQP's names have 255 bytes at most; a longer one (a host's name may be that long) ends with a digest of itself.</summary>
    private static string Bounded(string name)
    {
        const int longest = 255;
        if (Encoding.UTF8.GetByteCount(name) <= longest)
        {
            return name;
        }

        var digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)));
        return $"{name[..40]}~{digest}";
    }
}
