using System.Globalization;
using System.Text.Json;
using SharpStack.Foundation.Configuration;

namespace SharpStack.Nova.Scheduling.Filters;

/// <summary>
/// Extra specs of the flavor against facts of the host: <c>capabilities:cpu_info:arch = x86_64</c>, <c>capabilities:hypervisor_version = &gt;= 7002000</c>,
/// and such keys without the first word where the host has a fact of that name.
/// </summary>
internal sealed class ComputeCapabilitiesFilter : IHostFilter
{
    private const string Scope = "capabilities:";

    public string Name => "ComputeCapabilitiesFilter";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        foreach (var (key, wanted) in spec.ExtraSpecs)
        {
            var scoped = key.StartsWith(Scope, StringComparison.Ordinal);
            if (!scoped && (key.Contains(':', StringComparison.Ordinal) || Fact(host, key) is null))
            {
                continue;
            }

            var path = scoped ? key[Scope.Length..] : key;
            if (Find(host, path.Split(':')) is not { } fact || !ExtraSpecOperators.Match(fact, wanted))
            {
                return $"{path} is not {wanted}";
            }
        }

        return null;
    }

    private static string? Find(HostState host, string[] path)
    {
        if (Fact(host, path[0]) is not { } fact || path.Length == 1)
        {
            return Fact(host, path[0]);
        }

        try
        {
            using var document = JsonDocument.Parse(fact);
            var json = document.RootElement;
            foreach (var name in path.AsSpan(1))
            {
                if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty(name, out json))
                {
                    return null;
                }
            }

            return json.ValueKind == JsonValueKind.Null ? null : json.ToString();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string? Fact(HostState host, string name)
    {
        static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
        return name switch
        {
            "host" => host.Host,
            "nodename" or "hypervisor_hostname" => host.Node,
            "hypervisor_type" => host.HypervisorType,
            "hypervisor_version" => Text(host.HypervisorVersion),
            "cpu_info" => host.CpuInfo,
            "vcpus_total" => Text(host.Vcpus),
            "vcpus_used" => Text(host.VcpusUsed),
            "total_usable_ram_mb" => Text(host.MemoryMb),
            "free_ram_mb" => Text(host.MemoryMb - host.MemoryMbUsed),
            "total_usable_disk_gb" => Text(host.LocalGb),
            "free_disk_mb" => Text((host.LocalGb - host.LocalGbUsed) * 1024L),
            "num_instances" => Text(host.InstanceCount),
            "num_io_ops" => Text(host.BusyInstanceCount),
            _ => null,
        };
    }
}

/// <summary>The operators in values of extra specs: <c>&gt;= 4</c>, <c>s== x</c>, <c>&lt;in&gt; vmx</c>, <c>&lt;or&gt; a &lt;or&gt; b</c>.</summary>
internal static class ExtraSpecOperators
{
    public static bool Match(string fact, string wanted)
    {
        var words = wanted.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0)
        {
            return fact == wanted;
        }

        var operands = words[1..];
        return words[0] switch
        {
            "<or>" => operands.Where((_, i) => i % 2 == 0).Contains(fact),
            "<all-in>" => operands.Length > 0 && Array.TrueForAll(operands, word => fact.Contains(word, StringComparison.Ordinal)),
            "<in>" => operands.Length > 0 && fact.Contains(operands[0], StringComparison.Ordinal),
            "=" or ">=" => Compare(fact, operands) >= 0,
            "<=" => Compare(fact, operands) <= 0,
            "==" => Compare(fact, operands) == 0,
            "!=" => Compare(fact, operands) is not (null or 0),
            "s==" => Order(fact, operands) == 0,
            "s!=" => Order(fact, operands) is not (null or 0),
            "s<" => Order(fact, operands) < 0,
            "s<=" => Order(fact, operands) <= 0,
            "s>" => Order(fact, operands) > 0,
            "s>=" => Order(fact, operands) >= 0,
            _ => fact == wanted,
        };
    }

    private static int? Compare(string fact, string[] operands) =>
        operands.Length > 0
        && double.TryParse(fact, NumberStyles.Float, CultureInfo.InvariantCulture, out var left)
        && double.TryParse(operands[0], NumberStyles.Float, CultureInfo.InvariantCulture, out var right)
            ? left.CompareTo(right)
            : null;

    private static int? Order(string fact, string[] operands) => operands.Length > 0 ? string.CompareOrdinal(fact, operands[0]) : null;
}

/// <summary>The image's architecture, hypervisor type and machine mode against what the host runs.</summary>
internal sealed class ImagePropertiesFilter(ServiceConfig config) : IHostFilter
{
    private readonly string defaultArchitecture = config.Get(SchedulerOptions.DefaultArchitecture);

    public string Name => "ImagePropertiesFilter";

    public string? Refuse(HostState host, RequestSpec spec)
    {
        string? Property(string name, string older) => spec.ImageProperties.GetValueOrDefault(name) ?? spec.ImageProperties.GetValueOrDefault(older);
        var architecture = Property("hw_architecture", "architecture") ?? (defaultArchitecture.Length > 0 ? defaultArchitecture : null);
        if (architecture is not null && !Runs(ArchitectureOf(host), Canonical(architecture)))
        {
            return $"architecture is not {architecture}";
        }

        if (Property("img_hv_type", "hypervisor_type") is { } type && !IsType(host.HypervisorType, type))
        {
            return $"hypervisor is not {type}";
        }

        return Property("hw_vm_mode", "vm_mode") is { } mode && mode is not ("hvm" or "hv") ? $"machine mode is not {mode}" : null;
    }

    private static string? ArchitectureOf(HostState host)
    {
        try
        {
            using var document = JsonDocument.Parse(host.CpuInfo);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("arch", out var arch) ? arch.GetString() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>A host that does not say what it is (the fake driver) runs anything.</summary>
    private static bool Runs(string? host, string wanted) => host is null || Canonical(host) == wanted || (Canonical(host) == "x86_64" && wanted == "i686");

    private static string Canonical(string architecture) => architecture.ToLowerInvariant() switch
    {
        "amd64" or "x86-64" or "x64" => "x86_64",
        "i386" or "i486" or "i586" or "x86" or "ia32" => "i686",
        "arm64" => "aarch64",
        var other => other,
    };

    /// <summary>A host with QEMU runs images for KVM and the other way round.</summary>
    private static bool IsType(string host, string wanted)
    {
        static bool IsQemu(string type) => type.Equals("qemu", StringComparison.OrdinalIgnoreCase) || type.Equals("kvm", StringComparison.OrdinalIgnoreCase);
        return host.Equals(wanted, StringComparison.OrdinalIgnoreCase) || (IsQemu(host) && IsQemu(wanted));
    }
}
