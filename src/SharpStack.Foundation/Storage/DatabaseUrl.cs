using System.Globalization;
using System.Text.RegularExpressions;

namespace SharpStack.Foundation.Storage;

/// <summary>The engines that a service can store in.</summary>
public enum DatabaseEngine
{
    Sqlite,
    PostgreSql,
    MariaDb,
}

/// <summary>
/// A database as SQLAlchemy writes it: <c>mysql+pymysql://user:password@host:3306/nova?charset=utf8</c>, <c>postgresql+psycopg2://…</c>, <c>sqlite:////file.db</c>.
/// User and password are percent-encoded. The driver after the plus sign is of no matter here. <see cref="ToString"/> never shows the password.
/// </summary>
public sealed partial record DatabaseUrl
{
    private static readonly HashSet<string> MariaDbParameters =
    [
        "charset", "unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname", "ssl_disabled", "connect_timeout",
        "read_timeout", "write_timeout", "plugin",
    ];

    private static readonly HashSet<string> PostgreSqlParameters =
    [
        "host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name", "client_encoding", "options", "target_session_attrs",
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "plugin",
    ];

    private DatabaseUrl()
    {
    }

    public DatabaseEngine Engine { get; private init; }

    /// <summary>As written: <c>mysql+pymysql</c>.</summary>
    public string Scheme { get; private init; } = "";

    /// <summary>A name, an address without brackets; empty where none is given. On PostgreSQL a path is the folder of a socket.</summary>
    public string Host { get; private init; } = "";

    public int? Port { get; private init; }

    public string UserName { get; private init; } = "";

    public string Password { get; private init; } = "";

    /// <summary>The database's name; on SQLite the file, relative to the working directory or absolute, and empty for one in memory.</summary>
    public string Database { get; private init; } = "";

    public IReadOnlyDictionary<string, string> Parameters { get; private init; } = new Dictionary<string, string>();

    /// <exception cref="FormatException">The text is no such URL, names another engine, or has a parameter that is not known; the message holds no password.</exception>
    public static DatabaseUrl Parse(string text)
    {
        var match = Pattern().Match(text);
        if (!match.Success)
        {
            throw Wrong("it reads engine://user:password@host:port/database, with @ / : ? # and % in user and password percent-encoded");
        }

        var scheme = match.Groups["scheme"].Value;
        var engine = scheme.Split('+')[0] switch
        {
            "sqlite" => DatabaseEngine.Sqlite,
            "mysql" or "mariadb" => DatabaseEngine.MariaDb,
            "postgresql" => DatabaseEngine.PostgreSql,
            "postgres" => throw Wrong("PostgreSQL's URLs begin with postgresql://"),
            var other => throw Wrong($"there is no engine {other}: take mysql+pymysql://, postgresql+psycopg2:// or sqlite:///"),
        };
        var url = new DatabaseUrl
        {
            Engine = engine,
            Scheme = scheme,
            Host = match.Groups["v6"] is { Success: true } v6 ? v6.Value : match.Groups["host"].Value,
            Port = PortOf(match.Groups["port"].Value),
            UserName = Uri.UnescapeDataString(match.Groups["user"].Value),
            Password = Uri.UnescapeDataString(match.Groups["password"].Value),
            Database = match.Groups["database"].Value,
            Parameters = ParametersOf(match.Groups["query"].Value, engine),
        };
        return engine == DatabaseEngine.Sqlite ? url.CheckedFile() : url.CheckedServer();
    }

    /// <summary>The URL with <c>***</c> for the password.</summary>
    public override string ToString()
    {
        var user = UserName.Length == 0 ? "" : $"{Uri.EscapeDataString(UserName)}{(Password.Length == 0 ? "" : ":***")}@";
        var host = Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host;
        var query = Parameters.Count == 0 ? "" : "?" + string.Join('&', Parameters.Select(pair => $"{pair.Key}={pair.Value}"));
        return $"{Scheme}://{user}{host}{(Port is { } port ? $":{port}" : "")}{(Database.Length == 0 ? "" : "/" + Database)}{query}";
    }

    internal string? Parameter(string name) => Parameters.GetValueOrDefault(name);

    internal bool Flag(string name) => Parameter(name)?.ToUpperInvariant() is "TRUE" or "1" or "YES" or "ON";

    /// <summary>A whole number of seconds.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    internal int? Seconds(string name) =>
        Parameter(name) is not { } text ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? seconds
        : throw Wrong($"{name} is a number of seconds, not '{text}'");

    internal static FormatException Wrong(string why) => new($"[database] connection: {why}");

    private DatabaseUrl CheckedFile()
    {
        if (Host.Length > 0 || UserName.Length > 0)
        {
            throw Wrong("a file's URL has three slashes before a relative path and four before an absolute one: sqlite:////var/lib/nova/nova.db");
        }

        return Database == ":memory:" ? this with { Database = "" } : this;
    }

    private DatabaseUrl CheckedServer()
    {
        if (Database.Length == 0)
        {
            throw Wrong($"{this} names no database");
        }

        if (UserName.Length == 0)
        {
            throw Wrong($"{this} names no user");
        }

        // utf8 is what OpenStack's guides write; what is stored is whole UTF-8 either way.
        if (Parameter("charset") is { } charset and not ("utf8" or "utf8mb3" or "utf8mb4"))
        {
            throw Wrong($"charset={charset}: text is stored in utf8");
        }

        return this;
    }

    private static int? PortOf(string text) =>
        text.Length == 0 ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and < 65536 ? port
        : throw Wrong($"the port is a number from 1 to 65535 (a password with @ / : ? # or % in it is percent-encoded)");

    private static Dictionary<string, string> ParametersOf(string query, DatabaseEngine engine)
    {
        var parameters = new Dictionary<string, string>(StringComparer.Ordinal);
        var known = engine switch
        {
            DatabaseEngine.MariaDb => MariaDbParameters,
            DatabaseEngine.PostgreSql => PostgreSqlParameters,
            _ => [],
        };
        foreach (var part in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var at = part.IndexOf('=', StringComparison.Ordinal);
            var name = Uri.UnescapeDataString(at < 0 ? part : part[..at]);
            if (!known.Contains(name))
            {
                throw Wrong($"there is no parameter '{name}' here{(known.Count == 0 ? "" : $"; there are {string.Join(", ", known.Order(StringComparer.Ordinal))}")}");
            }

            parameters[name] = at < 0 ? "" : Uri.UnescapeDataString(part[(at + 1)..].Replace('+', ' '));
        }

        return parameters;
    }

    // The shape that SQLAlchemy's make_url reads.
    [GeneratedRegex(@"^(?<scheme>[\w+]+)://(?:(?<user>[^:/@]*)(?::(?<password>[^@]*))?@)?(?:\[(?<v6>[^/?\]]+)\]|(?<host>[^/:?\[]*))(?::(?<port>[^/?]*))?(?:/(?<database>[^?]*))?(?:\?(?<query>.*))?$")]
    private static partial Regex Pattern();
}
