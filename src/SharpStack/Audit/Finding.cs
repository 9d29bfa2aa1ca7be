using System.Text.Json.Serialization;

namespace SharpStack.Audit;

/// <summary>Something that one place has and another does not, or has differently.</summary>
/// <param name="Kind">A word for programs: <c>allocation-leaked</c>.</param>
/// <param name="Id">Of the server, port, network, file or device that it is about.</param>
/// <param name="Host">Where; null where it is no host's.</param>
/// <param name="Message">What differs.</param>
/// <param name="Advice">What to do.</param>
internal sealed record Finding(string Kind, string Id, string? Host, string Message, string Advice)
{
    /// <summary>The same disagreement in another look has the same.</summary>
    [JsonIgnore]
    public (string, string, string?) Key => (Kind, Id, Host);
}

/// <summary>The result of an audit.</summary>
/// <param name="Findings">What two looks found alike.</param>
/// <param name="Looked">The hosts that were looked at.</param>
/// <param name="NotLooked">The others, with the reason.</param>
internal sealed record AuditReport(
    IReadOnlyList<Finding> Findings, int Servers, int Ports, int Allocations, IReadOnlyList<string> Looked, IReadOnlyDictionary<string, string> NotLooked);
