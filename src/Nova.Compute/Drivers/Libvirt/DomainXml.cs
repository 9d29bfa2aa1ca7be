using System.Text;
using System.Xml;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Drivers.Libvirt;

/// <summary>What the host decides about a guest, beside what the instance says.</summary>
internal sealed record DomainSettings
{
    /// <summary><c>kvm</c> or <c>qemu</c>.</summary>
    public required string VirtType { get; init; }

    public required string MachineType { get; init; }

    /// <summary>libvirt's mode, or <c>none</c>.</summary>
    public required string CpuMode { get; init; }

    public string? CpuModel { get; init; }

    /// <summary>QEMU's cache mode: <c>none</c> where the file system does direct I/O.</summary>
    public required string DiskCache { get; init; }

    public required string DiskFormat { get; init; }

    public required string RngDevice { get; init; }

    /// <summary>Null for a guest without a screen.</summary>
    public string? VncListen { get; init; }

    public required string ConsoleLog { get; init; }

    /// <summary>Root disk first.</summary>
    public required IReadOnlyList<string> Disks { get; init; }

    /// <summary>Ports whose frames need their checksums filled in by the guest.</summary>
    public required Func<PortSpec, bool> NeedsChecksums { get; init; }
}

/// <summary>
/// A guest as libvirt's domain XML, much like Nova's. Whatever comes from users goes through an XML writer, and what becomes a name of something on the
/// host is taken from lists.
/// </summary>
internal static class DomainXml
{
    public const string NovaNamespace = "http://openstack.org/xmlns/libvirt/nova/1.1";

    private static readonly string[] NetworkModels = ["virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139"];
    private static readonly string[] DiskBuses = ["virtio", "ide", "sata", "scsi"];

