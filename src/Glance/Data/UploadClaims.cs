using SharpStack.Foundation.Hosting;

namespace SharpStack.Glance.Data;

/// <summary>
/// Names of uploads: the host, this run of the program, the upload. What an earlier run of the host has left is thereby known, and told from what
/// this run has begun since it answers.
/// </summary>
internal sealed class UploadClaims(HostOptions host)
{
    private readonly string run = $"{host.HostName}_{Guid.NewGuid():N}_";

    public string HostPrefix { get; } = host.HostName + "_";

    public string RunPrefix => run;

    public string New() => run + Guid.NewGuid().ToString("N");

    public bool IsLeftOver(string claim) => claim.StartsWith(HostPrefix, StringComparison.Ordinal) && !claim.StartsWith(run, StringComparison.Ordinal);
}
