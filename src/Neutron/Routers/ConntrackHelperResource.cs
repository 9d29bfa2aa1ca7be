using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;
using HelperAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Routers.ConntrackHelperRow, SharpStack.Neutron.Routers.ConntrackHelperView>;

namespace SharpStack.Neutron.Routers;

internal sealed record ConntrackHelperView(ConntrackHelperRow Row) : IResourceView<ConntrackHelperRow>;

/// <summary><c>/v2.0/routers/{parent}/conntrack_helpers</c>.</summary>
internal sealed class ConntrackHelperResource : IResource<ConntrackHelperRow, ConntrackHelperView>
{
    /// <summary>The helpers and their protocols that Neutron allows where nothing else is configured.</summary>
    private static readonly ILookup<string, string> Allowed = new (string Helper, string Protocol)[]
    {
        ("amanda", "tcp"), ("ftp", "tcp"), ("h323", "udp"), ("h323", "tcp"), ("irc", "tcp"), ("netbios-ns", "udp"),
        ("pptp", "tcp"), ("sane", "tcp"), ("sip", "udp"), ("sip", "tcp"), ("snmp", "udp"), ("tftp", "udp"),
    }.ToLookup(pair => pair.Helper, pair => pair.Protocol);

    public string Singular => "conntrack_helper";

    public string Plural => "conntrack_helpers";

    public string Path => "/v2.0/routers/{parent}/conntrack_helpers";

    public string RuleName => "router_conntrack_helper";

    public bool CanUpdate => true;

    public IReadOnlyList<ResourceAttribute<ConntrackHelperRow, ConntrackHelperView>> Attributes { get; } =
    [
        HelperAttributes.Text("id", static row => row.Id),
        HelperAttributes.Taken("project_id", Checks.Text(255)),
        HelperAttributes.Taken("tenant_id", Checks.Text(255)),
        HelperAttributes.Text("protocol", static row => row.Protocol, post: true, put: true, required: true, check: Checks.Text(16)),
        HelperAttributes.Number("port", static row => row.Port, post: true, put: true, required: true, check: Checks.Number(1, 65535)),
        HelperAttributes.Text("helper", static row => row.Helper, post: true, put: true, required: true, check: Checks.Text(64)),
    ];

    public IQueryable<ConntrackHelperRow> Rows(DataConnection db) => db.GetTable<ConntrackHelperRow>();

    public IQueryable<ConntrackHelperRow> VisibleTo(IQueryable<ConntrackHelperRow> rows, DataConnection db, Caller caller) =>
        caller.SeesAll ? rows : rows.Where(row => row.ProjectId == caller.ProjectId);

    public async Task<IQueryable<ConntrackHelperRow>> OfParentAsync(IQueryable<ConntrackHelperRow> rows, DataConnection db, Caller caller, string parentId, CancellationToken cancellationToken) =>
        await db.GetTable<RouterRow>().AnyAsync(row => row.Id == parentId && (caller.SeesAll || row.ProjectId == caller.ProjectId), cancellationToken)
            ? rows.Where(row => row.RouterId == parentId) : throw RouterErrors.NotFound(parentId);

    public Task<List<ConntrackHelperView>> LoadAsync(DataConnection db, IReadOnlyList<ConntrackHelperRow> rows, CancellationToken cancellationToken) =>
        Task.FromResult(rows.Select(row => new ConntrackHelperView(row)).ToList());

    public PolicyTarget TargetOf(ConntrackHelperView view) => ParentTargets.Of(view.Row.ProjectId);

    public async Task<PolicyTarget> TargetOfNewAsync(DataConnection db, Body body, CancellationToken cancellationToken) =>
        ParentTargets.Of(await db.GetTable<RouterRow>().Where(row => row.Id == body.ParentId).Select(row => row.ProjectId).FirstAsync(cancellationToken));

    public async Task<IReadOnlyList<string>> CreateAsync(Work work, Caller caller, IReadOnlyList<Body> bodies)
    {
        var ids = new List<string>();
        foreach (var body in bodies)
        {
            var router = await work.Db.GetTable<RouterRow>().FirstOrDefaultAsync(row => row.Id == body.ParentId, work.Cancellation) ?? throw RouterErrors.NotFound(body.ParentId);
            var row = work.Stamp(new ConntrackHelperRow { ProjectId = router.ProjectId, RouterId = router.Id });
            await ReadAsync(work, row, body);
            await work.Db.InsertAsync(row, token: work.Cancellation);
            await RouterHints.TouchAsync(work, router.Id);
            ids.Add(row.Id);
        }

        return ids;
    }

    public async Task UpdateAsync(Work work, Caller caller, ConntrackHelperView view, Body body)
    {
        await ReadAsync(work, view.Row, body);
        work.Bump(view.Row);
        await work.Db.UpdateAsync(view.Row, token: work.Cancellation);
        await RouterHints.TouchAsync(work, view.Row.RouterId);
    }

    public async Task DeleteAsync(Work work, Caller caller, ConntrackHelperView view)
    {
        await work.Db.GetTable<ConntrackHelperRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        await RouterHints.TouchAsync(work, view.Row.RouterId);
    }

    public CloudException NotFound(string id) => NeutronErrors.NotFound("ConntrackHelperNotFound", $"Conntrack Helper {id} could not be found.");

    private static async Task ReadAsync(Work work, ConntrackHelperRow row, Body body)
    {
        row.Protocol = body.Text("protocol", row.Protocol).ToLowerInvariant();
        row.Port = body.Number("port") ?? row.Port;
        row.Helper = body.Text("helper", row.Helper);
        if (!Allowed.Contains(row.Helper))
        {
            throw CloudException.BadRequest($"Conntrack Helper {row.Helper} is not allowed.", "ConntrackHelperNotAllowed");
        }

        if (!Allowed[row.Helper].Contains(row.Protocol))
        {
            throw CloudException.BadRequest(
                $"Conntrack Helper {row.Helper} does not support: {row.Protocol}. Supported protocols are: {string.Join(", ", Allowed[row.Helper])}", "InvalidProtocolForHelper");
        }

        if (await work.Db.GetTable<ConntrackHelperRow>().AnyAsync(
                other => other.Id != row.Id && other.RouterId == row.RouterId && other.Protocol == row.Protocol && other.Port == row.Port && other.Helper == row.Helper, work.Cancellation))
        {
            throw NeutronErrors.BadRequest(
                "conntrack_helper",
                $"A duplicate conntrack helper entry with same attributes already exists, conflicting values are {{'router_id': '{row.RouterId}', 'protocol': '{row.Protocol}', 'port': {row.Port}, 'helper': '{row.Helper}'}}");
        }
    }
}
