namespace SharpStack.Nova.Scheduling.Filters;

/// <summary>Decides which hosts may take an instance; registered under OpenStack's name for it, and enabled by that name.</summary>
public interface IHostFilter
{
    string Name { get; }

    /// <returns>Why the host may not take it, in few words and the same for all hosts with the same reason (<c>service down</c>); null where it may.</returns>
    string? Refuse(HostState host, RequestSpec spec);
}
