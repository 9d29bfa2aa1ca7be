using System.Diagnostics.Metrics;

namespace SharpStack.Foundation.Storage;

/// <summary>What the databases cost, by service.</summary>
internal sealed class DatabaseMetrics(string service)
{
    private static readonly Meter Meter = new("SharpStack.Database");
    private static readonly Counter<long> RoundTrips = Meter.CreateCounter<long>("sharpstack.database.round_trips", description: "Messages that went to the database and back: statements, commits, and begins where they are a message.");
    private static readonly Counter<long> Retries = Meter.CreateCounter<long>("sharpstack.database.retries", description: "Transactions and reads that were repeated, by reason: conflict (it lost against another transaction) or connection.");
    private static readonly Counter<long> Failures = Meter.CreateCounter<long>("sharpstack.database.failures", description: "Work that was given up, by reason: conflict or connection.");
    private static readonly Histogram<double> Duration = Meter.CreateHistogram<double>("sharpstack.database.query.duration", "s", "Time from a statement's sending to the first of its answer.");

    private readonly KeyValuePair<string, object?> tag = new("service", service);

    public void Sent(int roundTrips)
    {
        if (roundTrips > 0)
        {
            RoundTrips.Add(roundTrips, tag);
        }
    }

    public void Took(TimeSpan time) => Duration.Record(time.TotalSeconds, tag);

    public void Retried(DatabaseFailure reason) => Retries.Add(1, tag, Reason(reason));

    public void GaveUp(DatabaseFailure reason) => Failures.Add(1, tag, Reason(reason));

    private static KeyValuePair<string, object?> Reason(DatabaseFailure reason) => new("reason", reason == DatabaseFailure.Conflict ? "conflict" : "connection");
}
