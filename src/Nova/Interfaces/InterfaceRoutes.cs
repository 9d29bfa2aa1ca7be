using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.Interfaces;

/// <summary><c>/servers/{id}/os-interface</c>: the server's ports as Neutron has them now.</summary>
internal sealed class InterfaceRoutes(NovaStore store, NeutronClient neutron)
{
    public void Map(NovaRoutes routes)
    {
        routes.Get("/servers/{id}/os-interface", ListAsync).Policy("os_compute_api:os-attach-interfaces:list");
        routes.Get("/servers/{id}/os-interface/{port}", ShowAsync).Policy("os_compute_api:os-attach-interfaces:show");
        routes.Post("/servers/{id}/os-interface", RefuseAsync).Policy("os_compute_api:os-attach-interfaces:create");
        routes.Delete("/servers/{id}/os-interface/{port}", RefuseAsync).Policy("os_compute_api:os-attach-interfaces:delete");
    }

    private async Task<(InstanceRow Row, List<JsonElement> Ports)> PortsAsync(ApiContext context)
    {
        InstanceRow row;
        await using (var session = store.Read())
        {
            row = await ServerRoutes.FindAsync(context, session);
        }

        return (row, await neutron.ListAsync(row.Uuid, context.Aborted));
    }

    private async Task ListAsync(ApiContext context)
    {
        var (row, ports) = await PortsAsync(context);
        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("interfaceAttachments");
            foreach (var port in ports)
            {
                Write(json, context, row, port);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task ShowAsync(ApiContext context)
    {
        var (row, ports) = await PortsAsync(context);
        var id = context.Route("port");
        if (ports.Find(port => port.Text("id") == id) is not { ValueKind: JsonValueKind.Object } found)
        {
            throw CloudException.NotFound($"Instance {row.Uuid} does not have a port with id {id}");
        }

        await context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("interfaceAttachment");
            Write(json, context, row, found);
            json.WriteEndObject();
        });
    }

    private async Task RefuseAsync(ApiContext context)
    {
        await using var session = store.Read();
        await ServerRoutes.FindAsync(context, session);
        throw new CloudException(
            ErrorKind.NotImplemented, "Interfaces cannot be attached to or detached from a running server in this cloud: name its networks and ports when you create it.");
    }

    private static void Write(Utf8JsonWriter json, ApiContext context, InstanceRow row, JsonElement port)
    {
        json.WriteStartObject();
        json.WriteString("net_id", port.Text("network_id"));
        json.WriteString("port_id", port.Text("id"));
        json.WriteString("mac_addr", port.Text("mac_address"));
        json.WriteString("port_state", port.Text("status"));
        json.WritePropertyName("fixed_ips");
        port.GetProperty("fixed_ips").WriteTo(json);
        if (context.Since(70))
        {
            json.WriteString("tag", StoredJson.Vifs(row.NetworkInfo).FirstOrDefault(vif => vif.Id == port.Text("id"))?.Tag);
        }

        json.WriteEndObject();
    }
}
