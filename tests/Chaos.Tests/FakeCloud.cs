using System.Diagnostics;
using System.Globalization;
using SharpStack.Cloud;
using SharpStack.Demo;
using SharpStack.TestKit;

namespace SharpStack.Chaos.Tests;

/// <summary>A cloud as <c>./up --fake</c> makes it: a process of its own that can be killed, in a folder and on ports of its own.</summary>
internal sealed class FakeCloud : IAsyncDisposable
{
    private const int PortsOfACloud = 16;

    private readonly CloudLayout layout;
    private readonly int portBase;

    private FakeCloud(CloudLayout layout, int portBase)
    {
        this.layout = layout;
        this.portBase = portBase;
    }

    public static async Task<FakeCloud> StartAsync(CancellationToken cancellationToken)
    {
        var cloud = new FakeCloud(new CloudLayout(Directory.CreateTempSubdirectory("sharpstack-chaos-").FullName), FreePorts.Row(PortsOfACloud));
        await cloud.UpAsync(cancellationToken);
        return cloud;
    }

    /// <summary>Starts the program, or starts it again on what it left.</summary>
    public Task UpAsync(CancellationToken cancellationToken) =>
        SharpstackCommand.RunAsync(["up", "--fake", "--no-demo", "--data", layout.Data, "--port-base", portBase.ToString(CultureInfo.InvariantCulture)], cancellationToken);

    /// <summary>Where the services' files are.</summary>
    public string Configuration => layout.Configuration;

    /// <summary>SIGKILL, at once.</summary>
    public void Kill()
    {
        using var process = Process.GetProcessById(int.Parse(File.ReadAllText(layout.PidFile), CultureInfo.InvariantCulture));
        process.Kill();
        process.WaitForExit();
    }

    public Task<OpenStackClient> LogInAsync(CancellationToken cancellationToken)
    {
        var settings = CloudSettings.Load(layout)!;
        return OpenStackClient.LogInAsync(settings.AuthUrl, "admin", settings.Secrets.Admin, "admin", cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await SharpstackCommand.RunAsync(["down", "--purge", "--data", layout.Data], CancellationToken.None);
        if (Directory.Exists(layout.Data))
        {
            Directory.Delete(layout.Data, recursive: true);
        }
    }

    /// <summary>Runs the audit, which is to end with that exit code; gives the lines that it printed.</summary>
    public async Task<IReadOnlyList<string>> AuditAsync(int exitCode) =>
        (await SharpstackCommand.RunAsync(["audit", "--settle", "2", "--data", layout.Data], TestContext.Current.CancellationToken, exitCode)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
