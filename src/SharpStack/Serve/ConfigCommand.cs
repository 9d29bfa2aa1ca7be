using SharpStack.CommandLine;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;

namespace SharpStack.Serve;

/// <summary><c>sharpstack config sample</c> prints the options that exist; <c>config check</c> names every wrong value.</summary>
internal static class ConfigCommand
{
    public const string Usage = "config sample [keystone|glance|placement|nova|neutron]... | config check [--data DIR | --config-file FILE | --config-dir DIR]";

    public static void Run(IReadOnlyList<string> words, TimeProvider time)
    {
        var arguments = Arguments.Parse(words, CloudOptions.Values, []);
        var modules = CloudModules.All(CloudOptions.IsFake(arguments, null));
        switch (arguments.Words.ToArray())
        {
            case ["sample", .. var services]:
                foreach (var group in OptionsOf(modules).GroupBy(pair => pair.Config).Where(group => services.Length == 0 || services.Contains(group.Key)))
                {
                    Console.Out.WriteLine($"# {group.Key}: {string.Join(", ", ConfigFiles.NamesOf(group.Key))}\n");
                    Console.Out.Write(ServiceConfig.Sample(group.Select(pair => pair.Option).DistinctBy(option => (option.Group, option.Name))));
                }

                break;
            case ["check"]:
                Check(CloudOptions.Read(arguments, null, time), modules);
                Console.Out.WriteLine("the configuration has no error");
                break;
            default:
                throw new UsageException(Usage);
        }
    }

    /// <exception cref="CommandException">Values are wrong; the message names every one.</exception>
    public static void Check(HostOptions options, IReadOnlyList<IServiceModule> modules)
    {
        var errors = OptionsOf(modules)
            .GroupBy(pair => pair.Config)
            .SelectMany(group => options.Configs.TryGetValue(group.Key, out var config) ? config.Validate(group.Select(pair => pair.Option).Distinct()).Select(error => $"{group.Key}: {error}") : [])
            .ToArray();
        if (errors.Length > 0)
        {
            throw new CommandException("the configuration has errors:\n  " + string.Join("\n  ", errors));
        }
    }

    private static IEnumerable<(string Config, ConfigOption Option)> OptionsOf(IReadOnlyList<IServiceModule> modules) =>
        modules.SelectMany(module => module.Options).Concat(CloudOptions.Declared);
}
