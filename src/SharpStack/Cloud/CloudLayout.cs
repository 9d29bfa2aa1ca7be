namespace SharpStack.Cloud;

/// <summary>Where a cloud keeps what it has, under one folder.</summary>
internal sealed record CloudLayout(string Data)
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private const UnixFileMode Passable = OwnerOnly | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    public string Configuration => Path.Combine(Data, "etc");

    public string Databases => Path.Combine(Data, "db");

    public string FernetKeys => Path.Combine(Data, "fernet-keys");

    public string Images => Path.Combine(Data, "images");

    /// <summary>Nova's state path; the disks are in its folder <c>instances</c>.</summary>
    public string Nova => Path.Combine(Data, "nova");

    public string Instances => Path.Combine(Nova, "instances");

    public string Neutron => Path.Combine(Data, "neutron");

    public string Logs => Path.Combine(Data, "log");

    public string Run => Path.Combine(Data, "run");

    public string OpenVSwitch => Path.Combine(Data, "openvswitch");

    public string Libvirt => Path.Combine(Data, "libvirt");

    public string Settings => Path.Combine(Configuration, "cloud.json");

    public string Log => Path.Combine(Logs, "sharpstack.log");

    public string PidFile => Path.Combine(Run, "sharpstack.pid");

    public string AdminCredentials => Path.Combine(Data, "admin-openrc");

    public string DemoCredentials => Path.Combine(Data, "demo-openrc");

    public string CloudsFile => Path.Combine(Data, "clouds.yaml");

    public string DemoKey => Path.Combine(Data, "demo-key");

    /// <summary>The default: the system's place for root, the user's own otherwise.</summary>
    public static string DefaultData() =>
        Environment.IsPrivilegedProcess
            ? "/var/lib/sharpstack"
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "sharpstack");

    /// <summary>Makes the folders. A QEMU that is not root must pass through to the disks, and so must dnsmasq to its files; all else is the owner's alone.</summary>
    public void Create()
    {
        foreach (var folder in new[] { Data, Nova, Instances, Neutron })
        {
            Directory.CreateDirectory(folder, Passable);
        }

        foreach (var folder in new[] { Configuration, Databases, FernetKeys, Images, Logs, Run })
        {
            Directory.CreateDirectory(folder, OwnerOnly);
        }
    }

    /// <summary>Writes a file that only its owner may read, in one step: a reader finds the old or the new one whole.</summary>
    public static void WriteSecret(string path, string content)
    {
        var next = path + ".new";
        File.Delete(next);
        using (var stream = new FileStream(next, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        using (var writer = new StreamWriter(stream))
        {
            writer.Write(content);
        }

        File.Move(next, path, overwrite: true);
    }
}
