using SharpStack.Cloud;
using SharpStack.Database;

namespace SharpStack.Tests.Database;

public sealed class DatabaseCommandTests : IDisposable
{
    private readonly CloudLayout layout = new(Directory.CreateTempSubdirectory("sharpstack-test-").FullName);

    public void Dispose() => Directory.Delete(layout.Data, recursive: true);

    [Fact]
    public async Task The_schemas_of_all_services_are_made_before_any_of_them_starts()
    {
        layout.Create();
        CloudConfiguration.Write(layout, new CloudSettings { Secrets = CloudSecrets.Create() }, _ => { }).Save(layout);
        using var first = new StringWriter();
        using var second = new StringWriter();

        await DatabaseCommand.RunAsync(["sync", "--data", layout.Data], first, TimeProvider.System, TestContext.Current.CancellationToken);
        await DatabaseCommand.RunAsync(["version", "--data", layout.Data], second, TimeProvider.System, TestContext.Current.CancellationToken);

        foreach (var service in new[] { "keystone", "glance", "placement", "nova", "neutron" })
        {
            Assert.Matches($"{service}: version 0, now [1-9]", first.ToString());
            Assert.Matches($@"{service}: version (\d+) of \1\s", second.ToString());
        }
    }
}
