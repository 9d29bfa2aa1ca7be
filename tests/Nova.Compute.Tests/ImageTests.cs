using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.LinuxHost.Processes;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Tests;

public sealed class ImageTests : IAsyncDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("image-tests-").FullName;
    private readonly MemoryImages source = new();
    private readonly ImageCache cache;

    public ImageTests()
    {
        cache = new ImageCache(Path.Combine(directory, "_base"), source, TimeProvider.System, NullLogger.Instance);
        cache.Open();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string[] Cached => [.. Directory.EnumerateFiles(Path.Combine(directory, "_base"))];

    public async ValueTask DisposeAsync()
    {
        await cache.DisposeAsync();
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_qcow2_image_is_made_raw_and_lies_under_Novas_name_for_it()
    {
        var content = RandomNumberGenerator.GetBytes(300_000);
        var image = await AddQcowAsync(content);
        image = source.Rename(image, "70a599e0-31e7-49b7-b260-868f441e862b");

        var cached = await cache.GetAsync(image, 1 << 30, Cancellation);

        Assert.Equal(1 << 20, cached.Size);
        Assert.Equal(content, (await File.ReadAllBytesAsync(cached.Path, Cancellation))[..content.Length]);
        Assert.Equal("88607926df58f2de85c9d44cd0324614a44d28b3", Path.GetFileName(cached.Path));
        Assert.Equal([cached.Path], Cached);
    }

    [Fact]
    public async Task However_many_wait_for_an_image_it_is_fetched_once()
    {
        var image = Add([1, 2, 3], "raw");
        source.Gate = new TaskCompletionSource();

        var waiting = Enumerable.Range(0, 20).Select(_ => cache.GetAsync(image, 0, Cancellation)).ToList();
        using var impatient = new CancellationTokenSource();
        var leaving = cache.GetAsync(image, 0, impatient.Token);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
        source.Gate.SetResult();
        await Task.WhenAll(waiting);
        await cache.GetAsync(image, 0, Cancellation);

        Assert.Equal(1, source.Opened);
    }

    [Fact]
    public async Task Data_that_does_not_match_Glances_hash_is_refused()
    {
        var image = Add([1, 2, 3], "raw") with { HashValue = new string('0', 128) };

        var failure = await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(image, 0, Cancellation));

        Assert.Contains("sha512", failure.Message, StringComparison.Ordinal);
        Assert.Empty(Cached);
    }

    [Fact]
    public async Task A_download_that_breaks_off_is_worth_another_try()
    {
        var image = Add([1, 2, 3], "raw") with { Size = 4 };

        await Assert.ThrowsAsync<IOException>(() => cache.GetAsync(image, 0, Cancellation));

        Assert.Empty(Cached);
        Assert.Equal(3, (await cache.GetAsync(image with { Size = 3 }, 0, Cancellation)).Size);
    }

    [Fact]
    public async Task More_data_than_declared_is_not_stored()
    {
        var image = Add(new byte[5000], "raw") with { Size = 100 };

        await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(image, 0, Cancellation));

        Assert.Empty(Cached);
    }

    [Fact]
    public async Task An_image_larger_than_the_flavors_disk_is_refused_before_and_after_it_is_unpacked()
    {
        var large = Add(new byte[5000], "raw");
        Assert.Contains("too small", (await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(large, 4999, Cancellation))).Message, StringComparison.Ordinal);
        Assert.Equal(0, source.Opened);

        var unpacksLarge = await AddQcowAsync(new byte[10]);
        Assert.True(unpacksLarge.Size < 1 << 20);
        await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(unpacksLarge, (1 << 20) - 1, Cancellation));
    }

    [Theory]
    [InlineData("backing file", "create", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", "IMAGE", "1M")]
    [InlineData("another file", "create", "-f", "qcow2", "-o", "data_file=DATA,data_file_raw=on", "IMAGE", "1M")]
    // Not LUKS: QEMU measures the processor for its key first, and gives up on a busy one.
    [InlineData("encrypted", "create", "-f", "qcow2", "--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s", "IMAGE", "1M")]
    public async Task An_image_that_would_make_QEMU_open_something_else_is_refused(string reason, params string[] arguments)
    {
        var path = Path.Combine(directory, "evil.qcow2");
        await QemuImgAsync([.. arguments.Select(each => each.Replace("IMAGE", path, StringComparison.Ordinal).Replace("DATA", Path.Combine(directory, "data"), StringComparison.Ordinal))]);
        var image = Add(await File.ReadAllBytesAsync(path, Cancellation), "qcow2");

        var failure = await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(image, 0, Cancellation));

        Assert.Contains(reason, failure.Message, StringComparison.Ordinal);
        Assert.Empty(Cached);
    }

    [Fact]
    public async Task An_image_that_is_not_what_it_is_declared_is_refused()
    {
        var qcow = await AddQcowAsync(new byte[10]);
        Assert.Contains("holds qcow2", (await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(qcow with { DiskFormat = "raw" }, 0, Cancellation))).Message, StringComparison.Ordinal);
        Assert.Contains("holds raw", (await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(Add([0, 0], "qcow2"), 0, Cancellation))).Message, StringComparison.Ordinal);
        Assert.Contains("qemu-img convert", (await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(Add([0, 0], "vmdk"), 0, Cancellation))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_qcow2_is_refused_whatever_its_header_holds()
    {
        var good = await AddQcowAsync(new byte[10]);
        var random = new Random(1);
        for (var i = 0; i < 30; i++)
        {
            var bytes = source.Images[good.Id][..2000];
            random.NextBytes(bytes.AsSpan(4, 100));
            await Assert.ThrowsAsync<ComputeException>(() => cache.GetAsync(Add(bytes, "qcow2"), 0, Cancellation));
        }

        Assert.Empty(Cached);
    }

    [Fact]
    public async Task What_a_crash_left_half_fetched_is_removed_and_unused_images_go_when_they_are_old()
    {
        var used = await cache.GetAsync(Add([1], "raw"), 0, Cancellation);
        var unused = await cache.GetAsync(Add([2], "raw"), 0, Cancellation);
        await File.WriteAllTextAsync(used.Path + ".part", "half", Cancellation);

        cache.RemoveUnused(new HashSet<string> { used.Path }, TimeSpan.FromHours(1));
        Assert.True(File.Exists(unused.Path));
        cache.RemoveUnused(new HashSet<string> { used.Path }, TimeSpan.Zero);
        Assert.Equal([used.Path, used.Path + ".part"], Cached.Order());
        cache.Open();
        Assert.Equal([used.Path], Cached);
    }

    [Theory]
    [InlineData(1L << 30)]
    [InlineData(777_777_777L)]
    [InlineData(6L << 40)]
    public async Task A_disk_written_here_is_what_qemu_img_would_have_made(long size)
    {
        var below = Path.Combine(directory, "below with 'quotes'");
        await File.WriteAllBytesAsync(below, new byte[4096], Cancellation);
        var disk = Path.Combine(directory, "disk");

        QcowHeader.Create(disk, size, (below, "raw"));

        await QemuImgAsync("check", disk);
        using var info = JsonDocument.Parse(await QemuImgAsync("info", "--output=json", disk));
        Assert.Equal("qcow2", info.RootElement.GetProperty("format").GetString());
        Assert.Equal((size + 511) / 512 * 512, info.RootElement.GetProperty("virtual-size").GetInt64());
        Assert.Equal(below, info.RootElement.GetProperty("backing-filename").GetString());
        Assert.Equal("raw", info.RootElement.GetProperty("backing-filename-format").GetString());
        Assert.Equal(below, QcowHeader.Read(disk)!.BackingFile);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(disk));
    }

    [Fact]
    public async Task A_disk_over_nothing_is_empty_and_whole()
    {
        var disk = Path.Combine(directory, "disk");

        QcowHeader.Create(disk, 64 << 20, null);

        await QemuImgAsync("check", disk);
        Assert.Equal((64L << 20, null), (QcowHeader.Read(disk)!.VirtualSize, QcowHeader.Read(disk)!.BackingFile));
    }

    internal static async Task<string> QemuImgAsync(params string[] arguments)
    {
        var result = await BoundedCommand.RunAsync("qemu-img", arguments, new CommandLimits(TimeSpan.FromMinutes(1)), TimeProvider.System, Cancellation);
        return result.ExitCode == 0 ? result.Output : throw new InvalidOperationException(result.Error);
    }

    private ImageSpec Add(byte[] content, string format) => source.Add(content, format);

    private async Task<ImageSpec> AddQcowAsync(byte[] content) => source.Add(await MemoryImages.ToQcowAsync(content, directory), "qcow2");
}

