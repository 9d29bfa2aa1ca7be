using Microsoft.Extensions.DependencyInjection;
using SharpStack.CommandLine;
using SharpStack.Foundation.Hosting;
using SharpStack.Keystone;
using SharpStack.Keystone.Federation;
using SharpStack.Serve;

namespace SharpStack.Cloud;

/// <summary>
/// <c>sharpstack keystone bootstrap</c> (the first domain, project, user, roles and the identity endpoint), <c>fernet_setup</c> and <c>fernet_rotate</c>, with the
/// options of <c>keystone-manage</c>; <c>keystone register</c> makes the services' own users and their entries in the catalogue.
/// </summary>
internal static class KeystoneCommands
{
    public const string Usage =
        "keystone bootstrap --bootstrap-password WORD [--bootstrap-public-url URL] ... | keystone register USER=TYPE=URL... [--region NAME]\n"
        + "  keystone fernet_setup | keystone fernet_rotate   [--data DIR | --config-file FILE | --config-dir DIR]\n"
        + "  keystone mapping-test --rules FILE --input FILE [--prefix TEXT]";

    private static readonly string[] BootstrapOptions =
    [
        "--bootstrap-password", "--bootstrap-username", "--bootstrap-project-name", "--bootstrap-region-id", "--bootstrap-service-name",
        "--bootstrap-public-url", "--bootstrap-internal-url", "--bootstrap-admin-url", "--region",
    ];

    public static async Task RunAsync(IReadOnlyList<string> words, TimeProvider time, CancellationToken cancellationToken)
    {
        if (words.Count > 0 && words[0] is ("mapping-test" or "mapping_engine"))
        {
            await TestMappingAsync(Arguments.Parse([.. words.Skip(1)], ["--rules", "--input", "--prefix"], []), cancellationToken);
            return;
        }

        var arguments = Arguments.Parse(words, [.. CloudOptions.Values, .. BootstrapOptions], []);
        var action = arguments.Words.ToArray();
        if (action is not (["bootstrap" or "fernet_setup" or "fernet_rotate"] or ["register", _, ..]))
        {
            throw new UsageException(Usage);
        }

        // Keystone's files are enough, as keystone-manage needs no others.
        var own = arguments.Given.Any(option => option.Name is "--config-file" or "--config-dir");
        await using var host = Open(CloudOptions.Read(arguments, own ? new HashSet<string> { KeystoneModule.ServiceName } : null, time));
        var bootstrap = host.Services.GetRequiredService<KeystoneBootstrap>();
        switch (action[0])
        {
            case "fernet_setup":
                bootstrap.SetupKeys();
                break;
            case "fernet_rotate":
                bootstrap.RotateKeys();
                break;
            case "register":
                await bootstrap.RegisterServicesAsync(action[1..].Select(Registration), arguments.Value("--region") ?? CloudConfiguration.Region, cancellationToken);
                break;
            default:
                // Also from the environment, as keystone-manage takes it: an argument can be read by every user of the machine.
                var password = arguments.Value("--bootstrap-password") ?? Environment.GetEnvironmentVariable("OS_BOOTSTRAP_PASSWORD")
                    ?? throw new UsageException("keystone bootstrap needs --bootstrap-password WORD, or the variable OS_BOOTSTRAP_PASSWORD");
                var defaults = new BootstrapSettings(password);
                await bootstrap.RunAsync(
                    defaults with
                    {
                        AdminUser = arguments.Value("--bootstrap-username") ?? defaults.AdminUser,
                        Project = arguments.Value("--bootstrap-project-name") ?? defaults.Project,
                        Region = arguments.Value("--bootstrap-region-id") ?? defaults.Region,
                        ServiceName = arguments.Value("--bootstrap-service-name") ?? defaults.ServiceName,
                        PublicUrl = arguments.Value("--bootstrap-public-url"),
                        InternalUrl = arguments.Value("--bootstrap-internal-url"),
                        AdminUrl = arguments.Value("--bootstrap-admin-url"),
                    },
                    cancellationToken);
                break;
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
            await File.ReadAllTextAsync(rules, cancellationToken), await File.ReadAllTextAsync(input, cancellationToken), arguments.Value("--prefix") ?? ""));
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
