namespace SharpStack.Nova.Servers;

/// <summary>Nova's <c>vm_state</c>: what an instance is.</summary>
internal static class VmStates
{
    public const string Active = "active";
    public const string Building = "building";
    public const string Paused = "paused";
    public const string Suspended = "suspended";
    public const string Stopped = "stopped";
    public const string Rescued = "rescued";
    public const string Resized = "resized";
    public const string SoftDeleted = "soft-delete";
    public const string Deleted = "deleted";
    public const string Error = "error";
    public const string Shelved = "shelved";
    public const string ShelvedOffloaded = "shelved_offloaded";
}

/// <summary>Nova's <c>task_state</c>: what is being done with it.</summary>
internal static class TaskStates
{
    public const string Scheduling = "scheduling";
    public const string Networking = "networking";
    public const string Spawning = "spawning";
    public const string Rebooting = "rebooting";
    public const string RebootingHard = "rebooting_hard";
    public const string PoweringOn = "powering-on";
    public const string PoweringOff = "powering-off";
    public const string Deleting = "deleting";
}

/// <summary>The <c>status</c> that users see, made of the two.</summary>
internal static class ServerStatus
{
    private static readonly (string VmState, string Status, (string Task, string Status)[] Tasks)[] Map =
    [
        (VmStates.Active, "ACTIVE",
        [
            ("rebooting", "REBOOT"), ("reboot_pending", "REBOOT"), ("reboot_started", "REBOOT"),
            ("rebooting_hard", "HARD_REBOOT"), ("reboot_pending_hard", "HARD_REBOOT"), ("reboot_started_hard", "HARD_REBOOT"),
            ("updating_password", "PASSWORD"), ("rebuilding", "REBUILD"), ("rebuild_block_device_mapping", "REBUILD"), ("rebuild_spawning", "REBUILD"),
            ("migrating", "MIGRATING"), ("resize_prep", "RESIZE"), ("resize_migrating", "RESIZE"), ("resize_migrated", "RESIZE"), ("resize_finish", "RESIZE"),
        ]),
        (VmStates.Building, "BUILD", []),
        (VmStates.Stopped, "SHUTOFF",
        [
            ("resize_prep", "RESIZE"), ("resize_migrating", "RESIZE"), ("resize_migrated", "RESIZE"), ("resize_finish", "RESIZE"),
            ("rebuilding", "REBUILD"), ("rebuild_block_device_mapping", "REBUILD"), ("rebuild_spawning", "REBUILD"),
        ]),
        (VmStates.Resized, "VERIFY_RESIZE", [("resize_reverting", "REVERT_RESIZE")]),
        (VmStates.Paused, "PAUSED", [("migrating", "MIGRATING")]),
        (VmStates.Suspended, "SUSPENDED", []),
        (VmStates.Rescued, "RESCUE", []),
        (VmStates.Error, "ERROR", [("rebuilding", "REBUILD"), ("rebuild_block_device_mapping", "REBUILD"), ("rebuild_spawning", "REBUILD")]),
        (VmStates.Deleted, "DELETED", []),
        (VmStates.SoftDeleted, "SOFT_DELETED", []),
        (VmStates.Shelved, "SHELVED", []),
        (VmStates.ShelvedOffloaded, "SHELVED_OFFLOADED", []),
    ];

    public static string Of(string vmState, string? taskState)
    {
        foreach (var (vm, status, tasks) in Map)
        {
            if (vm != vmState)
            {
                continue;
            }

            if (taskState is not null)
            {
                foreach (var (task, special) in tasks)
                {
                    if (task == taskState)
                    {
                        return special;
                    }
                }
            }

            return status;
        }

        return "UNKNOWN";
    }

    /// <summary>The states that a status stands for; no task states where any will do; both empty for an unknown status.</summary>
    public static (IReadOnlyList<string> VmStates, IReadOnlyList<string> TaskStates) From(IEnumerable<string> statuses)
    {
        var wanted = statuses.Select(status => status.ToUpperInvariant()).ToHashSet();
        var vm = new List<string>();
        var task = new HashSet<string>();
        var any = false;
        foreach (var (state, status, tasks) in Map)
        {
            var special = tasks.Where(pair => wanted.Contains(pair.Status)).Select(pair => pair.Task).ToList();
            if (wanted.Contains(status))
            {
                any = true;
                vm.Add(state);
            }
            else if (special.Count > 0)
            {
                vm.Add(state);
            }

            task.UnionWith(special);
        }

        return (vm, any ? [] : [.. task]);
    }
}
