using System.Text.Json;
using SharpStack.Foundation.Http;
using SharpStack.Nova.Clients;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Servers;
using SharpStack.Nova.Storage;

namespace SharpStack.Nova.ExternalEvents;

/// <summary><c>POST /os-server-external-events</c>: what Neutron says of ports is written down first; then the host is told to look.</summary>
internal sealed class ExternalEventRoutes(NovaStore store, ConductorHints hints, NeutronClient neutron)
{
    private static readonly string[] Names = ["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"];

    public void Map(NovaRoutes routes) =>
        routes.Post("/os-server-external-events", CreateAsync).Policy("os_compute_api:os-server-external-events:create")
            .Body(Schema([]), null, "2.50")
            .Body(Schema(["volume-extended"]), "2.51", "2.75")
            .Body(Schema(["volume-extended", "power-update"]), "2.76", "2.81")
            .Body(Schema(["volume-extended", "power-update", "accelerator-request-bound"]), "2.82", "2.92")
            .Body(Schema(["volume-extended", "power-update", "accelerator-request-bound", "volume-reimaged"]), "2.93");

    private static JsonSchema Schema(string[] more) =>
        JsonSchema.Envelope("events", JsonSchema.Array(
            JsonSchema.Object(
                false,
                ("server_uuid!", JsonSchema.Uuid),
                ("name!", JsonSchema.OneOfTexts([.. Names, .. more])),
                ("status", JsonSchema.OneOfTexts("failed", "completed", "in-progress")),
                ("tag", JsonSchema.String(0, 255))),
            1));

    private sealed record Event(string Server, string Name, string Status, string? Tag, int Code);

    private async Task CreateAsync(ApiContext context)
    {
        context.Enforce();
        var answers = new List<Event>();
        foreach (var given in (await context.ReadJsonAsync()).GetProperty("events").EnumerateArray())
        {
            answers.Add(await ApplyAsync(
                new Event(given.GetProperty("server_uuid").GetString()!, given.GetProperty("name").GetString()!, given.Text("status") ?? "completed", given.Text("tag"), 200),
                context.Aborted));
        }

        await context.WriteJsonAsync(answers.TrueForAll(answer => answer.Code == 200) ? 200 : 207, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("events");
            foreach (var answer in answers)
            {
                json.WriteStartObject();
                json.WriteString("server_uuid", answer.Server);
                json.WriteString("name", answer.Name);
                if (answer.Tag is not null)
                {
                    json.WriteString("tag", answer.Tag);
                }

                json.WriteString("status", answer.Status);
                json.WriteNumber("code", answer.Code);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    private async Task<Event> ApplyAsync(Event given, CancellationToken cancellationToken)
    {
        if (given.Name != "network-changed" && given.Tag is null)
        {
            return given with { Status = "failed", Code = 400 };
        }

        // Neutron says no more than that something changed: its addresses are asked for.
        var addresses = given is { Name: "network-changed", Tag: { } port } && Guid.TryParse(port, out _) ? await neutron.AddressesAsync(port, cancellationToken) : null;
        var hostless = false;
        var row = await store.ChangeAsync(
            given.Server,
            instance =>
            {
                hostless = instance.Host is null;
                return !hostless && Apply(instance, given, addresses);
            },
            cancellationToken);
        if (row is null)
        {
            return given with { Status = "failed", Code = 404 };
        }

        if (hostless)
        {
            return given with { Status = "failed", Code = 422 };
        }

        await hints.HostAsync(row.Host!, row.Uuid, row.Revision);
        return given with { Status = "completed" };
    }

    private static bool Apply(InstanceRow instance, Event given, IReadOnlyList<VifAddress>? addresses)
    {
        var vifs = StoredJson.Vifs(instance.NetworkInfo);
        var index = vifs.ToList().FindIndex(vif => vif.Id == given.Tag);
        if (index < 0)
        {
            return false;
        }

        switch (given.Name)
        {
            case "network-vif-plugged" when given.Status == "completed" && !vifs[index].Plugged:
                instance.NetworkInfo = StoredJson.Text(vifs.Select((vif, i) => i == index ? vif with { Plugged = true } : vif));
                return true;
            case "network-vif-unplugged" when vifs[index].Plugged:
                instance.NetworkInfo = StoredJson.Text(vifs.Select((vif, i) => i == index ? vif with { Plugged = false } : vif));
                return true;
            case "network-vif-deleted":
                var left = vifs.Where((_, i) => i != index).ToList();
                instance.NetworkInfo = StoredJson.Text(left);
                instance.Addresses = StoredJson.Addresses(left);
                return true;
            case "network-changed" when addresses is not null && !vifs[index].Addresses.Select(Shown).SequenceEqual(addresses.Select(Shown)):
                var changed = vifs.Select((vif, i) => i == index ? vif with { Addresses = addresses } : vif).ToList();
                instance.NetworkInfo = StoredJson.Text(changed);
                instance.Addresses = StoredJson.Addresses(changed);
                return true;
            default:
                return false;
        }
    }

    private static string Shown(VifAddress address) => string.Join(' ', (address.FloatingIps ?? []).Prepend(address.Ip));
}
