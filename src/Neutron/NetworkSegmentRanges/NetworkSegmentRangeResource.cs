using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Storage;
using RangeAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.NetworkSegmentRangeRow, SharpStack.Neutron.NetworkSegmentRanges.NetworkSegmentRangeView>;

namespace SharpStack.Neutron.NetworkSegmentRanges;

/// <summary>A range, and the projects that use its segments.</summary>
internal sealed record NetworkSegmentRangeView(NetworkSegmentRangeRow Row, IReadOnlyList<(int Id, string ProjectId)> Used, IReadOnlyList<string> Tags) : IResourceView<NetworkSegmentRangeRow>;

/// <summary><c>/v2.0/network_segment_ranges</c>: segments for all projects or for one, beside those of the configuration.</summary>
internal sealed class NetworkSegmentRangeResource(SegmentManager segments) : IResource<NetworkSegmentRangeRow, NetworkSegmentRangeView>
{
    /// <summary>Free ids that an answer lists at most: a range of tunnels has millions.</summary>
    private const int MostShown = 10_000;

    public string Singular => "network_segment_range";

    public string Plural => "network_segment_ranges";

    public string Path => "/v2.0/network_segment_ranges";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<NetworkSegmentRangeRow, NetworkSegmentRangeView>> Attributes { get; } =
    [
        .. RangeAttributes.Standard().Where(attribute => attribute.Name is not ("tenant_id" or "project_id")),
        ProjectId("project_id"),
        ProjectId("tenant_id"),
        RangeAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        RangeAttributes.Flag("default", static row => row.IsDefault),
        RangeAttributes.Flag("shared", static row => row.Shared, post: true),
        RangeAttributes.Text("network_type", static row => row.NetworkType, post: true, required: true, check: Checks.OneOf("vlan", "vxlan", "gre", "geneve")),
        RangeAttributes.Text("physical_network", static row => row.PhysicalNetwork, post: true, check: Checks.TextOrNull(64)),
        RangeAttributes.Number("minimum", static row => row.Minimum, post: true, put: true, required: true, check: Checks.Number(1, int.MaxValue)),
        RangeAttributes.Number("maximum", static row => row.Maximum, post: true, put: true, required: true, check: Checks.Number(1, int.MaxValue)),
        RangeAttributes.Shown("used", static (json, view) =>
        {
            json.WriteStartObject();
            foreach (var (id, project) in view.Used)
            {
                json.WriteString(id.ToString(CultureInfo.InvariantCulture), project);
            }

            json.WriteEndObject();
        }),
        RangeAttributes.Shown("available", static (json, view) =>
        {
            var used = view.Used.Select(segment => segment.Id).ToHashSet();
            json.WriteStartArray();
            for (int id = view.Row.Minimum, shown = 0; id <= view.Row.Maximum && shown < MostShown; id++)
            {
                if (!used.Contains(id))
                {
                    json.WriteNumberValue(id);
                    shown++;
                }
            }

            json.WriteEndArray();
        }),
        RangeAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<NetworkSegmentRangeRow> Rows(DataConnection db) => db.GetTable<NetworkSegmentRangeRow>();

    /// <summary>The rules leave them to administrators.</summary>
    public IQueryable<NetworkSegmentRangeRow> VisibleTo(IQueryable<NetworkSegmentRangeRow> rows, DataConnection db, Caller caller) => rows;

    public async Task<List<NetworkSegmentRangeView>> LoadAsync(DataConnection db, IReadOnlyList<NetworkSegmentRangeRow> rows, CancellationToken cancellationToken)
    {
        var types = rows.Select(row => row.NetworkType).Distinct().ToList();
        var used = await (from segment in db.GetTable<SegmentRow>()
                          where types.Contains(segment.NetworkType) && segment.SegmentationId != null
                          join network in db.GetTable<NetworkRow>() on segment.NetworkId equals network.Id
                          select new { segment.NetworkType, segment.PhysicalNetwork, Id = segment.SegmentationId!.Value, network.ProjectId }).ToListAsync(cancellationToken);
        var tags = await Tags.LoadAsync(db, [.. rows.Select(row => row.Id)], cancellationToken);
        return [.. rows.Select(row => new NetworkSegmentRangeView(
            row,
            [.. used.Where(segment => segment.NetworkType == row.NetworkType && segment.PhysicalNetwork == row.PhysicalNetwork && segment.Id >= row.Minimum && segment.Id <= row.Maximum)
                .OrderBy(segment => segment.Id).Select(segment => (segment.Id, segment.ProjectId))],
            [.. tags[row.Id]]))];
    }

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var isShared = body.Flag("shared", true);
        var type = body.Text("network_type");
        var physical = body.TextOrNull("physical_network");
        if (type == "vlan" && string.IsNullOrEmpty(physical))
        {
            throw NeutronErrors.BadRequest(Singular, "Network type vlan requires 'physical_network' to be specified while creating new range");
        }

        var row = work.Stamp(new NetworkSegmentRangeRow
        {
            ProjectId = isShared ? "" : body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            Shared = isShared,
            NetworkType = type,
            PhysicalNetwork = type == "vlan" ? physical : null,
            Minimum = body.Number("minimum")!.Value,
            Maximum = body.Number("maximum")!.Value,
        });
        await CheckAsync(work, row);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, NetworkSegmentRangeView view, Body body)
    {
        var row = view.Row;
        RefuseDefault(row);
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);

