using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Flavors;
using SharpStack.Nova.InstanceActions;
using SharpStack.Nova.Keypairs;
using SharpStack.Nova.Quotas;
using SharpStack.Nova.ServerGroups;
using SharpStack.Nova.Services;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary><c>POST /servers</c>: everything is checked, then the rows and their pending actions are committed at once.</summary>
internal sealed class ServerCreation(
    NovaStore store, HostRegistry hosts, ImageCheck images, NetworkCheck networks, QuotaStore quotas, ConductorHints hints, ActionLimits limits, ServiceConfig config)
{
    private const string PasswordLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

    private readonly string scheduleZone = config.Get(NovaOptions.DefaultScheduleZone);
    private readonly bool showPassword = config.Get(NovaOptions.InstancePassword);

    public async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var body = await context.ReadJsonAsync();
        var server = body.GetProperty("server");
        var token = context.Http.Request.Headers["X-Auth-Token"].ToString();
        var projectId = context.ProjectId();
        var (min, max) = Counts(server);
        var place = await PlaceAsync(context, server);
        var imageId = ImageId(context, server);
        var (wishes, auto) = Wishes(context, server);
        var groupNames = GroupNames(server);
        var flavorId = LastSegment(server.GetProperty("flavorRef").ToString());
        FlavorRow? flavor;
        await using (var session = store.Read())
        {
            flavor = await FlavorStore.FindAsync(session, flavorId, projectId, context.IsAdmin(), context.Aborted);
        }

        if (flavor is null || flavor.Disabled)
        {
            throw CloudException.BadRequest($"Flavor {flavorId} could not be found.");
        }

        // The services are asked at the same time; each answer is awaited even where another one failed.
        var image = images.CheckAsync(token, imageId, flavor, context.Aborted);
        var network = networks.CheckAsync(context, token, wishes, auto, max);
        var groups = networks.GroupsAsync(token, projectId, groupNames, context.Aborted);
        await Task.WhenAll(image, network, groups);
        if (flavor.RootGb == 0 && !context.Can("os_compute_api:servers:create:zero_disk_flavor"))
        {
            throw CloudException.Forbidden("Only volume-backed servers are allowed for flavors with zero disk.");
        }

        var wanted = new Wanted(server, SchedulerHints(body), flavor, await image, await network, (await groups).Ids, (await groups).Names, place);
        var rows = await store.WriteAsync(session => InsertAsync(context, session, wanted, projectId, min, max), context.Aborted);
        foreach (var row in rows)
        {
            await hints.ConductorAsync(row.Uuid, row.Revision);
        }

        await AnswerAsync(context, server, rows[0], groupNames);
    }

    /// <param name="IsForced">Whether host and node were named with the zone.</param>
    private sealed record Place(string? Zone, string? Host, string? Node, bool IsForced);

    private sealed record Wanted(
        JsonElement Server,
        string Hints,
        FlavorRow Flavor,
        ImageSpec Image,
        IReadOnlyList<RequestedNetwork> Networks,
        IReadOnlyList<string> Groups,
        IReadOnlyList<string> GroupNames,
        Place Place);

    private async Task<List<InstanceRow>> InsertAsync(ApiContext context, NovaSession session, Wanted wanted, string projectId, int min, int max)
    {
        var server = wanted.Server;
        var identity = context.Identity;
        KeyPairRow? key = null;
        if (server.Text("key_name") is { } keyName)
        {
            key = await KeypairRoutes.FindAsync(session, identity.UserId, keyName, context.Aborted) ?? throw CloudException.BadRequest("Invalid key_name provided.");
        }

        var count = await quotas.CheckInstancesAsync(session, projectId, identity.UserId, wanted.Flavor.Vcpus, wanted.Flavor.MemoryMb, min, max, context.Aborted);
        var metadata = server.TryGetProperty("metadata", out var given)
            ? given.EnumerateObject().ToDictionary(item => item.Name, item => item.Value.GetString()!)
            : [];
        var limit = (await quotas.LimitsAsync(session, projectId, null, context.Aborted)).MetadataItems;
        if (limit >= 0 && metadata.Count > limit)
        {
            throw CloudException.Forbidden($"Maximum number of metadata items exceeds {limit}");
        }

        var name = server.GetProperty("name").GetString()!.Trim();
        var reservation = "r-" + RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz0123456789", 8);
        var rows = new List<InstanceRow>();
        for (var index = 0; index < count; index++)
        {
            var uuid = Guid.NewGuid().ToString();
            var displayName = max > 1 ? $"{name}-{index + 1}" : name;
            var hostname = server.Text("hostname");
            var row = new InstanceRow
            {
                Uuid = uuid,
                Revision = 1,
                ProjectId = projectId,
                UserId = identity.UserId,
                ProjectName = identity.ProjectName ?? "",
                UserName = identity.UserName,
                Name = displayName,
                Description = context.Since(19) ? server.Text("description") : displayName,
                Hostname = hostname is null ? ServerSchemas.HostnameFrom(displayName, uuid) : max > 1 ? $"{hostname}-{index + 1}" : hostname,
                ReservationId = reservation,
                LaunchIndex = index,
                ImageId = wanted.Image.Id,
                Image = StoredJson.Text(wanted.Image),
                FlavorId = wanted.Flavor.FlavorId,
                FlavorName = wanted.Flavor.Name,
                Vcpus = wanted.Flavor.Vcpus,
                MemoryMb = wanted.Flavor.MemoryMb,
                RootGb = wanted.Flavor.RootGb,
                EphemeralGb = wanted.Flavor.EphemeralGb,
                SwapMb = wanted.Flavor.SwapMb,
                FlavorExtraSpecs = wanted.Flavor.ExtraSpecs,
                KeyName = key?.Name,
                KeyType = key?.Type,
                KeyData = key?.PublicKey,
                UserData = server.Text("user_data"),
                ConfigDrive = server.TryGetProperty("config_drive", out var drive) && drive.Truth(),
                DiskConfig = server.Text("OS-DCF:diskConfig") ?? "MANUAL",
                RequestedZone = wanted.Place.Zone,
                RequestedHost = wanted.Place.Host,
                RequestedNode = wanted.Place.Node,
                HostIsForced = wanted.Place.IsForced,
                SchedulerHints = wanted.Hints,
                RequestedNetworks = StoredJson.Text(wanted.Networks),
                RequestedGroups = StoredJson.Text(wanted.Groups),
                SecurityGroups = StoredJson.Groups(wanted.GroupNames),
                Desired = DesiredState.Running,
                VmState = VmStates.Building,
                TaskState = TaskStates.Scheduling,
                Metadata = StoredJson.Text(metadata),
                Tags = server.TryGetProperty("tags", out var tags) ? StoredJson.Text(tags.EnumerateArray().Select(tag => tag.GetString()!).Distinct()) : "[]",
                TrustedCerts = server.TryGetProperty("trusted_image_certificates", out var certs) && certs.ValueKind == JsonValueKind.Array ? certs.GetRawText() : null,
                AccessIpV4 = server.Address("accessIPv4") ?? "",
                AccessIpV6 = CanonicalAddress(server.Address("accessIPv6")) ?? "",
                CreatedAt = session.Now,
                UpdatedAt = session.Now,
            };
            rows.Add(row with { Id = await session.Db.InsertWithInt64IdentityAsync(row, token: context.Aborted) });
            await session.StartAsync(ActionLog.New(context, row, "create", InstanceActionKind.Create, session.Now, limits), context.Aborted);
        }

        if (StoredJson.Hints(wanted.Hints).TryGetValue("group", out var hinted) && hinted.Count > 0)
        {
            var most = (await quotas.LimitsAsync(session, projectId, identity.UserId, context.Aborted)).ServerGroupMembers;
            await ServerGroupStore.JoinAsync(session, hinted[0], projectId, [.. rows.Select(row => row.Uuid)], most, context.Aborted);
        }

        return rows;
    }

    private async Task AnswerAsync(ApiContext context, JsonElement server, InstanceRow row, IReadOnlyList<string> groups)
    {
        if (server.TryGetProperty("return_reservation_id", out var wantsReservation) && wantsReservation.Truth())
        {
            await context.WriteJsonAsync(202, json =>
            {
                json.WriteStartObject();
                json.WriteString("reservation_id", row.ReservationId);
                json.WriteEndObject();
            });
            return;
        }

        var self = context.SelfBase();
        context.Http.Response.Headers.Location = $"{self}/servers/{row.Uuid}";
        await context.WriteJsonAsync(202, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("server");
            json.WriteString("id", row.Uuid);
            json.WriteLinks(self, context.BookmarkBase(), "servers", row.Uuid);
            json.WriteString("OS-DCF:diskConfig", row.DiskConfig);
            json.WriteStartArray("security_groups");
            foreach (var name in groups.DefaultIfEmpty("default"))
            {
                json.WriteStartObject();
                json.WriteString("name", name);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            if (showPassword)
            {
                json.WriteString("adminPass", server.Text("adminPass") is { Length: > 0 } password ? password : RandomNumberGenerator.GetString(PasswordLetters, 12));
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
    }

    /// <summary>An IPv6 address in the one form that all its spellings share; null and empty stay.</summary>
    internal static string? CanonicalAddress(string? address) => IPAddress.TryParse(address, out var parsed) ? parsed.ToString() : address;

    private static (int Min, int Max) Counts(JsonElement server)
    {
        var min = server.TryGetProperty("min_count", out var least) ? least.Whole("min_count") : 1;
        var max = server.TryGetProperty("max_count", out var most) ? most.Whole("max_count") : min;
        return min > max ? throw CloudException.BadRequest("min_count must be <= max_count") : (min, max);
    }

    private async Task<Place> PlaceAsync(ApiContext context, JsonElement server)
    {
        var zone = server.Text("availability_zone");
        string? host = null;
        string? node = null;
        if (zone is not null && zone.Contains(':', StringComparison.Ordinal))
        {
            var parts = zone.Split(':');
            if (parts.Length > 3)
            {
                throw CloudException.BadRequest("Invalid input received: Unable to parse availability_zone");
            }

            (zone, host, node) = (parts[0], Null(parts[1]), parts.Length == 3 ? Null(parts[2]) : null);
        }

        zone = Null(zone ?? "") ?? Null(scheduleZone);
        var forced = host is not null || node is not null;
        if (forced)
        {
            context.Enforce("os_compute_api:servers:create:forced_host", context.OwnTarget());
        }

        if (server.Text("host") is not null || server.Text("hypervisor_hostname") is not null)
        {
            context.Enforce("compute:servers:create:requested_destination", context.OwnTarget());
            if (forced)
            {
                throw CloudException.BadRequest(
                    "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are mutually exclusive.");
            }

            (host, node) = (server.Text("host"), server.Text("hypervisor_hostname"));
        }

        if (zone is null && host is null && node is null)
        {
            return new Place(null, null, null, false);
        }

        await using var session = store.Read();
        if (zone is not null && !(forced && host is not null) && !(await hosts.AvailableZonesAsync(session, context.Aborted)).Contains(zone))
        {
            throw CloudException.BadRequest("The requested availability zone is not available");
        }

        if ((host is not null || node is not null)
            && !await session.ComputeNodes.AnyAsync(row => (host == null || row.Host == host) && (node == null || row.HypervisorHostname == node), context.Aborted))
        {
            throw CloudException.BadRequest($"Compute host {host ?? node} could not be found.");
        }

        return new Place(zone, host, node, forced);

        static string? Null(string text) => text.Length == 0 ? null : text;
    }

    private static string ImageId(ApiContext context, JsonElement server)
    {
        var fromDevice = DeviceImage(context, server);
        var image = server.Text("imageRef") is { Length: > 0 } reference ? LastSegment(reference) : fromDevice;
        return image ?? throw CloudException.BadRequest("Missing imageRef attribute");
    }

    /// <summary>The image of a block device mapping that says no more than <c>imageRef</c> does.</summary>
    private static string? DeviceImage(ApiContext context, JsonElement server)
    {
        string? image = null;
        var given = false;
        foreach (var name in (string[])["block_device_mapping", "block_device_mapping_v2"])
        {
            if (!server.TryGetProperty(name, out var devices))
            {
                continue;
            }

            foreach (var device in devices.EnumerateArray())
            {
                if (!given)
                {
                    given = true;
                    context.Enforce("os_compute_api:servers:create:attach_volume", context.OwnTarget());
                }

                if (device.Text("source_type") != "image" || device.Text("destination_type") is not (null or "local") || image is not null)
                {
                    throw CloudException.BadRequest(
                        "Block Device Mapping is Invalid: this cloud has no volume service, so the only device may be one of source_type 'image' and destination_type 'local'.");
                }

                image = device.Text("uuid") ?? device.Text("image_id") ?? throw CloudException.BadRequest("Block Device Mapping is Invalid: Missing device UUID.");
                if (!Guid.TryParse(image, out _))
                {
                    throw CloudException.BadRequest("Can not find requested image");
                }
            }
        }

        return image;
    }

    private static (IReadOnlyList<NetworkWish>? Wishes, bool Auto) Wishes(ApiContext context, JsonElement server)
    {
        if (!server.TryGetProperty("networks", out var networks))
        {
            return (null, false);
        }

        if (networks.ValueKind == JsonValueKind.String)
        {
            return networks.GetString() == "none" ? ([], false) : (null, true);
        }

        if (networks.GetArrayLength() == 0)
        {
            return (null, false);
        }

        context.Enforce("os_compute_api:servers:create:attach_network", context.OwnTarget());
        var wishes = new List<NetworkWish>();
        foreach (var network in networks.EnumerateArray())
        {
            var wish = new NetworkWish(network.Text("uuid"), network.Text("port"), network.Text("fixed_ip"), network.Text("tag"));
            if (wish.PortId is not null && wish.FixedIp is not null)
            {
                throw CloudException.BadRequest($"Specified Fixed IP '{wish.FixedIp}' cannot be used with port '{wish.PortId}': the two cannot be specified together.");
            }

            if (wish.PortId is null && !Guid.TryParseExact(wish.NetworkId, "D", out _))
            {
                throw CloudException.BadRequest($"Bad networks format: network uuid is not in proper format ({wish.NetworkId ?? "None"})");
            }

            if (wish.PortId is not null && wishes.Exists(other => other.PortId == wish.PortId))
            {
                throw CloudException.BadRequest($"Port ID {wish.PortId} was specified twice: it cannot be attached multiple times.");
            }

            wishes.Add(wish);
        }

        return (wishes, false);
    }

    private static List<string> GroupNames(JsonElement server) =>
        server.TryGetProperty("security_groups", out var groups) ? [.. groups.EnumerateArray().Select(group => group.Text("name")).OfType<string>().Distinct()] : [];

    private static string SchedulerHints(JsonElement body)
    {
        var hints = new Dictionary<string, IReadOnlyList<string>>();
        if (body.TryGetProperty("os:scheduler_hints", out var given) || body.TryGetProperty("OS-SCH-HNT:scheduler_hints", out given))
        {
            foreach (var hint in given.EnumerateObject())
            {
                hints[hint.Name] = hint.Value.ValueKind == JsonValueKind.Array ? [.. hint.Value.EnumerateArray().Select(item => item.ToString())] : [hint.Value.ToString()];
            }
        }

        return StoredJson.Text(hints);
    }

    private static string LastSegment(string reference) => reference[(reference.LastIndexOf('/') + 1)..];
}
