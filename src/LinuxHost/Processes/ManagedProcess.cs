using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Processes;

/// <summary>
/// A child that outlives this program: it holds no pipe to it, and a later run finds it again by pid file or by its exact
/// arguments. Its end is learnt at once, also for one that an earlier run started.
/// </summary>
public sealed class ManagedProcess
{
    public const int Hangup = 1;
    public const int Kill = 9;
    public const int Terminate = 15;

    private readonly string start;

    private ManagedProcess(ProcessSpec spec, int id, string start, bool isAdopted)
    {
        Spec = spec;
        Id = id;
        IsAdopted = isAdopted;
        this.start = start;
        Exited = ProcessWatcher.Watch(id);
    }

    public ProcessSpec Spec { get; }

    public int Id { get; }

    /// <summary>Started by an earlier run of this program.</summary>
    public bool IsAdopted { get; }

    /// <summary>Ends with the process: exit code, 128 + signal, or null where it is not known (adopted processes).</summary>
    public Task<int?> Exited { get; }

    public bool IsRunning => !Exited.IsCompleted && ProcessTable.StartOf(Id) == start;

    /// <summary>False: it runs with other arguments than the specification asks for now, and wants a restart.</summary>
    public bool ArgumentsMatch => ProcessTable.ArgumentsOf(Id).Skip(1).SequenceEqual(Spec.Arguments);

