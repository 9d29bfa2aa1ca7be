using System.Text.Json;
using SharpStack.CommandLine;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Libvirt;
using SharpStack.Neutron.Agents.Inspection;
using SharpStack.Neutron.Contracts;
using SharpStack.Nova.Compute.Inspection;
using SharpStack.Nova.Contracts;

namespace SharpStack.Audit;

/// <summary>Gets what hosts have: this one by looking, others by asking them over the bus.</summary>
internal sealed class HostReader(HostOptions options)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private ServiceConfig Nova => options.Configs.GetValueOrDefault("nova") ?? ServiceConfig.Empty("nova");

    private ServiceConfig Neutron => options.Configs.GetValueOrDefault("neutron") ?? ServiceConfig.Empty("neutron");

    /// <summary>What this host has of what the services know it to do.</summary>
    public async Task<HostView> LookAsync(bool compute, bool vswitch, bool dhcp, bool l3, CancellationToken cancellationToken)
    {
        var failures = new List<string>();
        return new HostView(
            options.HostName,
            compute ? await TryAsync("guests", () => ComputeInspector.InspectAsync(Nova, options, cancellationToken)) : null,
            vswitch ? await TryAsync("switch", () => NetworkInspector.InspectSwitchAsync(Neutron, options, cancellationToken)) : null,
            dhcp ? await TryAsync("DHCP servers", () => Task.FromResult(NetworkInspector.InspectDhcp(Neutron, options))) : null)
        {
            Routers = l3 ? await TryAsync("routers", () => NetworkInspector.InspectRoutersAsync(Neutron, options, cancellationToken)) : null,
            Failures = failures,
        };

        async Task<T?> TryAsync<T>(string what, Func<Task<T>> look)
            where T : class
        {
            try
            {
                return await look();
            }
            catch (Exception failure) when (failure is CloudException or LibvirtException or IOException or UnauthorizedAccessException)
            {
                failures.Add($"{what}: {failure.Message}");
                return null;
            }
        }
    }

    /// <summary>Asks a host's own services.</summary>
    public static async Task<HostView> AskAsync(IMessageBus bus, string host, bool compute, bool vswitch, bool dhcp, bool l3, CancellationToken cancellationToken)
    {
        var failures = new List<string>();
        return new HostView(
            host,
            compute ? await TryAsync(ComputeContract.Inspect, new HostQuery(host)) : null,
            vswitch ? await TryAsync(ViewContracts.InspectSwitch, new ViewQuery(host)) : null,
            dhcp ? await TryAsync(ViewContracts.InspectDhcp, new ViewQuery(host)) : null)
        {
            Routers = l3 ? await TryAsync(ViewContracts.InspectRouters, new ViewQuery(host)) : null,
            Failures = failures,
        };

        async Task<TReply?> TryAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest query)
            where TReply : class
        {
            try
            {
                return await bus.CallAsync(contract, query, host, Patience, cancellationToken);
            }
            catch (CloudException failure)
            {
                failures.Add(failure.Message);
                return null;
            }
        }
    }

    /// <summary>A view that was written on its host by <c>audit host</c>.</summary>
    public static HostView Load(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            return JsonSerializer.Deserialize(file, AuditJson.Default.HostView) ?? throw new CommandException($"{path} is empty: write it with `sharpstack audit host` on its host");
        }
        catch (Exception failure) when (failure is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path} cannot be read ({failure.Message}): write it with `sharpstack audit host` on its host");
        }
    }
}
