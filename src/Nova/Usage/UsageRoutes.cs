using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Usage;

/// <summary><c>/os-simple-tenant-usage</c>: hours of servers, and of their processors, memory and disks.</summary>
internal sealed class UsageRoutes(NovaStore store)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-simple-tenant-usage", ListAsync).Policy("os_compute_api:os-simple-tenant-usage:list");
        routes.Get("/os-simple-tenant-usage/{project}", ShowAsync).Policy("os_compute_api:os-simple-tenant-usage:show");
    }

    private static (long Start, long Stop) Period(ApiContext context, long now)
    {
        var start = Time("start") ?? now - (long)TimeSpan.FromDays(28).TotalMicroseconds;
        var stop = Time("end") ?? now;
        return start < stop ? (start, stop) : throw CloudException.BadRequest("Invalid start time. The start time cannot occur after the end time.");

        long? Time(string name) => context.Query[name] is not { Length: > 0 } text ? null
            : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) ? Timestamps.ToMicroseconds(time)
            : throw CloudException.BadRequest($"Datetime is in invalid format: {text}");
    }

    private static Task<List<InstanceRow>> RowsAsync(NovaSession session, string? project, long start, long stop, CancellationToken cancellationToken) =>
        session.Instances
            .Where(row => (project == null || row.ProjectId == project) && row.LaunchedAt != null && row.LaunchedAt < stop && (row.TerminatedAt == null || row.TerminatedAt > start))
            .OrderBy(row => row.ProjectId).ThenBy(row => row.Id)
            .ToListAsync(cancellationToken);

    private async Task ListAsync(ApiContext context)
    {
        if (context.Http.Request.Path.Value!.EndsWith('/'))
        {
            // A project was meant, and its id is empty.
            throw CloudException.NotFound("The resource could not be found.");
        }

        context.Enforce();
        await using var session = store.Read();
        var (start, stop) = Period(context, session.Now);
        var detailed = context.Query["detailed"] == "1";
        var rows = await RowsAsync(session, null, start, stop, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("tenant_usages");
            foreach (var project in rows.GroupBy(row => row.ProjectId))
            {
                Write(json, project.Key, [.. project], start, stop, detailed);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        var project = context.Route("project");
        context.Enforce(NovaContext.TargetOf(project));
        await using var session = store.Read();
        var (start, stop) = Period(context, session.Now);
        var rows = await RowsAsync(session, project, start, stop, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("tenant_usage");
            if (rows.Count == 0)
            {
                json.WriteStartObject();
                json.WriteEndObject();
            }
            else
            {
                Write(json, project, rows, start, stop, true);
            }

            json.WriteEndObject();
        });
    }

    private static double Hours(InstanceRow row, long start, long stop) =>
        TimeSpan.FromMicroseconds(Math.Min(row.TerminatedAt ?? stop, stop) - Math.Max(row.LaunchedAt!.Value, start)).TotalHours;

    private static int LocalGb(InstanceRow row) => row.RootGb + row.EphemeralGb;

    private static void Write(Utf8JsonWriter json, string project, List<InstanceRow> rows, long start, long stop, bool detailed)
    {
        json.WriteStartObject();
        json.WriteString("tenant_id", project);
        json.WriteString("start", Timestamps.MicrosNoZone(start));
        json.WriteString("stop", Timestamps.MicrosNoZone(stop));
        json.WriteNumber("total_hours", rows.Sum(row => Hours(row, start, stop)));
        json.WriteNumber("total_local_gb_usage", rows.Sum(row => Hours(row, start, stop) * LocalGb(row)));
        json.WriteNumber("total_memory_mb_usage", rows.Sum(row => Hours(row, start, stop) * row.MemoryMb));
        json.WriteNumber("total_vcpus_usage", rows.Sum(row => Hours(row, start, stop) * row.Vcpus));
        if (detailed)
        {
            json.WriteStartArray("server_usages");
            foreach (var row in rows)
            {
                var uptime = TimeSpan.FromMicroseconds((row.TerminatedAt ?? stop) - row.LaunchedAt!.Value);
                json.WriteStartObject();
                json.WriteString("instance_id", row.Uuid);
                json.WriteString("name", row.Name);
                json.WriteString("tenant_id", row.ProjectId);
                json.WriteString("flavor", row.FlavorName);
                json.WriteNumber("vcpus", row.Vcpus);
                json.WriteNumber("memory_mb", row.MemoryMb);
                json.WriteNumber("local_gb", LocalGb(row));
                json.WriteNumber("hours", Hours(row, start, stop));
                json.WriteString("started_at", Timestamps.MicrosNoZone(row.LaunchedAt.Value));
                json.WriteString("ended_at", row.TerminatedAt is { } ended ? Timestamps.MicrosNoZone(ended) : null);
                json.WriteNumber("uptime", (long)uptime.TotalSeconds);
                json.WriteString("state", row.IsDeleted ? "terminated" : row.VmState);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }
}
