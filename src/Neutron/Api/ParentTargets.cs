using SharpStack.Foundation.Policy;

namespace SharpStack.Neutron.Api;

internal static class ParentTargets
{
    /// <summary>The target of what belongs to something else, as Neutron's rules look at it.</summary>
    /// <param name="projectId">The parent's.</param>
    public static PolicyTarget Of(string projectId) => PolicyTarget.Of(("project_id", projectId), ("tenant_id", projectId), ("ext_parent:tenant_id", projectId));
}
