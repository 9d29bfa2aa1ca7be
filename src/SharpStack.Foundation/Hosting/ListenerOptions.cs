using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Hosting;

/// <summary>
/// The options by which OpenStack's services say where they listen and with which certificate. Keystone and Placement, which elsewhere run inside a web server, have
/// Glance's names for it.
/// </summary>
public static class ListenerOptions
{
    private static readonly ConfigOption<bool> ProxyHeaders = new(
        "oslo_middleware", "enable_proxy_headers_parsing", false, "Believe the headers Forwarded, X-Forwarded-Proto, -Host, -For and -Prefix: only where a proxy sets them.");

    private static readonly ConfigOption<string> AuthenticateUri = new(
        "keystone_authtoken", "www_authenticate_uri", "", "The public URL of Keystone, which callers without a token are told.") { DeprecatedNames = ["auth_uri"] };

    private static readonly ConfigOption<string> AuthUrl = new("keystone_authtoken", "auth_url", "", "Where Keystone is found.");

    private static readonly ConfigOption<string> PublicEndpoint = new("DEFAULT", "public_endpoint", "", "The URL by which clients know the service.");

    private static readonly ConfigOption<bool> NeutronUsesTls = new("DEFAULT", "use_ssl", false, "Serve HTTPS, with the certificate of [ssl].");

    private static readonly ConfigOption<IReadOnlyList<string>> NovaApisWithTls = new("DEFAULT", "enabled_ssl_apis", [], "Which of osapi_compute and metadata serve HTTPS, with the certificate of [wsgi].");

    private static readonly Place[] Places =
    [
        new("keystone", "keystone", Bind("bind_host", "0.0.0.0", "public_bind_host"), Port("bind_port", 5000, "public_port"), Certificate("ssl", "cert_file"), Certificate("ssl", "key_file"), Certificate("ssl", "ca_file")),
        new("glance-api", "glance", Bind("bind_host", "0.0.0.0"), Port("bind_port", 9292), Certificate("DEFAULT", "cert_file"), Certificate("DEFAULT", "key_file"), Certificate("DEFAULT", "ca_file")),
        new("placement-api", "placement", Bind("bind_host", "0.0.0.0"), Port("bind_port", 8778), Certificate("ssl", "cert_file"), Certificate("ssl", "key_file"), Certificate("ssl", "ca_file")),
        new("nova-api", "nova", Bind("osapi_compute_listen", "0.0.0.0"), Port("osapi_compute_listen_port", 8774), Certificate("wsgi", "ssl_cert_file"), Certificate("wsgi", "ssl_key_file"), Certificate("wsgi", "ssl_ca_file"))
        {
            HasTls = config => config.Get(NovaApisWithTls).Contains("osapi_compute"),
        },
        new("nova-metadata-api", "nova", Bind("metadata_listen", "0.0.0.0"), Port("metadata_listen_port", 8775), Certificate("wsgi", "ssl_cert_file"), Certificate("wsgi", "ssl_key_file"), Certificate("wsgi", "ssl_ca_file"))
        {
            HasTls = config => config.Get(NovaApisWithTls).Contains("metadata"),
        },
        new("neutron-server", "neutron", Bind("bind_host", "0.0.0.0"), Port("bind_port", 9696), Certificate("ssl", "cert_file"), Certificate("ssl", "key_file"), Certificate("ssl", "ca_file"))
        {
            HasTls = config => config.Get(NeutronUsesTls),
        },
    ];

    /// <summary>One API's options; without <see cref="HasTls"/> it serves HTTPS where a certificate is named.</summary>
    private sealed record Place(
        string Api, string Config, ConfigOption<string> Host, ConfigOption<int> Port, ConfigOption<string> Certificate, ConfigOption<string> Key, ConfigOption<string> Authorities)
    {
        public Func<ServiceConfig, bool>? HasTls { get; init; }

        public IEnumerable<ConfigOption> Options => [Host, Port, Certificate, Key, Authorities];
    }

    /// <summary>All of them, by configuration, for validation and samples.</summary>
    public static IEnumerable<(string Config, ConfigOption Option)> All =>
        Places.SelectMany(place => place.Options.Append(ProxyHeaders).Append(AuthenticateUri).Append(AuthUrl).Select(option => (place.Config, option)))
            .Append(("neutron", NeutronUsesTls))
            .Append(("nova", NovaApisWithTls))
            .Distinct();

    /// <summary>The APIs that listen where their configuration says, and the configuration's name.</summary>
    public static IEnumerable<(string Api, string Config)> Apis => Places.Select(place => (place.Api, place.Config));

    /// <exception cref="FormatException">A certificate without its key, or the other way round.</exception>
    /// <param name="host">Instead of the configured one; null for that.</param>
    public static ApiListener Read(string api, ServiceConfig config, string? host = null)
    {
        var place = Places.First(candidate => candidate.Api == api);
        return new ApiListener(host ?? config.Get(place.Host), config.Get(place.Port))
        {
            Certificate = CertificateOf(place, config),
            TrustsProxy = config.Get(ProxyHeaders),
            IdentityUrl = ((string[])[config.Get(api == "keystone" ? PublicEndpoint : AuthenticateUri), config.Get(AuthUrl)]).FirstOrDefault(url => url.Length > 0)?.TrimEnd('/'),
        };
    }

    private static CertificateFiles? CertificateOf(Place place, ServiceConfig config)
    {
        var (certificate, key, authorities) = (config.Get(place.Certificate), config.Get(place.Key), config.Get(place.Authorities));
        if (!(place.HasTls?.Invoke(config) ?? (certificate.Length > 0 || key.Length > 0)))
        {
            return null;
        }

        return certificate.Length > 0 && key.Length > 0
            ? new CertificateFiles(certificate, key, authorities.Length > 0 ? authorities : null)
            : throw new FormatException($"{config.Service}: {place.Api} serves HTTPS, for which [{place.Certificate.Group}] needs both {place.Certificate.Name} and {place.Key.Name}");
    }

    private static ConfigOption<string> Bind(string name, string value, params string[] older) =>
        new("DEFAULT", name, value, "The address or name to listen on; 0.0.0.0 for all of IPv4, :: for all.") { DeprecatedNames = older };

    private static ConfigOption<int> Port(string name, int value, params string[] older) =>
        new("DEFAULT", name, value, "The port to listen on.") { Min = 0, Max = 65535, DeprecatedNames = older };

    private static ConfigOption<string> Certificate(string group, string name) => new(group, name, "", (name[(name.IndexOf("ssl_", StringComparison.Ordinal) is 0 ? 4 : 0)..]) switch
    {
        "cert_file" => "The PEM file of the certificate, its chain after it.",
        "key_file" => "The PEM file of the certificate's key.",
        _ => "The PEM file of the authorities; where it is set, clients must show a certificate of theirs.",
    });
}
