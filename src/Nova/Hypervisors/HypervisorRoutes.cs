using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Hypervisors;

/// <summary><c>/os-hypervisors</c>, whose shape changed at 2.28, 2.33, 2.53 and 2.88.</summary>
internal sealed class HypervisorRoutes(NovaStore store, HostRegistry hosts)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-hypervisors", context => ListAsync(context, false)).Policy("os_compute_api:os-hypervisors:list");
        routes.Get("/os-hypervisors/detail", context => ListAsync(context, true)).Policy("os_compute_api:os-hypervisors:list-detail");
        routes.Get("/os-hypervisors/statistics", StatisticsAsync).Policy("os_compute_api:os-hypervisors:statistics").Versions("2.1", "2.87");
        routes.Get("/os-hypervisors/{id}", ShowAsync).Policy("os_compute_api:os-hypervisors:show");
        routes.Get("/os-hypervisors/{id}/uptime", UptimeAsync).Policy("os_compute_api:os-hypervisors:uptime").Versions("2.1", "2.87");
        routes.Get("/os-hypervisors/{id}/search", SearchAsync).Policy("os_compute_api:os-hypervisors:search").Versions("2.1", "2.52");
        routes.Get("/os-hypervisors/{id}/servers", ServersAsync).Policy("os_compute_api:os-hypervisors:servers").Versions("2.1", "2.52");
    }

    private sealed record Entry(ComputeNodeRow Node, ServiceRow Service);

    private sealed record Held(string Uuid, string Name, int Vcpus, bool Busy);

    private static IQueryable<Entry> Query(NovaSession session) =>
        from node in session.ComputeNodes
        join service in session.Services on node.Host equals service.Host
        where service.Binary == HostRegistry.Compute
        orderby node.Id
        select new Entry(node, service);

    /// <summary>The servers by host, in one query.</summary>
    private static async Task<ILookup<string, Held>> HeldAsync(NovaSession session, CancellationToken cancellationToken) =>
        (await session.Instances.Where(row => row.DeletedAt == null && row.Host != null)
            .Select(row => new { row.Host, row.Uuid, row.Name, row.Vcpus, row.TaskState })
            .ToListAsync(cancellationToken)).ToLookup(row => row.Host!, row => new Held(row.Uuid, row.Name, row.Vcpus, row.TaskState != null));

    private async Task ListAsync(ApiContext context, bool detailed)
    {
        context.AllowQuery("limit", "marker", "hypervisor_hostname_pattern", "with_servers");
        context.Enforce();
        var paged = context.Since(33);
        var limit = paged ? context.PageLimit() : int.MaxValue;
        var pattern = context.Since(53) ? context.Query["hypervisor_hostname_pattern"] : null;
        var withServers = context.Since(53) && Flag(context, "with_servers");
        await using var session = store.Read();
        var query = Query(session);
        if (pattern is not null)
        {
            if (context.Query.Has("limit") || context.Query.Marker is not null)
            {
                throw CloudException.BadRequest("Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.");
            }

            query = query.Where(entry => entry.Node.HypervisorHostname.Contains(pattern));
        }
        else if (paged && context.Query.Marker is { } marker)
        {
            var after = await FindAsync(context, session, marker) ?? throw CloudException.BadRequest($"marker [{marker}] not found");
            query = query.Where(entry => entry.Node.Id > after.Node.Id);
        }

        var entries = await query.Take(limit).ToListAsync(context.Aborted);
        if (pattern is not null && entries.Count == 0)
        {
            throw CloudException.NotFound($"No hypervisor matching '{pattern}' could be found.");
        }

        var held = detailed || withServers ? await HeldAsync(session, context.Aborted) : null;
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hypervisors");
            foreach (var entry in entries)
            {
                Write(json, context, entry, session.Now, detailed, held, withServers);
            }

            json.WriteEndArray();
            if (paged && pattern is null && entries.Count > 0)
            {
                context.WriteNextLink(json, "hypervisors_links", detailed ? "os-hypervisors/detail" : "os-hypervisors", entries.Count, limit, IdOf(context, entries[^1].Node));
            }

            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.AllowQuery("with_servers");
        context.Enforce();
        await using var session = store.Read();
        var entry = await GetAsync(context, session);
        var held = await HeldAsync(session, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("hypervisor");
            Write(json, context, entry, session.Now, true, held, context.Since(53) && Flag(context, "with_servers"));
            json.WriteEndObject();
        });
    }

    private async Task UptimeAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entry = await GetAsync(context, session);
        if (entry.Node.Uptime is null)
        {
            throw new CloudException(ErrorKind.NotImplemented, "The requested functionality is not supported.");
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("hypervisor");
            WriteBrief(json, context, entry, session.Now);
            json.WriteString("uptime", entry.Node.Uptime);
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private async Task SearchAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entries = await MatchingAsync(context, session);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hypervisors");
            entries.ForEach(entry => Write(json, context, entry, session.Now, false, null, false));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ServersAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entries = await MatchingAsync(context, session);
        var held = await HeldAsync(session, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hypervisors");
            entries.ForEach(entry => Write(json, context, entry, session.Now, false, held, true));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private static async Task<List<Entry>> MatchingAsync(ApiContext context, NovaSession session)
    {
        var pattern = context.Route("id");
        var entries = await Query(session).Where(entry => entry.Node.HypervisorHostname.Contains(pattern)).ToListAsync(context.Aborted);
        return entries.Count > 0 ? entries : throw CloudException.NotFound($"No hypervisor matching '{pattern}' could be found.");
    }

    private async Task StatisticsAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entries = await Query(session).ToListAsync(context.Aborted);
        var held = await HeldAsync(session, context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("hypervisor_statistics");
            json.WriteNumber("count", entries.Count);
            json.WriteNumber("vcpus", entries.Sum(entry => entry.Node.Vcpus));
            json.WriteNumber("vcpus_used", entries.Sum(entry => held[entry.Node.Host].Sum(server => server.Vcpus)));
            json.WriteNumber("memory_mb", entries.Sum(entry => entry.Node.MemoryMb));
            json.WriteNumber("memory_mb_used", entries.Sum(entry => entry.Node.MemoryMbUsed));
            json.WriteNumber("free_ram_mb", entries.Sum(entry => entry.Node.MemoryMb - entry.Node.MemoryMbUsed));
            json.WriteNumber("local_gb", entries.Sum(entry => entry.Node.LocalGb));
            json.WriteNumber("local_gb_used", entries.Sum(entry => entry.Node.LocalGbUsed));
            json.WriteNumber("free_disk_gb", entries.Sum(entry => entry.Node.LocalGb - entry.Node.LocalGbUsed));
            json.WriteNumber("disk_available_least", entries.Sum(entry => entry.Node.DiskAvailableLeast));
            json.WriteNumber("running_vms", entries.Sum(entry => entry.Node.RunningVms));
            json.WriteNumber("current_workload", entries.Sum(entry => held[entry.Node.Host].Count(server => server.Busy)));
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    private static Task<Entry?> FindAsync(ApiContext context, NovaSession session, string id)
    {
        if (context.Since(53))
        {
            return Query(session).Where(entry => entry.Node.Uuid == id).FirstOrDefaultAsync(context.Aborted);
        }

        return long.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? Query(session).Where(entry => entry.Node.Id == number).FirstOrDefaultAsync(context.Aborted)
            : Task.FromResult<Entry?>(null);
    }

    private static async Task<Entry> GetAsync(ApiContext context, NovaSession session)
    {
        var id = context.Route("id");
        if (context.Since(53) && !Guid.TryParse(id, out _))
        {
            throw CloudException.BadRequest($"Invalid uuid {id}");
        }

        return await FindAsync(context, session, id) ?? throw CloudException.NotFound($"Hypervisor with ID '{id}' could not be found.");
    }

    private static string IdOf(ApiContext context, ComputeNodeRow node) => context.Since(53) ? node.Uuid : node.Id.ToString(CultureInfo.InvariantCulture);

    private void WriteBrief(Utf8JsonWriter json, ApiContext context, Entry entry, long now)
    {
        WriteId(json, context, entry.Node.Uuid, entry.Node.Id);
        json.WriteString("hypervisor_hostname", entry.Node.HypervisorHostname);
        json.WriteString("state", hosts.IsUp(entry.Service, now) ? "up" : "down");
        json.WriteString("status", entry.Service.Disabled ? "disabled" : "enabled");
    }

    private void Write(Utf8JsonWriter json, ApiContext context, Entry entry, long now, bool detailed, ILookup<string, Held>? held, bool withServers)
    {
        var node = entry.Node;
        json.WriteStartObject();
        WriteBrief(json, context, entry, now);
        if (detailed)
        {
            json.WriteString("hypervisor_type", node.HypervisorType);
            json.WriteNumber("hypervisor_version", node.HypervisorVersion);
            json.WriteString("host_ip", node.HostIp);
            json.WriteStartObject("service");
            WriteId(json, context, entry.Service.Uuid, entry.Service.Id);
            json.WriteString("host", node.Host);
            json.WriteString("disabled_reason", entry.Service.DisabledReason);
            json.WriteEndObject();
            if (context.Since(88))
            {
                json.WriteString("uptime", node.Uptime);
            }
            else
            {
                WriteSizes(json, context, node, held![node.Host]);
            }
        }

        var servers = withServers ? held![node.Host].ToList() : [];
        if (servers.Count > 0 || (withServers && context.Since(75)))
        {
            json.WriteStartArray("servers");
            foreach (var server in servers)
            {
                json.WriteStartObject();
                json.WriteString("name", server.Name);
                json.WriteString("uuid", server.Uuid);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    private static void WriteId(Utf8JsonWriter json, ApiContext context, string uuid, long id)
    {
        if (context.Since(53))
        {
            json.WriteString("id", uuid);
        }
        else
        {
            json.WriteNumber("id", id);
        }
    }

    private static void WriteSizes(Utf8JsonWriter json, ApiContext context, ComputeNodeRow node, IEnumerable<Held> held)
    {
        json.WriteNumber("vcpus", node.Vcpus);
        json.WriteNumber("memory_mb", node.MemoryMb);
        json.WriteNumber("local_gb", node.LocalGb);
        json.WriteNumber("vcpus_used", held.Sum(server => server.Vcpus));
        json.WriteNumber("memory_mb_used", node.MemoryMbUsed);
        json.WriteNumber("local_gb_used", node.LocalGbUsed);
        json.WriteNumber("free_ram_mb", node.MemoryMb - node.MemoryMbUsed);
        json.WriteNumber("free_disk_gb", node.LocalGb - node.LocalGbUsed);
        json.WriteNumber("current_workload", held.Count(server => server.Busy));
        json.WriteNumber("running_vms", node.RunningVms);
        json.WriteNumber("disk_available_least", node.DiskAvailableLeast);
        if (context.Since(28))
        {
            json.WritePropertyName("cpu_info");
            json.WriteRawValue(node.CpuInfo, skipInputValidation: true);
        }
        else
        {
            json.WriteString("cpu_info", node.CpuInfo);
        }
    }

    private static bool Flag(ApiContext context, string name) => context.Query[name] switch
    {
        null => false,
        var text => text.ToUpperInvariant() switch
        {
            "1" or "T" or "TRUE" or "ON" or "Y" or "YES" => true,
            "0" or "F" or "FALSE" or "OFF" or "N" or "NO" => false,
            _ => throw CloudException.BadRequest($"Invalid input for query parameters {name}. Value: {text}. '{text}' is not a boolean"),
        },
    };
}
