namespace SharpStack.Neutron.Agents.L3;

/// <summary>The folders of the routers that an L3 agent serves.</summary>
internal sealed class RouterFolders(string root) : OwnedFolders(root)
{
    /// <summary>Says, by being there, on which port the router's namespace gets a socket of the metadata service.</summary>
    public string MetadataMark(string routerId) => Path.Combine(Of(routerId), "metadata");
}
