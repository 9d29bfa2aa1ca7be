using System.Globalization;
using SharpStack.ClusterKit;

namespace SharpStack.Cluster.Bench;

/// <summary>What the processes of a cluster have counted so far.</summary>
/// <param name="Messages">Sent over the bus.</param>
/// <param name="RoundTrips">To the databases and back.</param>
internal sealed record Counters(double Messages, double RoundTrips)
{
    public static async Task<Counters> ReadAsync(ServedCluster cluster, HttpClient http)
    {
        var (messages, trips) = (0.0, 0.0);
        foreach (var process in cluster.Processes.Values)
        {
            var text = await http.GetStringAsync(new Uri($"http://127.0.0.1:{process.MetricsPort}/metrics"));
            foreach (var line in text.Split('\n').Where(line => !line.StartsWith('#')))
            {
                var name = line.Split(' ', '{')[0];
                var value = name.EndsWith("bus_sent", StringComparison.Ordinal) || name.EndsWith("database_round_trips", StringComparison.Ordinal)
                    ? double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture)
                    : 0;
                (messages, trips) = name.EndsWith("bus_sent", StringComparison.Ordinal) ? (messages + value, trips) : (messages, trips + value);
            }
        }

        return new Counters(messages, trips);
    }
}
