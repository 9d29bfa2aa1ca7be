using System.Globalization;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Bus;

/// <summary>oslo.messaging's options, as nova.conf and neutron.conf have them.</summary>
public static class BusOptions
{
    private const string Group = "oslo_messaging_rabbit";

    internal static readonly TimeSpan DefaultResponseTimeout = TimeSpan.FromSeconds(60);

    public static readonly ConfigOption<string> TransportUrl = new(
        "DEFAULT", "transport_url", "", "The message broker: rabbit://USER:PASSWORD@HOST:PORT[,USER:PASSWORD@HOST2:PORT]/VHOST[?OPTION=VALUE]; empty or fake:// for messages within this process.") { Secret = true };

    public static readonly ConfigOption<int> RpcResponseTimeout = new("DEFAULT", "rpc_response_timeout", 60, "Seconds to wait for a response from a call.") { Min = 1 };

    public static readonly ConfigOption<int> ExecutorThreadPoolSize = new("DEFAULT", "executor_thread_pool_size", 64, "Messages that are handled at once.") { Min = 1, DeprecatedNames = ["rpc_thread_pool_size"] };

    public static readonly ConfigOption<bool> Ssl = new(Group, "ssl", false, "Connect over TLS.") { DeprecatedNames = ["rabbit_use_ssl"] };

    public static readonly ConfigOption<string> SslCaFile = new(Group, "ssl_ca_file", "", "The authorities (PEM) that the broker's certificate has to come from; the system's where empty.") { DeprecatedNames = ["kombu_ssl_ca_certs"] };

    public static readonly ConfigOption<string> SslCertFile = new(Group, "ssl_cert_file", "", "The client's certificate (PEM).") { DeprecatedNames = ["kombu_ssl_certfile"] };

    public static readonly ConfigOption<string> SslKeyFile = new(Group, "ssl_key_file", "", "The key (PEM) of the client's certificate.") { DeprecatedNames = ["kombu_ssl_keyfile"] };

    public static readonly ConfigOption<bool> SslEnforceHostnameVerification = new(Group, "ssl_enforce_hostname_verification", false, "Whether the broker's certificate must name its host where ssl_ca_file is set; without ssl_ca_file it always must.");

    public static readonly ConfigOption<int> HeartbeatTimeoutThreshold = new(Group, "heartbeat_timeout_threshold", 60, "Seconds of silence after which the broker is taken as gone; 0 for no heartbeats.") { Min = 0, Max = 65535 };

    public static readonly ConfigOption<int> RetryInterval = new(Group, "rabbit_retry_interval", 1, "Seconds between the first attempts to connect.") { Min = 0 };

    public static readonly ConfigOption<int> RetryBackoff = new(Group, "rabbit_retry_backoff", 2, "Seconds by which the pause between attempts grows.") { Min = 0 };

    public static readonly ConfigOption<int> IntervalMax = new(Group, "rabbit_interval_max", 30, "The longest pause between attempts, in seconds.") { Min = 1 };

    public static readonly ConfigOption<int> QosPrefetchCount = new(Group, "rabbit_qos_prefetch_count", 0, "Messages that a queue sends ahead; 0 for as many as are handled at once.") { Min = 0, Max = 65535 };

    public static readonly ConfigOption<string> FailoverStrategy = new(Group, "kombu_failover_strategy", "round-robin", "How the next broker is chosen where several are given.") { Choices = ["round-robin", "shuffle"] };

    public static readonly ConfigOption<bool> DurableQueues = new(Group, "amqp_durable_queues", false, "Declare the queues of the services durable.");

    public static IReadOnlyList<ConfigOption> All { get; } = [.. ConfigOption.DeclaredIn(typeof(BusOptions))];

    internal static bool IsInProcess(string url) => url.Length == 0 || url.StartsWith("fake:", StringComparison.Ordinal) || url.StartsWith("kombu+memory:", StringComparison.Ordinal);
}

/// <summary>A broker's address and who to be there.</summary>
internal sealed record RabbitHost(string Name, int Port, string User, string Password)
{
    // Never the password: this goes to logs.
    public override string ToString() => Name.Contains(':', StringComparison.Ordinal) ? $"[{Name}]:{Port}" : $"{Name}:{Port}";
}

/// <summary>How to reach a broker, as one service's configuration says.</summary>
internal sealed record RabbitTransport
{
    private const int DefaultPort = 5672;

    public required IReadOnlyList<RabbitHost> Hosts { get; init; }

    public string VirtualHost { get; init; } = "/";

    public bool Ssl { get; init; }

    public string CaFile { get; init; } = "";

    public string CertFile { get; init; } = "";

    public string KeyFile { get; init; } = "";

    public bool EnforceHostname { get; init; }

    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(60);

    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan RetryBackoff { get; init; } = TimeSpan.FromSeconds(2);

    public TimeSpan RetryMax { get; init; } = TimeSpan.FromSeconds(30);

    public bool Shuffle { get; init; }

    public bool Durable { get; init; }

    public int Concurrency { get; init; } = 64;

    public ushort Prefetch { get; init; }

    /// <summary>Services with the same one share a connection; never printed.</summary>
    public string Key { get; private init; } = "";

