using SharpStack.Foundation.Configuration;

namespace SharpStack.Placement;

/// <summary>The options of <c>placement.conf</c> beyond those that every service has.</summary>
internal static class PlacementOptions
{
    public const string Config = "placement";

    /// <summary>Placement's own group for its database; <c>[database]</c> is read where it is empty.</summary>
    public const string DatabaseGroup = "placement_database";

    private const string MissingId = "00000000-0000-0000-0000-000000000000";

    public static readonly ConfigOption<bool> RandomizeAllocationCandidates = new(
        "placement", "randomize_allocation_candidates", false, "Give allocation candidates in random order, so that a limit takes a random sample.");

    public static readonly ConfigOption<string> IncompleteConsumerProjectId = new(
        "placement", "incomplete_consumer_project_id", MissingId, "The project of allocations made before microversion 1.8, which name none.");

    public static readonly ConfigOption<string> IncompleteConsumerUserId = new(
        "placement", "incomplete_consumer_user_id", MissingId, "The user of allocations made before microversion 1.8, which name none.");
}
