using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Ports;

/// <summary><c>/v2.0/ports/{id}/bindings</c>: one port prepared on several hosts, active on one, so that an instance can move while it runs.</summary>
internal sealed class PortBindingApi(NeutronStore store, PortOperations operations)
{
    private const string Active = "ACTIVE";
    private const string Inactive = "INACTIVE";

    public void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/ports/{id}/bindings", ListAsync).Policy("get_port_binding");
        routes.Post("/v2.0/ports/{id}/bindings", CreateAsync).Policy("create_port_binding");
        routes.Get("/v2.0/ports/{id}/bindings/{host}", ShowAsync).Policy("get_port_binding");
        routes.Put("/v2.0/ports/{id}/bindings/{host}", UpdateAsync).Policy("update_port_binding");
        routes.Delete("/v2.0/ports/{id}/bindings/{host}", DeleteAsync).Policy("delete_port_binding");
        routes.Put("/v2.0/ports/{id}/bindings/{host}/activate", ActivateAsync).Policy("activate");
    }

    private async Task ListAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        await using var db = store.Read();
        var port = Computes(await db.GetTable<PortRow>().FirstOrDefaultAsync(row => row.Id == id, context.Aborted), id);
        var all = await AllAsync(db.GetTable<PortBindingRow>(), port, context.Aborted);
        var shown = all.Where(binding => Matches("host", binding.Row.Host) && Matches("status", binding.Status) && Matches("vif_type", binding.Row.VifType) && Matches("vnic_type", binding.Row.VnicType)).ToList();
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("bindings");
            foreach (var (row, status) in shown)
            {
                Write(json, row, status);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });

        bool Matches(string name, string value) => !context.Query.Has(name) || context.Query.All(name).Contains(value);
    }

    private async Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        var (id, host) = (context.Route("id"), context.Route("host"));
        await using var db = store.Read();
        var port = Computes(await db.GetTable<PortRow>().FirstOrDefaultAsync(row => row.Id == id, context.Aborted), id);
        var found = (await AllAsync(db.GetTable<PortBindingRow>(), port, context.Aborted)).FirstOrDefault(binding => binding.Row.Host == host);
        await AnswerAsync(context, 200, found.Row ?? throw NotFound(id, host), found.Status);
    }

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var id = context.Route("id");
        var body = await BodyAsync(context, isUpdate: false);
        var host = body.GetProperty("host").GetString()!;
        var (row, status) = await store.WriteAsync(
            async work =>
            {
                var port = Computes(await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(found => found.Id == id, work.Cancellation), id);
                if (port.Host == host || await work.Db.GetTable<PortBindingRow>().AnyAsync(binding => binding.PortId == id && binding.Host == host, work.Cancellation))
                {
                    throw NeutronErrors.Conflict("PortBindingAlreadyExists", $"Binding for port {id} on host {host} already exists.");
                }

                var made = new PortBindingRow { PortId = id, Host = host, VnicType = "normal", Profile = "{}" };
                Read(made, body);
                if (port.Host.Length == 0)
                {
                    (port.VnicType, port.Profile) = (made.VnicType, made.Profile);
                    return (await MoveAsync(work, port, host), Active);
                }

                await BindAsync(work, port, made);
                await work.Db.InsertAsync(made, token: work.Cancellation);
                await TouchAsync(work, port, host);
                return (made, Inactive);
            },
            context.Aborted);
        await AnswerAsync(context, 201, row, status);
    }

    private async Task UpdateAsync(ApiContext context)
    {
        context.Enforce();
        var (id, host) = (context.Route("id"), context.Route("host"));
        var body = await BodyAsync(context, isUpdate: true);
        var (row, status) = await store.WriteAsync(
            async work =>
            {
                var port = Computes(await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(found => found.Id == id, work.Cancellation), id);
                var binding = port.Host == host ? Of(port)
                    : await work.Db.GetTable<PortBindingRow>().FirstOrDefaultAsync(found => found.PortId == id && found.Host == host, work.Cancellation) ?? throw NotFound(id, host);
                Read(binding, body);
                if (port.Host == host)
                {
                    (port.VnicType, port.Profile) = (binding.VnicType, binding.Profile);
                    return (await MoveAsync(work, port, host), Active);
                }

                await BindAsync(work, port, binding);
                await work.Db.UpdateAsync(binding, token: work.Cancellation);
                return (binding, Inactive);
            },
            context.Aborted);
        await AnswerAsync(context, 200, row, status);
    }

    private async Task DeleteAsync(ApiContext context)
    {
        context.Enforce();
        var (id, host) = (context.Route("id"), context.Route("host"));
        await store.WriteAsync(
            async work =>
            {
                var port = Computes(await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(found => found.Id == id, work.Cancellation), id);
                if (port.Host == host)
                {
                    await MoveAsync(work, port, "");
                }
                else if (await work.Db.GetTable<PortBindingRow>().Where(found => found.PortId == id && found.Host == host).DeleteAsync(work.Cancellation) == 0)
                {
                    throw NotFound(id, host);
                }
                else
                {
                    await TouchAsync(work, port, host);
                }
            },
            context.Aborted);
        await context.NoContentAsync();
    }

    private async Task ActivateAsync(ApiContext context)
    {
        context.Enforce();
        var (id, host) = (context.Route("id"), context.Route("host"));
        var row = await store.WriteAsync(
            async work =>
            {
                var port = Computes(await work.Db.GetTable<PortRow>().FirstOrDefaultAsync(found => found.Id == id, work.Cancellation), id);
                if (port.Host == host)
                {
                    throw NeutronErrors.Conflict("PortBindingAlreadyActive", $"Binding for port {id} on host {host} is already active.");
                }

                var next = await work.Db.GetTable<PortBindingRow>().FirstOrDefaultAsync(found => found.PortId == id && found.Host == host, work.Cancellation) ?? throw NotFound(id, host);
                await work.Db.GetTable<PortBindingRow>().Where(found => found.PortId == id && found.Host == host).DeleteAsync(work.Cancellation);
                if (port.Host.Length > 0)
                {
                    var before = Of(port);
                    (before.VifType, before.VifDetails) = (PortOperations.Unbound, "{}");
                    await work.Db.InsertAsync(before, token: work.Cancellation);
                }

                (port.VnicType, port.Profile) = (next.VnicType, next.Profile);
                return await MoveAsync(work, port, host);
            },
            context.Aborted);
        await AnswerAsync(context, 200, row, Active);
    }

    /// <summary>Makes a host the active one of a port.</summary>
    private async Task<PortBindingRow> MoveAsync(Work work, PortRow port, string host)
    {
        var before = port.Host;
        port.Host = host;
        await operations.BindAsync(work, port);
        if (port.VifType == PortOperations.BindingFailed)
        {
            throw Failed(port.Id, host);
        }

        work.Bump(port);
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        await operations.TellAsync(work, port, before, isDeleted: false);
        return Of(port);
    }

    private async Task BindAsync(Work work, PortRow port, PortBindingRow binding)
    {
        var there = new PortRow { Id = port.Id, NetworkId = port.NetworkId, DeviceOwner = port.DeviceOwner, DeviceId = port.DeviceId, MacAddress = port.MacAddress, Host = binding.Host, VnicType = binding.VnicType, Profile = binding.Profile };
        var found = (await operations.TryBindAsync(work, there)).Binding ?? throw Failed(port.Id, binding.Host);
        (binding.VifType, binding.VifDetails) = (found.VifType, found.VifDetails);
    }

    private async Task TouchAsync(Work work, PortRow port, string host)
    {
        work.Bump(port);
        await work.Db.UpdateAsync(port, token: work.Cancellation);
        await operations.TellAsync(work, port, host, isDeleted: false);
    }

    private static async Task<List<(PortBindingRow Row, string Status)>> AllAsync(IQueryable<PortBindingRow> rows, PortRow port, CancellationToken cancellationToken)
    {
        var waiting = await rows.Where(row => row.PortId == port.Id).OrderBy(row => row.Host).ToListAsync(cancellationToken);
        return [(Of(port), Active), .. waiting.Select(row => (row, Inactive))];
    }

    private static PortBindingRow Of(PortRow port) =>
        new() { PortId = port.Id, Host = port.Host, VnicType = port.VnicType, Profile = port.Profile, VifType = port.VifType, VifDetails = port.VifDetails };

    private static void Read(PortBindingRow row, JsonElement body)
    {
        row.VnicType = body.TryGetProperty("vnic_type", out var vnic) ? vnic.GetString()! : row.VnicType;
        row.Profile = body.TryGetProperty("profile", out var profile) ? profile.ValueKind == JsonValueKind.Null ? "{}" : profile.GetRawText() : row.Profile;
    }

    private static async Task<JsonElement> BodyAsync(ApiContext context, bool isUpdate)
    {
        var root = await context.ReadJsonAsync();
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("binding", out var body) || body.ValueKind != JsonValueKind.Object)
        {
            throw NeutronErrors.BadRequest("Unable to find 'binding' in request body");
        }

        if (!isUpdate && !body.TryGetProperty("host", out _))
        {
            throw NeutronErrors.BadRequest("Failed to parse request. Required attribute 'host' not specified");
        }

        foreach (var member in body.EnumerateObject())
        {
            var reason = member.Name switch
            {
                "host" => Checks.Text(255)(member.Value) ?? (member.Value.GetString()!.Length == 0 ? "'' is no host" : null),
                "vnic_type" => Checks.OneOf(PortResource.VnicTypes)(member.Value),
                "profile" => Checks.Object(member.Value),
                "project_id" or "tenant_id" => null,
                _ => throw NeutronErrors.BadRequest($"Unrecognized attribute(s) '{member.Name}'"),
            };
            if (reason is not null)
            {
                throw NeutronErrors.BadRequest($"Invalid input for {member.Name}. Reason: {reason}.");
            }
        }

        return body;
    }

    private static PortRow Computes(PortRow? port, string id) =>
        port is null ? throw NeutronErrors.PortNotFound(id)
        : port.DeviceOwner.StartsWith("compute:", StringComparison.Ordinal) ? port
        : throw NeutronErrors.BadRequest("port", $"Invalid port {id}. Operation only valid on compute ports");

    private static CloudException NotFound(string id, string host) => NeutronErrors.NotFound("PortBindingNotFound", $"Binding for port {id} for host {host} could not be found.");

    private static CloudException Failed(string id, string host) =>
        new(ErrorKind.Internal, $"Binding for port {id} on host {host} could not be created or updated.", "PortBindingError");

    private static Task AnswerAsync(ApiContext context, int status, PortBindingRow row, string bindingStatus) => context.WriteJsonAsync(status, json =>
    {
        json.WriteStartObject();
        json.WritePropertyName("binding");
        Write(json, row, bindingStatus);
        json.WriteEndObject();
    });

    private static void Write(Utf8JsonWriter json, PortBindingRow row, string status)
    {
        json.WriteStartObject();
        json.WriteString("host", row.Host);
        json.WriteString("vif_type", row.VifType);
        json.WritePropertyName("vif_details");
        json.WriteRawValue(row.VifDetails, skipInputValidation: true);
        json.WriteString("vnic_type", row.VnicType);
        json.WritePropertyName("profile");
        json.WriteRawValue(row.Profile, skipInputValidation: true);
        json.WriteString("status", status);
        json.WriteEndObject();
    }
}
