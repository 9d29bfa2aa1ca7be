using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Tests.Configuration;

public sealed class ServiceConfigTests
{
    private static readonly ConfigOption<int> Workers = new("DEFAULT", "workers", 1, "Workers.") { Min = 1, Max = 8 };
    private static readonly ConfigOption<IReadOnlyList<string>> Types = new("ml2", "type_drivers", ["local"], "Type drivers.");
    private static readonly ConfigOption<IReadOnlyDictionary<string, string>> Mappings = new("ovs", "bridge_mappings", new Dictionary<string, string>(), "Mappings.");
    private static readonly ConfigOption<string> Password = new("keystone_authtoken", "password", "", "Password.") { Secret = true, DeprecatedNames = ["admin_password"] };
    private static readonly ConfigOption<bool> Debug = new("DEFAULT", "debug", false, "Debug.");

    [Fact]
    public void Values_are_read_as_oslo_config_reads_them()
    {
        var config = Read("""
            # comment
            workers = 3
            debug = Yes
            [ml2]
            type_drivers = local, flat,
                vlan
            [ovs]
            bridge_mappings = physnet:br-phys,other:br-other
            [keystone_authtoken]
            admin_password: "pa$$$$word"
            """);
        Assert.Equal(3, config.Get(Workers));
        Assert.True(config.Get(Debug));
        Assert.Equal(["local", "flat", "vlan"], config.Get(Types).SelectMany(type => type.Split('\n')));
        Assert.Equal("br-other", config.Get(Mappings)["other"]);
        Assert.Equal("pa$$word", config.Get(Password));
    }

    [Fact]
    public void Substitution_follows_names_and_leaves_a_lone_dollar_alone()
    {
        var path = new ConfigOption<string>("DEFAULT", "lock_path", "", "Path.");
        Assert.Equal("/var/lib/nova/tmp", Read("state_path = /var/lib/nova\nlock_path = $state_path/tmp\n").Get(path));
        Assert.Equal("a$b", Read("lock_path = a$b\n").Get(path));
        var circle = Read("state_path = $lock_path\nlock_path = $state_path\n");
        Assert.Throws<FormatException>(() => circle.Get(path));
    }

    [Fact]
    public void Validation_reports_every_error_and_no_secret()
    {
        var secretNumber = new ConfigOption<int>("keystone_authtoken", "pin", 0, "Pin.") { Secret = true };
        var errors = Read("workers = 99\ndebug = maybe\n[keystone_authtoken]\npin = hunter2\n").Validate([Workers, Debug, secretNumber, Types]);
        Assert.Equal(3, errors.Count);
        Assert.Contains("should be at most 8", errors[0], StringComparison.Ordinal);
        Assert.DoesNotContain(errors, error => error.Contains("hunter2", StringComparison.Ordinal));
    }

    [Fact]
    public void A_later_file_replaces_what_it_names()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "10-a.conf"), "workers = 2\ndebug = true\n");
            File.WriteAllText(Path.Combine(folder.FullName, "20-b.conf"), "workers = 4\n");
            var config = ServiceConfig.Load("test", [], [folder.FullName]);
            Assert.Equal((4, true), (config.Get(Workers), config.Get(Debug)));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Theory]
    [InlineData("[ml2\n", "a group reads [name]")]
    [InlineData("nothing\n", "an option reads name = value")]
    [InlineData("  lost\n", "continuation")]
    public void A_file_that_cannot_be_read_says_where(string text, string said)
    {
        var failure = Assert.Throws<FormatException>(() => IniFile.Parse(text, "nova.conf"));
        Assert.StartsWith("nova.conf:1:", failure.Message, StringComparison.Ordinal);
        Assert.Contains(said, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_number_without_bounds_takes_any_and_zero_is_a_bound_too()
    {
        var free = new ConfigOption<double>("DEFAULT", "weight", 1.0, "Weight.");
        var none = new ConfigOption<int>("DEFAULT", "weight", 0, "Weight.") { Max = 0 };
        var config = Read("[DEFAULT]\nweight = -1.5\n");
        Assert.Equal(-1.5, config.Get(free));
        Assert.Empty(config.Validate([free]));
        Assert.Contains("should be at most 0", Assert.Single(Read("[DEFAULT]\nweight = 1\n").Validate([none])), StringComparison.Ordinal);
    }

    [Fact]
    public void A_sample_names_every_option_and_no_secret()
    {
        var sample = ServiceConfig.Sample([Workers, Password]);
        Assert.Contains("#workers = 1", sample, StringComparison.Ordinal);
        Assert.Contains("#password = <secret>", sample, StringComparison.Ordinal);
    }

    private static ServiceConfig Read(string text) => new("test", IniFile.Parse(text, "test.conf"));
}
