namespace SharpStack.Lab;

/// <summary>Where a lab keeps what it has, under one folder that only its owner enters.</summary>
public sealed record LabLayout(string Data)
{
    public const string DefaultData = "/var/lib/sharpstack-lab";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode ForAll = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>The lab's number and secrets.</summary>
    public string State => Path.Combine(Data, "lab.json");

    /// <summary>What is there only while the lab runs: scripts and the nodes' own output.</summary>
    public string Run => Path.Combine(Data, "run");

    /// <summary>The script that each node begins with. Its path in a process's arguments tells this lab's nodes from all others.</summary>
    public string InitScript => Path.Combine(Run, "init");

    public string Nodes => Path.Combine(Data, "nodes");

    /// <summary>The SSH key pair of the demo's instances.</summary>
    public string DemoKey => Path.Combine(Data, "demo-key");

    public string Node(string name) => Path.Combine(Nodes, name);

    /// <summary>What a node has over the machine's /etc.</summary>
    public string Etc(string node) => Path.Combine(Node(node), "etc");

    /// <summary>A node's own /var.</summary>
    public string Var(string node) => Path.Combine(Node(node), "var");

    /// <summary>The folder of a node's user: credentials and the key.</summary>
    public string Home(string node) => Path.Combine(Var(node), "lib", "lab");

    /// <summary>What a service writes to its output, and what its supervisor says of it.</summary>
    public string Log(string node, string service) => Path.Combine(Var(node), "log", "lab", $"{service}.log");

    /// <summary>The logs of a service that exist: that of its output, and the file that its configuration names, /var/log/keystone/keystone.log.</summary>
    public IReadOnlyList<string> Logs(string node, string service)
    {
        var folder = Path.Combine(Var(node), "log");
        return Directory.Exists(folder) ? [.. Directory.EnumerateDirectories(folder).Select(path => Path.Combine(path, $"{service}.log")).Where(File.Exists)] : [];
    }

    public void Create()
    {
        Directory.CreateDirectory(Data, ForAll);
        File.SetUnixFileMode(Data, OwnerOnly);
        Directory.CreateDirectory(Run, OwnerOnly);
        Directory.CreateDirectory(Nodes, OwnerOnly);
    }

    /// <summary>Makes a node's folders, with those that OpenStack's packages make; what the node sees is open to its users.</summary>
    public void CreateNode(string node)
    {
        Directory.CreateDirectory(Node(node), OwnerOnly);
        Directory.CreateDirectory(Path.Combine(Node(node), "work"), OwnerOnly);
        foreach (var folder in new[] { Etc(node), Var(node), Path.Combine(Var(node), "lib"), Path.Combine(Var(node), "log"), Path.Combine(Var(node), "log", "lab"), Path.Combine(Var(node), "cache") })
        {
            Directory.CreateDirectory(folder, ForAll);
        }

        foreach (var project in new[] { "keystone", "glance", "placement", "nova", "neutron" })
        {
            Directory.CreateDirectory(Path.Combine(Var(node), "lib", project), ForAll);
            Directory.CreateDirectory(Path.Combine(Var(node), "log", project), OwnerOnly);
        }

        Directory.CreateDirectory(Path.Combine(Var(node), "tmp"), ForAll | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite | UnixFileMode.StickyBit);
        Directory.CreateDirectory(Home(node), OwnerOnly);
    }

    /// <summary>Writes a file in one step: a reader finds the old or the new one whole. Its folder is made where it is missing.</summary>
    public static void Write(string path, string content, UnixFileMode mode)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, ForAll);
        var next = path + ".new";
        File.Delete(next);
        using (var stream = new FileStream(next, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }))
        using (var writer = new StreamWriter(stream))
        {
            writer.Write(content);
        }

        File.SetUnixFileMode(next, mode);
        File.Move(next, path, overwrite: true);
    }
}
