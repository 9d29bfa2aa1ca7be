using System.Diagnostics.Metrics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using SharpStack.Foundation.Observability;
using SharpStack.Serve;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

public sealed class MetricsPageTests
{
    private const BindingFlags Fields = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    [Fact]
    public async Task The_monitoring_page_names_what_is_exported_with_its_type_and_meaning()
    {
        await using var cloud = await TestCloud.StartAsync(new MetricsModule());
        foreach (var instrument in Instruments())
        {
            Measure(instrument);
        }

        using var client = cloud.Client(MetricsModule.ServiceName, token: null);
        var exported = Exported((await client.GetAsync("/metrics")).Expect(200).Text).Order(StringComparer.Ordinal).ToArray();
        var page = await File.ReadAllLinesAsync(Path.Combine(Repository.Root, "docs", "operators", "monitoring.md"), TestContext.Current.CancellationToken);
        Assert.Equal(string.Join('\n', exported), string.Join('\n', page.SelectMany(Documented).Order(StringComparer.Ordinal)));
    }

    /// <summary>Every instrument of the program, whether it has measured or not.</summary>
    private static IEnumerable<Instrument> Instruments()
    {
        var assemblies = CloudModules.All(fake: false).Concat(CloudModules.All(fake: true)).Select(module => module.GetType().Assembly).Append(typeof(MetricsModule).Assembly).Distinct();
        foreach (var field in assemblies.SelectMany(assembly => assembly.GetTypes()).Where(type => !type.ContainsGenericParameters).SelectMany(type => type.GetFields(Fields)).Where(field => field.FieldType.IsAssignableTo(typeof(Instrument))))
        {
            RuntimeHelpers.RunClassConstructor(field.DeclaringType!.TypeHandle);
            yield return (Instrument)field.GetValue(null)!;
        }
    }

    private static void Measure(Instrument instrument)
    {
        var number = instrument.GetType().GetGenericArguments()[0];
        var method = instrument.GetType().GetMethod("Add", [number]) ?? instrument.GetType().GetMethod("Record", [number])!;
        method.Invoke(instrument, [Convert.ChangeType(1, number)]);
    }

    /// <summary>A line of the page's table: name, type, labels, meaning.</summary>
    private static IEnumerable<string> Documented(string line) =>
        line.Split(" | ") is [['|', ' ', '`', ..] name, var type, _, var meaning] ? [$"{name[3..^1]} {type} {meaning[..^2]}"] : [];

    private static IEnumerable<string> Exported(string text)
    {
        var help = "";
        foreach (var line in text.Split('\n'))
        {
            if (line.Split(' ', 4) is ["#", "HELP", _, var meaning])
            {
                // The exporter puts the unit before it and the instrument's type in the program after it.
                help = Regex.Replace(Regex.Replace(meaning, @" \(\w+`1\)$", ""), @"^\([^)]*\) ", "");
            }
            else if (line.Split(' ') is ["#", "TYPE", var name, var type])
            {
                yield return $"{name} {type} {help}";
            }
        }
    }
}
