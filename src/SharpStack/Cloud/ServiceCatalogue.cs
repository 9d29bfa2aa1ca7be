using System.Text.Json.Nodes;
using SharpStack.Demo;

namespace SharpStack.Cloud;

/// <summary>The services' own users, their rights on project <c>service</c>, and the catalogue's services and endpoints.</summary>
internal static class ServiceCatalogue
{
    /// <summary>Makes what is missing and moves endpoints to where the cloud listens now. Nothing is changed where all is right.</summary>
    public static async Task EnsureAsync(OpenStackClient admin, CloudSettings settings, CancellationToken cancellationToken)
    {
        var ports = settings.Ports;
        var secrets = settings.Secrets;
        (string User, string Password, string Type, string Description, string Url)[] wanted =
        [
            ("glance", secrets.Glance, "image", "OpenStack Image", settings.Url(ports.Image)),
            ("placement", secrets.Placement, "placement", "Placement API", settings.Url(ports.Placement)),
            ("nova", secrets.Nova, "compute", "OpenStack Compute", $"{settings.Url(ports.Compute)}/v2.1"),
            ("neutron", secrets.Neutron, "network", "OpenStack Networking", settings.Url(ports.Network)),
        ];
        var project = await admin.FindOrCreateAsync("identity", "/projects?name=service", "projects", "service", async () =>
            (await admin.PostAsync("identity", "/projects", new JsonObject
            {
                ["project"] = new JsonObject { ["name"] = "service", ["domain_id"] = "default", ["description"] = "Service Project" },
            }, cancellationToken))["project"]!, cancellationToken);
        var roles = (await admin.GetAsync("identity", "/roles", cancellationToken))["roles"]!.AsArray()
            .ToDictionary(role => (string)role!["name"]!, role => (string)role!["id"]!);
        if (!roles.TryGetValue("service", out var serviceRole))
        {
            serviceRole = (string)(await admin.PostAsync("identity", "/roles", new JsonObject { ["role"] = new JsonObject { ["name"] = "service" } }, cancellationToken))["role"]!["id"]!;
        }

        var endpoints = (await admin.GetAsync("identity", "/endpoints", cancellationToken))["endpoints"]!.AsArray();
        foreach (var (name, password, type, description, url) in wanted)
        {
            var user = await admin.FindOrCreateAsync("identity", $"/users?name={name}", "users", name, async () =>
                (await admin.PostAsync("identity", "/users", new JsonObject
                {
                    ["user"] = new JsonObject { ["name"] = name, ["domain_id"] = "default", ["password"] = password },
                }, cancellationToken))["user"]!, cancellationToken);
            foreach (var role in new[] { roles["admin"], serviceRole })
            {
                await admin.PutAsync("identity", $"/projects/{project["id"]}/users/{user["id"]}/roles/{role}", cancellationToken);
            }

            var service = await admin.FindOrCreateAsync("identity", $"/services?type={type}", "services", name, async () =>
                (await admin.PostAsync("identity", "/services", new JsonObject
                {
                    ["service"] = new JsonObject { ["name"] = name, ["type"] = type, ["description"] = description },
                }, cancellationToken))["service"]!, cancellationToken);
            foreach (var side in new[] { "public", "internal", "admin" })
            {
                var known = endpoints.FirstOrDefault(endpoint => (string)endpoint!["service_id"]! == (string)service["id"]! && (string)endpoint["interface"]! == side);
                if (known is null)
                {
                    await admin.PostAsync("identity", "/endpoints", new JsonObject
                    {
                        ["endpoint"] = new JsonObject
                        {
                            ["service_id"] = (string)service["id"]!, ["interface"] = side, ["url"] = url, ["region_id"] = CloudConfiguration.Region,
                        },
                    }, cancellationToken);
                }
                else if ((string)known["url"]! != url)
                {
                    await admin.PatchAsync("identity", $"/endpoints/{known["id"]}", new JsonObject { ["endpoint"] = new JsonObject { ["url"] = url } }, cancellationToken);
                }
            }
        }
    }
}
