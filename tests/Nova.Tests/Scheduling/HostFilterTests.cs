using SharpStack.Foundation.Configuration;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Scheduling.Filters;

namespace SharpStack.Nova.Tests.Scheduling;

public sealed class HostFilterTests
{
    private static readonly HostState Host = new()
    {
        Host = "a",
        Node = "a.local",
        ComputeNodeId = "id",
        AvailabilityZone = "nova",
        IsUp = true,
        IsDisabled = false,
        HypervisorType = "QEMU",
        HypervisorVersion = 7_002_000,
        HostIp = "10.1.2.3",
        CpuInfo = """{"arch": "x86_64", "vendor": "AMD", "topology": {"cores": 4}, "features": ["vmx", "avx2"]}""",
        MemoryMb = 4096,
        InstanceCount = 3,
        BusyInstanceCount = 2,
    };

    [Theory]
    [InlineData("capabilities:cpu_info:arch", "x86_64", true)]
    [InlineData("capabilities:cpu_info:arch", "aarch64", false)]
    [InlineData("capabilities:cpu_info:features", "<in> avx2", true)]
    [InlineData("capabilities:cpu_info:features", "<all-in> avx2 vmx", true)]
    [InlineData("capabilities:cpu_info:features", "<in> sve", false)]
    [InlineData("capabilities:cpu_info:topology:cores", ">= 4", true)]
    [InlineData("capabilities:cpu_info:topology:cores", "!= 4", false)]
    [InlineData("capabilities:cpu_info:nothing", "x", false)]
    [InlineData("capabilities:hypervisor_version", ">= 7003000", false)]
    [InlineData("capabilities:hypervisor_type", "<or> KVM <or> QEMU", true)]
    [InlineData("capabilities:hypervisor_type", "s!= QEMU", false)]
    [InlineData("hypervisor_type", "QEMU", true)]
    [InlineData("hypervisor_type", "KVM", false)]
    [InlineData("free_ram_mb", ">= 4096", true)]
    [InlineData("colour", "red", true)]
    [InlineData("hw:cpu_policy", "shared", true)]
    [InlineData("capabilities:cpu_info:topology:cores", ">= many", false)]
    public void Extra_specs_are_compared_with_the_hosts_facts(string key, string wanted, bool passes) =>
        Assert.Equal(passes, new ComputeCapabilitiesFilter().Refuse(Host, Spec() with { ExtraSpecs = new Dictionary<string, string> { [key] = wanted } }) is null);

    [Theory]
    [InlineData("hw_architecture", "x86_64", true)]
    [InlineData("hw_architecture", "amd64", true)]
    [InlineData("architecture", "i686", true)]
    [InlineData("hw_architecture", "aarch64", false)]
    [InlineData("img_hv_type", "kvm", true)]
    [InlineData("img_hv_type", "xen", false)]
    [InlineData("hw_vm_mode", "hvm", true)]
    [InlineData("hw_vm_mode", "xen", false)]
    [InlineData("os_distro", "debian", true)]
    public void Images_run_only_where_their_properties_fit(string name, string value, bool passes) =>
        Assert.Equal(
            passes,
            new ImagePropertiesFilter(ServiceConfig.Empty("nova")).Refuse(Host, Spec() with { ImageProperties = new Dictionary<string, string> { [name] = value } }) is null);

    [Fact]
    public void A_host_that_does_not_say_its_architecture_runs_any_image() =>
        Assert.Null(new ImagePropertiesFilter(ServiceConfig.Empty("nova")).Refuse(
            Host with { CpuInfo = "no json" }, Spec() with { ImageProperties = new Dictionary<string, string> { ["hw_architecture"] = "aarch64" } }));

    [Theory]
    [InlineData("10.1.2.99", "/24", true)]
    [InlineData("10.1.3.99", "/24", false)]
    [InlineData("10.1.3.99", "/16", true)]
    [InlineData("10.1.2.99", "/99", false)]
    [InlineData("nonsense", "/24", false)]
    public void Hosts_near_an_address_are_in_its_network(string near, string prefix, bool passes)
    {
        var spec = Spec() with { Hints = new Dictionary<string, IReadOnlyList<string>> { ["build_near_host_ip"] = [near], ["cidr"] = [prefix] } };
        Assert.Equal(passes, new SimpleCIDRAffinityFilter().Refuse(Host, spec) is null);
    }

    [Fact]
    public void Full_and_busy_hosts_are_left_out()
    {
        var config = ServiceConfig.Empty("nova").With("filter_scheduler", "max_io_ops_per_host", "2").With("filter_scheduler", "max_instances_per_host", "4");
        Assert.NotNull(new IoOpsFilter(config).Refuse(Host, Spec()));
        Assert.Null(new NumInstancesFilter(config).Refuse(Host, Spec()));
        Assert.NotNull(new NumInstancesFilter(config).Refuse(Host with { InstanceCount = 4 }, Spec()));
    }

    private static RequestSpec Spec() => new()
    {
        InstanceId = "i", ProjectId = "p", UserId = "u", FlavorName = "f", Vcpus = 1, MemoryMb = 1, RootGb = 1, ImageId = "image",
    };
}
