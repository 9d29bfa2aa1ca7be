using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.CommandLine;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Nova.Compute.Inspection;
using SharpStack.Serve;

namespace SharpStack.Audit;

/// <summary>
/// <c>sharpstack audit</c> finds what was lost or left over between Nova, Placement, Neutron and the hosts; it changes nothing. Exit code 0 where everything agrees, 1 with
/// findings or hosts that could not be looked at, 2 where the services could not be read. <c>audit host</c> prints what this host has, for an audit elsewhere.
/// </summary>
internal sealed class AuditCommand(IReadOnlyList<string> words, TextWriter output, TimeProvider time)
{
    public const string Usage = "audit [--json] [--settle SECONDS] [--views DIR] [--data DIR | --config-file FILE | --config-dir DIR] | audit host ...";

    /// <summary>Between the two looks: longer than a hint takes, and most steps.</summary>
    private const int DefaultSettle = 5;

    private static readonly ConfigOption<string> TransportUrl = new("DEFAULT", "transport_url", "", "The bus to other hosts.") { Secret = true };

    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await LookAsync(cancellationToken);
        }
        catch (Exception failure) when (failure is CloudException or CommandException)
        {
            await Console.Error.WriteLineAsync($"sharpstack: {failure.Message}");
            return 2;
        }
    }

    private async Task<int> LookAsync(CancellationToken cancellationToken)
    {
        var arguments = Arguments.Parse(words, [.. CloudOptions.Values, "--settle", "--views"], ["--json"]);
        var options = CloudOptions.Read(arguments, null, time);
        switch (arguments.Words.ToArray())
        {
            case ["host"]:
                var isReal = !ComputeInspector.IsSimulated(NovaOf(options));
                var view = await new HostReader(options).LookAsync(compute: true, isReal, isReal, isReal, cancellationToken);
                output.WriteLine(JsonSerializer.Serialize(view, AuditJson.Default.HostView));
                return 0;
            case []:
                var report = await AuditAsync(options, arguments, cancellationToken);
                Write(report, arguments.Has("--json"));
                return report.Findings.Count == 0 && report.NotLooked.Count == 0 ? 0 : 1;
            default:
                throw new UsageException(Usage);
        }
    }

    private async Task<AuditReport> AuditAsync(HostOptions options, Arguments arguments, CancellationToken cancellationToken)
    {
        var nova = NovaOf(options);
        // A process without services, for its clients and its bus. Where Neutron's files are not given, its agents are asked by Nova's transport.
        var configs = new Dictionary<string, ServiceConfig>(options.Configs);
        if (configs.GetValueOrDefault("neutron")?.Get(TransportUrl) is not { Length: > 0 })
        {
            configs["neutron"] = nova;
        }

        await using var process = CloudHost.Create(options with { Services = new HashSet<string>(), Listen = null, Configs = configs }, []);
        var reader = new CloudReader(process.Services.GetRequiredService<ServiceClients>(), nova);
        var bus = nova.Get(TransportUrl).Length > 0 ? process.Services.GetRequiredService<IMessageBus>() : null;
        var hosts = new HostSource(options, bus, arguments.Value("--views"));
        var first = await LookAsync(reader, hosts, cancellationToken);
        if (first.Findings.Count == 0)
        {
            return first;
        }

        // What is found twice is no request on its way.
        await Task.Delay(TimeSpan.FromSeconds(arguments.Number("--settle") ?? DefaultSettle), time, cancellationToken);
        var second = await LookAsync(reader, hosts, cancellationToken);
        var known = first.Findings.Select(finding => finding.Key).ToHashSet();
        return second with { Findings = [.. second.Findings.Where(finding => known.Contains(finding.Key))] };
    }

    private async Task<AuditReport> LookAsync(CloudReader reader, HostSource source, CancellationToken cancellationToken)
    {
        var cloud = await reader.ReadAsync(cancellationToken);
        var views = await source.ReadAsync(cloud, cancellationToken);
        return new AuditReport(
            Auditor.Compare(cloud, views.Looked, time.GetUtcNow()),
            cloud.Servers.Count,
            cloud.Ports.Count,
            cloud.Providers.Sum(provider => provider.Consumers.Count),
            [.. views.Looked.Where(view => view.Failures.Count == 0).Select(view => view.Host)],
            views.NotLooked);
    }

    private void Write(AuditReport report, bool json)
    {
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(report, AuditJson.Default.AuditReport));
            return;
        }

        foreach (var finding in report.Findings)
        {
            output.WriteLine($"{finding.Kind} {finding.Id}{(finding.Host is null ? "" : $" on {finding.Host}")}: {finding.Message}. {finding.Advice}.");
        }

        foreach (var (host, reason) in report.NotLooked.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            output.WriteLine($"not looked at: {host}: {reason}");
        }

        output.WriteLine(
            $"{(report.Findings.Count == 0 ? report.NotLooked.Count == 0 ? "everything agrees" : "what was looked at agrees" : report.Findings.Count == 1 ? "1 finding" : $"{report.Findings.Count} findings")}: {report.Servers} servers, {report.Ports} ports, {report.Allocations} allocations, hosts {(report.Looked.Count == 0 ? "none" : string.Join(", ", report.Looked.Order(StringComparer.Ordinal)))}");
    }

    private static ServiceConfig NovaOf(HostOptions options) => options.Configs.GetValueOrDefault("nova") ?? ServiceConfig.Empty("nova");
}
