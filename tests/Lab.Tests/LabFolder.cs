using SharpStack.Lab.Nodes;

namespace SharpStack.Lab.Tests;

/// <summary>A lab's folder of a test's own, and the end of all nodes in it.</summary>
public sealed class LabFolder : IAsyncDisposable
{
    public LabFolder()
    {
        Layout = new LabLayout(Directory.CreateTempSubdirectory("sharpstack-lab-test-").FullName);
        Layout.Create();
        LabLayout.Write(Layout.InitScript, NodeScripts.Init, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    public LabLayout Layout { get; }

    public static TimeSpan Bound => TimeSpan.FromSeconds(30);

    public NodeContainer Container(string name) => new(Layout, name, Environment.ProcessPath!, TimeProvider.System);

    public async ValueTask DisposeAsync()
    {
        foreach (var holder in new LabProcesses(Layout).Holders.Values)
        {
            holder.Signal(LinuxHost.Processes.ManagedProcess.Kill);
        }

        await LinuxHost.Processes.Wait.UntilAsync(() => Task.FromResult(new LabProcesses(Layout).Holders.Count == 0), Bound, TimeProvider.System, CancellationToken.None);
        Directory.Delete(Layout.Data, recursive: true);
    }
}
