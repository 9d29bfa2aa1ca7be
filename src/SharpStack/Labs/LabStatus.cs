using System.Globalization;
using System.Text.Json.Nodes;
using SharpStack.CommandLine;
using SharpStack.Lab;

namespace SharpStack.Labs;

/// <summary><c>sharpstack lab status</c>: nodes, services, networks, and the instances of each node.</summary>
internal static class LabStatus
{
    public static async Task WriteAsync(LabSession session, TextWriter output, CancellationToken cancellationToken)
    {
        var lab = session.Lab;
        var processes = session.Processes();
        output.WriteLine($"lab {lab.Number}: {lab.Title} ({session.Layout.Data})");
        output.WriteLine();
        output.WriteLine($"  {"node",-12} {"address",-15} {"state",-8} {"pid",7}  interfaces");
        foreach (var node in session.Cluster.Nodes)
        {
            var init = processes.InitOf(node.Name);
            var links = string.Join(", ", node.Interfaces.Select(link => $"{link.Device} {link.Network}{(link.Address is null ? "" : " " + link.Address)}"));
            var state = init is null ? "down" : session.Cluster.IsCut(node.Name) ? "cut" : "up";
            output.WriteLine($"  {node.Name,-12} {node.Address,-15} {state,-8} {init?.Id.ToString(CultureInfo.InvariantCulture) ?? "-",7}  {links}");
        }

        output.WriteLine();
        output.WriteLine($"  {"node",-12} {"service",-28} {"state",-10} {"pid",7} {"RSS MiB",8} {"uptime",10}");
        long total = 0;
        foreach (var node in lab.Nodes)
        {
            var running = processes.ServicesOf(node.Name);
            foreach (var service in session.Cluster.ServicesOf(node))
            {
                var found = running.GetValueOrDefault(service.Name);
                var process = found?.Process;
                var resident = process is null ? 0 : service.OwnsChildren ? found!.Family.Sum(member => member.ResidentBytes) : process.ResidentBytes;
                total += resident;
                var state = process is not null ? "running" : found is not null ? "restarting" : "dead";
                output.WriteLine(process is null
                    ? $"  {node.Name,-12} {service.Name,-28} {state,-10}"
                    : $"  {node.Name,-12} {service.Name,-28} {state,-10} {process.Id,7} {resident / 1048576.0,8:0.0} {Text(process.Age),10}");
            }
        }

        output.WriteLine($"  {"",-12} {"all services",-28} {"",-10} {"",7} {total / 1048576.0,8:0.0}");
        if (session.Cluster.MissingServices is { Count: > 0 } missing)
        {
            output.WriteLine($"  not in this release: {string.Join(", ", missing)}");
        }

        output.WriteLine();
        foreach (var network in lab.Networks)
        {
            var members = session.Cluster.Nodes.Where(node => node.Interfaces.Any(link => link.Network == network.Name)).Select(node => node.Name);
            output.WriteLine($"  network {network.Name,-5} {network.Host ?? "",-15} {string.Join(", ", members)}");
        }

        output.WriteLine();
        await WriteInstancesAsync(session, output, cancellationToken);
    }

    private static async Task WriteInstancesAsync(LabSession session, TextWriter output, CancellationToken cancellationToken)
    {
        try
        {
            using var bounded = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            bounded.CancelAfter(TimeSpan.FromSeconds(10));
            using var admin = await session.LogInAsync("admin", bounded.Token);
            var servers = (await admin.GetAsync("compute", "/servers/detail?all_tenants=1", bounded.Token))["servers"]!.AsArray();
            output.WriteLine($"  {"instance",-20} {"node",-12} {"status",-8} addresses");
            foreach (var server in servers)
            {
                var addresses = server!["addresses"]!.AsObject().SelectMany(pair => pair.Value!.AsArray().Select(address => $"{pair.Key} {address!["addr"]}"));
                output.WriteLine($"  {server["name"],-20} {(string?)server["OS-EXT-SRV-ATTR:host"] ?? "-",-12} {server["status"],-8} {string.Join(", ", addresses)}");
            }
        }
        catch (Exception failure) when (failure is HttpRequestException or CommandException or LabException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            output.WriteLine($"  instances: the APIs do not answer ({failure.Message})");
        }
    }

    private static string Text(TimeSpan age) => age.TotalDays >= 1 ? $"{age.Days}d {age.Hours}h" : age.TotalHours >= 1 ? $"{age.Hours}h {age.Minutes}m" : age.TotalMinutes >= 1 ? $"{age.Minutes}m {age.Seconds}s" : $"{age.Seconds}s";
}
