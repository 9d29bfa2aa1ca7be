using System.Globalization;
using System.Linq.Expressions;
using System.Text.RegularExpressions;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Servers;

/// <summary>Which servers a list request means: filters, order and page, in one query.</summary>
internal sealed class ServerListing(ApiContext context, NovaSession session)
{
    private static readonly TimeSpan RegexTimeout = TimeSpan.FromMilliseconds(200);

    private static readonly string[] ForEveryone = ["reservation_id", "name", "status", "image", "flavor", "ip", "changes-since", "all_tenants"];

    private static readonly string[] ForEveryoneSince83 =
        ["availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at", "power_state", "task_state", "vm_state", "progress", "user_id"];

    private static readonly string[] Paging = ["limit", "marker", "sort_key", "sort_dir"];

    private static readonly HashSet<string> Known =
    [
        .. ForEveryone, .. ForEveryoneSince83, .. Paging, "project_id", "tenant_id", "launch_index", "image_ref", "kernel_id", "ramdisk_id", "hostname", "host", "node",
        "display_name", "description", "display_description", "locked_by", "uuid", "root_device_name", "access_ip_v4", "access_ip_v6", "auto_disk_config", "soft_deleted",
        "deleted", "ip6", "tags", "tags-any", "not-tags", "not-tags-any", "changes-before", "locked",
    ];

    private static readonly Dictionary<string, string> SortKeys = new()
    {
        ["created_at"] = nameof(InstanceRow.CreatedAt), ["updated_at"] = nameof(InstanceRow.UpdatedAt), ["display_name"] = nameof(InstanceRow.Name),
        ["display_description"] = nameof(InstanceRow.Description), ["hostname"] = nameof(InstanceRow.Hostname), ["uuid"] = nameof(InstanceRow.Uuid),
        ["vm_state"] = nameof(InstanceRow.VmState), ["task_state"] = nameof(InstanceRow.TaskState), ["host"] = nameof(InstanceRow.Host), ["node"] = nameof(InstanceRow.Node),
        ["image_ref"] = nameof(InstanceRow.ImageId), ["key_name"] = nameof(InstanceRow.KeyName), ["launch_index"] = nameof(InstanceRow.LaunchIndex),
        ["launched_at"] = nameof(InstanceRow.LaunchedAt), ["terminated_at"] = nameof(InstanceRow.TerminatedAt), ["project_id"] = nameof(InstanceRow.ProjectId),
        ["user_id"] = nameof(InstanceRow.UserId), ["progress"] = nameof(InstanceRow.Progress), ["availability_zone"] = nameof(InstanceRow.AvailabilityZone),
        ["access_ip_v4"] = nameof(InstanceRow.AccessIpV4), ["access_ip_v6"] = nameof(InstanceRow.AccessIpV6), ["instance_type_id"] = nameof(InstanceRow.FlavorId),
        ["locked"] = nameof(InstanceRow.LockedBy), ["locked_by"] = nameof(InstanceRow.LockedBy), ["power_state"] = nameof(InstanceRow.CreatedAt),
        ["auto_disk_config"] = nameof(InstanceRow.DiskConfig), ["config_drive"] = nameof(InstanceRow.CreatedAt), ["kernel_id"] = nameof(InstanceRow.CreatedAt),
        ["ramdisk_id"] = nameof(InstanceRow.CreatedAt), ["root_device_name"] = nameof(InstanceRow.CreatedAt),
    };

    /// <summary>Known to Nova's table, but not sorted by.</summary>
    private static readonly HashSet<string> IgnoredSortKeys =
    [
        "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted", "deleted_at", "disable_terminate", "ephemeral_gb",
        "ephemeral_key_uuid", "id", "key_data", "launched_on", "memory_mb", "os_type", "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode",
    ];

    private readonly List<Func<InstanceRow, bool>> inMemory = [];
    private IQueryable<InstanceRow> query = session.Instances;

    /// <returns>The rows of the page.</returns>
    public async Task<List<InstanceRow>> RunAsync(bool detailed, int limit)
    {
        if (!Filter(detailed))
        {
            return [];
        }

        var marker = await MarkerAsync();
        Order(marker);
        if (inMemory.Count == 0)
        {
            return await query.Take(limit).ToListAsync(context.Aborted);
        }

        // A pattern is for .NET's engine: the rows are read in order until the page is full.
        var page = new List<InstanceRow>();
        try
        {
            await foreach (var row in query.AsAsyncEnumerable().WithCancellation(context.Aborted))
            {
                if (page.Count == limit)
                {
                    break;
                }

                if (inMemory.TrueForAll(filter => filter(row)))
                {
                    page.Add(row);
                }
            }
        }
        catch (RegexMatchTimeoutException)
        {
            throw CloudException.BadRequest("The pattern of a filter takes too long to match: use a simpler one.");
        }

        return page;
    }

