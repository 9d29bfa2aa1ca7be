using System.Globalization;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Usage;

/// <summary><c>/os-instance_usage_audit_log</c>: no host runs the usage audit of old (<c>instance_usage_audit</c> is off), so every host is one that has not.</summary>
internal sealed class AuditLogRoutes(NovaStore store)
{
    private static readonly string[] Formats = ["yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd HH:mm:ss.FFFFFF"];

    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-instance_usage_audit_log", context => WriteAsync(context, "instance_usage_audit_logs", null)).Policy("os_compute_api:os-instance-usage-audit-log:list");
        routes.Get("/os-instance_usage_audit_log/{before}", ShowAsync).Policy("os_compute_api:os-instance-usage-audit-log:show");
    }

    private Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        var before = context.Route("before");
        return DateTime.TryParseExact(before, Formats, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
            ? WriteAsync(context, "instance_usage_audit_log", time)
            : throw CloudException.BadRequest($"Invalid timestamp for date {before}");
    }

    private async Task WriteAsync(ApiContext context, string member, DateTime? before)
    {
        context.Enforce();
        await using var session = store.Read();
        var hosts = await session.Services.Where(service => service.Binary == HostRegistry.Compute).OrderBy(service => service.Id).Select(service => service.Host).ToListAsync(context.Aborted);
        // The last whole month.
        var now = before ?? Foundation.Storage.Timestamps.FromMicroseconds(session.Now).UtcDateTime;
        var end = new DateTime(now.Year, now.Month, 1, 0, 0, 0, DateTimeKind.Utc);
        static string Text(DateTime time) => time.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject(member);
            json.WriteString("period_beginning", Text(end.AddMonths(-1)));
            json.WriteString("period_ending", Text(end));
            json.WriteNumber("num_hosts", hosts.Count);
            json.WriteNumber("num_hosts_done", 0);
            json.WriteNumber("num_hosts_running", 0);
            json.WriteNumber("num_hosts_not_run", hosts.Count);
            json.WriteStartArray("hosts_not_run");
            hosts.ForEach(json.WriteStringValue);
            json.WriteEndArray();
            json.WriteNumber("total_instances", 0);
            json.WriteNumber("total_errors", 0);
            json.WriteString("overall_status", $"{(hosts.Count == 0 ? "ALL" : $"0 of {hosts.Count}")} hosts done. 0 errors.");
            json.WriteStartObject("log");
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }
}
