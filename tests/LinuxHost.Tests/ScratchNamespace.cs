using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;

namespace SharpStack.LinuxHost.Tests;

/// <summary>A network namespace for one test, removed afterwards.</summary>
internal sealed class ScratchNamespace : IDisposable
{
    private RouteClient? routes;

    public ScratchNamespace()
    {
        NetworkNamespace.Create(Name);
    }

    public string Name { get; } = $"lh-{Guid.NewGuid():N}"[..12];

    public RouteClient Routes => routes ??= RouteClient.Open(Name);

    public void Dispose()
    {
        routes?.Dispose();
        NetworkNamespace.Delete(Name);
    }
}