    /// <summary>The names that filter this request, after Nova's rules on who may use which.</summary>
    private IEnumerable<string> Names()
    {
        if (context.Since(75))
        {
            foreach (var name in context.Query.Names)
            {
                if (!Known.Contains(name))
                {
                    throw CloudException.BadRequest($"Additional properties are not allowed ('{name}' was unexpected)");
                }
            }
        }

        var names = context.Query.Names.Except(Paging);
        if (context.Can("os_compute_api:servers:allow_all_filters"))
        {
            return names;
        }

        IEnumerable<string> allowed = ForEveryone;
        allowed = context.Since(5) ? allowed.Append("ip6") : allowed;
        allowed = context.Since(26) ? allowed.Concat(["tags", "tags-any", "not-tags", "not-tags-any"]) : allowed;
        allowed = context.Since(66) ? allowed.Append("changes-before") : allowed;
        allowed = context.Since(73) ? allowed.Append("locked") : allowed;
        allowed = context.Since(83) ? allowed.Concat(ForEveryoneSince83) : allowed;
        return names.Intersect(allowed);
    }

    /// <returns>False where nothing can match.</returns>
    private bool Filter(bool detailed)
    {
        var names = Names().ToHashSet();
        var everyone = names.Contains("all_tenants") && context.Query["all_tenants"] is var all && (string.IsNullOrEmpty(all) || IsTrue(all));
        if (everyone)
        {
            context.Enforce($"os_compute_api:servers:{(detailed ? "detail" : "index")}:get_all_tenants", context.OwnTarget());
        }
        else
        {
            var project = context.ProjectId();
            query = query.Where(row => row.ProjectId == project);
        }

        var deleted = names.Contains("deleted") && IsTrue(context.Query["deleted"] ?? "");
        foreach (var name in names)
        {
            var value = context.Query[name] ?? "";
            if (!Apply(name, value, everyone, ref deleted))
            {
                return false;
            }
        }

        if (names.Contains("deleted") || !(names.Contains("changes-since") || names.Contains("changes-before")))
        {
            query = deleted ? query.Where(row => row.DeletedAt != null) : query.Where(row => row.DeletedAt == null);
        }

        return true;
    }

