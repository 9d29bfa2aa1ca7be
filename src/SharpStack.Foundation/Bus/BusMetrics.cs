using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace SharpStack.Foundation.Bus;

/// <summary>What goes over the buses of this process.</summary>
internal static class BusMetrics
{
    private static readonly Meter Meter = new("SharpStack.Bus");

    private static readonly Counter<long> SentCount = Meter.CreateCounter<long>("sharpstack.bus.sent", null, "Messages sent.");

    private static readonly Counter<long> ReceivedCount = Meter.CreateCounter<long>("sharpstack.bus.received", null, "Messages taken up by a handler.");

    private static readonly Counter<long> ReturnedCount = Meter.CreateCounter<long>("sharpstack.bus.returned", null, "Messages that nobody serves.");

    private static readonly Counter<long> RedeliveredCount = Meter.CreateCounter<long>("sharpstack.bus.redelivered", null, "Messages that came once more, as the handler failed or its process ended.");

    private static readonly Counter<long> DeadLetterCount = Meter.CreateCounter<long>("sharpstack.bus.dead.letters", null, "Messages put aside, as they could not be handled.");

    private static readonly Counter<long> DroppedCount = Meter.CreateCounter<long>("sharpstack.bus.dropped", null, "Hints that were not sent, as the queue to the broker was full.");

    private static readonly Histogram<double> CallTime = Meter.CreateHistogram<double>("sharpstack.bus.call.duration", "s", "Time of a call as its caller sees it.");

    private static readonly UpDownCounter<int> ConnectionCount = Meter.CreateUpDownCounter<int>("sharpstack.bus.connected", null, "Whether the connection to the broker is up.");

    private static readonly Counter<long> ReconnectCount = Meter.CreateCounter<long>("sharpstack.bus.reconnects", null, "Connections to a broker that came back.");

    public static void Sent(BusTopic topic, string method, string kind) => SentCount.Add(1, Tags(topic, method, ("kind", kind)));

    public static void Received(BusTopic topic, string method) => ReceivedCount.Add(1, Tags(topic, method));

    public static void Returned(BusTopic topic, string method) => ReturnedCount.Add(1, Tags(topic, method));

    public static void Redelivered(BusTopic topic, string method) => RedeliveredCount.Add(1, Tags(topic, method));

    public static void DeadLetter(BusTopic topic, string method, string reason) => DeadLetterCount.Add(1, Tags(topic, method, ("reason", reason)));

    public static void Dropped(BusTopic topic, string method) => DroppedCount.Add(1, Tags(topic, method));

    public static void Called(BusTopic topic, string method, TimeSpan duration, bool failed) =>
        CallTime.Record(duration.TotalSeconds, Tags(topic, method, ("failed", failed ? "true" : "false")));

    public static void Connected(string bus, int change) => ConnectionCount.Add(change, new KeyValuePair<string, object?>("bus", bus));

    public static void Reconnected(string bus) => ReconnectCount.Add(1, new KeyValuePair<string, object?>("bus", bus));

    private static TagList Tags(BusTopic topic, string method, params ReadOnlySpan<(string Name, string Value)> more)
    {
        var tags = new TagList { { "topic", topic.Name }, { "method", method } };
        foreach (var (name, value) in more)
        {
            tags.Add(name, value);
        }

        return tags;
    }
}
