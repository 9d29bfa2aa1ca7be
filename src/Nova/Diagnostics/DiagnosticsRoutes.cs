using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Diagnostics;

/// <summary><c>/servers/{id}/diagnostics</c>: what a guest has used, as its host counts it; the driver's own names before 2.48, the same for all drivers since.</summary>
internal sealed class DiagnosticsRoutes(NovaStore store, IMessageBus bus)
{
    public void Map(NovaRoutes routes) => routes.Get("/servers/{id}/diagnostics", ShowAsync).Policy("os_compute_api:os-server-diagnostics");

    private async Task ShowAsync(ApiContext context)
    {
        InstanceRow row;
        long now;
        await using (var session = store.Read())
        {
            row = await ServerRoutes.FindAsync(context, session);
            now = session.Now;
        }

        if (row.Host is null)
        {
            throw CloudException.Conflict($"Instance {row.Uuid} is not ready");
        }

        if (row.PowerState != PowerState.Running)
        {
            throw CloudException.Conflict($"Cannot 'get_diagnostics' instance {row.Uuid} while it is in power state {row.PowerState.ToString().ToLowerInvariant()}");
        }

        var used = await bus.CallAsync(ComputeContract.GetDiagnostics, new DiagnosticsQuery(row.Uuid), row.Host, cancellationToken: context.Aborted);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            if (context.Since(48))
            {
                Write(json, row, used, now);
            }
            else
            {
                WriteOld(json, used);
            }

            json.WriteEndObject();
        });
    }

    private static void WriteOld(Utf8JsonWriter json, GuestDiagnostics used)
    {
        for (var i = 0; i < used.ProcessorTimes.Count; i++)
        {
            json.WriteNumber(string.Create(CultureInfo.InvariantCulture, $"cpu{i}_time"), used.ProcessorTimes[i]);
        }

        json.WriteNumber("memory", (long)used.MaximumMemoryMb << 10);
        foreach (var disk in used.Disks)
        {
            json.WriteNumber(disk.Device + "_errors", disk.Errors);
            json.WriteNumber(disk.Device + "_read", disk.ReadBytes);
            json.WriteNumber(disk.Device + "_read_req", disk.ReadRequests);
            json.WriteNumber(disk.Device + "_write", disk.WriteBytes);
            json.WriteNumber(disk.Device + "_write_req", disk.WriteRequests);
        }

        foreach (var nic in used.Nics.Where(nic => nic.Device is not null))
        {
            json.WriteNumber(nic.Device + "_rx", nic.RxBytes);
            json.WriteNumber(nic.Device + "_rx_drop", nic.RxDrop);
            json.WriteNumber(nic.Device + "_rx_errors", nic.RxErrors);
            json.WriteNumber(nic.Device + "_rx_packets", nic.RxPackets);
            json.WriteNumber(nic.Device + "_tx", nic.TxBytes);
            json.WriteNumber(nic.Device + "_tx_drop", nic.TxDrop);
            json.WriteNumber(nic.Device + "_tx_errors", nic.TxErrors);
            json.WriteNumber(nic.Device + "_tx_packets", nic.TxPackets);
        }
    }

    private static void Write(Utf8JsonWriter json, InstanceRow row, GuestDiagnostics used, long now)
    {
        json.WriteString("state", used.State);
        json.WriteString("driver", used.Driver);
        json.WriteString("hypervisor", used.Hypervisor);
        json.WriteString("hypervisor_os", "linux");
        json.WriteNumber("uptime", row.LaunchedAt is { } launched ? (now - launched) / 1_000_000 : 0);
        json.WriteBoolean("config_drive", row.ConfigDrive);
        json.WriteNumber("num_cpus", used.ProcessorTimes.Count);
        json.WriteNumber("num_nics", used.Nics.Count);
        json.WriteNumber("num_disks", used.Disks.Count);
        json.WriteStartObject("memory_details");
        json.WriteNumber("maximum", used.MaximumMemoryMb);
        json.WriteNumber("used", used.MemoryMb);
        json.WriteEndObject();
        json.WriteStartArray("cpu_details");
        for (var i = 0; i < used.ProcessorTimes.Count; i++)
        {
            json.WriteStartObject();
            json.WriteNumber("id", i);
            json.WriteNumber("time", used.ProcessorTimes[i]);
            json.WriteNull("utilisation");
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("disk_details");
        foreach (var disk in used.Disks)
        {
            json.WriteStartObject();
            json.WriteNumber("read_bytes", disk.ReadBytes);
            json.WriteNumber("read_requests", disk.ReadRequests);
            json.WriteNumber("write_bytes", disk.WriteBytes);
            json.WriteNumber("write_requests", disk.WriteRequests);
            json.WriteNumber("errors_count", disk.Errors);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("nic_details");
        foreach (var nic in used.Nics)
        {
            json.WriteStartObject();
            json.WriteString("mac_address", nic.MacAddress);
            Number("rx_octets", nic, nic.RxBytes);
            Number("rx_errors", nic, nic.RxErrors);
            Number("rx_drop", nic, nic.RxDrop);
            Number("rx_packets", nic, nic.RxPackets);
            json.WriteNull("rx_rate");
            Number("tx_octets", nic, nic.TxBytes);
            Number("tx_errors", nic, nic.TxErrors);
            Number("tx_drop", nic, nic.TxDrop);
            Number("tx_packets", nic, nic.TxPackets);
            json.WriteNull("tx_rate");
            json.WriteEndObject();
        }

        json.WriteEndArray();

        void Number(string name, NicDiagnostics nic, long value)
        {
            if (nic.Device is null)
            {
                json.WriteNull(name);
            }
            else
            {
                json.WriteNumber(name, value);
            }
        }
    }
}
