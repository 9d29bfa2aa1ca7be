namespace SharpStack.Nova.Scheduling.Weighers;

/// <summary>Says how good a host is for an instance; registered under the name of OpenStack's class for it.</summary>
public interface IHostWeigher
{
    string Name { get; }

    /// <summary>What the normalised weight is multiplied by; the sign says whether more is better.</summary>
    double Multiplier { get; }

    /// <summary>Any scale: the weights of all hosts of a request are brought to 0 … 1.</summary>
    double Weigh(HostState host, RequestSpec spec);
}

internal sealed class HostWeigher(string name, double multiplier, Func<HostState, RequestSpec, double> weigh) : IHostWeigher
{
    public string Name { get; } = name;

    public double Multiplier { get; } = multiplier;

    public double Weigh(HostState host, RequestSpec spec) => weigh(host, spec);
}
