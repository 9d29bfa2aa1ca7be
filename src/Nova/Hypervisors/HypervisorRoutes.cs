using System.Globalization;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Servers;
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

    /// <summary>The servers of a host in sum; memory in MiB, disks in GiB.</summary>
    private sealed record Load(string Host, int Count, int Busy, int Vcpus, int MemoryMb, int DiskGb)
    {
        public static readonly Load None = new("", 0, 0, 0, 0, 0);
    }

    /// <summary>What a page of hypervisors shows beside the rows.</summary>
    private sealed record Shown(IReadOnlyDictionary<string, Load>? Loads, ILookup<string, (string Uuid, string Name)>? Servers);

    private static IQueryable<Entry> Query(NovaSession session) =>
        from node in session.ComputeNodes
        join service in session.Services on node.Host equals service.Host
        where service.Binary == HostRegistry.Compute
        orderby node.Id
        select new Entry(node, service);

    /// <summary>The servers of those hosts: in sum, and by name, as far as they are shown.</summary>
    private static async Task<Shown> ShownAsync(ApiContext context, NovaSession session, List<Entry> entries, bool detailed, bool withServers)
    {
        var hosts = entries.ConvertAll(entry => entry.Node.Host);
        var held = session.Instances.Where(row => row.DeletedAt == null && row.Host != null);
        // Longer lists than a statement takes: then all servers are read.
        held = hosts.Count > 500 ? held : held.Where(row => hosts.Contains(row.Host!));
        var loads = !detailed || context.Since(88) ? null : (await held
            .GroupBy(row => row.Host!)
            .Select(group => new
            {
                Host = group.Key,
                Count = group.Count(),
                Busy = group.Count(row => row.TaskState != null),
                Vcpus = group.Sum(row => row.Vcpus),
                MemoryMb = group.Sum(row => row.MemoryMb),
                DiskGb = group.Sum(row => row.RootGb + row.EphemeralGb),
            })
            .ToListAsync(context.Aborted)).ToDictionary(load => load.Host, load => new Load(load.Host, load.Count, load.Busy, load.Vcpus, load.MemoryMb, load.DiskGb));
        var servers = !withServers ? null
            : (await held.OrderBy(row => row.Id).Select(row => new { row.Host, row.Uuid, row.Name }).ToListAsync(context.Aborted)).ToLookup(row => row.Host!, row => (row.Uuid, row.Name));
        return new Shown(loads, servers);
    }

    /// <summary>What is used: the host's own reserve, and what its servers were promised.</summary>
    private static (int Vcpus, int MemoryMb, int DiskGb) UsedOf(ComputeNodeRow node, Load load)
    {
        var reserved = StoredJson.Inventories(node.Inventories).ToDictionary(inventory => inventory.ResourceClass, inventory => inventory.Reserved);
        return (reserved.GetValueOrDefault("VCPU") + load.Vcpus, reserved.GetValueOrDefault("MEMORY_MB") + load.MemoryMb, reserved.GetValueOrDefault("DISK_GB") + load.DiskGb);
    }

    private async Task ListAsync(ApiContext context, bool detailed)
    {
        context.AllowQuerySince(53, "limit", "marker", "hypervisor_hostname_pattern", "with_servers");
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

            query = query.Where(Matches(pattern));
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

        var shown = await ShownAsync(context, session, entries, detailed, withServers);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hypervisors");
            foreach (var entry in entries)
            {
                Write(json, context, entry, session.Now, detailed, shown);
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
        context.AllowQuerySince(53, "with_servers");
        context.Enforce();
        await using var session = store.Read();
        var entry = await GetAsync(context, session);
        var shown = await ShownAsync(context, session, [entry], true, context.Since(53) && Flag(context, "with_servers"));
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("hypervisor");
            Write(json, context, entry, session.Now, true, shown);
            json.WriteEndObject();
        });
    }

    private async Task UptimeAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entry = await GetAsync(context, session);
        if (!hosts.IsUp(entry.Service, session.Now))
        {
            throw CloudException.BadRequest($"Compute service of {entry.Node.Host} is unavailable at this time.");
        }

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
            entries.ForEach(entry => Write(json, context, entry, session.Now, false, new Shown(null, null)));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ServersAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        var entries = await MatchingAsync(context, session);
        var shown = await ShownAsync(context, session, entries, false, true);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("hypervisors");
            entries.ForEach(entry => Write(json, context, entry, session.Now, false, shown));
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>Host names are compared without regard to case.</summary>
    private static System.Linq.Expressions.Expression<Func<Entry, bool>> Matches(string pattern)
    {
        var lower = pattern.ToLowerInvariant();
#pragma warning disable CA1862 // This is SQL, where the overload with a comparison is another function on each engine.
        return entry => entry.Node.HypervisorHostname.ToLower().Contains(lower);
#pragma warning restore CA1862
    }

    private static async Task<List<Entry>> MatchingAsync(ApiContext context, NovaSession session)
    {
        var pattern = context.Route("id");
        var entries = await Query(session).Where(Matches(pattern)).ToListAsync(context.Aborted);
        return entries.Count > 0 ? entries : throw CloudException.NotFound($"No hypervisor matching '{pattern}' could be found.");
    }

    private async Task StatisticsAsync(ApiContext context)
    {
        context.Enforce();
        await using var session = store.Read();
        // Hosts that an administrator disabled do not count.
        var entries = await Query(session).Where(entry => !entry.Service.Disabled).ToListAsync(context.Aborted);
        var shown = await ShownAsync(context, session, entries, true, false);
        var loads = entries.ConvertAll(entry => shown.Loads!.GetValueOrDefault(entry.Node.Host, Load.None));
        var used = entries.Zip(loads, (entry, load) => UsedOf(entry.Node, load)).ToList();
        var (memory, disk) = (entries.Sum(entry => entry.Node.MemoryMb), entries.Sum(entry => entry.Node.LocalGb));
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("hypervisor_statistics");
            json.WriteNumber("count", entries.Count);
            json.WriteNumber("vcpus", entries.Sum(entry => entry.Node.Vcpus));
            json.WriteNumber("vcpus_used", used.Sum(each => each.Vcpus));
            json.WriteNumber("memory_mb", memory);
            json.WriteNumber("memory_mb_used", used.Sum(each => each.MemoryMb));
            json.WriteNumber("free_ram_mb", memory - used.Sum(each => each.MemoryMb));
            json.WriteNumber("local_gb", disk);
            json.WriteNumber("local_gb_used", used.Sum(each => each.DiskGb));
            json.WriteNumber("free_disk_gb", disk - used.Sum(each => each.DiskGb));
            json.WriteNumber("disk_available_least", entries.Sum(entry => entry.Node.DiskAvailableLeast));
            json.WriteNumber("running_vms", loads.Sum(load => load.Count));
            json.WriteNumber("current_workload", loads.Sum(load => load.Busy));
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

    private void Write(Utf8JsonWriter json, ApiContext context, Entry entry, long now, bool detailed, Shown shown)
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
                json.WriteString("uptime", hosts.IsUp(entry.Service, now) ? node.Uptime : null);
            }
            else
            {
                WriteSizes(json, context, node, shown.Loads!.GetValueOrDefault(node.Host, Load.None));
            }
        }

        if (shown.Servers is not null && (shown.Servers.Contains(node.Host) || context.Since(75)))
        {
            json.WriteStartArray("servers");
            foreach (var (uuid, name) in shown.Servers[node.Host])
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteString("uuid", uuid);
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

    private static void WriteSizes(Utf8JsonWriter json, ApiContext context, ComputeNodeRow node, Load load)
    {
        var (vcpus, memory, disk) = UsedOf(node, load);
        json.WriteNumber("vcpus", node.Vcpus);
        json.WriteNumber("memory_mb", node.MemoryMb);
        json.WriteNumber("local_gb", node.LocalGb);
        json.WriteNumber("vcpus_used", vcpus);
        json.WriteNumber("memory_mb_used", memory);
        json.WriteNumber("local_gb_used", disk);
        json.WriteNumber("free_ram_mb", node.MemoryMb - memory);
        json.WriteNumber("free_disk_gb", node.LocalGb - disk);
        json.WriteNumber("current_workload", load.Busy);
        json.WriteNumber("running_vms", load.Count);
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
