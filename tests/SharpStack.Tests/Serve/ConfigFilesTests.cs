using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Serve;

namespace SharpStack.Tests.Serve;

public sealed class ConfigFilesTests : IDisposable
{
    private static readonly ConfigOption<string> Value = new("DEFAULT", "value", "", "");

    private readonly string root = Directory.CreateTempSubdirectory("sharpstack-test-").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Fact]
    public void Files_are_read_in_the_order_in_which_they_are_named_and_the_last_one_wins()
    {
        var named = new[] { ("--config-file", Write("b.conf", "from-b")), ("--config-dir", Folder("d", ("10-x.conf", "from-10"), ("20-x.conf", "from-20"), ("90-x.txt", "no-conf"))), ("--config-file", Write("a.conf", "from-a")) };

        Assert.Equal("from-a", ValueOf(named, "nova"));
        Assert.Equal("from-20", ValueOf(named[..2], "nova"));
        Assert.Equal("from-b", ValueOf(named[..1], "nova"));
    }

    [Fact]
    public void The_places_of_OpenStack_are_those_that_oslo_config_looks_in()
    {
        Write("nova/nova.conf", "project");
        Assert.Equal("project", InPlace("nova", "nova-api"));
        Write("nova/nova-compute.conf", "program");
        Assert.Equal("program", InPlace("nova", "nova-compute"));
        Assert.Equal("project", InPlace("nova", "nova-api"));
        Write("nova/nova.conf.d/10.conf", "drop-in");
        Assert.Equal("drop-in", InPlace("nova", "nova-api"));
    }

    [Theory]
    [InlineData("neutron-server", "plugins/ml2/ml2_conf.ini")]
    [InlineData("neutron-openvswitch-agent", "plugins/ml2/openvswitch_agent.ini")]
    [InlineData("neutron-dhcp-agent", "dhcp_agent.ini")]
    [InlineData("neutron-metadata-agent", "metadata_agent.ini")]
    [InlineData("neutron-l3-agent", "l3_agent.ini")]
    public void Each_service_of_neutron_reads_its_own_file_after_that_of_all(string service, string file)
    {
        Write("neutron/neutron.conf", "all");
        Write($"neutron/{file}", "own");

        Assert.Equal("own", InPlace("neutron", service));
        Assert.Equal("all", InPlace("neutron", "neutron-other-agent"));
    }

    [Fact]
    public void A_process_with_several_services_tells_by_name_and_folder_whose_a_file_is()
    {
        var services = new HashSet<string> { "nova-api", "neutron-server" };
        var files = ConfigFiles.Named(
            [("--config-file", Write("nova.conf", "1")), ("--config-file", Write("neutron.conf", "2")), ("--config-file", Write("nova/extra.conf", "3")), ("--config-file", Write("neutron-overrides.conf", "4"))],
            ["nova", "neutron"],
            services);

        Assert.Equal("3", files.Load("nova").Get(Value));
        Assert.Equal("4", files.Load("neutron").Get(Value));
        var failure = Assert.Throws<CommandException>(() => ConfigFiles.Named([("--config-file", Write("some.conf", ""))], ["nova", "neutron"], services));
        Assert.Contains("whose configuration is", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_all_services_files_gives_each_its_own()
    {
        var folder = Folder("flat", ("keystone.conf", "k"), ("nova.conf", "n"), ("nova-compute.conf", "c"), ("neutron.conf", "q"), ("ml2_conf.ini", "ml2"), ("dhcp_agent.ini", "dhcp"));

        Assert.Equal("k", ValueOf([("--config-dir", folder)], "keystone"));
        Assert.Equal("n", ValueOf([("--config-dir", folder)], "nova", "nova-api"));
        Assert.Equal("c", ValueOf([("--config-dir", folder)], "nova", "nova-compute"));
        Assert.Equal("ml2", ValueOf([("--config-dir", folder)], "neutron", "neutron-server"));
        Assert.Equal("dhcp", ValueOf([("--config-dir", folder)], "neutron", "neutron-dhcp-agent"));
    }

    [Fact]
    public void A_folder_with_one_for_each_service_is_read_as_etc_is()
    {
        Write("nova/nova.conf", "n");
        Write("neutron/ml2_conf.ini", "ml2");
        File.WriteAllText(Path.Combine(root, "adduser.conf"), "of=another program\n");

        Assert.Equal("n", ValueOf([("--config-dir", root)], "nova", "nova-api"));
        Assert.Equal("ml2", ValueOf([("--config-dir", root)], "neutron", "neutron-server"));
        Assert.Equal("n", ConfigFiles.Named([("--config-dir", root)], ServiceNames.Projects, null).Load("nova").Get(Value));
    }

    [Fact]
    public void A_file_or_folder_that_does_not_exist_is_refused_by_name()
    {
        Assert.Contains("/none.conf", Assert.Throws<CommandException>(() => ValueOf([("--config-file", Path.Combine(root, "none.conf"))], "nova")).Message, StringComparison.Ordinal);
        Assert.Contains("/none.d", Assert.Throws<CommandException>(() => ValueOf([("--config-dir", Path.Combine(root, "none.d"))], "nova")).Message, StringComparison.Ordinal);
    }

    private static string ValueOf(IEnumerable<(string, string)> named, string project, params string[] services) =>
        ConfigFiles.Named(named, [project], services.Length == 0 ? null : services.ToHashSet()).Load(project).Get(Value);

    private string InPlace(string project, string service) => ConfigFiles.InPlace(root, [project], new HashSet<string> { service }).Load(project).Get(Value);

    private string Folder(string name, params (string Name, string Value)[] files)
    {
        foreach (var (file, value) in files)
        {
            Write(Path.Combine(name, file), value);
        }

        return Path.Combine(root, name);
    }

    private string Write(string name, string value)
    {
        var path = Path.Combine(root, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, $"[DEFAULT]\nvalue = {value}\n");
        return path;
    }
}
