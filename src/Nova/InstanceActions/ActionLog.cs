using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.InstanceActions;

/// <summary>How long actions may be pending.</summary>
internal sealed class ActionLimits(ServiceConfig config)
{
    private readonly TimeSpan build = TimeSpan.FromSeconds(config.Get(NovaOptions.BuildTimeout) is > 0 and var seconds ? seconds : NovaOptions.BuildTimeout.Default);
    private readonly TimeSpan action = TimeSpan.FromSeconds(config.Get(NovaOptions.ActionTimeout));

    public long Deadline(InstanceActionKind? kind, long now) => now + (long)(kind == InstanceActionKind.Create ? build : action).TotalMicroseconds;
}

/// <summary>The rows behind <c>openstack server event list</c>: what was asked of an instance, and what is still to be done.</summary>
internal static class ActionLog
{
    /// <summary>An action that the conductor ends.</summary>
    public static ActionRow New(ApiContext context, InstanceRow row, string name, InstanceActionKind kind, long now, ActionLimits limits) =>
        Row(context, row, name, now) with { Kind = kind, Pending = true, Deadline = limits.Deadline(kind, now) };

    /// <summary>An action that is done as it is written down.</summary>
    public static ActionRow Done(ApiContext context, InstanceRow row, string name, long now) => Row(context, row, name, now) with { FinishedAt = now };

    private static ActionRow Row(ApiContext context, InstanceRow row, string name, long now) =>
        new()
        {
            InstanceId = row.Uuid,
            Action = name,
            RequestId = context.RequestId,
            UserId = context.Identity.UserId,
            ProjectId = context.Identity.ProjectId ?? "",
            StartedAt = now,
            UpdatedAt = now,
        };
}