    private bool Apply(string name, string value, bool everyone, ref bool deleted)
    {
        switch (name)
        {
            case "status":
                return ApplyStatus(ref deleted);
            case "project_id" or "tenant_id" when everyone:
                query = query.Where(row => row.ProjectId == value);
                break;
            case "user_id":
                query = query.Where(row => row.UserId == value);
                break;
            case "name" or "display_name":
                Matching(value, row => row.Name);
                break;
            case "hostname":
                Matching(value, row => row.Hostname);
                break;
            case "description" or "display_description":
                Matching(value, row => row.Description ?? "");
                break;
            case "ip":
                MatchingAddress(value, 4);
                break;
            case "ip6":
                MatchingAddress(value, 6);
                break;
            case "image" or "image_ref":
                var image = LastSegment(value);
                query = query.Where(row => row.ImageId == image);
                break;
            case "flavor":
                var flavor = LastSegment(value);
                query = query.Where(row => row.FlavorId == flavor);
                break;
            case "host":
                query = query.Where(row => row.Host == value);
                break;
            case "node":
                query = query.Where(row => row.Node == value);
                break;
            case "uuid":
                var ids = context.Query.All("uuid").ToArray();
                query = query.Where(row => ids.Contains(row.Uuid));
                break;
            case "reservation_id":
                query = query.Where(row => row.ReservationId == value);
                break;
            case "key_name":
                query = query.Where(row => row.KeyName == value);
                break;
            case "availability_zone":
                query = query.Where(row => row.AvailabilityZone == value);
                break;
            case "vm_state":
                query = query.Where(row => row.VmState == value);
                break;
            case "task_state":
                query = query.Where(row => row.TaskState == value);
                break;
            case "power_state":
                var power = (PowerState)Number(name, value);
                query = query.Where(row => row.PowerState == power);
                break;
            case "progress":
                var progress = Number(name, value);
                query = query.Where(row => row.Progress == progress);
                break;
            case "launch_index":
                var index = Number(name, value);
                query = query.Where(row => row.LaunchIndex == index);
                break;
            case "config_drive":
                var drive = IsTrue(value);
                query = query.Where(row => row.ConfigDrive == drive);
                break;
            case "locked":
                var locked = IsTrue(value);
                query = query.Where(row => (row.LockedBy != null) == locked);
                break;
            case "locked_by":
                query = query.Where(row => row.LockedBy == value);
                break;
            case "access_ip_v4":
                query = query.Where(row => row.AccessIpV4 == value);
                break;
            case "access_ip_v6":
                query = query.Where(row => row.AccessIpV6 == value);
                break;
            case "changes-since":
                var since = context.Instant(name)!.Value;
                query = query.Where(row => row.UpdatedAt >= since);
                break;
            case "changes-before":
                var before = context.Instant(name)!.Value;
                query = query.Where(row => row.UpdatedAt <= before);
                if (context.Instant("changes-since") > before)
                {
                    throw CloudException.BadRequest("The value of changes-since must be less than or equal to changes-before.");
                }

                break;
            case "tags":
                foreach (var tag in Quoted(value))
                {
                    query = query.Where(row => row.Tags.Contains(tag));
                }

                break;
            case "tags-any":
                var any = Quoted(value).ToArray();
                query = query.Where(row => any.Any(tag => row.Tags.Contains(tag)));
                break;
            case "not-tags":
                var not = Quoted(value).ToList();
                inMemory.Add(row => !not.TrueForAll(tag => row.Tags.Contains(tag, StringComparison.Ordinal)));
                break;
            case "not-tags-any":
                foreach (var tag in Quoted(value))
                {
                    query = query.Where(row => !row.Tags.Contains(tag));
                }

                break;
            default:
                if (name.StartsWith('_'))
                {
                    throw CloudException.BadRequest($"Invalid filter field: {name}.");
                }

                break;
        }

        return true;
    }

    private bool ApplyStatus(ref bool deleted)
    {
        var (vm, task) = ServerStatus.From(context.Query.All("status").OfType<string>());
        if (vm.Count == 0)
        {
            return context.Since(38) ? throw CloudException.BadRequest("Invalid status value") : false;
        }

        if (vm is [VmStates.Deleted])
        {
            if (!context.IsAdmin())
            {
                throw CloudException.Forbidden("Only administrators may list deleted instances");
            }

            deleted = true;
        }

        query = query.Where(row => vm.Contains(row.VmState));
        if (task.Count > 0)
        {
            query = query.Where(row => task.Contains(row.TaskState!));
        }

        return true;
    }

    private void Matching(string pattern, Func<InstanceRow, string> value)
    {
        var regex = Compile(pattern);
        inMemory.Add(row => regex.IsMatch(value(row)));
    }

    private void MatchingAddress(string pattern, int version)
    {
        var regex = Compile(pattern);
        inMemory.Add(row => StoredJson.Vifs(row.NetworkInfo).Any(vif => vif.Addresses.Any(address =>
            (address.Version == version && regex.IsMatch(address.Ip)) || (version == 4 && (address.FloatingIps ?? []).Any(regex.IsMatch)))));
    }

