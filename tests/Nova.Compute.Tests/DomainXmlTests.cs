using System.Xml.Linq;
using SharpStack.Libvirt;
using SharpStack.Nova.Compute.Drivers.Libvirt;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Tests;

public sealed class DomainXmlTests
{
    private static readonly DomainSettings Settings = new()
    {
        VirtType = "qemu",
        MachineType = "pc",
        CpuMode = "maximum",
        DiskCache = "none",
        DiskFormat = "qcow2",
        RngDevice = "/dev/urandom",
        VncListen = "127.0.0.1",
        ConsoleLog = "/i/console.log",
        Disks = ["/i/disk"],
        NeedsChecksums = _ => true,
    };

    private static InstanceSpec Instance => new()
    {
        Id = "b5f3a1a8-7e4e-4e3b-8f50-5a4a3a4c1d20",
        Revision = 1,
        DomainName = "instance-0000002a",
        Name = "vm",
        Hostname = "vm",
        Desired = DesiredState.Running,
        ProjectId = "p1",
        UserId = "u1",
        ProjectName = "demo",
        UserName = "alice",
        Flavor = new FlavorSpec("m1.nano", 2, 192, 1, 0, 0),
        Image = new ImageSpec("11111111-1111-1111-1111-111111111111", "cirros", "qcow2", "bare", 1),
        Ports =
        [
            new PortSpec
            {
                Id = "ce531f90-199f-48c0-816c-13e38010b442",
                NetworkId = "n",
                MacAddress = "fa:16:3e:4c:2c:30",
                FixedIps = ["192.168.1.3", "2001:db8::3"],
                Mtu = 1450,
                VifType = "ovs",
                Bridge = "br-int",
                DeviceName = "tapce531f90-19",
            },
        ],
        CreatedAt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero),
    };

    [Fact]
    public void An_instance_becomes_this_domain()
    {
        var expected = $"""
            <domain type="qemu">
              <name>instance-0000002a</name>
              <uuid>b5f3a1a8-7e4e-4e3b-8f50-5a4a3a4c1d20</uuid>
              <metadata>
                <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
                  <nova:name>vm</nova:name>
                  <nova:creationTime>2026-01-02 03:04:05</nova:creationTime>
                  <nova:flavor name="m1.nano">
                    <nova:memory>192</nova:memory>
                    <nova:disk>1</nova:disk>
                    <nova:swap>0</nova:swap>
                    <nova:ephemeral>0</nova:ephemeral>
                    <nova:vcpus>2</nova:vcpus>
                  </nova:flavor>
                  <nova:owner>
                    <nova:user uuid="u1">alice</nova:user>
                    <nova:project uuid="p1">demo</nova:project>
                  </nova:owner>
                  <nova:root type="image" uuid="11111111-1111-1111-1111-111111111111" />
                  <nova:ports>
                    <nova:port uuid="ce531f90-199f-48c0-816c-13e38010b442">
                      <nova:ip type="fixed" address="192.168.1.3" ipVersion="4" />
                      <nova:ip type="fixed" address="2001:db8::3" ipVersion="6" />
                    </nova:port>
                  </nova:ports>
                </nova:instance>
              </metadata>
              <memory unit="KiB">196608</memory>
              <currentMemory unit="KiB">196608</currentMemory>
              <vcpu>2</vcpu>
              <sysinfo type="smbios">
                <system>
                  <entry name="manufacturer">OpenStack Foundation</entry>
                  <entry name="product">OpenStack Nova</entry>
                  <entry name="version">{typeof(DomainXml).Assembly.GetName().Version!.ToString(3)}</entry>
                  <entry name="serial">b5f3a1a8-7e4e-4e3b-8f50-5a4a3a4c1d20</entry>
                  <entry name="uuid">b5f3a1a8-7e4e-4e3b-8f50-5a4a3a4c1d20</entry>
                  <entry name="family">Virtual Machine</entry>
                </system>
              </sysinfo>
              <os>
                <type arch="x86_64" machine="pc">hvm</type>
                <boot dev="hd" />
                <smbios mode="sysinfo" />
              </os>
              <features>
                <acpi />
                <apic />
              </features>
              <cpu mode="maximum">
                <topology sockets="2" cores="1" threads="1" />
              </cpu>
              <clock offset="utc">
                <timer name="pit" tickpolicy="delay" />
                <timer name="rtc" tickpolicy="catchup" />
                <timer name="hpet" present="no" />
              </clock>
              <on_poweroff>destroy</on_poweroff>
              <on_reboot>restart</on_reboot>
              <on_crash>destroy</on_crash>
              <devices>
                <disk type="file" device="disk">
                  <driver name="qemu" type="qcow2" cache="none" discard="unmap" />
                  <source file="/i/disk" />
                  <target dev="vda" bus="virtio" />
                </disk>
                <controller type="usb" model="none" />
                <interface type="ethernet">
                  <mac address="fa:16:3e:4c:2c:30" />
                  <target dev="tapce531f90-19" managed="no" />
                  <model type="virtio" />
                  <driver name="qemu">
                    <host csum="off" gso="off" tso4="off" tso6="off" ecn="off" ufo="off" />
                  </driver>
                  <mtu size="1450" />
                  <rom enabled="no" />
                </interface>
                <serial type="pty">
                  <log file="/i/console.log" append="on" />
                  <target port="0" />
                </serial>
                <graphics type="vnc" autoport="yes" listen="127.0.0.1" />
                <video>
                  <model type="vga" />
                </video>
                <memballoon model="virtio">
                  <stats period="10" />
                </memballoon>
                <rng model="virtio">
                  <backend model="random">/dev/urandom</backend>
                </rng>
              </devices>
            </domain>

            """;
        Assert.Equal(expected, DomainXml.Write(Instance, Settings));
    }

    [Fact]
    public void A_kernel_datapath_leaves_the_guests_offloads_on()
    {
        var xml = DomainXml.Write(Instance, Settings with { NeedsChecksums = _ => false });

        Assert.DoesNotContain("csum", xml, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("</nova:name><devices><disk/></devices>")]
    [InlineData("\0\u0001\ud800 \ud83d\ude00 \"'&<>")]
    public void What_users_call_things_stays_text(string name)
    {
        var hostile = Instance with { Name = name, UserName = name, ProjectName = name, Flavor = Instance.Flavor with { Name = name } };

        var document = XDocument.Parse(DomainXml.Write(hostile, Settings));

        XNamespace nova = DomainXml.NovaNamespace;
        var read = document.Descendants(nova + "name").Single().Value;
        Assert.Equal(name.Where(char.IsLetterOrDigit), read.Where(char.IsLetterOrDigit));
        Assert.Single(document.Descendants("disk"));
        Assert.Equal(
            XDocument.Parse(DomainXml.Write(Instance, Settings)).Descendants().Count(),
            document.Descendants().Count());
    }

    [Fact]
    public void Image_properties_choose_from_what_is_known_and_nothing_else()
    {
        InstanceSpec With(string property, string value) =>
            Instance with { Image = Instance.Image! with { Properties = new Dictionary<string, string> { [property] = value } } };

        var ide = XDocument.Parse(DomainXml.Write(With("hw_disk_bus", "ide"), Settings));
        Assert.Equal("hda", (string?)ide.Descendants("disk").Single().Element("target")!.Attribute("dev"));
        Assert.Contains("""<model type="e1000" />""", DomainXml.Write(With("hw_vif_model", "e1000"), Settings), StringComparison.Ordinal);
        var failure = Assert.Throws<ComputeException>(() => DomainXml.Write(With("hw_vif_model", "x' file='/etc/shadow"), Settings));
        Assert.Contains("openstack image set", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DomainState.Running, PowerState.Running)]
    [InlineData(DomainState.ShuttingDown, PowerState.Running)]
    [InlineData(DomainState.Paused, PowerState.Paused)]
    [InlineData(DomainState.ShutOff, PowerState.Shutdown)]
    [InlineData(DomainState.Crashed, PowerState.Crashed)]
    [InlineData(DomainState.PowerManagementSuspended, PowerState.Suspended)]
    public void Libvirts_states_become_Novas(DomainState state, PowerState power) => Assert.Equal(power, LibvirtDriver.PowerOf(state));

    [Fact]
    public void The_hosts_processor_is_read_from_the_capabilities()
    {
        const string Capabilities = "<capabilities><host><cpu><arch>x86_64</arch><model>Skylake</model><vendor>Intel</vendor><topology sockets='1' dies='1' cores='2' threads='2'/><feature name='vmx'/></cpu></host></capabilities>";
        Assert.Equal(
            """{"arch":"x86_64","model":"Skylake","vendor":"Intel","topology":{"cells":1,"sockets":1,"cores":2,"threads":2},"features":["vmx"]}""",
            LibvirtDriver.ReadCpuInfo(Capabilities));
    }
}
