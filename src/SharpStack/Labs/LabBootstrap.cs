using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Database;
using SharpStack.Keystone;
using SharpStack.Serve;

namespace SharpStack.Labs;

/// <summary>
/// <c>sharpstack lab bootstrap</c>, which <c>lab up</c> runs once on the controller: the schemas of all services, Keystone's first users and the catalogue, in one
/// process. The configuration is that of the node, in /etc.
/// </summary>
internal static class LabBootstrap
{
    public static async Task RunAsync(Arguments arguments, TimeProvider time, CancellationToken cancellationToken)
    {
        var password = Environment.GetEnvironmentVariable("OS_BOOTSTRAP_PASSWORD") ?? throw new UsageException("lab bootstrap needs the variable OS_BOOTSTRAP_PASSWORD");
        await DatabaseCommand.RunAsync(["sync"], Console.Out, time, cancellationToken);
        // The labs give all services one password, the administrator's.
        await KeystoneCommands.BootstrapAsync(
            CloudOptions.Read(arguments, null, time),
            password,
            "http://controller:5000/v3/",
            [
                new ServiceRegistration("glance", password, "image", Url: "http://controller:9292"),
                new ServiceRegistration("placement", password, "placement", Url: "http://controller:8778"),
                new ServiceRegistration("nova", password, "compute", Url: "http://controller:8774/v2.1"),
                new ServiceRegistration("neutron", password, "network", Url: "http://controller:9696"),
            ],
            cancellationToken);
    }
}
