using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Ports;
using SharpStack.Neutron.Storage;
using TrunkAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Trunks.TrunkRow, SharpStack.Neutron.Trunks.TrunkView>;

namespace SharpStack.Neutron.Trunks;

internal sealed record TrunkView(TrunkRow Row, IReadOnlyList<SubPortRow> SubPorts, IReadOnlyList<string> Tags) : IResourceView<TrunkRow>;

/// <summary><c>/v2.0/trunks</c>.</summary>
internal sealed class TrunkResource(TrunkRules rules, PortOperations operations) : IResource<TrunkRow, TrunkView>
{
    public string Singular => "trunk";

    public string Plural => "trunks";

    public bool CanUpdate => true;

    public bool HasQuota => true;

    public IReadOnlyList<ResourceAttribute<TrunkRow, TrunkView>> Attributes { get; } =
    [
        .. TrunkAttributes.Standard(),
        TrunkAttributes.Text("name", static row => row.Name, post: true, put: true, check: Checks.Text(255)),
        TrunkAttributes.Flag("admin_state_up", static row => row.AdminStateUp, post: true, put: true),
        TrunkAttributes.Text("port_id", static row => row.PortId, post: true, required: true, check: Checks.Uuid),
        TrunkAttributes.Text("status", static row => row.Status),
        new("sub_ports") { Post = true, Check = static value => value.ValueKind == JsonValueKind.Null ? null : TrunkRules.CheckSubPorts(value), Write = static (json, view) => WriteSubPorts(json, view.SubPorts) },
        TrunkAttributes.Shown("tags", static (json, view) => json.WriteTexts(view.Tags)),
    ];

    public IQueryable<TrunkRow> Rows(DataConnection db) => db.GetTable<TrunkRow>();

    public IQueryable<TrunkRow> VisibleTo(IQueryable<TrunkRow> rows, DataConnection db, Caller caller) => caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public async Task<List<TrunkView>> LoadAsync(DataConnection db, IReadOnlyList<TrunkRow> rows, CancellationToken cancellationToken)
    {
        var ids = rows.Select(row => row.Id).ToList();
        var subPorts = (await db.GetTable<SubPortRow>().WhereIn(row => row.TrunkId, ids).OrderBy(row => row.SegmentationId).ToListAsync(cancellationToken)).ToLookup(row => row.TrunkId);
        var tags = await Tags.LoadAsync(db, ids, cancellationToken);
        return [.. rows.Select(row => new TrunkView(row, [.. subPorts[row.Id]], [.. tags[row.Id]]))];
    }

    public async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var parent = await rules.ParentAsync(work, caller, body.Text("port_id"));
        var row = work.Stamp(new TrunkRow
        {
            ProjectId = body.ProjectId,
            Name = body.Text("name"),
            Description = body.Text("description"),
            AdminStateUp = body.Flag("admin_state_up", true),
            PortId = parent.Id,
            Status = DeviceTrunk.Down,
            Revision = 1,
        });
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await InsertAsync(work, await rules.SubPortsAsync(work, caller, row, SubPortWish.Read(body.Items("sub_ports"))));
        return row.Id;
    }

    public async Task UpdateAsync(Work work, Caller caller, TrunkView view, Body body)
    {
        view.Row.Name = body.Text("name", view.Row.Name);
        view.Row.Description = body.Text("description", view.Row.Description);
        view.Row.AdminStateUp = body.Flag("admin_state_up", view.Row.AdminStateUp);
        work.Bump(view.Row);
        await work.Db.UpdateAsync(view.Row, token: work.Cancellation);
    }

    public async Task DeleteAsync(Work work, Caller caller, TrunkView view)
    {
        RefuseDisabled(view.Row);
        if (await work.Db.GetTable<PortRow>().AnyAsync(port => port.Id == view.Row.PortId && port.Host != "", work.Cancellation))
        {
            throw TrunkErrors.InUse(view.Row.Id);
        }

        await work.Db.GetTable<TrunkRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        await TrunkBindings.ReleaseAsync(work, operations, [.. view.SubPorts.Select(sub => sub.PortId)]);
    }

    public CloudException NotFound(string id) => TrunkErrors.NotFound(id);

    /// <summary>Puts ports on a trunk.</summary>
    public async Task AddAsync(Work work, Caller caller, TrunkRow trunk, IReadOnlyList<SubPortWish> wishes)
    {
        RefuseDisabled(trunk);
        var present = await work.Db.GetTable<SubPortRow>().Where(row => row.TrunkId == trunk.Id).ToListAsync(work.Cancellation);
        var added = await rules.SubPortsAsync(work, caller, trunk, wishes);
        if (added.Find(row => present.Exists(other => (other.SegmentationType, other.SegmentationId) == (row.SegmentationType, row.SegmentationId))) is { } twice)
        {
            throw TrunkErrors.DuplicateSubPort(twice);
        }

        if (trunk.Status == DeviceTrunk.Error)
        {
            throw TrunkErrors.InErrorState(trunk.Id);
        }

        await InsertAsync(work, added);
        await TrunkBindings.ChangedAsync(work, operations, trunk);
    }

    /// <summary>Takes ports off a trunk, all of which must be on it.</summary>
    public async Task RemoveAsync(Work work, TrunkRow trunk, IReadOnlyList<SubPortWish> wishes)
    {
        RefuseDisabled(trunk);
        foreach (var wish in wishes)
        {
            if (await work.Db.GetTable<SubPortRow>().Where(row => row.TrunkId == trunk.Id && row.PortId == wish.PortId).DeleteAsync(work.Cancellation) == 0)
            {
                throw TrunkErrors.SubPortNotFound(trunk.Id, wish.PortId);
            }
        }

        await TrunkBindings.ReleaseAsync(work, operations, [.. wishes.Select(wish => wish.PortId)]);
        await TrunkBindings.ChangedAsync(work, operations, trunk);
    }

    public static void WriteSubPorts(Utf8JsonWriter json, IEnumerable<SubPortRow> rows, IReadOnlyDictionary<string, string>? macs = null)
    {
        json.WriteStartArray();
        foreach (var row in rows)
        {
            json.WriteStartObject();
            json.WriteString("port_id", row.PortId);
            json.WriteString("segmentation_type", row.SegmentationType);
            json.WriteNumber("segmentation_id", row.SegmentationId);
            if (macs is not null)
            {
                json.WriteString("mac_address", macs.GetValueOrDefault(row.PortId));
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void RefuseDisabled(TrunkRow trunk)
    {
        if (!trunk.AdminStateUp)
        {
            throw TrunkErrors.Disabled(trunk.Id);
        }
    }

    private static async Task InsertAsync(Work work, List<SubPortRow> rows)
    {
        if (rows.GroupBy(row => (row.SegmentationType, row.SegmentationId)).FirstOrDefault(same => same.Count() > 1) is { } twice)
        {
            throw TrunkErrors.DuplicateSubPort(twice.First());
        }

        foreach (var row in rows)
        {
            await work.Db.InsertAsync(row, token: work.Cancellation);
        }
    }
}
