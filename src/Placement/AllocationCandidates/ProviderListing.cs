using SharpStack.Foundation;
using SharpStack.Placement.ResourceProviders;
using SharpStack.Placement.Storage;

namespace SharpStack.Placement.AllocationCandidates;

/// <summary>Finds providers one by one, for <c>GET /resource_providers</c>.</summary>
internal static class ProviderListing
{
    public static List<ResourceProvider> Find(ProviderMap providers, Names names, ProviderFilter filter)
    {
        GroupFilter wanted;
        try
        {
            wanted = GroupFilter.Of(filter.Group, providers, names);
        }
        catch (UnknownNameException unknown)
        {
            throw CloudException.BadRequest(
                unknown.IsTrait
                    ? $"Invalid trait(s) in \"required\" parameter: {unknown.Message}"
                    : $"Invalid resource class in resources parameter: {unknown.Message}");
        }

        IEnumerable<ProviderNode> found = providers.All;
        if (filter.InTree is { } inTree)
        {
            found = providers.Find(inTree) is { } member ? providers.Tree(member.RootId)!.Nodes : [];
        }

        if (filter.Uuid is { } uuid)
        {
            var one = providers.Find(uuid);
            found = one is not null && (filter.InTree is null || found.Contains(one)) ? [one] : [];
        }

        return [.. found
            .Where(node => (string.IsNullOrEmpty(filter.Name) || node.Provider.Name == filter.Name) && wanted.AcceptsAlone(node))
            .OrderBy(node => node.Id)
            .Select(node => node.Provider)];
    }
}
