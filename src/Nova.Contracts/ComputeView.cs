namespace SharpStack.Nova.Contracts;

/// <summary>What a compute host has, as it sees it itself; for an audit.</summary>
public sealed record ComputeView(string Host)
{
    /// <summary>The guests are only remembered: there are no files and no interfaces.</summary>
    public bool IsSimulated { get; init; }

    /// <summary>The hypervisor's guests whose names are Nova's.</summary>
    public IReadOnlyList<GuestView> Guests { get; init; } = [];

    /// <summary>The folders of instances.</summary>
    public IReadOnlyList<InstanceFilesView> Folders { get; init; } = [];

    /// <summary>Devices named as taps of ports are.</summary>
    public IReadOnlyList<string> Taps { get; init; } = [];

    public IReadOnlyList<CachedImageView> CachedImages { get; init; } = [];
}

/// <param name="Id">The guest's UUID, which is the instance's.</param>
/// <param name="Name">The hypervisor's name for it: <c>instance-0000002a</c>.</param>
public sealed record GuestView(string Id, string Name, PowerState Power);

/// <param name="Backing">The file that the instance's disk lies over; null for none.</param>
/// <param name="HasBacking">That file is there; true where there needs to be none.</param>
public sealed record InstanceFilesView(string Id, string? Backing, bool HasBacking);

/// <param name="Path">Of the file.</param>
/// <param name="UsedAt">When a disk was last laid over it, UTC.</param>
public sealed record CachedImageView(string Path, DateTimeOffset UsedAt);
