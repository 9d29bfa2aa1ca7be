namespace SharpStack.TestKit;

/// <summary>The source tree that the tests were built in.</summary>
public static class Repository
{
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    /// <summary>The program: the one that <c>PROGRAM</c> names (compiled ahead, it starts several times faster), or the one that was built together with these tests.</summary>
    public static string Program
    {
        get
        {
            if (Environment.GetEnvironmentVariable("PROGRAM") is { Length: > 0 } given)
            {
                return given;
            }

            var configuration = Path.GetFileName(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory)))!;
            var builds = Path.Combine(Root, "src", "SharpStack", "bin", configuration);
            return Directory.EnumerateFiles(builds, "sharpstack", SearchOption.AllDirectories).First(path => !path.Contains("publish", StringComparison.Ordinal));
        }
    }

    private static string Find(string folder)
    {
        while (!File.Exists(Path.Combine(folder, "SharpStack.slnx")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("the tests do not run inside the source tree");
        }

        return folder;
    }
}
