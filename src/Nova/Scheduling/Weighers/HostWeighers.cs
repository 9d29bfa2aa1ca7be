using System.Globalization;

namespace SharpStack.Nova.Scheduling.Weighers;

/// <summary>Says how good a host is for an instance; registered under the name of OpenStack's class for it.</summary>
public interface IHostWeigher
{
    string Name { get; }

    /// <summary>What the host's normalised weight is multiplied by; the sign says whether more is better.</summary>
    double MultiplierOf(HostState host);

    /// <summary>Any scale: the weights of all hosts of a request are brought to 0 … 1.</summary>
    double Weigh(HostState host, RequestSpec spec);
}

/// <param name="key">The option of the multiplier; the host's aggregates may have another value under this name in their metadata, of which the least counts.</param>
internal sealed class HostWeigher(string name, string key, double multiplier, Func<HostState, RequestSpec, double> weigh) : IHostWeigher
{
    public string Name { get; } = name;

    public double MultiplierOf(HostState host)
    {
        double? least = null;
        foreach (var aggregate in host.Aggregates)
        {
            if (aggregate.TryGetValue(key, out var text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && !(value >= least))
            {
                least = value;
            }
        }

        return least ?? multiplier;
    }

    public double Weigh(HostState host, RequestSpec spec) => weigh(host, spec);
}
