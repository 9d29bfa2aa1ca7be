using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Nova.Hosts;

/// <summary><c>/os-agents</c> went with the driver that it was for: 410, as Nova answers.</summary>
internal static class AgentRoutes
{
    public static void Map(NovaRoutes routes)
    {
        routes.Get("/os-agents", GoneAsync).ForEveryToken();
        routes.Post("/os-agents", GoneAsync).ForEveryToken();
        routes.Put("/os-agents/{id}", GoneAsync).ForEveryToken();
        routes.Delete("/os-agents/{id}", GoneAsync).ForEveryToken();
    }

    private static Task GoneAsync(ApiContext context) =>
        throw new CloudException(ErrorKind.Gone, "This resource is no longer available. No forwarding address is given.");
}
