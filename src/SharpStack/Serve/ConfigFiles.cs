using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Serve;

/// <summary>
/// Which files the services of a process are configured by. Named ones (<c>--config-file</c>, <c>--config-dir</c>) are read in the order in which they are named, later ones
/// win, and without any the places are those of OpenStack's services. A process with services of several projects tells by a file's name or folder whose it is.
/// </summary>
internal sealed class ConfigFiles
{
    /// <summary>The names that say by themselves whose a file is, in the order in which they are read; some are one service's only.</summary>
    private static readonly (string Name, string Project, string? Service)[] Known =
    [
        ("keystone.conf", "keystone", null),
        ("glance-api.conf", "glance", null),
        ("placement.conf", "placement", null),
        ("nova.conf", "nova", null),
        ("nova-compute.conf", "nova", "nova-compute"),
        ("neutron.conf", "neutron", null),
        ("ml2_conf.ini", "neutron", "neutron-server"),
        ("openvswitch_agent.ini", "neutron", "neutron-openvswitch-agent"),
        ("dhcp_agent.ini", "neutron", "neutron-dhcp-agent"),
        ("l3_agent.ini", "neutron", "neutron-l3-agent"),
        ("metadata_agent.ini", "neutron", "neutron-metadata-agent"),
    ];

    private static readonly string[] Ml2Folders = ["", "plugins/ml2"];

    private readonly IReadOnlyDictionary<string, IReadOnlyList<string>> files;

    private ConfigFiles(IReadOnlyDictionary<string, IReadOnlyList<string>> files) => this.files = files;

    /// <summary>The files of a project in the order in which they are read.</summary>
    public IReadOnlyList<string> this[string project] => files.GetValueOrDefault(project, []);

    /// <summary>The names of a project's files.</summary>
    public static IEnumerable<string> NamesOf(string project) => Known.Where(file => file.Project == project).Select(file => file.Name);

    /// <param name="named">The options <c>--config-file</c> and <c>--config-dir</c> in the order in which they were given.</param>
    /// <param name="projects">The projects whose services run in this process.</param>
    /// <param name="services">The services; null for all.</param>
    /// <exception cref="CommandException">A file or folder that does not exist, or of which nobody can tell whose it is.</exception>
    public static ConfigFiles Named(IEnumerable<(string Option, string Path)> named, IReadOnlyCollection<string> projects, IReadOnlySet<string>? services)
    {
        var found = projects.ToDictionary(project => project, _ => new List<string>());
        foreach (var (option, path) in named)
        {
            if (option == "--config-file")
            {
                if (!File.Exists(path))
                {
                    throw new CommandException($"there is no configuration file {path}");
                }

                found[projects.Count == 1 ? projects.First() : OwnerOf(path) is { } owner && found.ContainsKey(owner) ? owner : throw Unknown(path, projects)].Add(path);
                continue;
            }

            if (!Directory.Exists(path))
            {
                throw new CommandException($"there is no configuration folder {path}");
            }

            foreach (var (project, file) in projects.SelectMany(project => InFolder(path, project, projects, services).Select(file => (project, file))))
            {
                found[project].Add(file);
            }
        }

        return new ConfigFiles(found.ToDictionary(pair => pair.Key, pair => (IReadOnlyList<string>)pair.Value));
    }

    /// <summary>
    /// The places that oslo.config looks in: <c>ROOT/nova/nova.conf</c>, <c>ROOT/nova/nova-api.conf</c>, then the <c>*.conf</c> files of <c>ROOT/nova/nova.conf.d</c> and
    /// <c>ROOT/nova/nova-api.conf.d</c>; and for Neutron the files that its services are started with elsewhere.
    /// </summary>
    public static ConfigFiles InPlace(string root, IReadOnlyCollection<string> projects, IReadOnlySet<string>? services) =>
        new(projects.ToDictionary(project => project, project => (IReadOnlyList<string>)[.. InPlace(Path.Combine(root, project), project, services)]));

    /// <exception cref="CommandException">A file that cannot be read.</exception>
    public ServiceConfig Load(string project)
    {
        try
        {
            return ServiceConfig.Load(project, this[project]);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{project}'s configuration cannot be read: {failure.Message}");
        }
    }

    private static IEnumerable<string> InPlace(string folder, string project, IReadOnlySet<string>? services)
    {
        string[] programs = [project, .. (services ?? Known.Select(file => file.Service).OfType<string>()).Where(service => ServiceNames.ProjectOf(service) == project && service != project).Order(StringComparer.Ordinal)];
        var names = programs.Select(program => program + ".conf").Concat(Known.Where(file => IsFor(file, project, services)).Select(file => file.Name)).Distinct();
        return names.SelectMany(name => Ml2Folders.Select(sub => Path.Combine(folder, sub, name))).Where(File.Exists)
            .Concat(programs.SelectMany(program => Sorted(Path.Combine(folder, program + ".conf.d"))));
    }

    /// <summary>What a folder has for one project: a folder for each project inside it, or the files of all in one, or <c>*.conf</c> files of whatever name for one project.</summary>
    private static IEnumerable<string> InFolder(string folder, string project, IReadOnlyCollection<string> projects, IReadOnlySet<string>? services)
    {
        var inner = InPlace(Path.Combine(folder, project), project, services);
        var known = Known.Where(file => IsFor(file, project, services)).Select(file => Path.Combine(folder, file.Name)).Where(File.Exists);
        if (ServiceNames.Projects.Any(other => Directory.Exists(Path.Combine(folder, other))))
        {
            // Laid out as /etc is: what else is in it is other programs'.
            return inner.Concat(known);
        }

        var others = Sorted(folder).Where(path => Known.All(file => file.Name != Path.GetFileName(path))).Where(path =>
            (NameOwner(Path.GetFileName(path)) ?? (projects.Count == 1 ? project : OwnerOf(path) ?? throw Unknown(path, projects))) == project);
        return inner.Concat(known).Concat(others);
    }

    private static bool IsFor((string Name, string Project, string? Service) file, string project, IReadOnlySet<string>? services) =>
        file.Project == project && (file.Service is null || services is null || services.Contains(file.Service));

    private static IEnumerable<string> Sorted(string folder) =>
        Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "*.conf").Order(StringComparer.Ordinal) : [];

    /// <summary>Whose a file is, by its name or the nearest folder that says so.</summary>
    private static string? OwnerOf(string path)
    {
        for (var part = Path.GetFullPath(path); part is { Length: > 1 }; part = Path.GetDirectoryName(part))
        {
            if (NameOwner(Path.GetFileName(part)) is { } owner)
            {
                return owner;
            }
        }

        return null;
    }

    private static string? NameOwner(string name) =>
        Known.FirstOrDefault(file => file.Name == name).Project
        ?? ServiceNames.Projects.FirstOrDefault(project => name == project || (name.StartsWith(project, StringComparison.Ordinal) && name[project.Length] is '-' or '.' or '_'));

    private static CommandException Unknown(string path, IReadOnlyCollection<string> projects) =>
        new($"whose configuration is {path}? This process has services of {string.Join(", ", projects)}: name the file like one of theirs (nova.conf), or put it into a folder of that name");
}