        // A bound may not even come as near as a segment in use itself, as in Neutron.
        if (view.Used.Count > 0 && (body.Number("minimum") >= view.Used[0].Id || body.Number("maximum") <= view.Used[^1].Id))
        {
            throw Referenced(row.Id);
        }

        row.Minimum = body.Number("minimum") ?? row.Minimum;
        row.Maximum = body.Number("maximum") ?? row.Maximum;

        await CheckAsync(work, row);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, NetworkSegmentRangeView view)
    {
        RefuseDefault(view.Row);
        if (view.Used.Count > 0)
        {
            throw Referenced(view.Row.Id);
        }

        await work.Db.GetTable<NetworkSegmentRangeRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => NeutronErrors.NotFound("NetworkSegmentRangeNotFound", $"Network Segment Range {id} could not be found.");

    /// <summary>Makes the ranges of the configuration visible: as default ranges, which cannot be changed.</summary>
    public async Task ShowConfiguredAsync(NeutronStore store, CancellationToken cancellationToken)
    {
        var wanted = segments.Drivers.SelectMany(driver => driver.Ranges.Select(range => new NetworkSegmentRangeRow
        {
            Id = IdOf(driver.Name, range),
            IsDefault = true,
            Shared = true,
            NetworkType = driver.Name,
            PhysicalNetwork = range.PhysicalNetwork,
            Minimum = range.Min,
            Maximum = range.Max,
        })).DistinctBy(row => row.Id).ToDictionary(row => row.Id);
        await using (var db = store.Read())
        {
            if ((await db.GetTable<NetworkSegmentRangeRow>().Where(row => row.IsDefault).Select(row => row.Id).ToListAsync(cancellationToken)).ToHashSet().SetEquals(wanted.Keys))
            {
                return;
            }
        }

        await store.WriteAsync(
            async work =>
            {
                var there = await work.Db.GetTable<NetworkSegmentRangeRow>().Where(row => row.IsDefault).Select(row => row.Id).ToListAsync(work.Cancellation);
                foreach (var id in there.Where(id => !wanted.ContainsKey(id)))
                {
                    await work.Db.GetTable<NetworkSegmentRangeRow>().Where(row => row.Id == id).DeleteAsync(work.Cancellation);
                }

                foreach (var row in wanted.Values.ExceptBy(there, row => row.Id))
                {
                    await work.Db.InsertAsync(work.Stamp(row), token: work.Cancellation);
                }
            },
            cancellationToken);
    }

    /// <summary>The same on every server and at every start.</summary>
    private static string IdOf(string type, SegmentRange range) =>
        new Guid(SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{type}/{range.PhysicalNetwork}/{range.Min}/{range.Max}"))).AsSpan(0, 16)).ToString("D");

    private async Task CheckAsync(Work work, NetworkSegmentRangeRow row)
    {
        if (segments.Find(row.NetworkType) is not { MaxId: > 0 and var max })
        {
            throw CloudException.BadRequest($"Network type {row.NetworkType} does not support network segment ranges.", "NetworkSegmentRangeNetTypeNotSupported");
        }

        if (row.Minimum > row.Maximum || row.Maximum > max)
        {
            throw CloudException.BadRequest(
                $"Invalid network {(row.NetworkType == "vlan" ? "VLAN" : "tunnel")} range: '{row.Minimum}:{row.Maximum}' - a range begins with its smaller id and ends by {max}.",
                row.NetworkType == "vlan" ? "NetworkVlanRangeError" : "NetworkTunnelRangeError");
        }

        var overlapping = await work.Db.GetTable<NetworkSegmentRangeRow>()
            .Where(other => other.Id != row.Id && !other.IsDefault && other.NetworkType == row.NetworkType && other.PhysicalNetwork == row.PhysicalNetwork && other.Minimum <= row.Maximum && other.Maximum >= row.Minimum)
            .Select(other => other.Id).ToListAsync(work.Cancellation);
        if (overlapping.Count > 0)
        {
            throw NeutronErrors.Conflict("NetworkSegmentRangeOverlaps", $"Network segment range overlaps with range(s) with id {string.Join(", ", overlapping)}.");
        }
    }

    private static void RefuseDefault(NetworkSegmentRangeRow row)
    {
        if (row.IsDefault)
        {
            throw CloudException.BadRequest($"Network Segment Range {row.Id} is a default segment range which could not be updated or deleted.", "NetworkSegmentRangeDefaultReadOnly");
        }
    }

    private static CloudException Referenced(string id) =>
        NeutronErrors.Conflict("NetworkSegmentRangeReferencedByProject", $"Network Segment Range {id} is referenced by one or more tenant networks.");

    /// <summary>A range for all has no project.</summary>
    private static ResourceAttribute<NetworkSegmentRangeRow, NetworkSegmentRangeView> ProjectId(string name)
    {
        var text = RangeAttributes.Text(name, static row => row.ProjectId, post: true, check: Checks.TextOrNull(255));
        return new(name)
        {
            Post = true,
            Check = text.Check,
            Filter = text.Filter,
            Sort = text.Sort,
            Write = static (json, view) => json.WriteStringValue(view.Row.ProjectId.Length > 0 ? view.Row.ProjectId : null),
        };
    }
}