    /// <summary>Starts the process and writes its pid file.</summary>
    /// <exception cref="LinuxException">It could not be started, for instance ENOENT: no such program.</exception>
    public static ManagedProcess Start(ProcessSpec spec)
    {
        if (spec.LogFile is not null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(spec.LogFile)!);
        }
        var id = NetworkNamespace.Run(spec.NetworkNamespace, () => Spawn(spec));
        var start = ProcessTable.StartOf(id) ?? "ended";
        Directory.CreateDirectory(Path.GetDirectoryName(spec.PidFile)!);
        WritePidFile(spec, id, start);
        return new ManagedProcess(spec, id, start, isAdopted: false);
    }

    /// <summary>The running process of this specification that an earlier run started, null when there is none.</summary>
    public static ManagedProcess? Find(ProcessSpec spec)
    {
        if (FromPidFile(spec) is { } known)
        {
            return known;
        }
        // A crash between start and pid file leaves only the arguments to go by.
        if (spec.NetworkNamespace is { } name && !NetworkNamespace.Exists(name))
        {
            return null;
        }
        var networkNamespace = NetworkNamespace.Identity(spec.NetworkNamespace);
        foreach (var pid in ProcessTable.All())
        {
            var arguments = ProcessTable.ArgumentsOf(pid);
            if (arguments.Count == spec.Arguments.Count + 1 && IsProgram(arguments[0], spec) && arguments.Skip(1).SequenceEqual(spec.Arguments)
                && ProcessTable.NetworkNamespaceOf(pid) == networkNamespace && ProcessTable.StartOf(pid) is { } start)
            {
                WritePidFile(spec, pid, start);
                return new ManagedProcess(spec, pid, start, isAdopted: true);
            }
        }
        return null;
    }

    /// <summary>Sends a signal, unless the process has ended.</summary>
    public void Signal(int signal)
    {
        if (IsRunning && Libc.Kill(Id, signal) != 0 && Marshal.GetLastPInvokeError() != LinuxError.NoProcess)
        {
            throw LinuxException.Last($"signal process {Id}");
        }
    }

    /// <summary>Asks it to end, kills it after the grace period, and removes the pid file once it is gone.</summary>
    public async Task StopAsync(TimeSpan grace, TimeProvider time, CancellationToken cancellationToken)
    {
        Signal(Terminate);
        try
        {
            await Exited.WaitAsync(grace, time, cancellationToken);
        }
        catch (TimeoutException)
        {
            Signal(Kill);
            await Exited.WaitAsync(cancellationToken);
        }
        File.Delete(Spec.PidFile);
    }

    /// <summary>Whoever reads the file meanwhile finds the old process or the new one.</summary>
    private static void WritePidFile(ProcessSpec spec, int id, string start)
    {
        var next = spec.PidFile + ".new";
        File.WriteAllText(next, $"{id}\n{start}\n");
        File.Move(next, spec.PidFile, overwrite: true);
    }

    private static ManagedProcess? FromPidFile(ProcessSpec spec)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(spec.PidFile);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        return lines.Length >= 2 && int.TryParse(lines[0], NumberStyles.None, CultureInfo.InvariantCulture, out var pid)
            && ProcessTable.StartOf(pid) == lines[1] && ProcessTable.ArgumentsOf(pid) is [var program, ..] && IsProgram(program, spec)
                ? new ManagedProcess(spec, pid, lines[1], isAdopted: true)
                : null;
    }

    private static bool IsProgram(string program, ProcessSpec spec) => Path.GetFileName(program) == Path.GetFileName(spec.FileName);

    /// <summary>posix_spawn keeps the namespace of the calling thread and, unlike fork, is safe in a process with threads.</summary>
    private static unsafe int Spawn(ProcessSpec spec)
    {
        const int OpaqueSize = 1024; // glibc's types have 80, 336 and 128 bytes
        const short NewSession = 0x80, SignalMask = 0x08, SignalDefaults = 0x04;
        var actions = stackalloc byte[OpaqueSize];
        var attributes = stackalloc byte[OpaqueSize];
        var signals = stackalloc byte[OpaqueSize];
        Check(Libc.SpawnActionsInit(actions));
        Check(Libc.SpawnAttributesInit(attributes));
        using var strings = new NativeStrings();
        try
        {
            Check(Libc.SpawnActionsAddOpen(actions, 0, "/dev/null", Libc.OpenReadOnly, 0));
            Check(Libc.SpawnActionsAddOpen(actions, 1, spec.LogFile ?? "/dev/null",
                Libc.OpenWriteOnly | Libc.OpenCreate | Libc.OpenAppend, Convert.ToUInt32("640", 8)));
            Check(Libc.SpawnActionsAddDuplicate(actions, 1, 2));
            Check(Libc.SpawnActionsAddCloseFrom(actions, 3));
            if (spec.WorkingDirectory is not null)
            {
                Check(Libc.SpawnActionsAddChangeDirectory(actions, spec.WorkingDirectory));
            }
            // .NET ignores SIGPIPE and may block others; the child starts with the system's defaults.
            Check(Libc.SignalsEmpty(signals));
            Check(Libc.SpawnAttributesSetSignalMask(attributes, signals));
            Check(Libc.SignalsFill(signals));
            Check(Libc.SpawnAttributesSetSignalDefaults(attributes, signals));
            Check(Libc.SpawnAttributesSetFlags(attributes, NewSession | SignalMask | SignalDefaults));

            var environment = Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
                .ToDictionary(entry => (string)entry.Key, entry => (string?)entry.Value);
            foreach (var (name, value) in spec.Environment)
            {
                environment[name] = value;
            }
            int pid;
            Check(Libc.SpawnWithPath(&pid, strings.Add(spec.FileName), actions, attributes,
                strings.AddList([spec.FileName, .. spec.Arguments]),
                strings.AddList([.. environment.Select(pair => $"{pair.Key}={pair.Value}")])));
            return pid;
        }
        finally
        {
            _ = Libc.SpawnActionsDestroy(actions);
            _ = Libc.SpawnAttributesDestroy(attributes);
        }

        void Check(int error)
        {
            if (error != 0)
            {
                throw new LinuxException(error, $"start {spec.FileName}");
            }
        }
    }

    /// <summary>Unmanaged copies of strings, freed together.</summary>
    private sealed unsafe class NativeStrings : IDisposable
    {
        private readonly List<nint> blocks = [];

        public byte* Add(string text)
        {
            if (text.Contains('\0', StringComparison.Ordinal))
            {
                throw new ArgumentException("An argument cannot hold a null character.", nameof(text));
            }
            var bytes = Encoding.UTF8.GetBytes(text);
            var block = (byte*)NativeMemory.AllocZeroed((nuint)bytes.Length + 1);
            bytes.CopyTo(new Span<byte>(block, bytes.Length));
            blocks.Add((nint)block);
            return block;
        }

        public byte** AddList(IReadOnlyList<string> texts)
        {
            var list = (byte**)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(byte*));
            blocks.Add((nint)list);
            for (var i = 0; i < texts.Count; i++)
            {
                list[i] = Add(texts[i]);
            }
            return list;
        }

        public void Dispose()
        {
            foreach (var block in blocks)
            {
                NativeMemory.Free((void*)block);
            }
        }
    }
}
