using SharpStack.CommandLine;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Policy;

namespace SharpStack.Serve;

/// <summary><c>sharpstack policy list</c> prints the rules in effect; <c>policy explain</c> why a rule lets somebody pass or not.</summary>
internal static class PolicyCommand
{
    public const string Usage = "policy list [API] | policy explain API RULE [--roles A,B] [--scope project|domain|system] [--target name=value,...] [--data DIR | --config-dir DIR]";

    private const string Own = "your-own";

    public static async Task<int> RunAsync(IReadOnlyList<string> words, TimeProvider time)
    {
        var arguments = Arguments.Parse(words, [.. CloudOptions.Values, "--roles", "--scope", "--target"], []);
        var options = CloudOptions.Read(arguments, null, time) with { Listen = null };
        await using var host = CloudHost.Create(options, CloudModules.All(CloudOptions.IsFake(arguments, null)));
        switch (arguments.Words.ToArray())
        {
            case ["list", .. var apis]:
                foreach (var (api, policies) in host.Policies.Where(pair => apis.Length == 0 || apis.Contains(pair.Key)))
                {
                    Console.Out.WriteLine($"# {api}");
                    foreach (var (rule, check) in policies.Effective.OrderBy(pair => pair.Key, StringComparer.Ordinal))
                    {
                        Console.Out.WriteLine($"\"{rule}\": \"{check}\"");
                    }
                }

                return 0;
            case ["explain", var api, var rule]:
                if (!host.Policies.TryGetValue(api, out var enforcer))
                {
                    throw new UsageException($"there is no API {api}; there are {string.Join(", ", host.Policies.Keys)}");
                }

                var explanation = enforcer.Explain(rule, Credentials(arguments), Target(arguments));
                Console.Out.Write(explanation.ToString());
                return explanation.Allowed ? 0 : 1;
            default:
                throw new UsageException(Usage);
        }
    }

    private static PolicyCredentials Credentials(Arguments arguments)
    {
        var roles = (arguments.Value("--roles") ?? "reader").Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var anybody = new PolicyCredentials { UserId = Own, UserDomainId = "default", Roles = roles };
        return (arguments.Value("--scope") ?? "project") switch
        {
            "project" => anybody with { ProjectId = Own, ProjectDomainId = "default" },
            "domain" => anybody with { DomainId = Own },
            "system" => anybody with { SystemScope = "all" },
            var other => throw new UsageException($"--scope takes project, domain or system, not '{other}'"),
        };
    }

    /// <summary>What the request touches: something of the caller's own, with the values given over it.</summary>
    private static PolicyTarget Target(Arguments arguments)
    {
        var values = new Dictionary<string, string?> { ["project_id"] = Own, ["tenant_id"] = Own, ["user_id"] = Own, ["domain_id"] = Own };
        foreach (var pair in (arguments.Value("--target") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            var equals = pair.IndexOf('=', StringComparison.Ordinal);
            values[equals > 0 ? pair[..equals] : throw new UsageException($"--target takes name=value, not '{pair}'")] = pair[(equals + 1)..];
        }

        return PolicyTarget.Of(values);
    }
}