    private static Regex Compile(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.IgnoreCase | RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, RegexTimeout);
        }
        catch (Exception failure) when (failure is ArgumentException or NotSupportedException)
        {
            throw CloudException.BadRequest($"'{pattern}' is not a regular expression that a filter takes: {failure.Message}");
        }
    }

    private async Task<InstanceRow?> MarkerAsync()
    {
        if (context.Query.Marker is not { } marker)
        {
            return null;
        }

        return await session.FindInstanceAsync(marker, context.Aborted) is { } row && (context.IsAdmin() || row.ProjectId == context.Identity.ProjectId)
            ? row
            : throw CloudException.BadRequest($"marker [{marker}] not found");
    }

    /// <summary>Sorts, and goes on after the marker: rows that come later in the first key, or are equal in it and later in the next.</summary>
    private void Order(InstanceRow? marker)
    {
        var keys = Sort();
        var row = Expression.Parameter(typeof(InstanceRow), "row");
        Expression? after = null;
        Expression? equal = null;
        IOrderedQueryable<InstanceRow>? ordered = null;
        var unordered = query;
        foreach (var (property, descending) in keys)
        {
            var value = Value(row, property);
            if (marker is not null)
            {
                var at = Expression.Constant(ValueOf(marker, property, value.Type), value.Type);
                var later = value.Type == typeof(string)
                    ? Compare(Expression.Call(typeof(string), nameof(string.Compare), null, value, at), Expression.Constant(0), descending)
                    : Compare(value, at, descending);
                var here = equal is null ? later : Expression.AndAlso(equal, later);
                after = after is null ? here : Expression.OrElse(after, here);
                var same = Expression.Equal(value, at);
                equal = equal is null ? same : Expression.AndAlso(equal, same);
            }
        }

        if (after is not null)
        {
            unordered = unordered.Where(Expression.Lambda<Func<InstanceRow, bool>>(after, row));
        }

        foreach (var (property, descending) in keys)
        {
            var value = Value(row, property);
            ordered = value.Type == typeof(string) ? By<string>() : value.Type == typeof(long) ? By<long>() : By<int>();

            IOrderedQueryable<InstanceRow> By<T>()
            {
                var key = Expression.Lambda<Func<InstanceRow, T>>(value, row);
                return ordered is null
                    ? (descending ? unordered.OrderByDescending(key) : unordered.OrderBy(key))
                    : (descending ? ordered.ThenByDescending(key) : ordered.ThenBy(key));
            }
        }

        query = ordered!;
    }

    private static BinaryExpression Compare(Expression left, Expression right, bool descending) =>
        descending ? Expression.LessThan(left, right) : Expression.GreaterThan(left, right);

    /// <summary>A column without nulls: they sort as empty or zero.</summary>
    private static Expression Value(ParameterExpression row, string property)
    {
        Expression value = Expression.Property(row, property);
        return value.Type == typeof(string) ? (IsNullable(property) ? Expression.Coalesce(value, Expression.Constant("")) : value)
            : value.Type == typeof(long?) ? Expression.Coalesce(value, Expression.Constant(0L))
            : value;
    }

    private static bool IsNullable(string property) =>
        property is nameof(InstanceRow.Description) or nameof(InstanceRow.TaskState) or nameof(InstanceRow.Host) or nameof(InstanceRow.Node) or nameof(InstanceRow.KeyName)
            or nameof(InstanceRow.AvailabilityZone) or nameof(InstanceRow.LockedBy);

    private static object ValueOf(InstanceRow marker, string property, Type type) =>
        typeof(InstanceRow).GetProperty(property)!.GetValue(marker) ?? (type == typeof(string) ? "" : 0L);

    private List<(string Property, bool Descending)> Sort()
    {
        var keys = new List<(string, bool)>();
        foreach (var (key, descending) in context.Query.Sort("desc"))
        {
            if (IgnoredSortKeys.Contains(key) || (key == "locked" && !context.Since(73)))
            {
                if (context.Since(75))
                {
                    throw InvalidKey(key);
                }

                continue;
            }

            if (key is "host" or "node" && !context.IsAdmin())
            {
                throw CloudException.Forbidden($"Only administrators can sort servers by {key}");
            }

            keys.Add((SortKeys.TryGetValue(key, out var property) ? property : throw InvalidKey(key), descending));
        }

        var last = keys.Count == 0 || keys[^1].Item2;
        if (!keys.Exists(key => key.Item1 == nameof(InstanceRow.CreatedAt)))
        {
            keys.Add((nameof(InstanceRow.CreatedAt), last));
        }

        keys.Add((nameof(InstanceRow.Id), last));
        return keys;

        static CloudException InvalidKey(string key) =>
            CloudException.BadRequest($"Invalid input for query parameters sort_key. Value: {key}. '{key}' is not one of [{string.Join(", ", SortKeys.Keys.Select(name => $"'{name}'"))}]");
    }

    /// <summary>Each tag as it stands in the row's JSON.</summary>
    private static IEnumerable<string> Quoted(string value) => value.Split(',').Select(tag => StoredJson.Text([tag])[1..^1]);

    private static string LastSegment(string value) => value[(value.LastIndexOf('/') + 1)..];

    private static bool IsTrue(string text) => text.ToUpperInvariant() is "1" or "T" or "TRUE" or "ON" or "Y" or "YES";

    private static int Number(string name, string value) =>
        int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : throw CloudException.BadRequest($"Invalid filter field: {name}.");
}
