using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.InstanceActions;
using SharpStack.Nova.Interfaces;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary><c>POST /servers/{id}/action</c>: one member, whose name is the action.</summary>
internal sealed class ServerActionRoutes(
    NovaStore store, ServerRoutes servers, ConductorHints hints, ActionLimits limits, IMessageBus bus, ServerSecurityGroups groups)
{
    private static readonly JsonSchema Reboot = JsonSchema.Object(false, ("type!", JsonSchema.OneOfTexts("HARD", "Hard", "hard", "SOFT", "Soft", "soft")));

    private static readonly JsonSchema ConsoleOutput = JsonSchema.Object(
        false,
        ("length", JsonSchema.AnyOf(JsonSchema.Integer(-1), JsonSchema.String(1, 10), JsonSchema.Null)));

    private static readonly JsonSchema ResetState = JsonSchema.Object(false, ("state!", JsonSchema.OneOfTexts("active", "error")));

    private static readonly JsonSchema LockReason = JsonSchema.Object(false, ("locked_reason", JsonSchema.String(1, 255))).OrNull();

    private static readonly JsonSchema Group = JsonSchema.Object(true, ("name!", Schemas.Name));

    /// <summary>Actions of Nova that this cloud does not have.</summary>
    private static readonly HashSet<string> Missing =
    [
        "createImage", "rebuild", "resize", "confirmResize", "revertResize", "migrate", "os-migrateLive", "evacuate", "suspend", "resume", "pause", "unpause", "rescue",
        "unrescue", "shelve", "unshelve", "shelveOffload", "createBackup", "changePassword", "addFixedIp", "removeFixedIp", "addFloatingIp", "removeFloatingIp",
        "os-getVNCConsole", "os-getSPICEConsole", "os-getSerialConsole", "os-getRDPConsole", "trigger_crash_dump", "restore",
    ];

    public void Map(NovaRoutes routes) =>
        routes.Post("/servers/{id}/action", ActAsync).Policy(
            "os_compute_api:servers:reboot",
            "os_compute_api:servers:start",
            "os_compute_api:servers:stop",
            "os_compute_api:servers:create_image",
            "os_compute_api:os-console-output",
            "os_compute_api:os-admin-actions:reset_state",
            "os_compute_api:os-deferred-delete:force",
            "os_compute_api:os-lock-server:lock",
            "os_compute_api:os-lock-server:unlock",
            "os_compute_api:os-security-groups:add",
            "os_compute_api:os-security-groups:remove");

    private async Task ActAsync(ApiContext context)
    {
        var body = await context.ReadJsonAsync();
        var members = body.ValueKind == JsonValueKind.Object ? body.EnumerateObject().ToList() : [];
        if (members.Count != 1)
        {
            throw CloudException.BadRequest("Malformed request body: it has one member, whose name is the action.");
        }

        var (name, argument) = (members[0].Name, members[0].Value);
        switch (name)
        {
            case "reboot":
                Check(name, argument, Reboot);
                await RebootAsync(context, argument.GetProperty("type").GetString()!.Equals("HARD", StringComparison.OrdinalIgnoreCase));
                break;
            case "os-start":
                await StartAsync(
                    context, "start", "os_compute_api:servers:start", InstanceActionKind.Start, TaskStates.PoweringOn, DesiredState.Running, [VmStates.Stopped]);
                break;
            case "os-stop":
                await StartAsync(
                    context, "stop", "os_compute_api:servers:stop", InstanceActionKind.Stop, TaskStates.PoweringOff, DesiredState.Stopped, [VmStates.Active, VmStates.Error]);
                break;
            case "os-getConsoleOutput":
                Check(name, argument, ConsoleOutput);
                await ConsoleOutputAsync(context, argument);
                break;
            case "os-resetState":
                Check(name, argument, ResetState);
                await ResetStateAsync(context, argument.GetProperty("state").GetString()!);
                break;
            case "forceDelete":
                await servers.DeleteAsync(context, "forceDelete");
                break;
            case "lock":
                if (context.Since(73))
                {
                    Check(name, argument, LockReason);
                }

                await LockAsync(context, argument.ValueKind == JsonValueKind.Object ? argument.Text("locked_reason") : null);
                break;
            case "unlock":
                await UnlockAsync(context);
                break;
            case "addSecurityGroup" or "removeSecurityGroup":
                Check(name, argument, Group);
                await groups.ChangeAsync(context, argument.GetProperty("name").GetString()!, name == "addSecurityGroup");
                break;
            default:
                if (Missing.Contains(name))
                {
                    await using var session = store.Read();
                    await ServerRoutes.FindAsync(context, session, name == "createImage" ? "os_compute_api:servers:create_image" : "os_compute_api:servers:show");
                    throw new CloudException(ErrorKind.NotImplemented, $"The action {name} is not available in this cloud.");
                }

                context.WithoutPolicy();
                throw CloudException.BadRequest($"There is no such action: {name}");
        }
    }

    private static void Check(string name, JsonElement argument, JsonSchema schema)
    {
        if (schema.Validate(argument) is { } error)
        {
            throw NovaApi.SchemaFailure(error with { Path = error.Path.Count == 0 ? [name] : error.Path });
        }
    }

    private Task RebootAsync(ApiContext context, bool hard) =>
        StartAsync(
            context,
            "reboot",
            "os_compute_api:servers:reboot",
            hard ? InstanceActionKind.RebootHard : InstanceActionKind.RebootSoft,
            hard ? TaskStates.RebootingHard : TaskStates.Rebooting,
            DesiredState.Running,
            hard ? [VmStates.Active, VmStates.Stopped, VmStates.Paused, VmStates.Suspended, VmStates.Error] : [VmStates.Active]);

    /// <summary>Writes down an action that the host carries out, where the server's state allows it.</summary>
    private async Task StartAsync(
        ApiContext context, string action, string rule, InstanceActionKind kind, string taskState, DesiredState desired, string[] allowed)
    {
        string id;
        await using (var session = store.Read())
        {
            id = (await ServerRoutes.FindAsync(context, session, rule)).Uuid;
        }

        var admin = context.IsAdmin();
        var row = await store.ChangeAsync(
            id,
            async (session, instance) =>
            {
                CheckUnlocked(instance, admin);
                if (!allowed.Contains(instance.VmState))
                {
                    throw CloudException.Conflict($"Cannot '{action}' instance {id} while it is in vm_state {instance.VmState}");
                }

                if (instance.TaskState is { } task && !(kind == InstanceActionKind.RebootHard && task is TaskStates.Rebooting or TaskStates.RebootingHard))
                {
                    throw CloudException.Conflict($"Cannot '{action}' instance {id} while it is in task_state {task}");
                }

                if (instance.LaunchedAt is null || instance.Host is null)
                {
                    throw CloudException.Conflict($"Instance {id} is in an invalid state for '{action}'");
                }

                foreach (var pending in await session.Actions.Where(other => other.InstanceId == id && other.Pending).ToListAsync(context.Aborted))
                {
                    await session.FinishAsync(pending, failed: true, context.Aborted);
                }

                await session.StartAsync(ActionLog.New(context, instance, action, kind, session.Now, limits), context.Aborted);
                instance.TaskState = taskState;
                instance.Desired = desired;
                return true;
            },
            context.Aborted) ?? throw CloudException.NotFound($"Instance {id} could not be found.");
        await hints.HostAsync(row.Host!, row.Uuid, row.Revision);
        await context.NoContentAsync(202);
    }

    private static void CheckUnlocked(InstanceRow row, bool admin)
    {
        if (row.LockedBy is not null && !admin)
        {
            throw CloudException.Conflict($"Instance {row.Uuid} is locked");
        }
    }

    private async Task ConsoleOutputAsync(ApiContext context, JsonElement argument)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await ServerRoutes.FindAsync(context, session, "os_compute_api:os-console-output");
        }

        if (row.VmState == VmStates.Building || row.Host is null)
        {
            throw CloudException.Conflict($"Instance {row.Uuid} is not ready");
        }

        int? lines = argument.TryGetProperty("length", out var length) && length.ValueKind != JsonValueKind.Null ? length.Whole("length") : null;
        string output;
        try
        {
            output = (await bus.CallAsync(
                ComputeContract.GetConsoleOutput, new ConsoleOutputQuery(row.Uuid) { Lines = lines < 0 ? null : lines }, row.Host, cancellationToken: context.Aborted)).Text;
        }
        catch (CloudException failure) when (failure.IsTransient)
        {
            throw CloudException.Conflict($"Instance {row.Uuid} is not ready: {failure.Message}");
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteString("output", output);
            json.WriteEndObject();
        });
    }

    private async Task ResetStateAsync(ApiContext context, string state)
    {
        await ChangeAsync(context, "os_compute_api:os-admin-actions:reset_state", "reset-state", async (session, row) =>
        {
            foreach (var pending in await session.Actions.Where(action => action.InstanceId == row.Uuid && action.Pending && row.Desired != DesiredState.Absent).ToListAsync(context.Aborted))
            {
                await session.FinishAsync(pending, failed: true, context.Aborted);
            }

            row.VmState = state;
            row.TaskState = null;
            (row.FaultCode, row.FaultMessage, row.FaultDetails, row.FaultAt) = (null, null, null, null);
            return true;
        });
        await context.NoContentAsync(202);
    }

    private async Task LockAsync(ApiContext context, string? reason)
    {
        await ChangeAsync(context, "os_compute_api:os-lock-server:lock", "lock", (_, row) =>
        {
            // An owner cannot take a lock from an administrator.
            row.LockedBy = row.LockedBy == "admin" || row.ProjectId != context.Identity.ProjectId ? "admin" : "owner";
            row.LockedReason = reason;
            return Task.FromResult(true);
        });
        await context.NoContentAsync(202);
    }

    private async Task UnlockAsync(ApiContext context)
    {
        await ChangeAsync(context, "os_compute_api:os-lock-server:unlock", "unlock", (_, row) =>
        {
            if (row.LockedBy == "admin")
            {
                context.Enforce("os_compute_api:os-lock-server:unlock:unlock_override", NovaContext.TargetOf(row.ProjectId, row.UserId));
            }

            row.LockedBy = null;
            row.LockedReason = null;
            return Task.FromResult(true);
        });
        await context.NoContentAsync(202);
    }

    private async Task ChangeAsync(ApiContext context, string rule, string action, Func<NovaSession, InstanceRow, Task<bool>> change)
    {
        string id;
        await using (var session = store.Read())
        {
            id = (await ServerRoutes.FindAsync(context, session, rule)).Uuid;
        }

        _ = await store.ChangeAsync(
            id,
            async (session, row) =>
            {
                await session.StartAsync(ActionLog.Done(context, row, action, session.Now), context.Aborted);
                return await change(session, row);
            },
            context.Aborted) ?? throw CloudException.NotFound($"Instance {id} could not be found.");
    }
}
