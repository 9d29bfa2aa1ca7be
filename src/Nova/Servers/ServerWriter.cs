using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Storage;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Policies;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary>
/// Servers on the wire, for one request: what the microversion and the caller's rights decide is decided once, then each server is written straight.
/// </summary>
internal sealed class ServerWriter
{
    private static readonly ConcurrentDictionary<(string Project, string Host), string> HostIds = new();

    private readonly int version;
    private readonly string selfBase;
    private readonly string bookmarkBase;
    private readonly bool admin;
    private readonly bool extended;
    private readonly bool extraSpecs;
    private readonly IReadOnlyDictionary<string, HostStatus>? hosts;
    private readonly bool unknownOnly;

    /// <param name="hosts">The states of compute hosts; null where the caller may not see them.</param>
    /// <param name="unknownOnly">Whether the caller may see only that a host does not report.</param>
    private ServerWriter(ApiContext context, bool extended, bool extraSpecs, IReadOnlyDictionary<string, HostStatus>? hosts, bool unknownOnly)
    {
        this.unknownOnly = unknownOnly;
        version = context.Version.Minor;
        selfBase = context.SelfBase();
        bookmarkBase = context.BookmarkBase();
        admin = context.IsAdmin();
        this.extended = extended;
        this.extraSpecs = extraSpecs;
        this.hosts = hosts;
    }

    /// <param name="hosts">Reads the states of compute hosts, where they are shown.</param>
    public static async Task<ServerWriter> CreateAsync(ApiContext context, Func<Task<IReadOnlyDictionary<string, HostStatus>>> hosts)
    {
        var showHosts = context.Since(16) && context.Can("os_compute_api:servers:show:host_status");
        var showUnknown = !showHosts && context.Since(16) && context.Can("os_compute_api:servers:show:host_status:unknown-only");
        return new ServerWriter(
            context,
            context.Can("os_compute_api:os-extended-server-attributes"),
            context.Since(47) && context.Can("os_compute_api:servers:show:flavor-extra-specs"),
            showHosts || showUnknown ? await hosts() : null,
            showUnknown);
    }

    /// <summary>Whether <see cref="Write"/> needs the user data.</summary>
    public bool NeedsUserData => extended && version >= 3;

