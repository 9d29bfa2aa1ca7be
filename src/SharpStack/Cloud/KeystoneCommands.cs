using Microsoft.Extensions.DependencyInjection;
using SharpStack.CommandLine;
using SharpStack.Database;
using SharpStack.Foundation;
using SharpStack.Foundation.Hosting;
using SharpStack.Keystone;
using SharpStack.Keystone.Federation;
using SharpStack.LinuxHost.Processes;
using SharpStack.Serve;

namespace SharpStack.Cloud;

/// <summary>
/// <c>sharpstack keystone …</c>: the commands of <c>keystone-manage</c> with its names and options, dashes or underscores in them alike; beside them
/// <c>token explain</c>, and <c>register</c>, which makes the services' own users and their entries in the catalogue.
/// </summary>
internal static class KeystoneCommands
{
    public const string Usage =
        "keystone bootstrap --bootstrap-password WORD [--bootstrap-public-url URL] ... | keystone register USER=TYPE=URL... [--region NAME] | keystone db-sync [--check]\n"
        + "  keystone fernet-setup | fernet-rotate | credential-setup | credential-rotate | credential-migrate | create-jws-keypair [--force]   [--keystone-user USER] [--keystone-group GROUP]\n"
        + "  keystone doctor | keystone token explain [TOKEN]   [--data DIR | --config-file FILE | --config-dir DIR]\n"
        + "  keystone mapping-test --rules FILE --input FILE [--prefix TEXT] [--mapping-schema-version VERSION]";

    private const string User = "--keystone-user";
    private const string Group = "--keystone-group";

    private static readonly string[] Values =
    [
        "--bootstrap-password", "--bootstrap-username", "--bootstrap-project-name", "--bootstrap-role-name", "--bootstrap-region-id", "--bootstrap-service-name",
        "--bootstrap-public-url", "--bootstrap-internal-url", "--bootstrap-admin-url", "--region", User, Group,
    ];

    private static readonly string[] Flags = ["--immutable-roles", "--no-immutable-roles", "--force", "--check"];

    public static async Task RunAsync(IReadOnlyList<string> words, TextReader input, TextWriter output, TimeProvider time, CancellationToken cancellationToken)
    {
        if (words.Count > 0 && words[0] is ("mapping-test" or "mapping_engine"))
        {
            await TestMappingAsync(Arguments.Parse([.. words.Skip(1)], ["--rules", "--input", "--prefix", "--mapping-schema-version"], []), cancellationToken);
            return;
        }

        var arguments = Arguments.Parse(words, [.. CloudOptions.Values, .. Values], Flags);
        var action = arguments.Words.Select((word, i) => i == 0 ? word.Replace('_', '-') : word).ToArray();
        if (action is ["db-sync", ..])
        {
            // One code for all services; the number of a version, as keystone-manage takes it, has no meaning here.
            await DatabaseCommand.RunAsync([arguments.Has("--check") ? "version" : "sync", "keystone", .. words.Where(word => word.Replace('_', '-') != "db-sync" && word != "--check")], output, time, cancellationToken);
            return;
        }

        // Keystone's files are enough, as keystone-manage needs no others.
        var own = arguments.Given.Any(option => option.Name is "--config-file" or "--config-dir");
        await using var host = Open(CloudOptions.Read(arguments, own ? new HashSet<string> { KeystoneModule.ServiceName } : null, time));
        var admin = host.Services.GetRequiredService<KeystoneAdmin>();
        try
        {
            switch (action)
            {
                case ["bootstrap"]:
                    await BootstrapAsync(host, arguments, cancellationToken);
                    break;
                case ["register", _, ..]:
                    await host.Services.GetRequiredService<KeystoneBootstrap>().RegisterServicesAsync(
                        action[1..].Select(Registration), arguments.Value("--region") ?? CloudConfiguration.Region, cancellationToken);
                    break;
                case ["fernet-setup"]:
                    admin.SetupTokenKeys();
                    await GiveAsync(arguments, admin.TokenKeyDirectories, cancellationToken);
                    break;
                case ["fernet-rotate"]:
                    admin.RotateTokenKeys();
                    await GiveAsync(arguments, admin.TokenKeyDirectories, cancellationToken);
                    break;
                case ["credential-setup"]:
                    admin.SetupCredentialKeys();
                    await GiveAsync(arguments, [admin.CredentialKeyDirectory], cancellationToken);
                    break;
                case ["credential-rotate"]:
                    await admin.RotateCredentialKeysAsync(cancellationToken);
                    await GiveAsync(arguments, [admin.CredentialKeyDirectory], cancellationToken);
                    break;
                case ["credential-migrate"]:
                    output.WriteLine($"{await admin.MigrateCredentialsAsync(cancellationToken)} credentials are encrypted anew");
                    break;
                case ["create-jws-keypair"]:
                    if (!admin.CreateJwsKeys(arguments.Has("--force")))
                    {
                        throw new CommandException("there is a key pair already: --force makes another one that signs from now on; tokens of the former stay valid");
                    }
                    await GiveAsync(arguments, admin.JwsKeyDirectories, cancellationToken);
                    break;
                case ["doctor"]:
                    await DiagnoseAsync(admin, output, cancellationToken);
                    break;
                case ["token", "explain", ..] when action.Length <= 3:
                    // From the standard input where it is not an argument, which every user of the machine can read.
                    foreach (var (name, value) in await admin.ExplainAsync((action.ElementAtOrDefault(2) ?? await input.ReadLineAsync(cancellationToken) ?? "").Trim(), cancellationToken))
                    {
                        output.WriteLine($"{name,-24}{value}");
                    }
                    break;
                default:
                    throw new UsageException(Usage);
            }
        }
        catch (CloudException failure)
        {
            throw new CommandException(failure.Message);
        }
    }

