using System.Net.Sockets;
using SharpStack.CommandLine;
using SharpStack.Demo;
using SharpStack.Lab;
using SharpStack.Lab.Definitions;
using SharpStack.Lab.Nodes;
using SharpStack.LinuxHost.Machine;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.Machine;
using SharpStack.Serve;

namespace SharpStack.Labs;

/// <summary>A lab as the commands take it: its definition, its state, its cluster, and sessions on its APIs.</summary>
internal sealed class LabSession(LabCluster cluster, LabLayout layout)
{
    private const string AuthUrl = "http://controller:5000/v3";

    public LabCluster Cluster => cluster;

    public LabLayout Layout => layout;

    public LabDefinition Lab => cluster.Lab;

    /// <param name="state">The lab's, from its folder or new.</param>
    public static async Task<LabSession> OpenAsync(LabLayout layout, LabState state, TimeProvider time, Action<string> say, CancellationToken cancellationToken)
    {
        var services = CloudModules.All(fake: false).SelectMany(module => module.Services).ToHashSet();
        var path = Path.Combine(AppContext.BaseDirectory, "sharpstack");
        var machine = new LabMachine(
            MachineFacts.Read().KvmUsable ? "kvm" : "qemu",
            await HostFacilities.HasKernelDatapathAsync(cancellationToken) ? "system" : "netdev",
            new LabProgram(File.Exists(path) ? path : Environment.ProcessPath ?? throw new CommandException("the path of this program is not known"), services),
            time,
            say);
        return new LabSession(new LabCluster(LabCatalog.Get(state.Number), layout, state, machine), layout);
    }

    public Task<OpenStackClient> LogInAsync(string user, CancellationToken cancellationToken) =>
        OpenStackClient.LogInAsync(
            AuthUrl, user, user == "demo" ? cluster.State.Secrets.Demo : cluster.State.Secrets.Admin, user, cancellationToken,
            async (context, stop) =>
            {
                var address = Lab.Nodes.FirstOrDefault(node => node.Name == context.DnsEndPoint.Host)?.Address ?? context.DnsEndPoint.Host;
                var socket = OpenSocket();
                try
                {
                    await socket.ConnectAsync(address, context.DnsEndPoint.Port, stop);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            });

    /// <summary>A socket of the lab host.</summary>
    public Socket OpenSocket() => NetworkNamespace.OpenSocket(
        cluster.State.Attached ? null : cluster[LabCluster.HostName].NetworkNamespace, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    /// <summary>What runs in the lab now.</summary>
    public LabProcesses Processes() => new(layout);
}
