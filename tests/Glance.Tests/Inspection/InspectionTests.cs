using System.Buffers.Binary;
using System.Text;
using SharpStack.Foundation;
using SharpStack.Glance.Inspection;
using SharpStack.TestKit;

namespace SharpStack.Glance.Tests.Inspection;

public sealed class InspectionTests
{
    private static readonly string[] VmdkTypes = ["streamOptimized", "monolithicSparse"];

    [Fact]
    public async Task A_qcow2_image_gets_its_virtual_size()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(diskFormat: "qcow2");
        (await client.UploadAsync(id, GlanceCloud.Qcow2())).Expect(204);
        Assert.Equal(1L << 30, (await client.ShowAsync(id)).GetProperty("virtual_size").GetInt64());
    }

    [Theory]
    [InlineData(3u, 512ul, 0ul, "backing file")]
    [InlineData(2u, 512ul, 0ul, "backing file")]
    [InlineData(3u, 0ul, 4ul, "keeps its data in another file")]
    [InlineData(3u, 0ul, 32ul, "features that are not known")]
    [InlineData(3u, 0ul, 0x8000000000000000ul, "features that are not known")]
    [InlineData(1u, 0ul, 0ul, "version 1 is not supported")]
    public async Task A_qcow2_that_could_reach_other_files_is_refused_and_leaves_nothing(uint version, ulong backing, ulong features, string reason)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(diskFormat: "qcow2");
        var answer = await client.UploadAsync(id, GlanceCloud.Qcow2(version, backing, features));
        Assert.Contains(reason, answer.Expect(415).Text, StringComparison.Ordinal);
        Assert.Equal("queued", (await client.ShowAsync(id)).Text("status"));
        Assert.Empty(cloud.StoredFiles());
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("vmdk")]
    [InlineData("ami")]
    [InlineData("iso")]
    public async Task A_qcow2_declared_as_something_else_is_refused(string declared)
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = await client.CreateAsync(diskFormat: declared);
        Assert.Contains("format inspection found it to be qcow2", (await client.UploadAsync(id, GlanceCloud.Qcow2())).Expect(415).Text, StringComparison.Ordinal);
        Assert.Empty(cloud.StoredFiles());
    }

    [Fact]
    public async Task The_match_may_be_waived_but_not_the_safety()
    {
        await using var cloud = await GlanceCloud.StartAsync(("image_format", "require_image_format_match", "false"));
        using var client = cloud.Glance();
        (await client.UploadAsync(await client.CreateAsync(diskFormat: "qcow2"), [1, 2, 3])).Expect(204);
        (await client.UploadAsync(await client.CreateAsync(diskFormat: "raw"), GlanceCloud.Qcow2(backingFile: 512))).Expect(415);
    }

    [Fact]
    public async Task An_archive_is_not_taken_for_a_disk()
    {
        await using var cloud = await GlanceCloud.StartAsync();
        using var client = cloud.Glance();
        var id = (await client.PostAsync("/v2/images", """{"disk_format": "vmdk", "container_format": "ova"}""")).Expect(201).Json.Text("id");
        (await client.UploadAsync(id, [1, 2, 3])).Expect(204);
    }

    [Fact]
    public void Formats_are_recognised_however_the_data_arrives()
    {
        var iso = new byte[0x8800];
        "CD001"u8.CopyTo(iso.AsSpan(0x8001));
        var vdi = new byte[1024];
        BinaryPrimitives.WriteUInt32LittleEndian(vdi.AsSpan(0x40), 0xbeda107f);
        BinaryPrimitives.WriteUInt64LittleEndian(vdi.AsSpan(0x170), 4096);
        var fixedVhd = new byte[4096 + 512];
        "conectix"u8.CopyTo(fixedVhd.AsSpan(4096));
        BinaryPrimitives.WriteUInt64BigEndian(fixedVhd.AsSpan(4096 + 48), 4096);
        var gpt = new byte[4096];
        gpt[510] = 0x55;
        gpt[511] = 0xaa;
        foreach (var (declared, data, format, size) in new (string, byte[], string, long?)[]
        {
            ("qcow2", GlanceCloud.Qcow2(), "qcow2", 1 << 30),
            ("iso", iso, "iso", null),
            ("vdi", vdi, "vdi", 4096),
            ("vhd", fixedVhd, "vhd", 4096),
            ("vhd", [.. fixedVhd[4096..], .. new byte[5000]], "vhd", 4096),
            ("vhdx", [.. "vhdxfile"u8, .. new byte[5000]], "vhdx", null),
            ("raw", gpt, "gpt", 4096),
            ("raw", [], "raw", 0),
            ("raw", new byte[300_000], "raw", 300_000),
            ("aki", gpt, "gpt", null),
            ("vmdk", Vmdk("streamOptimized"), "vmdk", 2048 * 512),
            ("vmdk", [.. Vmdk("monolithicSparse"), .. new byte[2 << 20]], "vmdk", 2048 * 512),
        })
        {
            foreach (var piece in new[] { int.MaxValue, 100_000, 7 })
            {
                Assert.Equal(new Glance.Inspection.Inspection(format, size), Inspect(declared, data, piece));
            }
        }
    }

    [Fact]
    public void A_fixed_vhd_passed_off_as_raw_is_seen_at_its_end()
    {
        var data = new byte[600_000];
        "conectix"u8.CopyTo(data.AsSpan(data.Length - 512));
        Assert.Contains("found it to be vhd", Assert.Throws<CloudException>(() => Inspect("raw", data, 4096)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("createType=\"monolithicFlat\"\nRW 2048 FLAT \"disk-flat.vmdk\" 0", "type monolithicFlat is not allowed")]
    [InlineData("createType=\"monolithicSparse\"\nRW 2048 SPARSE \"/etc/shadow\"", "extent in another folder")]
    [InlineData("createType=\"monolithicSparse\"", "names no extents")]
    [InlineData("createType=\"monolithicSparse\"\nRW 2048 SPARSE \"a.vmdk\"\nsome thing else", "not understood")]
    [InlineData("RW 2048 SPARSE \"a.vmdk\"", "type unknown is not allowed")]
    public void A_vmdk_whose_descriptor_names_other_files_is_refused(string descriptor, string reason) =>
        Assert.Contains(reason, Assert.Throws<CloudException>(() => Inspect("vmdk", VmdkWith(descriptor), int.MaxValue)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_vmdk_footer_must_agree_with_the_header()
    {
        var header = Vmdk("streamOptimized");
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(56), ulong.MaxValue);
        var footer = header[..512].ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(footer.AsSpan(56), 3);
        byte[] good = [.. header, .. new byte[4096], .. new byte[512], .. footer, .. new byte[512]];
        Assert.Equal("vmdk", Inspect("vmdk", good, 1000).Format);
        BinaryPrimitives.WriteUInt64LittleEndian(good.AsSpan(good.Length - 1024 + 28), 9);
        Assert.Contains("footer", Assert.Throws<CloudException>(() => Inspect("vmdk", good, 1000)).Message, StringComparison.Ordinal);
        Assert.Throws<CloudException>(() => Inspect("vmdk", header, 1000));
    }

    [Theory]
    [InlineData("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"/etc/shadow\" 0")]
    [InlineData("COWD and more")]
    [InlineData("QED\0 and more")]
    public void Formats_without_a_safe_form_are_refused_under_any_name(string text)
    {
        foreach (var declared in new[] { "raw", "vmdk", "qcow2" })
        {
            Assert.Equal(ErrorKind.UnsupportedMediaType, Assert.Throws<CloudException>(() => Inspect(declared, Encoding.ASCII.GetBytes(text.PadRight(600)), 600)).Kind);
        }
    }

    [Fact]
    public void Random_beginnings_end_in_an_answer()
    {
        var random = new Random(4711);
        byte[][] magics = [[.. "QFI"u8, 0xfb], [.. "KDMV"u8], [.. "conectix"u8], [.. "vhdxfile"u8], []];
        for (var i = 0; i < 2000; i++)
        {
            var data = new byte[random.Next(0, 2000)];
            random.NextBytes(data);
            var magic = magics[i % magics.Length];
            magic.AsSpan(0, Math.Min(magic.Length, data.Length)).CopyTo(data);
            try
            {
                Assert.NotEmpty(Inspect("qcow2", data, 500).Format);
            }
            catch (CloudException failure)
            {
                Assert.Equal(ErrorKind.UnsupportedMediaType, failure.Kind);
            }
        }
    }

    private static Glance.Inspection.Inspection Inspect(string declared, byte[] data, int piece)
    {
        using var inspector = new ImageInspector(declared, requireMatch: true, VmdkTypes);
        for (var at = 0; at < data.Length; at += Math.Min(piece, data.Length - at))
        {
            inspector.Feed(data.AsSpan(at, Math.Min(piece, data.Length - at)));
        }

        return inspector.Finish();
    }

    private static byte[] Vmdk(string type) => VmdkWith($"# Disk DescriptorFile\nversion=1\nCID=1\ncreateType=\"{type}\"\nRW 2048 SPARSE \"disk.vmdk\"\nddb.adapterType = \"ide\"\n");

    private static byte[] VmdkWith(string descriptor)
    {
        var data = new byte[512 + 2048];
        "KDMV"u8.CopyTo(data);
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(4), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(12), 2048);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(28), 1);
        BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(36), 4);
        Encoding.ASCII.GetBytes(descriptor).CopyTo(data.AsSpan(512));
        return data;
    }
}
