namespace SharpStack.Neutron.Agents;

/// <summary>Files that programs read which this one starts.</summary>
internal static class ConfigurationFiles
{
    public const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    public const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>The file has this content; whoever reads it meanwhile finds the old or the new.</summary>
    /// <returns>Whether it was different.</returns>
    public static async Task<bool> WriteAsync(string path, string content, UnixFileMode mode, CancellationToken cancellationToken)
    {
        if (File.Exists(path) && await File.ReadAllTextAsync(path, cancellationToken) == content)
        {
            return false;
        }

        var next = path + ".new";
        File.Delete(next);
        await using (var file = new FileStream(next, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode & Secret }))
        await using (var writer = new StreamWriter(file))
        {
            await writer.WriteAsync(content.AsMemory(), cancellationToken);
        }

        File.SetUnixFileMode(next, mode);
        File.Move(next, path, overwrite: true);
        return true;
    }
}
