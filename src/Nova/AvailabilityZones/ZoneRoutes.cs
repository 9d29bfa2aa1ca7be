using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Aggregates;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.AvailabilityZones;

/// <summary><c>/os-availability-zone</c>: a zone is available where one of its services is enabled.</summary>
internal sealed class ZoneRoutes(NovaStore store, HostRegistry hosts)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/os-availability-zone", context => ListAsync(context, false)).Policy("os_compute_api:os-availability-zone:list");
        routes.Get("/os-availability-zone/detail", context => ListAsync(context, true)).Policy("os_compute_api:os-availability-zone:detail");
    }

    private async Task ListAsync(ApiContext context, bool detailed)
    {
        context.Enforce();
        await using var session = store.Read();
        var services = await session.Services.OrderBy(service => service.Id).ToListAsync(context.Aborted);
        var byHost = await AggregateStore.ZonesAsync(session, context.Aborted);
        var zones = services.GroupBy(service => hosts.ZoneOf(service, byHost))
            .Where(zone => detailed || zone.Any(service => service.Binary == HostRegistry.Compute))
            .OrderByDescending(zone => zone.Any(service => !service.Disabled))
            .ThenBy(zone => zone.Key, StringComparer.Ordinal);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("availabilityZoneInfo");
            foreach (var zone in zones)
            {
                var available = zone.Any(service => !service.Disabled);
                json.WriteStartObject();
                json.WriteString("zoneName", zone.Key);
                json.WriteStartObject("zoneState");
                json.WriteBoolean("available", available);
                json.WriteEndObject();
                if (!detailed || !available)
                {
                    json.WriteNull("hosts");
                }
                else
                {
                    json.WriteStartObject("hosts");
                    foreach (var host in zone.Where(service => !service.Disabled).GroupBy(service => service.Host))
                    {
                        json.WriteStartObject(host.Key);
                        foreach (var service in host)
                        {
                            json.WriteStartObject(service.Binary);
                            json.WriteBoolean("available", hosts.IsUp(service, session.Now));
                            json.WriteBoolean("active", true);
                            json.WriteString("updated_at", Timestamps.MicrosNoZone(service.LastSeenAt));
                            json.WriteEndObject();
                        }

                        json.WriteEndObject();
                    }

                    json.WriteEndObject();
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }
}