    public static string Write(InstanceSpec instance, DomainSettings settings)
    {
        var text = new StringBuilder();
        using (var xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, OmitXmlDeclaration = true, CheckCharacters = true, NewLineChars = "\n" }))
        {
            xml.WriteStartElement("domain");
            xml.WriteAttributeString("type", settings.VirtType);
            xml.WriteElementString("name", instance.DomainName);
            xml.WriteElementString("uuid", instance.Id);
            WriteMetadata(xml, instance);
            WriteMemory(xml, "memory", instance.Flavor.MemoryMb);
            WriteMemory(xml, "currentMemory", instance.Flavor.MemoryMb);
            xml.WriteElementString("vcpu", XmlConvert.ToString(instance.Flavor.Vcpus));
            WriteSystemInformation(xml, instance);
            WriteOperatingSystem(xml, settings);
            WriteFeatures(xml, instance, settings);
            WriteDevices(xml, instance, settings);
            xml.WriteEndElement();
        }

        return text.Append('\n').ToString();
    }

    private static void WriteMetadata(XmlWriter xml, InstanceSpec instance)
    {
        xml.WriteStartElement("metadata");
        xml.WriteStartElement("nova", "instance", NovaNamespace);
        xml.WriteElementString("nova", "name", NovaNamespace, Clean(instance.Name));
        xml.WriteElementString("nova", "creationTime", NovaNamespace, instance.CreatedAt.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss"));
        xml.WriteStartElement("nova", "flavor", NovaNamespace);
        xml.WriteAttributeString("name", Clean(instance.Flavor.Name));
        xml.WriteElementString("nova", "memory", NovaNamespace, XmlConvert.ToString(instance.Flavor.MemoryMb));
        xml.WriteElementString("nova", "disk", NovaNamespace, XmlConvert.ToString(instance.Flavor.DiskGb));
        xml.WriteElementString("nova", "swap", NovaNamespace, XmlConvert.ToString(instance.Flavor.SwapMb));
        xml.WriteElementString("nova", "ephemeral", NovaNamespace, XmlConvert.ToString(instance.Flavor.EphemeralGb));
        xml.WriteElementString("nova", "vcpus", NovaNamespace, XmlConvert.ToString(instance.Flavor.Vcpus));
        xml.WriteEndElement();
        xml.WriteStartElement("nova", "owner", NovaNamespace);
        WriteOwner(xml, "user", instance.UserId, instance.UserName);
        WriteOwner(xml, "project", instance.ProjectId, instance.ProjectName);
        xml.WriteEndElement();
        if (instance.Image is { } image)
        {
            xml.WriteStartElement("nova", "root", NovaNamespace);
            xml.WriteAttributeString("type", "image");
            xml.WriteAttributeString("uuid", image.Id);
            xml.WriteEndElement();
        }

        xml.WriteStartElement("nova", "ports", NovaNamespace);
        foreach (var port in instance.Ports)
        {
            xml.WriteStartElement("nova", "port", NovaNamespace);
            xml.WriteAttributeString("uuid", port.Id);
            foreach (var address in port.FixedIps)
            {
                xml.WriteStartElement("nova", "ip", NovaNamespace);
                xml.WriteAttributeString("type", "fixed");
                xml.WriteAttributeString("address", address);
                xml.WriteAttributeString("ipVersion", address.Contains(':', StringComparison.Ordinal) ? "6" : "4");
                xml.WriteEndElement();
            }

            xml.WriteEndElement();
        }

        xml.WriteEndElement();
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void WriteOwner(XmlWriter xml, string kind, string id, string name)
    {
        xml.WriteStartElement("nova", kind, NovaNamespace);
        xml.WriteAttributeString("uuid", id);
        xml.WriteString(Clean(name));
        xml.WriteEndElement();
    }

    private static void WriteMemory(XmlWriter xml, string element, int megabytes)
    {
        xml.WriteStartElement(element);
        xml.WriteAttributeString("unit", "KiB");
        xml.WriteString(XmlConvert.ToString(megabytes * 1024L));
        xml.WriteEndElement();
    }

    private static void WriteSystemInformation(XmlWriter xml, InstanceSpec instance)
    {
        void Entry(string name, string value)
        {
            xml.WriteStartElement("entry");
            xml.WriteAttributeString("name", name);
            xml.WriteString(value);
            xml.WriteEndElement();
        }

        xml.WriteStartElement("sysinfo");
        xml.WriteAttributeString("type", "smbios");
        xml.WriteStartElement("system");
        // Guests recognise their cloud by these words.
        Entry("manufacturer", "OpenStack Foundation");
        Entry("product", "OpenStack Nova");
        Entry("version", typeof(DomainXml).Assembly.GetName().Version!.ToString(3));
        Entry("serial", instance.Id);
        Entry("uuid", instance.Id);
        Entry("family", "Virtual Machine");
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void WriteOperatingSystem(XmlWriter xml, DomainSettings settings)
    {
        xml.WriteStartElement("os");
        xml.WriteStartElement("type");
        xml.WriteAttributeString("arch", "x86_64");
        xml.WriteAttributeString("machine", settings.MachineType);
        xml.WriteString("hvm");
        xml.WriteEndElement();
        Empty(xml, "boot", ("dev", "hd"));
        Empty(xml, "smbios", ("mode", "sysinfo"));
        xml.WriteEndElement();
    }

    private static void WriteFeatures(XmlWriter xml, InstanceSpec instance, DomainSettings settings)
    {
        xml.WriteStartElement("features");
        Empty(xml, "acpi");
        Empty(xml, "apic");
        xml.WriteEndElement();

        xml.WriteStartElement("cpu");
        if (settings.CpuMode != "none")
        {
            xml.WriteAttributeString("mode", settings.CpuMode);
            if (settings.CpuMode == "custom")
            {
                xml.WriteAttributeString("match", "exact");
                xml.WriteElementString("model", settings.CpuModel ?? "qemu64");
            }
        }

        Empty(xml, "topology", ("sockets", XmlConvert.ToString(instance.Flavor.Vcpus)), ("cores", "1"), ("threads", "1"));
        xml.WriteEndElement();

        xml.WriteStartElement("clock");
        xml.WriteAttributeString("offset", "utc");
        Empty(xml, "timer", ("name", "pit"), ("tickpolicy", "delay"));
        Empty(xml, "timer", ("name", "rtc"), ("tickpolicy", "catchup"));
        Empty(xml, "timer", ("name", "hpet"), ("present", "no"));
        xml.WriteEndElement();
        xml.WriteElementString("on_poweroff", "destroy");
        xml.WriteElementString("on_reboot", "restart");
        xml.WriteElementString("on_crash", "destroy");
    }

    private static void WriteDevices(XmlWriter xml, InstanceSpec instance, DomainSettings settings)
    {
        xml.WriteStartElement("devices");
        var bus = Choose(instance, "hw_disk_bus", DiskBuses);
        for (var i = 0; i < settings.Disks.Count; i++)
        {
            WriteDisk(xml, settings, settings.Disks[i], bus, i);
        }

        Empty(xml, "controller", ("type", "usb"), ("model", "none"));
        var model = Choose(instance, "hw_vif_model", NetworkModels);
        foreach (var port in instance.Ports)
        {
            WriteInterface(xml, port, model, settings.NeedsChecksums(port));
        }

        xml.WriteStartElement("serial");
        xml.WriteAttributeString("type", "pty");
        Empty(xml, "log", ("file", settings.ConsoleLog), ("append", "on"));
        Empty(xml, "target", ("port", "0"));
        xml.WriteEndElement();
        if (settings.VncListen is not null)
        {
            Empty(xml, "graphics", ("type", "vnc"), ("autoport", "yes"), ("listen", settings.VncListen));
            xml.WriteStartElement("video");
            Empty(xml, "model", ("type", "vga"));
            xml.WriteEndElement();
        }

        xml.WriteStartElement("memballoon");
        xml.WriteAttributeString("model", "virtio");
        Empty(xml, "stats", ("period", "10"));
        xml.WriteEndElement();
        xml.WriteStartElement("rng");
        xml.WriteAttributeString("model", "virtio");
        xml.WriteStartElement("backend");
        xml.WriteAttributeString("model", "random");
        xml.WriteString(settings.RngDevice);
        xml.WriteEndElement();
        xml.WriteEndElement();
        xml.WriteEndElement();
    }

    private static void WriteDisk(XmlWriter xml, DomainSettings settings, string path, string bus, int index)
    {
        xml.WriteStartElement("disk");
        xml.WriteAttributeString("type", "file");
        xml.WriteAttributeString("device", "disk");
        Empty(xml, "driver", ("name", "qemu"), ("type", settings.DiskFormat), ("cache", settings.DiskCache), ("discard", "unmap"));
        Empty(xml, "source", ("file", path));
        var prefix = bus switch { "virtio" => "vd", "ide" => "hd", _ => "sd" };
        Empty(xml, "target", ("dev", $"{prefix}{(char)('a' + index)}"), ("bus", bus));
        xml.WriteEndElement();
    }

    private static void WriteInterface(XmlWriter xml, PortSpec port, string model, bool needsChecksums)
    {
        xml.WriteStartElement("interface");
        xml.WriteAttributeString("type", "ethernet");
        Empty(xml, "mac", ("address", port.MacAddress));
        // The tap is there already and stays when the guest stops: its port on the bridge keeps its flows.
        Empty(xml, "target", ("dev", port.DeviceName), ("managed", "no"));
        Empty(xml, "model", ("type", model));
        if (model == "virtio")
        {
            xml.WriteStartElement("driver");
            xml.WriteAttributeString("name", "qemu");
            if (needsChecksums)
            {
                // A userspace switch gets frames as the guest left them: TCP would never connect.
                Empty(xml, "host", ("csum", "off"), ("gso", "off"), ("tso4", "off"), ("tso6", "off"), ("ecn", "off"), ("ufo", "off"));
            }

            xml.WriteEndElement();
        }

        Empty(xml, "mtu", ("size", XmlConvert.ToString(port.Mtu)));
        // The network boot ROM would delay each boot by a second and more.
        Empty(xml, "rom", ("enabled", "no"));
        xml.WriteEndElement();
    }

    private static string Choose(InstanceSpec instance, string property, string[] allowed)
    {
        var value = instance.Image?.Properties.GetValueOrDefault(property) ?? allowed[0];
        return allowed.Contains(value)
            ? value
            : throw new ComputeException($"Image property {property} is '{value}', and this host knows {string.Join(", ", allowed)}: correct it with `openstack image set --property`.");
    }

    private static void Empty(XmlWriter xml, string element, params ReadOnlySpan<(string Name, string Value)> attributes)
    {
        xml.WriteStartElement(element);
        foreach (var (name, value) in attributes)
        {
            xml.WriteAttributeString(name, value);
        }

        xml.WriteEndElement();
    }

    /// <summary>A user's name for something may hold characters that no XML can.</summary>
    private static string Clean(string text)
    {
        var clean = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (i + 1 < text.Length && XmlConvert.IsXmlSurrogatePair(text[i + 1], text[i]))
            {
                clean.Append(text[i]).Append(text[++i]);
            }
            else
            {
                clean.Append(XmlConvert.IsXmlChar(text[i]) ? text[i] : '\ufffd');
            }
        }

        return clean.ToString();
    }
}
