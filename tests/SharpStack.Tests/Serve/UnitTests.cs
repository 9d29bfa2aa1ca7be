using System.Diagnostics;
using SharpStack.Foundation.Observability;
using SharpStack.Neutron.Agents.Simulated;
using SharpStack.Serve;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

/// <summary>What deploy/ has for the services.</summary>
public sealed class UnitTests
{
    private static readonly string Folder = Path.Combine(Repository.Root, "deploy", "systemd");

    public static TheoryData<string> Services => [.. CloudModules.Services.Where(service => service is not (MetricsModule.ServiceName or SimulatedAgentsModule.ServiceName))];

    [Theory]
    [MemberData(nameof(Services))]
    public void Each_service_has_a_unit_that_starts_it_and_no_API_runs_as_root(string service)
    {
        var unit = File.ReadAllLines(Path.Combine(Folder, $"sharpstack-{service}.service"));

        Assert.Contains($"ExecStart=/usr/bin/sharpstack serve {service}", unit);
        Assert.Contains("Type=notify", unit);
        Assert.Contains("NoNewPrivileges=yes", unit);
        if (service is not "nova-compute" && !service.EndsWith("-agent", StringComparison.Ordinal))
        {
            Assert.Contains($"User={ServiceNames.ProjectOf(service)}", unit);
            Assert.Contains("CapabilityBoundingSet=", unit);
        }
    }

    [Fact]
    public async Task Systemd_accepts_the_units()
    {
        // As on a machine that has the program.
        var units = Directory.CreateTempSubdirectory("sharpstack-units-");
        try
        {
            foreach (var file in Directory.EnumerateFiles(Folder))
            {
                var text = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);
                await File.WriteAllTextAsync(Path.Combine(units.FullName, Path.GetFileName(file)), text.Replace("/usr/bin/sharpstack", "/bin/true", StringComparison.Ordinal), TestContext.Current.CancellationToken);
            }

            using var verify = Process.Start(new ProcessStartInfo("systemd-analyze", ["--man=no", "--recursive-errors=no", "verify", .. units.EnumerateFiles().Select(file => file.FullName)]) { RedirectStandardError = true })!;
            var said = await verify.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await verify.WaitForExitAsync(TestContext.Current.CancellationToken);

            Assert.DoesNotContain("sharpstack", said, StringComparison.Ordinal);
            Assert.Equal(0, verify.ExitCode);
        }
        finally
        {
            units.Delete(recursive: true);
        }
    }
}
