using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;

namespace SharpStack.Serve;

/// <summary><c>sharpstack routes</c>: every route of every API with its rules and versions, as the page <c>docs/operators/coverage.md</c> has it.</summary>
internal static class RoutesCommand
{
    public const string Usage = "routes";

    public static async Task RunAsync(TextWriter output)
    {
        var data = Directory.CreateTempSubdirectory("sharpstack-routes-");
        try
        {
            await using var host = CloudHost.Create(new HostOptions { DataDirectory = data.FullName, Listen = null }, CloudModules.All(fake: true));
            Write(host, output);
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    internal static void Write(CloudHost host, TextWriter output)
    {
        output.WriteLine("# What the APIs cover");
        output.WriteLine();
        output.WriteLine("Made by `sharpstack routes` from the routes themselves. A route that is not here answers 404.");
        foreach (var (api, routes) in host.Routes.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            output.WriteLine();
            output.WriteLine($"## {api}");
            output.WriteLine();
            output.WriteLine("| method | path | versions | rules |");
            output.WriteLine("| --- | --- | --- | --- |");
            foreach (var route in routes.All.OrderBy(route => route.Pattern, StringComparer.Ordinal).ThenBy(route => route.Method, StringComparer.Ordinal))
            {
                output.WriteLine($"| {route.Method} | `{route.Pattern}` | {Versions(route)} | {Rules(route)} |");
            }

            if (routes.LeftOut.Count > 0)
            {
                output.WriteLine();
                output.WriteLine("Left out:");
                output.WriteLine();
                output.WriteLine("| method | path | reason |");
                output.WriteLine("| --- | --- | --- |");
                foreach (var left in routes.LeftOut.OrderBy(left => left.Pattern, StringComparer.Ordinal).ThenBy(left => left.Method, StringComparer.Ordinal))
                {
                    output.WriteLine($"| {left.Method} | `{left.Pattern}` | {left.Reason} |");
                }
            }
        }
    }

    private static string Versions(ApiRoute route) => (route.MinVersion, route.MaxVersion) switch
    {
        (null, null) => "",
        ({ } min, null) => $"from {min}",
        (null, { } max) => $"to {max}",
        var (min, max) => $"{min} to {max}",
    };

    private static string Rules(ApiRoute route) =>
        route.IsPublic ? "open" : route.IsForEveryToken ? "every token" : string.Join(", ", route.Policies.Select(rule => $"`{rule}`"));
}
