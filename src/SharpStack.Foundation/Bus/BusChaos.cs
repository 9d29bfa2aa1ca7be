using System.Globalization;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Bus;

/// <summary>
/// Loses, doubles and delays messages (calls, answers, casts and fan-outs alike) as a bad network would, repeatably for a seed: for tests of running
/// clouds. <c>[sharpstack] bus_chaos = drop:0.1,double:0.1,reorder:0.1</c>.
/// </summary>
public sealed class BusChaos
{
    public static readonly ConfigOption<IReadOnlyDictionary<string, string>> Option = new(
        "sharpstack", "bus_chaos", new Dictionary<string, string>(), "For tests only: the shares of messages to lose (drop), send twice (double) and delay behind others (reorder), each from 0 to 1.");

    public static readonly ConfigOption<int> Seed = new("sharpstack", "bus_chaos_seed", 0, "For tests only: the seed of bus_chaos.");

    private static readonly IReadOnlyList<TimeSpan> Once = [TimeSpan.Zero];

    private readonly double drop;
    private readonly double twice;
    private readonly double reorder;
    private readonly Random random;

    /// <param name="drop">Share of messages that are lost, 0 to 1.</param>
    /// <param name="twice">Share that is sent twice.</param>
    /// <param name="reorder">Share that is held back for up to half a second, so that later ones overtake it.</param>
    /// <param name="seed">The same seed gives the same decisions in the same order.</param>
    public BusChaos(double drop, double twice, double reorder, int seed)
    {
        this.drop = drop;
        this.twice = twice;
        this.reorder = reorder;
        random = new Random(seed);
    }

    /// <returns>Null where the configuration asks for none.</returns>
    /// <exception cref="FormatException">The option names something else, or a share that is none.</exception>
    internal static BusChaos? Read(ServiceConfig config)
    {
        var shares = config.Get(Option);
        if (shares.Count == 0)
        {
            return null;
        }

        foreach (var name in shares.Keys.Where(name => name is not ("drop" or "double" or "reorder")))
        {
            throw new FormatException($"[sharpstack] bus_chaos: {name} is none of drop, double, reorder");
        }

        return new BusChaos(Share("drop"), Share("double"), Share("reorder"), config.Get(Seed));

        double Share(string name) =>
            !shares.TryGetValue(name, out var text) ? 0
            : double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var share) && share is >= 0 and <= 1 ? share
            : throw new FormatException($"[sharpstack] bus_chaos: {name}:{text} is no share from 0 to 1");
    }

    /// <summary>After which times the message is delivered: none for one that is lost.</summary>
    internal IReadOnlyList<TimeSpan> Plan()
    {
        lock (random)
        {
            if (random.NextDouble() < drop)
            {
                return [];
            }

            var doubled = random.NextDouble() < twice;
            var first = random.NextDouble() < reorder ? Delay() : TimeSpan.Zero;
            return doubled ? [first, Delay()] : first == TimeSpan.Zero ? Once : [first];
        }
    }

    private TimeSpan Delay() => TimeSpan.FromMilliseconds(random.NextDouble() * 500);
}
