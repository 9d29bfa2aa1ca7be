using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Microsoft.Win32.SafeHandles;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Namespaces;

/// <summary>
/// Named network namespaces as <c>ip netns</c> keeps them: bind mounts in /run/netns.
/// A null name is the namespace of this process; one that begins with a slash is the file of a namespace that has no name,
/// <c>/proc/1234/ns/net</c>.
/// </summary>
public static class NetworkNamespace
{
    private const string Root = "/run/netns";

    /// <summary>Threads that only enter a namespace and make a few system calls need little stack.</summary>
    private const int StackSize = 256 * 1024;

    public static bool Exists(string name) => File.Exists(FileOf(name));

    public static IReadOnlyList<string> List() =>
        Directory.Exists(Root) ? [.. Directory.EnumerateFiles(Root).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)] : [];

    /// <summary>Makes the namespace, with its loopback down, as the kernel makes it. Fails with EEXIST when it exists.</summary>
    public static void Create(string name)
    {
        var path = PathOf(name);
        ShareRoot();
        using (var file = Libc.Open(path, Libc.OpenReadOnly | Libc.OpenCreate | Libc.OpenExclusive | Libc.OpenCloseOnExec))
        {
            if (file.IsInvalid)
            {
                throw LinuxException.Last($"create namespace {name}");
            }
        }
        try
        {
            OnFreshThread(() =>
            {
                if (Libc.Unshare(Libc.CloneNewNet) != 0
                    || Libc.Mount("/proc/thread-self/ns/net", path, "none", Libc.MountBind, 0) != 0)
                {
                    throw LinuxException.Last($"create namespace {name}");
                }
                return true;
            });
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    /// <summary>Makes the namespace unless it is there and usable. A file left by a crash before its mount is replaced.</summary>
    /// <returns>True when it was made now.</returns>
    public static bool Ensure(string name)
    {
        if (Exists(name))
        {
            if (IsMounted(name))
            {
                return false;
            }
            File.Delete(PathOf(name));
        }
        Create(name);
        return true;
    }

    /// <summary>Removes the name. The namespace itself ends with the last process or socket in it.</summary>
    /// <returns>False when there was none.</returns>
    public static bool Delete(string name)
    {
        var path = PathOf(name);
        if (!File.Exists(path))
        {
            return false;
        }
        if (Libc.Unmount(path, Libc.UnmountDetach) != 0)
        {
            var failure = LinuxException.Last($"delete namespace {name}");
            if (failure.Errno != LinuxError.Invalid)
            {
                throw failure;
            }
        }
        File.Delete(path);
        return true;
    }

    /// <summary>
    /// Runs a function inside the namespace on a thread of its own, which ends afterwards: a pool thread would carry the
    /// namespace to unrelated work. The function must not await.
    /// </summary>
    public static T Run<T>(string? name, Func<T> function)
    {
        if (name is null)
        {
            return function();
        }
        using var handle = OpenHandle(name);
        return OnFreshThread(() =>
        {
            if (Libc.SetNs(handle, Libc.CloneNewNet) != 0)
            {
                throw LinuxException.Last($"enter namespace {name}");
            }
            return function();
        });
    }

    /// <inheritdoc cref="Run{T}(string?, Func{T})"/>
    public static void Run(string? name, Action action) => Run(name, () =>
    {
        action();
        return true;
    });

    /// <summary>A socket that lives in the namespace, wherever it is used from.</summary>
    public static Socket OpenSocket(string? name, AddressFamily family, SocketType type, ProtocolType protocol) =>
        Run(name, () => new Socket(family, type, protocol));

    /// <summary>Writes a kernel setting as that namespace sees it.</summary>
    /// <param name="name">The namespace, null for this process's own.</param>
    /// <param name="key">Dotted or slashed key below /proc/sys, for instance "net.ipv4.ip_forward".
    /// Where a part holds a dot itself (an interface name), use slashes.</param>
    /// <param name="value">The text to write.</param>
    public static void WriteSysctl(string? name, string key, string value) => Run(name, () =>
    {
        var path = SysctlPath(key);
        using var file = Libc.Open(path, Libc.OpenWriteOnly | Libc.OpenCloseOnExec);
        if (file.IsInvalid)
        {
            throw LinuxException.Last($"set {key}");
        }
        using var stream = new FileStream(file, FileAccess.Write, bufferSize: 0);
        stream.Write(System.Text.Encoding.ASCII.GetBytes(value));
    });

    /// <summary>Reads a kernel setting as that namespace sees it, without the trailing newline.</summary>
    public static string ReadSysctl(string? name, string key) => Run(name, () => File.ReadAllText(SysctlPath(key)).TrimEnd());

    /// <summary>The kernel's identity of the namespace, "net:[4026531840]": equal for equal namespaces.</summary>
    public static string? Identity(string? name) => Run(name, () => File.ResolveLinkTarget("/proc/thread-self/ns/net", false)?.Name);

    internal static SafeFileHandle OpenHandle(string? name)
    {
        var path = name is null ? "/proc/self/ns/net" : FileOf(name);
        var handle = Libc.Open(path, Libc.OpenReadOnly | Libc.OpenCloseOnExec);
        if (handle.IsInvalid)
        {
            var failure = LinuxException.Last($"open namespace {name ?? "of this process"}");
            handle.Dispose();
            throw failure;
        }
        return handle;
    }

    private static string SysctlPath(string key)
    {
        var path = Path.GetFullPath("/proc/sys/" + (key.Contains('/', StringComparison.Ordinal) ? key : key.Replace('.', '/')));
        return path.StartsWith("/proc/sys/", StringComparison.Ordinal)
            ? path
            : throw new ArgumentException($"{key} is not a kernel setting.", nameof(key));
    }

    private static bool IsMounted(string name)
    {
        using var handle = OpenHandle(name);
        try
        {
            OnFreshThread(() => Libc.SetNs(handle, Libc.CloneNewNet) == 0 ? true : throw LinuxException.Last($"enter namespace {name}"));
            return true;
        }
        catch (LinuxException failure) when (failure.Errno == LinuxError.Invalid)
        {
            return false;
        }
    }

    private static string FileOf(string name) => name.StartsWith('/') ? name : PathOf(name);

    private static string PathOf(string name) =>
        name.Length is > 0 and < 256 && !name.Contains('/', StringComparison.Ordinal) && name is not ("." or "..")
            ? $"{Root}/{name}"
            : throw new ArgumentException($"'{name}' cannot name a network namespace.", nameof(name));

    /// <summary>Mounts made under a shared directory are seen by processes in other mount namespaces too, as ip netns arranges it.</summary>
    private static void ShareRoot()
    {
        Directory.CreateDirectory(Root);
        if (Libc.Mount("", Root, "none", Libc.MountShared | Libc.MountRecursive, 0) == 0)
        {
            return;
        }
        if (Libc.Mount(Root, Root, "none", Libc.MountBind | Libc.MountRecursive, 0) != 0
            || Libc.Mount("", Root, "none", Libc.MountShared | Libc.MountRecursive, 0) != 0)
        {
            throw LinuxException.Last($"share {Root}");
        }
    }

    private static T OnFreshThread<T>(Func<T> function)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        }, StackSize)
        { IsBackground = true, Name = "netns" };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result;
    }
}
