using SharpStack.Foundation;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Glance.Storage;

namespace SharpStack.Glance.Data;

/// <summary>Names of uploads: the host, the run of the program (its id as an owner of leases), the upload. What a dead run has left is known by it.</summary>
internal sealed class UploadClaims(GlanceLeases leases, HostOptions host)
{
    /// <exception cref="CloudException">The service is still starting.</exception>
    public string New() =>
        leases.Keeper.OwnerId is { Length: > 0 } owner
            ? $"{host.HostName}_{owner}_{Guid.NewGuid():N}"
            : throw CloudException.Unavailable("The image service is starting: try again in a moment.");

    /// <summary>Whose claim it is; empty for one of an older release.</summary>
    public static string OwnerOf(string claim) => claim.Split('_') is [.., var owner, _] && Guid.TryParseExact(owner, "D", out _) ? owner : "";

    public static string HostOf(string claim) => claim.Split('_') is [.. var names, _, _] ? string.Join('_', names) : "";
}
