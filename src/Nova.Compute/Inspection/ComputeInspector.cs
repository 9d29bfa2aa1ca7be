using System.Text.RegularExpressions;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Libvirt;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Nova.Compute.Drivers.Fake;
using SharpStack.Nova.Compute.Drivers.Libvirt;
using SharpStack.Nova.Compute.Images;
using SharpStack.Nova.Compute.Instances;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Inspection;

/// <summary>Looks at this machine's guests, files and interfaces; changes nothing, and needs no nova-compute to run.</summary>
public static partial class ComputeInspector
{
    private const int TapLength = 14;

    /// <summary>Whether the host has the fake driver.</summary>
    public static bool IsSimulated(ServiceConfig config) => config.Get(ComputeOptions.ComputeDriver).EndsWith("fake.FakeDriver", StringComparison.Ordinal);

    /// <exception cref="LibvirtException">libvirt does not answer.</exception>
    public static async Task<ComputeView> InspectAsync(ServiceConfig config, HostOptions host, CancellationToken cancellationToken)
    {
        var root = ComputeModule.InstancesPath(config, host);
        if (IsSimulated(config))
        {
            return new ComputeView(host.HostName)
            {
                IsSimulated = true,
                Guests = [.. FakeDriver.ReadJournal(ComputeModule.FakeJournal(config, host)).Select(guest => new GuestView(guest.Key, guest.Key, guest.Value))],
            };
        }

        var files = new InstanceFiles(root);
        var cache = Path.Combine(root, config.Get(ComputeOptions.ImageCacheSubdirectory));
        using var links = RouteClient.Open();
        return new ComputeView(host.HostName)
        {
            Guests = await Task.Run(() => Guests(LibvirtDriver.UriOf(config)), cancellationToken),
            Folders = [.. files.List().Select(id => FolderOf(files, id))],
            Taps = [.. links.ListLinks().Select(link => link.Name).Where(name => name.Length == TapLength && name.StartsWith("tap", StringComparison.Ordinal))],
            CachedImages = Directory.Exists(cache)
                ? [.. Directory.EnumerateFiles(cache).Select(path => new CachedImageView(path, File.GetLastWriteTimeUtc(path)))]
                : [],
        };
    }

    private static List<GuestView> Guests(string uri)
    {
        using var connection = LibvirtConnection.Open(uri);
        var guests = new List<GuestView>();
        foreach (var domain in connection.ListDomains())
        {
            using (domain)
            {
                if (NovaName().IsMatch(domain.Name))
                {
                    guests.Add(new GuestView(domain.Uuid.ToString("D"), domain.Name, LibvirtDriver.PowerOf(domain.State)));
                }
            }
        }

        return guests;
    }

    private static InstanceFilesView FolderOf(InstanceFiles files, string id)
    {
        try
        {
            var backing = File.Exists(files.Disk(id)) ? QcowHeader.Read(files.Disk(id))?.BackingFile : null;
            return new InstanceFilesView(id, backing, backing is null || File.Exists(Path.Combine(files.DirectoryOf(id), backing)));
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return new InstanceFilesView(id, null, HasBacking: false);
        }
    }

    /// <summary>Guests of other names on the host are not Nova's.</summary>
    [GeneratedRegex(@"\Ainstance-[0-9a-f]{8}\z")]
    private static partial Regex NovaName();
}
