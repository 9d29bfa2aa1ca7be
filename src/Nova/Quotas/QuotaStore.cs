using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Quotas;

/// <summary>What a project may use; -1 is any number.</summary>
internal sealed record QuotaLimits(int Instances, int Cores, int Ram, int MetadataItems, int KeyPairs, int ServerGroups, int ServerGroupMembers)
{
    public int Of(string resource) => resource switch
    {
        "instances" => Instances,
        "cores" => Cores,
        "ram" => Ram,
        "metadata_items" => MetadataItems,
        "key_pairs" => KeyPairs,
        "server_groups" => ServerGroups,
        "server_group_members" => ServerGroupMembers,
        _ => Others.GetValueOrDefault(resource, -1),
    };

    /// <summary>Limits that were set of what Nova does no more: kept and shown, without effect.</summary>
    public IReadOnlyDictionary<string, int> Others { get; init; } = new Dictionary<string, int>();

    public QuotaLimits With(string resource, int limit) => resource switch
    {
        "instances" => this with { Instances = limit },
        "cores" => this with { Cores = limit },
        "ram" => this with { Ram = limit },
        "metadata_items" => this with { MetadataItems = limit },
        "key_pairs" => this with { KeyPairs = limit },
        "server_groups" => this with { ServerGroups = limit },
        "server_group_members" => this with { ServerGroupMembers = limit },
        _ => this with { Others = new Dictionary<string, int>(Others) { [resource] = limit } },
    };
}

/// <summary>What is in use; memory in MiB.</summary>
internal sealed record QuotaUsage(int Instances, int Cores, int Ram)
{
    public int Of(string resource) => resource switch
    {
        "instances" => Instances,
        "cores" => Cores,
        "ram" => Ram,
        _ => 0,
    };
}

/// <summary>Limits and usage, both read in the caller's transaction: use is counted, never kept.</summary>
internal sealed class QuotaStore(ServiceConfig config)
{
    private const string DefaultClass = "default";

    public QuotaLimits Configured { get; } = new(
        config.Get(NovaOptions.QuotaInstances),
        config.Get(NovaOptions.QuotaCores),
        config.Get(NovaOptions.QuotaRam),
        config.Get(NovaOptions.QuotaMetadata),
        config.Get(NovaOptions.QuotaKeyPairs),
        config.Get(NovaOptions.QuotaServerGroups),
        config.Get(NovaOptions.QuotaServerGroupMembers));

    /// <summary>The limits of projects that have none of their own.</summary>
    public async Task<QuotaLimits> DefaultsAsync(NovaSession session, CancellationToken cancellationToken)
    {
        var limits = Configured;
        foreach (var row in await session.QuotaClasses.Where(row => row.Class == DefaultClass).ToListAsync(cancellationToken))
        {
            limits = limits.With(row.Resource, row.HardLimit);
        }

        return limits;
    }

    /// <param name="userId">For a user's limits within the project; null for the project's.</param>
    public async Task<QuotaLimits> LimitsAsync(NovaSession session, string projectId, string? userId, CancellationToken cancellationToken)
    {
        var limits = await DefaultsAsync(session, cancellationToken);
        foreach (var row in await session.Quotas
            .Where(row => row.ProjectId == projectId && (row.UserId == "" || row.UserId == userId))
            .OrderBy(row => row.UserId)
            .ToListAsync(cancellationToken))
        {
            limits = limits.With(row.Resource, row.HardLimit);
        }

        return limits;
    }

    public static async Task<QuotaUsage> UsageAsync(NovaSession session, string projectId, CancellationToken cancellationToken) =>
        await session.Instances
            .Where(row => row.ProjectId == projectId && row.DeletedAt == null)
            .GroupBy(row => row.ProjectId)
            .Select(group => new QuotaUsage(group.Count(), group.Sum(row => row.Vcpus), group.Sum(row => row.MemoryMb)))
            .FirstOrDefaultAsync(cancellationToken) ?? new QuotaUsage(0, 0, 0);

    /// <summary>Checks that some more instances of one flavor fit.</summary>
    /// <returns>How many do: at least <paramref name="min"/>.</returns>
    /// <exception cref="CloudException">403 where not even <paramref name="min"/> fit.</exception>
    public async Task<int> CheckInstancesAsync(
        NovaSession session, string projectId, string userId, int vcpus, int memoryMb, int min, int max, CancellationToken cancellationToken)
    {
        var limits = await LimitsAsync(session, projectId, userId, cancellationToken);
        var used = await UsageAsync(session, projectId, cancellationToken);
        var fit = max;
        Cap(limits.Instances, used.Instances, 1);
        Cap(limits.Cores, used.Cores, vcpus);
        Cap(limits.Ram, used.Ram, memoryMb);
        if (fit >= min)
        {
            return fit;
        }

        var over = new List<(string Name, int Requested, int Used, int Allowed)>();
        Collect("cores", limits.Cores, used.Cores, vcpus * min);
        Collect("instances", limits.Instances, used.Instances, min);
        Collect("ram", limits.Ram, used.Ram, memoryMb * min);
        var names = string.Join(", ", over.Select(item => item.Name));
        throw CloudException.Forbidden(
            $"Quota exceeded for {names}: Requested {string.Join(", ", over.Select(item => item.Requested))}, "
            + $"but already used {string.Join(", ", over.Select(item => item.Used))} of {string.Join(", ", over.Select(item => item.Allowed))} {names}");

        void Cap(int limit, int usage, int each)
        {
            if (limit >= 0 && each > 0)
            {
                fit = Math.Min(fit, Math.Max(0, (limit - usage) / each));
            }
        }

        void Collect(string name, int limit, int usage, int requested)
        {
            if (limit >= 0 && usage + requested > limit)
            {
                over.Add((name, requested, usage, limit));
            }
        }
    }
}
