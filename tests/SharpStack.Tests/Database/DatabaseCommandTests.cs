using LinqToDB.Data;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Database;
using SharpStack.Foundation;

namespace SharpStack.Tests.Database;

public sealed class DatabaseCommandTests : IDisposable
{
    private static readonly string[] Services = ["keystone", "glance", "placement", "nova", "neutron"];

    private readonly CloudLayout layout = new(Directory.CreateTempSubdirectory("sharpstack-test-").FullName);

    public DatabaseCommandTests()
    {
        layout.Create();
        CloudConfiguration.Write(layout, new CloudSettings { Secrets = CloudSecrets.Create() }, _ => { }).Save(layout);
    }

    public void Dispose() => Directory.Delete(layout.Data, recursive: true);

    [Fact]
    public async Task The_schemas_of_all_services_are_made_before_any_of_them_starts()
    {
        var (_, first) = await RunAsync("sync", "--data", layout.Data);
        var (_, second) = await RunAsync("version", "--data", layout.Data);
        foreach (var service in Services)
        {
            Assert.Matches($"{service}: version 0, now [1-9]", first);
            Assert.Matches($@"{service}: version (\d+) of \1\s", second);
        }
    }

    [Fact]
    public async Task A_check_says_what_is_wrong_and_ends_with_1()
    {
        var (before, missing) = await RunAsync("check", "--data", layout.Data);
        await RunAsync("sync", "--data", layout.Data);
        var (after, ok) = await RunAsync("check", "--data", layout.Data);
        Assert.Equal((1, 0), (before, after));
        foreach (var service in Services)
        {
            Assert.Matches($@"{service}: not ok, version 0 .*SQLite[^\n]*\n +the schema lacks version", missing);
            Assert.Matches($@"{service}: ok, version (\d+) of \1, SQLite", ok);
        }
    }

    [Fact]
    public async Task All_services_move_to_the_databases_of_another_configuration_and_not_twice()
    {
        await RunAsync("sync", "--data", layout.Data);
        var target = Path.Combine(layout.Data, "target");
        Directory.CreateDirectory(target);
        foreach (var (file, service) in new[] { ("keystone.conf", "keystone"), ("glance-api.conf", "glance"), ("placement.conf", "placement"), ("nova.conf", "nova"), ("neutron.conf", "neutron") })
        {
            await File.WriteAllTextAsync(Path.Combine(target, file), $"[{(service == "placement" ? "placement_database" : "database")}]\nconnection = sqlite:///{target}/{service}.db\n", TestContext.Current.CancellationToken);
        }

        var (_, copied) = await RunAsync("copy", "--data", layout.Data, "--to-config-dir", target);
        Assert.All(Services, service => Assert.Matches($@"{service}: \d+ rows of \d+ tables", copied));
        await using var nova = ServiceSchema.All.Single(schema => schema.Service == "nova").At($"sqlite:///{target}/nova.db");
        await nova.WriteAsync(
            session => session.ExecuteAsync("INSERT INTO quota_classes (class, resource, hard_limit) VALUES ('default', 'cores', 7)", TestContext.Current.CancellationToken),
            TestContext.Current.CancellationToken);
        var failure = await Assert.ThrowsAsync<CloudException>(() => RunAsync("copy", "nova", "--data", layout.Data, "--to-config-dir", target));
        Assert.Contains("quota_classes", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mend")]
    [InlineData("check", "horizon")]
    [InlineData("copy", "nova", "--from", "sqlite:////a.db")]
    public async Task A_wrong_command_line_is_refused_with_the_right_one(params string[] words) => await Assert.ThrowsAsync<UsageException>(() => RunAsync(words));

    private static async Task<(int ExitCode, string Output)> RunAsync(params string[] words)
    {
        using var output = new StringWriter();
        var code = await DatabaseCommand.RunAsync(words, output, TimeProvider.System, TestContext.Current.CancellationToken);
        return (code, output.ToString());
    }
}