    private static async Task BootstrapAsync(CloudHost host, Arguments arguments, CancellationToken cancellationToken)
    {
        // Each also from the environment, as keystone-manage takes them: an argument can be read by every user of the machine.
        string? Given(string name) => arguments.Value("--bootstrap-" + name) ?? Environment.GetEnvironmentVariable($"OS_BOOTSTRAP_{name.Replace('-', '_').ToUpperInvariant()}");

        var defaults = new BootstrapSettings(
            Given("password") ?? throw new UsageException("keystone bootstrap needs --bootstrap-password WORD, or the variable OS_BOOTSTRAP_PASSWORD"));
        await host.Services.GetRequiredService<KeystoneBootstrap>().RunAsync(
            defaults with
            {
                AdminUser = Given("username") ?? defaults.AdminUser,
                Project = Given("project-name") ?? defaults.Project,
                AdminRole = Given("role-name") ?? defaults.AdminRole,
                Region = Given("region-id") ?? defaults.Region,
                ServiceName = Given("service-name") ?? defaults.ServiceName,
                PublicUrl = Given("public-url"),
                InternalUrl = Given("internal-url"),
                AdminUrl = Given("admin-url"),
                ImmutableRoles = !arguments.Has("--no-immutable-roles"),
            },
            cancellationToken);
    }

    private static async Task DiagnoseAsync(KeystoneAdmin admin, TextWriter output, CancellationToken cancellationToken)
    {
        var found = await admin.DiagnoseAsync(cancellationToken);
        foreach (var symptom in found)
        {
            output.WriteLine(symptom);
        }

        if (found.Count > 0)
        {
            throw new CommandException($"{found.Count} of Keystone's settings need care");
        }

        output.WriteLine("Nothing is wrong.");
    }

    /// <summary>Gives the keys to the user that the service runs as.</summary>
    private static async Task GiveAsync(Arguments arguments, IEnumerable<string> directories, CancellationToken cancellationToken)
    {
        var owner = $"{arguments.Value(User)}{(arguments.Value(Group) is { } group ? $":{group}" : "")}";
        if (owner.Length > 0)
        {
            await Shell.RunAsync("chown", ["-R", owner, .. directories], cancellationToken);
        }
    }