    /// <summary>An opaque name of a host, another for each project.</summary>
    public static string HostId(string? host, string project) =>
        string.IsNullOrEmpty(host) ? "" : HostIds.GetOrAdd((project, host), static key => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key.Project + key.Host)))[..56]);

    public void WriteBrief(Utf8JsonWriter json, InstanceRow row)
    {
        json.WriteStartObject();
        json.WriteString("id", row.Uuid);
        json.WriteString("name", row.Name);
        json.WriteLinks(selfBase, bookmarkBase, "servers", row.Uuid);
        json.WriteEndObject();
    }

    /// <param name="list">Whether the server is one of a detailed list, which lacks what takes a query each.</param>
    /// <param name="update">Whether this answers an update, which shows less before 2.75.</param>
    /// <param name="group">UUID of the server's group; null for none.</param>
    public void Write(Utf8JsonWriter json, InstanceRow row, string? userData, bool list = false, bool update = false, string? group = null)
    {
        var whole = !update || version >= 75;
        var status = row.IsDeleted ? "DELETED" : ServerStatus.Of(row.VmState, row.TaskState);
        json.WriteStartObject();
        json.WriteString("id", row.Uuid);
        json.WriteString("name", row.Name);
        json.WriteString("status", status);
        json.WriteString("tenant_id", row.ProjectId);
        json.WriteString("user_id", row.UserId);
        WriteRaw(json, "metadata", row.Metadata);
        json.WriteString("hostId", HostId(row.Host, row.ProjectId));
        WriteImage(json, row);
        WriteFlavor(json, row);
        json.WriteString("created", Timestamps.Seconds(row.CreatedAt));
        json.WriteString("updated", Timestamps.Seconds(row.UpdatedAt));
        WriteRaw(json, "addresses", row.VmState == VmStates.Building ? "{}" : row.Addresses);
        json.WriteString("accessIPv4", row.AccessIpV4);
        json.WriteString("accessIPv6", row.AccessIpV6);
        json.WriteLinks(selfBase, bookmarkBase, "servers", row.Uuid);
        json.WriteString("OS-DCF:diskConfig", row.DiskConfig);
        if (status is "ERROR" or "DELETED" && row.FaultCode is not null)
        {
            WriteFault(json, row);
        }

        if (status is "ACTIVE" or "BUILD" or "REBUILD" or "RESIZE" or "VERIFY_RESIZE" or "MIGRATING")
        {
            json.WriteNumber("progress", row.Progress);
        }

        if (whole)
        {
            json.WriteString("OS-EXT-AZ:availability_zone", (row.Host is null ? row.RequestedZone : row.AvailabilityZone) ?? "");
            json.WriteString("config_drive", row.ConfigDrive ? "True" : "");
            json.WriteString("key_name", row.KeyName);
            WriteTime(json, "OS-SRV-USG:launched_at", row.LaunchedAt);
            WriteTime(json, "OS-SRV-USG:terminated_at", row.TerminatedAt);
            if (row.SecurityGroups.Length > 2)
            {
                WriteRaw(json, "security_groups", row.SecurityGroups);
            }

            if (extended)
            {
                WriteExtended(json, row, userData);
            }

            json.WriteString("OS-EXT-STS:task_state", row.TaskState);
            json.WriteString("OS-EXT-STS:vm_state", row.IsDeleted ? VmStates.Deleted : row.VmState);
            json.WriteNumber("OS-EXT-STS:power_state", (int)row.PowerState);
            json.WriteStartArray("os-extended-volumes:volumes_attached");
            json.WriteEndArray();
            if (hosts is not null && HostStatusOf(row) is var hostStatus && (!unknownOnly || hostStatus == "UNKNOWN"))
            {
                json.WriteString("host_status", hostStatus);
            }
        }

        WriteSince(json, row, list, group);
        json.WriteEndObject();
    }

    /// <summary>What newer microversions add, in every answer alike.</summary>
    private void WriteSince(Utf8JsonWriter json, InstanceRow row, bool list, string? group)
    {
        if (version >= 9)
        {
            json.WriteBoolean("locked", row.LockedBy is not null);
        }

        if (version >= 73)
        {
            json.WriteString("locked_reason", row.LockedReason);
        }

        if (version >= 19)
        {
            json.WriteString("description", row.Description);
        }

        if (version >= 26)
        {
            WriteRaw(json, "tags", row.Tags);
        }

        if (version >= 63)
        {
            WriteRaw(json, "trusted_image_certificates", row.TrustedCerts ?? "null");
        }

        if (version >= 90 && !extended)
        {
            json.WriteString("OS-EXT-SRV-ATTR:hostname", row.Hostname);
        }

        if (version >= 71 && !list)
        {
            json.WriteStartArray("server_groups");
            if (group is not null)
            {
                json.WriteStringValue(group);
            }

            json.WriteEndArray();
        }

        if (version >= 96)
        {
            json.WriteString("pinned_availability_zone", row.RequestedZone);
        }
    }

    private void WriteImage(Utf8JsonWriter json, InstanceRow row)
    {
        if (row.ImageId.Length == 0)
        {
            json.WriteString("image", "");
            return;
        }

        json.WriteStartObject("image");
        json.WriteString("id", row.ImageId);
        WriteBookmark(json, "images", row.ImageId);
        json.WriteEndObject();
    }

    private void WriteFlavor(Utf8JsonWriter json, InstanceRow row)
    {
        json.WriteStartObject("flavor");
        if (version < 47)
        {
            json.WriteString("id", row.FlavorId);
            WriteBookmark(json, "flavors", row.FlavorId);
        }
        else
        {
            json.WriteNumber("vcpus", row.Vcpus);
            json.WriteNumber("ram", row.MemoryMb);
            json.WriteNumber("disk", row.RootGb);
            json.WriteNumber("ephemeral", row.EphemeralGb);
            json.WriteNumber("swap", row.SwapMb);
            json.WriteString("original_name", row.FlavorName);
            if (extraSpecs)
            {
                WriteRaw(json, "extra_specs", row.FlavorExtraSpecs);
            }
        }

        json.WriteEndObject();
    }

    private void WriteBookmark(Utf8JsonWriter json, string collection, string id)
    {
        json.WriteStartArray("links");
        json.WriteStartObject();
        json.WriteString("rel", "bookmark");
        json.WriteString("href", $"{bookmarkBase}/{collection}/{id}");
        json.WriteEndObject();
        json.WriteEndArray();
    }

    private void WriteFault(Utf8JsonWriter json, InstanceRow row)
    {
        json.WriteStartObject("fault");
        json.WriteNumber("code", row.FaultCode!.Value);
        json.WriteString("created", Timestamps.Seconds(row.FaultAt ?? row.UpdatedAt));
        json.WriteString("message", row.FaultMessage);
        if (row.FaultDetails is { Length: > 0 } details && (admin || row.FaultCode != 500))
        {
            json.WriteString("details", details);
        }

        json.WriteEndObject();
    }

    private void WriteExtended(Utf8JsonWriter json, InstanceRow row, string? userData)
    {
        json.WriteString("OS-EXT-SRV-ATTR:host", row.Host);
        json.WriteString("OS-EXT-SRV-ATTR:instance_name", row.DomainName);
        json.WriteString("OS-EXT-SRV-ATTR:hypervisor_hostname", row.Node);
        if (version < 3)
        {
            return;
        }

        json.WriteString("OS-EXT-SRV-ATTR:reservation_id", row.ReservationId);
        json.WriteNumber("OS-EXT-SRV-ATTR:launch_index", row.LaunchIndex);
        json.WriteString("OS-EXT-SRV-ATTR:hostname", row.Hostname);
        json.WriteString("OS-EXT-SRV-ATTR:kernel_id", "");
        json.WriteString("OS-EXT-SRV-ATTR:ramdisk_id", "");
        json.WriteString("OS-EXT-SRV-ATTR:root_device_name", row.Host is null ? null : "/dev/vda");
        json.WriteString("OS-EXT-SRV-ATTR:user_data", userData);
    }

    private string HostStatusOf(InstanceRow row) =>
        row.Host is null ? "" : hosts!.TryGetValue(row.Host, out var status) ? status.ToString().ToUpperInvariant() : "UNKNOWN";

    private static void WriteTime(Utf8JsonWriter json, string name, long? time) =>
        json.WriteString(name, time is { } known ? Timestamps.MicrosNoZone(known) : null);

    private static void WriteRaw(Utf8JsonWriter json, string name, string value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(value, skipInputValidation: true);
    }
}

/// <summary>What users with the right to it see of a server's host.</summary>
internal enum HostStatus
{
    Up,
    Unknown,
    Down,
    Maintenance,
}
