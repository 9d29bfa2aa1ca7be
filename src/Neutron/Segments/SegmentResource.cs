using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ml2;
using SharpStack.Neutron.Storage;
using SegmentAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Storage.SegmentRow, SharpStack.Neutron.Segments.SegmentView>;

namespace SharpStack.Neutron.Segments;

internal sealed record SegmentView(SegmentRow Row) : IResourceView<SegmentRow>;

/// <summary><c>/v2.0/segments</c>: the segments of networks, one by one.</summary>
internal sealed class SegmentResource(SegmentManager segments) : IResource<SegmentRow, SegmentView>
{
    public string Singular => "segment";

    public string Plural => "segments";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<SegmentRow, SegmentView>> Attributes { get; } =
    [
        .. SegmentAttributes.Standard().Where(attribute => attribute.Name is not ("tenant_id" or "project_id" or "description")),
        NullWhereEmpty("name", static row => row.Name),
        NullWhereEmpty("description", static row => row.Description),
        SegmentAttributes.Text("network_id", static row => row.NetworkId, post: true, required: true, check: Checks.Uuid),
        SegmentAttributes.Text("network_type", static row => row.NetworkType, post: true, required: true, check: Checks.OneOf("flat", "geneve", "gre", "local", "vlan", "vxlan")),
        SegmentAttributes.Text("physical_network", static row => row.PhysicalNetwork, post: true, check: Checks.TextOrNull(64)),
        SegmentAttributes.OptionalNumber("segmentation_id", static row => row.SegmentationId, post: true, check: Checks.NumberOrNull(0, int.MaxValue)),
    ];

    public IQueryable<SegmentRow> Rows(DataConnection db) => db.GetTable<SegmentRow>();

    /// <summary>The rules leave them to administrators.</summary>
    public IQueryable<SegmentRow> VisibleTo(IQueryable<SegmentRow> rows, DataConnection db, Caller caller) => rows;

    public Task<List<SegmentView>> LoadAsync(DataConnection db, IReadOnlyList<SegmentRow> rows, CancellationToken cancellationToken) =>
        Task.FromResult(rows.Select(row => new SegmentView(row)).ToList());

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var networkId = body.Text("network_id");
        var network = await work.Db.GetTable<NetworkRow>().FirstOrDefaultAsync(row => row.Id == networkId, work.Cancellation) ?? throw NeutronErrors.NetworkNotFound(networkId);
        var segment = await segments.ReserveProviderAsync(work, network.ProjectId, new Segment(body.Text("network_type"), body.TextOrNull("physical_network"), body.Number("segmentation_id")));
        var index = await work.Db.GetTable<SegmentRow>().Where(row => row.NetworkId == networkId).MaxAsync(row => (int?)row.SegmentIndex, work.Cancellation) ?? -1;
        return (await SegmentManager.AddAsync(work, networkId, segment, index + 1, body.Text("name"), body.Text("description"))).Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, SegmentView view, Body body)
    {
        var row = view.Row;
        row.Name = body.Text("name", row.Name);
        row.Description = body.Text("description", row.Description);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, SegmentView view)
    {
        var row = view.Row;
        var subnets = await work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SegmentId == row.Id).Select(subnet => subnet.Id).ToListAsync(work.Cancellation);
        if (subnets.Count > 0)
        {
            throw InUse(row.Id, $"The segment is still associated with subnet(s) {string.Join(", ", subnets)}");
        }

        var bound = await work.Db.GetTable<PortRow>().Where(port => port.BoundSegmentId == row.Id).Select(port => port.Id).ToListAsync(work.Cancellation);
        if (bound.Count > 0)
        {
            throw InUse(row.Id, $"The segment is still bound with port(s) {string.Join(", ", bound)}");
        }

        await segments.ReleaseAsync(work, new Segment(row.NetworkType, row.PhysicalNetwork, row.SegmentationId));
        await work.Db.GetTable<SegmentRow>().Where(segment => segment.Id == row.Id).DeleteAsync(work.Cancellation);
    }

    public CloudException NotFound(string id) => NeutronErrors.SegmentNotFound(id);

    private static CloudException InUse(string id, string reason) => NeutronErrors.Conflict("SegmentInUse", $"Segment '{id}' cannot be deleted: {reason}.");

    private static ResourceAttribute<SegmentRow, SegmentView> NullWhereEmpty(string name, System.Linq.Expressions.Expression<Func<SegmentRow, string?>> column)
    {
        var text = SegmentAttributes.Text(name, column);
        var get = column.Compile();
        return new(name)
        {
            Post = true,
            Put = true,
            Check = Checks.TextOrNull(255),
            Write = (json, view) => json.WriteStringValue(get(view.Row) is { Length: > 0 } value ? value : null),
            Filter = text.Filter,
            Sort = text.Sort,
        };
    }
}
