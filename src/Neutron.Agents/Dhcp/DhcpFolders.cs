namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>The folders of the networks that a DHCP agent serves: a folder makes a network's namespace, port and processes the agent's own.</summary>
internal sealed class DhcpFolders(string root)
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    public IReadOnlyList<string> Networks() => Directory.Exists(root)
        ? [.. Directory.EnumerateDirectories(root).Select(path => Path.GetFileName(path)).Where(IsNetworkId)]
        : [];

    public string Of(string networkId) =>
        IsNetworkId(networkId) ? Path.Combine(root, networkId) : throw new ArgumentException($"'{networkId}' is no network's id.", nameof(networkId));

    public void Create(string networkId) => Directory.CreateDirectory(Of(networkId), Mode);

    public void Delete(string networkId)
    {
        if (Directory.Exists(Of(networkId)))
        {
            Directory.Delete(Of(networkId), recursive: true);
        }
    }

    private static bool IsNetworkId(string text) => Guid.TryParseExact(text, "D", out _);
}
