using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using SharpStack.CommandLine;

namespace SharpStack.Cloud;

/// <summary>The TCP ports of a cloud: OpenStack's own, or a row of them from a base on, so that several clouds fit on one machine.</summary>
internal sealed record CloudPorts(
    int Identity = 5000, int Image = 9292, int Placement = 8778, int Compute = 8774, int Metadata = 8775, int Network = 9696, int OpenFlow = 6633,
    int Metrics = 9464)
{
    public static CloudPorts From(int start) => new(start, start + 1, start + 2, start + 3, start + 4, start + 5, start + 6, start + 7);

    /// <summary>The ports that this program listens on, with their services' names.</summary>
    public IEnumerable<(string Service, int Port)> All(bool fake)
    {
        yield return ("identity", Identity);
        yield return ("image", Image);
        yield return ("placement", Placement);
        yield return ("compute", Compute);
        yield return ("network", Network);
        yield return ("metadata", Metadata);
        yield return ("metrics", Metrics);
        if (!fake)
        {
            yield return ("OpenFlow", OpenFlow);
        }
    }
}

/// <summary>What was chosen when the cloud was set up, kept beside its configuration so that each later start does the same.</summary>
internal sealed record CloudSettings
{
    public bool Fake { get; init; }

    /// <summary>The address that the APIs listen on.</summary>
    public string Listen { get; init; } = "127.0.0.1";

    /// <summary>The address in the catalogue: that of <see cref="Listen"/>, or the machine's own where it listens on all.</summary>
    public string Advertise { get; init; } = "127.0.0.1";

    public CloudPorts Ports { get; init; } = new();

    /// <summary>The flat network's range, its gateway (this host) and the first and last address of its pool.</summary>
    public FlatRange Flat { get; init; } = FlatRange.Preferred[0];

    /// <summary>What the machine offers: see <see cref="Machine.HostFacilities"/>.</summary>
    public Machine.HostFacilities Host { get; init; } = new();

    public required CloudSecrets Secrets { get; init; }

    /// <summary>The identity URL for which users and catalogue were made; null before they were.</summary>
    public string? Bootstrapped { get; init; }

    /// <summary>Digests of the configuration files as written, by name: a file that differs was edited by the operator and is left alone.</summary>
    public Dictionary<string, string> Written { get; init; } = [];

    public string Url(int port) => $"http://{(Advertise.Contains(':', StringComparison.Ordinal) ? $"[{Advertise}]" : Advertise)}:{port}";

    public string AuthUrl => $"{Url(Ports.Identity)}/v3";

    /// <returns>The settings of the cloud at the layout, or null where there is none yet.</returns>
    public static CloudSettings? Load(CloudLayout layout)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(layout.Settings), SettingsJson.Default.CloudSettings);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            throw new CommandException($"{layout.Settings} is not for {Environment.UserName} to read: run this as the user whose cloud it is, or name another with --data DIR");
        }
        catch (JsonException failure)
        {
            throw new CommandException($"{layout.Settings} cannot be read ({failure.Message}). Mend it, or start anew: ./down --purge");
        }
    }

    public void Save(CloudLayout layout) => CloudLayout.WriteSecret(layout.Settings, JsonSerializer.Serialize(this, SettingsJson.Default.CloudSettings));
}

/// <summary>The passwords of a cloud, made at random once.</summary>
internal sealed record CloudSecrets(string Admin, string Demo, string Glance, string Placement, string Nova, string Neutron, string MetadataProxy)
{
    public static CloudSecrets Create() => new(Word(), Word(), Word(), Word(), Word(), Word(), Word());

    private static string Word() => RandomNumberGenerator.GetString("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", 24);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CloudSettings))]
internal sealed partial class SettingsJson : JsonSerializerContext;
