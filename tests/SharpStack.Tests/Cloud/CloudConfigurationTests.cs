using SharpStack.Cloud;
using SharpStack.Foundation.Configuration;
using SharpStack.Serve;

namespace SharpStack.Tests.Cloud;

public sealed class CloudConfigurationTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly CloudLayout layout = new(Directory.CreateTempSubdirectory("sharpstack-test-").FullName);
    private readonly CloudSettings settings = new() { Secrets = CloudSecrets.Create() };
    private readonly List<string> said = [];

    public CloudConfigurationTests() => layout.Create();

    public void Dispose() => Directory.Delete(layout.Data, recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_files_written_are_ones_that_every_service_accepts(bool fake)
    {
        var written = CloudConfiguration.Write(layout, settings with { Fake = fake }, said.Add);
        written.Save(layout);

        ConfigCommand.Check(CloudOptions.Of(layout, written, null, TimeProvider.System), CloudModules.All(fake));
        Assert.Empty(said);
    }

    [Fact]
    public void What_holds_a_secret_is_for_its_owner_alone()
    {
        CloudConfiguration.Write(layout, settings, said.Add).Save(layout);
        CredentialFiles.Write(layout, settings);

        var files = Directory.EnumerateFiles(layout.Configuration).Concat([layout.AdminCredentials, layout.DemoCredentials, layout.CloudsFile]).ToArray();
        Assert.All(files, path => Assert.Equal(OwnerOnly, File.GetUnixFileMode(path)));
        Assert.Contains(files, path => Path.GetFileName(path) == "nova.conf");
        Assert.Equal(OwnerOnly | UnixFileMode.UserExecute, File.GetUnixFileMode(layout.Configuration));
    }

    [Fact]
    public void A_file_that_the_operator_edited_is_left_alone_and_named()
    {
        var first = CloudConfiguration.Write(layout, settings, said.Add);
        var nova = Path.Combine(layout.Configuration, "nova.conf");
        var edited = File.ReadAllText(nova) + "\n[workarounds]\n";
        File.WriteAllText(nova, edited);

        CloudConfiguration.Write(layout, first with { Listen = "10.0.0.9" }, said.Add);

        Assert.Equal(edited, File.ReadAllText(nova));
        Assert.Contains(said, line => line.Contains(nova, StringComparison.Ordinal));
        Assert.Equal("10.0.0.9", IniFile.Load(Path.Combine(layout.Configuration, "neutron.conf")).Get("DEFAULT", "bind_host")![0]);
    }

    [Fact]
    public void Settings_come_back_as_they_were_saved()
    {
        var saved = settings with { Fake = true, Ports = CloudPorts.From(15000), Listen = "10.1.2.3", Flat = FlatRange.Of("10.9.0.0/24") };
        saved.Save(layout);

        var loaded = CloudSettings.Load(layout)!;

        Assert.Equal(saved with { Written = loaded.Written }, loaded);
    }

    [Fact]
    public void Two_clouds_have_different_passwords() => Assert.NotEqual(CloudSecrets.Create(), CloudSecrets.Create());

    [Fact]
    public void A_port_base_gives_every_listener_a_port_of_its_own() =>
        Assert.Equal(CloudPorts.From(15000).All(fake: false).Count(), CloudPorts.From(15000).All(fake: false).Select(entry => entry.Port).Distinct().Count());
}
