using System.Linq.Expressions;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;
using HelperAttributes = SharpStack.Neutron.Api.Attributes<SharpStack.Neutron.Routers.ConntrackHelperRow, SharpStack.Neutron.Routers.ConntrackHelperView>;

namespace SharpStack.Neutron.Routers;

internal sealed record ConntrackHelperView(ConntrackHelperRow Row) : IResourceView<ConntrackHelperRow>;

/// <summary><c>/v2.0/routers/{parent}/conntrack_helpers</c>.</summary>
internal sealed class ConntrackHelperResource : ChildResource<ConntrackHelperRow, ConntrackHelperView, RouterRow>
{
    /// <summary>The helpers and their protocols that Neutron allows where nothing else is configured.</summary>
    private static readonly ILookup<string, string> Allowed = new (string Helper, string Protocol)[]
    {
        ("amanda", "tcp"), ("ftp", "tcp"), ("h323", "udp"), ("h323", "tcp"), ("irc", "tcp"), ("netbios-ns", "udp"),
        ("pptp", "tcp"), ("sane", "tcp"), ("sip", "udp"), ("sip", "tcp"), ("snmp", "udp"), ("tftp", "udp"),
    }.ToLookup(pair => pair.Helper, pair => pair.Protocol);

    public override string Singular => "conntrack_helper";

    public override string Path => "/v2.0/routers/{parent}/conntrack_helpers";

    public override string RuleName => "router_conntrack_helper";

    public override IReadOnlyList<ResourceAttribute<ConntrackHelperRow, ConntrackHelperView>> Attributes { get; } =
    [
        .. Common(),
        HelperAttributes.Text("protocol", static row => row.Protocol, post: true, put: true, required: true, check: Checks.Text(16)),
        HelperAttributes.Number("port", static row => row.Port, post: true, put: true, required: true, check: Checks.Number(1, 65535)),
        HelperAttributes.Text("helper", static row => row.Helper, post: true, put: true, required: true, check: Checks.Text(64)),
    ];

    public override async Task<string> CreateOneAsync(Work work, Caller caller, Body body)
    {
        var router = await ParentAsync(work, body.ParentId);
        var row = work.Stamp(new ConntrackHelperRow { ProjectId = router.ProjectId, RouterId = router.Id });
        await ReadAsync(work, row, body);
        await work.Db.InsertAsync(row, token: work.Cancellation);
        await RouterHints.TouchAsync(work, router.Id);
        return row.Id;
    }

    public override async Task UpdateAsync(Work work, Caller caller, ConntrackHelperView view, Body body)
    {
        await ReadAsync(work, view.Row, body);
        work.Bump(view.Row);
        await work.Db.UpdateAsync(view.Row, token: work.Cancellation);
        await RouterHints.TouchAsync(work, view.Row.RouterId);
    }

    public override async Task DeleteAsync(Work work, Caller caller, ConntrackHelperView view)
    {
        await work.Db.GetTable<ConntrackHelperRow>().Where(row => row.Id == view.Row.Id).DeleteAsync(work.Cancellation);
        await RouterHints.TouchAsync(work, view.Row.RouterId);
    }

    public override CloudException NotFound(string id) => NeutronErrors.NotFound("ConntrackHelperNotFound", $"Conntrack Helper {id} could not be found.");

    protected override Expression<Func<ConntrackHelperRow, string>> ParentId { get; } = static row => row.RouterId;

    protected override CloudException ParentNotFound(string id) => RouterErrors.NotFound(id);

    protected override ConntrackHelperView ViewOf(ConntrackHelperRow row) => new(row);

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
