using System.Globalization;
using System.Text.RegularExpressions;
using SharpStack.ClusterKit;

namespace SharpStack.Cluster.Bench;

/// <summary>What the processes of a cluster have counted so far.</summary>
/// <param name="Messages">Sent over the bus, by topic and method.</param>
/// <param name="RoundTrips">To the databases and back, by process and database.</param>
internal sealed partial record Counters(IReadOnlyDictionary<string, double> Messages, IReadOnlyDictionary<string, double> RoundTrips)
{
    [GeneratedRegex(@"^\w*_(bus_sent|database_round_trips)\{(.*)\} (\S+)")]
    private static partial Regex Sample { get; }

    [GeneratedRegex(@"(\w+)=""([^""]*)""")]
    private static partial Regex Label { get; }

    public static async Task<Counters> ReadAsync(ServedCluster cluster, HttpClient http)
    {
        var (messages, trips) = (new Dictionary<string, double>(), new Dictionary<string, double>());
        foreach (var process in cluster.Processes.Values)
        {
            var text = await http.GetStringAsync(new Uri($"http://127.0.0.1:{process.MetricsPort}/metrics"));
            foreach (var sample in text.Split('\n').Select(line => Sample.Match(line)).Where(match => match.Success))
            {
                var labels = Label.Matches(sample.Groups[2].Value).ToDictionary(label => label.Groups[1].Value, label => label.Groups[2].Value);
                var (into, key) = sample.Groups[1].Value == "bus_sent"
                    ? (messages, $"{labels["topic"]} {labels["method"]}")
                    : (trips, $"{process.Name} ({labels["service"]})");
                into[key] = into.GetValueOrDefault(key) + double.Parse(sample.Groups[3].Value, CultureInfo.InvariantCulture);
            }
        }

        return new Counters(messages, trips);
    }

    /// <summary>What was counted since, for each of so many.</summary>
    public Counters Per(int count, Counters before) => new(Difference(Messages, before.Messages, count), Difference(RoundTrips, before.RoundTrips, count));

    /// <summary>The parts, the largest first.</summary>
    public static string Parts(IReadOnlyDictionary<string, double> counts) =>
        string.Join(", ", counts.Where(pair => pair.Value >= 0.05).OrderByDescending(pair => pair.Value).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value:0.0}")));

    private static Dictionary<string, double> Difference(IReadOnlyDictionary<string, double> after, IReadOnlyDictionary<string, double> before, int count) =>
        after.ToDictionary(pair => pair.Key, pair => (pair.Value - before.GetValueOrDefault(pair.Key)) / count);
}