    /// <summary>For logs and metrics: <c>host1:5672,host2:5672/vhost</c>.</summary>
    public string DisplayName => $"{string.Join(',', Hosts)}/{VirtualHost.TrimStart('/')}";

    /// <exception cref="FormatException">The URL is none; the message does not repeat it.</exception>
    public static RabbitTransport Read(ServiceConfig config)
    {
        var url = config.Get(BusOptions.TransportUrl);
        const string scheme = "rabbit://";
        if (!url.StartsWith(scheme, StringComparison.Ordinal))
        {
            throw Wrong(config, "it reads rabbit://USER:PASSWORD@HOST:PORT/VHOST, or is empty");
        }

        var rest = url[scheme.Length..];
        var query = Cut(ref rest, '?');
        var vhost = Cut(ref rest, '/');
        var options = Query(config, query);
        T Option<T>(ConfigOption<T> option) =>
            !options.TryGetValue(option.Name, out var text) ? config.Get(option)
            : option.TryParse([text], out var value, out var error) ? value : throw Wrong(config, error!);
        var hosts = ReadHosts(config, rest);
        return new RabbitTransport
        {
            Hosts = hosts,
            VirtualHost = string.IsNullOrEmpty(vhost) ? "/" : Uri.UnescapeDataString(vhost),
            Ssl = Option(BusOptions.Ssl),
            CaFile = Option(BusOptions.SslCaFile),
            CertFile = Option(BusOptions.SslCertFile),
            KeyFile = Option(BusOptions.SslKeyFile),
            EnforceHostname = Option(BusOptions.SslEnforceHostnameVerification),
            Heartbeat = TimeSpan.FromSeconds(Option(BusOptions.HeartbeatTimeoutThreshold)),
            RetryInterval = TimeSpan.FromSeconds(Option(BusOptions.RetryInterval)),
            RetryBackoff = TimeSpan.FromSeconds(Option(BusOptions.RetryBackoff)),
            RetryMax = TimeSpan.FromSeconds(Option(BusOptions.IntervalMax)),
            Shuffle = Option(BusOptions.FailoverStrategy) == "shuffle",
            Durable = Option(BusOptions.DurableQueues),
            Concurrency = config.Get(BusOptions.ExecutorThreadPoolSize),
            Prefetch = (ushort)Option(BusOptions.QosPrefetchCount),
            Key = string.Join('\n', ((IEnumerable<string>)[url]).Concat(
                BusOptions.All.OfType<ConfigOption>().Where(option => option.Group != "DEFAULT").Select(option => Text(option)))),
        };

        string Text(ConfigOption option) => option switch
        {
            ConfigOption<string> text => config.Get(text),
            ConfigOption<int> number => config.Get(number).ToString(CultureInfo.InvariantCulture),
            ConfigOption<bool> flag => config.Get(flag) ? "true" : "false",
            _ => "",
        };
    }

    private static List<RabbitHost> ReadHosts(ServiceConfig config, string netloc)
    {
        var hosts = new List<RabbitHost>();
        foreach (var part in netloc.Split(','))
        {
            var at = part.LastIndexOf('@');
            // A host without a name of its own takes the first one's: rabbit://nova:secret@one:5672,two:5672/.
            var (user, password) = hosts.Count > 0 ? (hosts[0].User, hosts[0].Password) : ("guest", "guest");
            if (at >= 0)
            {
                var credentials = part[..at].Split(':', 2);
                user = Uri.UnescapeDataString(credentials[0]);
                password = credentials.Length > 1 ? Uri.UnescapeDataString(credentials[1]) : "";
            }

            var address = part[(at + 1)..];
            var bracket = address.StartsWith('[') ? address.IndexOf(']', StringComparison.Ordinal) : -1;
            if (address.StartsWith('[') && bracket < 0)
            {
                throw Wrong(config, "an IPv6 address stands in brackets");
            }

            var name = bracket > 0 ? address[1..bracket] : address.Split(':')[0];
            var portText = bracket > 0 ? address[(bracket + 1)..] : address[name.Length..];
            var port = DefaultPort;
            if (name.Length == 0 || (portText.Length > 0 && (portText[0] != ':' || !int.TryParse(portText.AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out port) || port is < 1 or > 65535)))
            {
                throw Wrong(config, "each host reads [USER:PASSWORD@]HOST[:PORT]");
            }

            hosts.Add(new RabbitHost(name, port, user, password));
        }

        return hosts;
    }

    private static Dictionary<string, string> Query(ServiceConfig config, string? query)
    {
        var options = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in (query ?? "").Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = pair.Split('=', 2);
            options[Uri.UnescapeDataString(parts[0])] = parts.Length == 2 ? Uri.UnescapeDataString(parts[1]) : throw Wrong(config, "an option reads ?NAME=VALUE");
        }

        return options;
    }

    /// <summary>Takes what follows the first <paramref name="mark"/> off <paramref name="text"/>; null where there is none.</summary>
    private static string? Cut(ref string text, char mark)
    {
        var at = text.IndexOf(mark, StringComparison.Ordinal);
        if (at < 0)
        {
            return null;
        }

        var tail = text[(at + 1)..];
        text = text[..at];
        return tail;
    }

    private static FormatException Wrong(ServiceConfig config, string what) => new($"{config.Service}: [DEFAULT] transport_url: {what}");
}
