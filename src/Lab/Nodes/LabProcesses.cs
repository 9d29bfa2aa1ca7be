using SharpStack.LinuxHost.Processes;

namespace SharpStack.Lab.Nodes;

/// <summary>A service of a node as it is now.</summary>
/// <param name="Supervisor">The script over it.</param>
/// <param name="Process">Itself; null between its end and its next start.</param>
/// <param name="Family">Itself and its descendants.</param>
public sealed record RunningService(string Name, MachineProcess Supervisor, MachineProcess? Process, IReadOnlyList<MachineProcess> Family);

/// <summary>
/// The processes of a lab, found in /proc by what they are: a node's holder by the script that it began with, all others of the node by the PID namespace.
/// So a pid file that is wrong, or was never written, misleads nobody.
/// </summary>
public sealed class LabProcesses
{
    private readonly IReadOnlyList<MachineProcess> all = MachineProcess.All();
    private readonly Dictionary<string, MachineProcess> holders;

    public LabProcesses(LabLayout layout)
    {
        // The holder stays outside of the PID namespace that it made; for a moment its child looks like it.
        holders = all.Where(process => process.InnerId != 1 && process.Arguments is ["unshare", ..] && process.Arguments.Contains(layout.InitScript))
            .GroupBy(process => process.Arguments[process.Arguments.ToList().IndexOf(layout.InitScript) + 1])
            .ToDictionary(group => group.Key, group => group.First());
    }

    /// <summary>The processes that hold the nodes, by the nodes' names: a node ends with its holder.</summary>
    public IReadOnlyDictionary<string, MachineProcess> Holders => holders;

    /// <summary>The first process of a node, null where it does not run.</summary>
    public MachineProcess? InitOf(string node) =>
        holders.TryGetValue(node, out var holder)
            ? all.FirstOrDefault(process => process.InnerId == 1 && process.ParentId == holder.Id && process.Arguments[0] is not "unshare")
            : null;

    /// <summary>All processes in a node.</summary>
    public IReadOnlyList<MachineProcess> Of(string node) =>
        InitOf(node) is { } init ? [.. all.Where(process => process.PidNamespace == init.PidNamespace)] : [];

    /// <summary>The services of a node by name.</summary>
    public IReadOnlyDictionary<string, RunningService> ServicesOf(string node)
    {
        var inside = Of(node);
        var services = new Dictionary<string, RunningService>();
        foreach (var supervisor in inside)
        {
            // A service that is just being started is a copy of the script over it for a moment: the first is the script.
            if (supervisor.Arguments is ["sh", NodeScripts.Supervise, var name, ..] && !inside.Any(other => other.Id == supervisor.ParentId && other.Arguments.SequenceEqual(supervisor.Arguments)))
            {
                var process = inside.FirstOrDefault(other => other.ParentId == supervisor.Id && other.Arguments is not ["sleep", "1"]);
                services[name] = new RunningService(name, supervisor, process, process is null ? [] : Family(inside, process));
            }
        }

        return services;
    }

    private static List<MachineProcess> Family(IReadOnlyList<MachineProcess> inside, MachineProcess root)
    {
        var family = new List<MachineProcess> { root };
        for (var i = 0; i < family.Count; i++)
        {
            family.AddRange(inside.Where(process => process.ParentId == family[i].Id));
        }

        return family;
    }
}
