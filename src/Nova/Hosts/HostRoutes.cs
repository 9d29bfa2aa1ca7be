using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Hosts;

/// <summary><c>/os-hosts</c>, up to 2.42: what <c>/os-services</c> and <c>/os-hypervisors</c> show since.</summary>
internal sealed class HostRoutes(NovaStore store, HostRegistry hosts, HostProviders providers)
{
    private static readonly JsonSchema Switch = JsonSchema.OneOfTexts("enable", "disable", "Enable", "Disable", "ENABLE", "DISABLE");

    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-hosts", ListAsync).Policy("os_compute_api:os-hosts:list").Versions("2.1", "2.42");
        routes.Get("/os-hosts/{id}", ShowAsync).Policy("os_compute_api:os-hosts:show").Versions("2.1", "2.42");
        routes.Put("/os-hosts/{id}", UpdateAsync).Policy("os_compute_api:os-hosts:update").Versions("2.1", "2.42")
            .Body(JsonSchema.Object(false, ("status", Switch), ("maintenance_mode", Switch)) with { MinProperties = 1 });
        foreach (var (action, rule) in ((string, string)[])[("startup", "start"), ("shutdown", "shutdown"), ("reboot", "reboot")])
        {
            routes.Get($"/os-hosts/{{id}}/{action}", PowerAsync).Policy($"os_compute_api:os-hosts:{rule}").Versions("2.1", "2.42");
        }
    }

    private static CloudException NotFound(string host) => CloudException.NotFound($"Compute host {host} could not be found.");

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var services = await session.Services.Where(service => !service.Disabled).OrderBy(service => service.Id).ToListAsync(context.Aborted);
        var zones = await AggregateStore.ZonesAsync(session, context.Aborted);
        var wanted = context.Query["zone"];
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hosts");
            foreach (var service in services)
            {
                var zone = hosts.ZoneOf(service, zones);
                if (!string.IsNullOrEmpty(wanted) && wanted != zone)
                {
                    continue;
                }

                json.WriteStartObject();
                json.WriteString("host_name", service.Host);
                json.WriteString("service", service.Binary.StartsWith("nova-", StringComparison.Ordinal) ? service.Binary["nova-".Length..] : service.Binary);
                json.WriteString("zone", zone);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        var host = context.Route("id");
        await using var session = store.Read();
        var node = await session.ComputeNodes.Where(row => row.Host == host).FirstOrDefaultAsync(context.Aborted) ?? throw NotFound(host);
        var projects = await session.Instances.Where(row => row.Host == host && row.DeletedAt == null)
            .GroupBy(row => row.ProjectId)
            .Select(group => new { Project = group.Key, Vcpus = group.Sum(row => row.Vcpus), MemoryMb = group.Sum(row => row.MemoryMb), DiskGb = group.Sum(row => row.RootGb + row.EphemeralGb) })
            .ToListAsync(context.Aborted);
        var (vcpus, memory, disk) = (projects.Sum(row => row.Vcpus), projects.Sum(row => row.MemoryMb), projects.Sum(row => row.DiskGb));
        var reserved = Servers.StoredJson.Inventories(node.Inventories).ToDictionary(inventory => inventory.ResourceClass, inventory => inventory.Reserved);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("host");
            Write(json, host, "(total)", node.Vcpus, node.MemoryMb, node.LocalGb);
            Write(json, host, "(used_now)", vcpus + reserved.GetValueOrDefault("VCPU"), memory + reserved.GetValueOrDefault("MEMORY_MB"), disk + reserved.GetValueOrDefault("DISK_GB"));
            Write(json, host, "(used_max)", vcpus, memory, disk);
            projects.ForEach(row => Write(json, host, row.Project, row.Vcpus, row.MemoryMb, row.DiskGb));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static void Write(Utf8JsonWriter json, string host, string project, int vcpus, int memory, int disk)
    {
        json.WriteStartObject();
        json.WriteStartObject("resource");
        json.WriteString("host", host);
        json.WriteString("project", project);
        json.WriteNumber("cpu", vcpus);
        json.WriteNumber("memory_mb", memory);
        json.WriteNumber("disk_gb", disk);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>Switches the compute service on or off, as <c>/os-services</c> does.</summary>
    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var host = context.Route("id");
        var body = await context.ReadJsonAsync();
        await RequireAsync(host, context.Aborted);
        if (body.TryGetProperty("maintenance_mode", out _))
        {
            throw Unsupported();
        }

        var disabled = body.GetProperty("status").GetString()!.Equals("disable", StringComparison.OrdinalIgnoreCase);
        await store.WriteAsync(
            session => session.Services.Where(row => row.Host == host && row.Binary == HostRegistry.Compute)
                .Set(row => row.Disabled, disabled)
                .Set(row => row.DisabledReason, (string?)null)
                .Set(row => row.UpdatedAt, session.Now)
                .UpdateAsync(context.Aborted),
            context.Aborted);
        await providers.ChangedAsync(host, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteString("host", host);
            json.WriteString("status", disabled ? "disabled" : "enabled");
            json.WriteEndObject();
        });
    }

    private async Task PowerAsync(ApiContext context)
    {
        context.Enforce();
        await RequireAsync(context.Route("id"), context.Aborted);
        throw Unsupported();
    }

    /// <summary>No driver switches machines on and off, or empties them.</summary>
    private static CloudException Unsupported() => new(ErrorKind.NotImplemented, "The requested functionality is not supported.");

    private async Task RequireAsync(string host, CancellationToken cancellationToken)
    {
        await using var session = store.Read();
        if (!await session.Services.AnyAsync(row => row.Host == host && row.Binary == HostRegistry.Compute, cancellationToken))
        {
            throw NotFound(host);
        }
    }
}