/// <summary>A Glance of byte arrays.</summary>
internal sealed class MemoryImages : IImageSource
{
    private int opened;

    public Dictionary<string, byte[]> Images { get; } = [];

    public int Opened => opened;

    public TaskCompletionSource? Gate { get; set; }

    public ImageSpec Add(byte[] content, string format)
    {
        var id = Guid.NewGuid().ToString();
        Images[id] = content;
        return new ImageSpec(id, "cirros", format, "bare", content.Length) { HashAlgorithm = "sha512", HashValue = Convert.ToHexStringLower(SHA512.HashData(content)) };
    }

    public ImageSpec Rename(ImageSpec image, string id)
    {
        Images[id] = Images[image.Id];
        return image with { Id = id };
    }

    public async Task<Stream> OpenAsync(string id, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref opened);
        if (Gate is not null)
        {
            await Gate.Task;
        }

        return new MemoryStream(Images[id]);
    }

    /// <summary>A compressed qcow2 of 1 MiB that begins with the content.</summary>
    public static async Task<byte[]> ToQcowAsync(byte[] content, string directory)
    {
        var raw = Path.Combine(directory, $"{Guid.NewGuid():N}.img");
        var disk = new byte[1 << 20];
        content.CopyTo(disk, 0);
        await File.WriteAllBytesAsync(raw, disk);
        await ImageTests.QemuImgAsync("convert", "-c", "-f", "raw", "-O", "qcow2", raw, raw + ".qcow2");
        return await File.ReadAllBytesAsync(raw + ".qcow2");
    }
}
