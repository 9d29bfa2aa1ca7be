using System.Net;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Foundation.Hosting;

/// <summary>What this process runs, and where.</summary>
public sealed record HostOptions
{
    /// <summary>Services to run, by OpenStack's names; null for all that the modules bring.</summary>
    public IReadOnlySet<string>? Services { get; init; }

    /// <summary>Configurations by name; a missing one is empty (all defaults).</summary>
    public IReadOnlyDictionary<string, ServiceConfig> Configs { get; init; } = new Dictionary<string, ServiceConfig>();

    /// <summary>Where state lies that no option of a service names.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>The name under which this host's agents and compute service report (<c>[DEFAULT] host</c>).</summary>
    public string HostName { get; init; } = Dns.GetHostName();

    /// <summary>The address that the APIs listen on; null for none: then they are reached within the process only.</summary>
    public IPAddress? Listen { get; init; } = IPAddress.Loopback;

    /// <summary>Where the APIs listen, by name, for those whose own configuration says so: before <see cref="Listen"/> and <see cref="Ports"/>.</summary>
    public IReadOnlyDictionary<string, ApiListener> Listeners { get; init; } = new Dictionary<string, ApiListener>();

    /// <summary>Ports of the APIs by name, where they are not OpenStack's own.</summary>
    public IReadOnlyDictionary<string, int> Ports { get; init; } = new Dictionary<string, int>();

    /// <summary>The host part of the URLs by which the APIs are known.</summary>
    public string PublicHost { get; init; } = "127.0.0.1";

    /// <summary>Where Keystone is found; in <c>WWW-Authenticate</c> and by the service clients.</summary>
    public string IdentityUrl => $"http://{PublicHost}:{Port("keystone", 5000)}/v3";

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public int Port(string api, int defaultPort) => Ports.TryGetValue(api, out var port) ? port : defaultPort;

    /// <summary>What <c>WWW-Authenticate</c> of an API says.</summary>
    internal string AuthenticateUrl(string api) => Listeners.GetValueOrDefault(api)?.IdentityUrl ?? IdentityUrl;

    /// <returns>Null for an API that is reached within the process only.</returns>
    internal ApiListener? ListenerOf(string api, int defaultPort) =>
        Listen is null ? null : Listeners.GetValueOrDefault(api) ?? new ApiListener(Listen.ToString(), Port(api, defaultPort));

    internal bool IsEnabled(string service) => Services is null || Services.Contains(service);

    internal ServiceConfig ConfigOf(string name) => Configs.TryGetValue(name, out var config) ? config : ServiceConfig.Empty(name);
}
