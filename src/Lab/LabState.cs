using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SharpStack.Lab;

/// <summary>The passwords of a lab by the labs' own scheme, made at random once.</summary>
/// <param name="DatabaseRoot">MARIADB_ROOT_PASSWORD.</param>
/// <param name="Admin">OS_ADMIN_PASSWORD, which is OS_SERVICE_PASSWORD too: database users, service users and the broker's user.</param>
/// <param name="Shared">OS_SHARED_SECRET, of the metadata proxy.</param>
/// <param name="Demo">OS_DEMO_PASSWORD.</param>
public sealed record LabSecrets(string DatabaseRoot, string Admin, string Shared, string Demo)
{
    [JsonIgnore]
    public string Service => Admin;

    public static LabSecrets Create() => new(Word(20), Word(20), Word(32), Word(20));

    private static string Word(int length) => RandomNumberGenerator.GetString("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", length);
}

/// <summary>What a lab remembers from one start to the next.</summary>
public sealed record LabState
{
    public required int Number { get; init; }

    public required LabSecrets Secrets { get; init; }

    /// <summary>libvirt's identity of each node, which must not change.</summary>
    public Dictionary<string, Guid> HostIds { get; init; } = [];

    /// <summary>Whether the schemas, the first users and the catalogue are there.</summary>
    public bool Bootstrapped { get; init; }

    /// <summary>Whether the lab host is this machine itself, on the labs' addresses, and no node of its own.</summary>
    public bool Attached { get; init; }

    /// <summary>Whether the nodes are machines without anything on them, for something else to set up.</summary>
    public bool Bare { get; init; }

    /// <returns>The lab in the folder, or null where there is none yet.</returns>
    public static LabState? Load(LabLayout layout)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(layout.State), LabStateJson.Default.LabState);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException failure)
        {
            throw new LabException($"{layout.State} cannot be read ({failure.Message}). Mend it, or start anew: sharpstack lab down --purge");
        }
    }

    public void Save(LabLayout layout) =>
        LabLayout.Write(layout.State, JsonSerializer.Serialize(this, LabStateJson.Default.LabState), UnixFileMode.UserRead | UnixFileMode.UserWrite);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(LabState))]
internal sealed partial class LabStateJson : JsonSerializerContext;
