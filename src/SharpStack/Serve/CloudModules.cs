using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Observability;

namespace SharpStack.Serve;

/// <summary>All that this program can run.</summary>
internal static class CloudModules
{
    public static IReadOnlyList<IServiceModule> All() =>
    [
        new MetricsModule(),
    ];
}
