namespace SharpStack.Neutron.Agents;

/// <summary>Folders named by ids: a folder makes the namespace, ports and processes of that network or router the agent's own, and not another cloud's on this machine.</summary>
internal abstract class OwnedFolders(string root)
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    public IReadOnlyList<string> Ids() => Directory.Exists(root)
        ? [.. Directory.EnumerateDirectories(root).Select(path => Path.GetFileName(path)).Where(IsId)]
        : [];

    public string Of(string id) => IsId(id) ? Path.Combine(root, id) : throw new ArgumentException($"'{id}' is no id.", nameof(id));

    public void Create(string id) => Directory.CreateDirectory(Of(id), Mode);

    public void Delete(string id)
    {
        if (Directory.Exists(Of(id)))
        {
            Directory.Delete(Of(id), recursive: true);
        }
    }

    public bool Contains(string id) => Directory.Exists(Of(id));

    private static bool IsId(string text) => Guid.TryParseExact(text, "D", out _);
}