    /// <summary>Says what a federation mapping makes of an assertion, without a server.</summary>
    private static async Task TestMappingAsync(Arguments arguments, CancellationToken cancellationToken)
    {
        var (rules, input) = (arguments.Value("--rules"), arguments.Value("--input"));
        if (rules is null || input is null)
        {
            throw new UsageException("keystone mapping-test needs --rules FILE with the mapping and --input FILE with lines of Name: value");
        }

        Console.Out.WriteLine(MappingTest.Run(
            await File.ReadAllTextAsync(rules, cancellationToken), await File.ReadAllTextAsync(input, cancellationToken), arguments.Value("--prefix") ?? "", arguments.Value("--mapping-schema-version")));
    }

    /// <summary>Makes an empty cloud usable: the administrator, the services' own users, the catalogue. A second time it mends what is missing or has moved.</summary>
    public static Task BootstrapAsync(CloudLayout layout, CloudSettings settings, TimeProvider time, CancellationToken cancellationToken)
    {
        var ports = settings.Ports;
        var secrets = settings.Secrets;
        return BootstrapAsync(
            CloudOptions.Of(layout, settings, null, time),
            secrets.Admin,
            settings.AuthUrl,
            [
                new ServiceRegistration("glance", secrets.Glance, "image", Url: settings.Url(ports.Image)),
                new ServiceRegistration("placement", secrets.Placement, "placement", Url: settings.Url(ports.Placement)),
                new ServiceRegistration("nova", secrets.Nova, "compute", Url: $"{settings.Url(ports.Compute)}/v2.1"),
                new ServiceRegistration("neutron", secrets.Neutron, "network", Url: settings.Url(ports.Network)),
            ],
            cancellationToken);
    }

    /// <inheritdoc cref="BootstrapAsync(CloudLayout, CloudSettings, TimeProvider, CancellationToken)"/>
    public static async Task BootstrapAsync(
        HostOptions options, string adminPassword, string authUrl, IReadOnlyList<ServiceRegistration> services, CancellationToken cancellationToken)
    {
        await using var host = Open(options);
        var bootstrap = host.Services.GetRequiredService<KeystoneBootstrap>();
        await bootstrap.RunAsync(
            new BootstrapSettings(adminPassword) { Region = CloudConfiguration.Region, PublicUrl = authUrl, InternalUrl = authUrl, AdminUrl = authUrl }, cancellationToken);
        await bootstrap.RegisterServicesAsync(
            services.Select(service => service with
            {
                Description = service.Type switch { "image" => "OpenStack Image", "placement" => "Placement API", "compute" => "OpenStack Compute", _ => "OpenStack Networking" },
            }),
            CloudConfiguration.Region,
            cancellationToken);
    }

    /// <summary><c>glance=image=http://controller:9292</c>; the password is in the variable OS_SERVICE_PASSWORD, where other users do not see it.</summary>
    private static ServiceRegistration Registration(string text)
    {
        var parts = text.Split('=', 3);
        var password = Environment.GetEnvironmentVariable("OS_SERVICE_PASSWORD") ?? throw new UsageException("keystone register needs the variable OS_SERVICE_PASSWORD");
        return parts.Length == 3 && Uri.TryCreate(parts[2], UriKind.Absolute, out _)
            ? new ServiceRegistration(parts[0], password, parts[1], Url: parts[2])
            : throw new UsageException($"keystone register takes USER=TYPE=URL (glance=image=http://controller:9292), not '{text}'");
    }

    /// <summary>Keystone's parts alone, listening nowhere.</summary>
    private static CloudHost Open(HostOptions options) =>
        CloudHost.Create(options with { Listen = null, Services = new HashSet<string> { KeystoneModule.ServiceName } }, [new KeystoneModule()]);
}
