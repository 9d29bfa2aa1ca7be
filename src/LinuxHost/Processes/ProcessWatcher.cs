using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using SharpStack.LinuxHost.Native;

namespace SharpStack.LinuxHost.Processes;

/// <summary>One thread that learns of the end of any number of processes, children or not, by pidfd.</summary>
internal sealed unsafe class ProcessWatcher
{
    private const int ControlAdd = 1;
    private const uint Readable = 1;
    private const uint OneShot = 1u << 30;

    /// <summary>struct epoll_event is packed on x86-64 and naturally aligned elsewhere.</summary>
    private static readonly int DataOffset = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;

    private static readonly int EventSize = DataOffset + 8;

    private static readonly Lazy<ProcessWatcher> Instance = new(() => new ProcessWatcher());

    private readonly SafeFileHandle epoll;
    private readonly ConcurrentDictionary<ulong, Entry> watches = new();
    private readonly Dictionary<int, Task<int?>> byProcess = [];
    private ulong lastKey;

    private ProcessWatcher()
    {
        epoll = Libc.EpollCreate(Libc.OpenCloseOnExec);
        if (epoll.IsInvalid)
        {
            throw LinuxException.Last("watch processes");
        }
        new Thread(Loop) { IsBackground = true, Name = "process-watcher" }.Start();
    }

    /// <summary>Ends with the exit code (128 + signal where a signal ended it), null when it was not our child and cannot be known.</summary>
    public static Task<int?> Watch(int pid) => Instance.Value.Add(pid);

    private Task<int?> Add(int pid)
    {
        lock (byProcess)
        {
            // Only one can reap a child: all who ask about it share the answer.
            if (byProcess.TryGetValue(pid, out var known))
            {
                return known;
            }
            var descriptor = Libc.Syscall(Libc.SysPidfdOpen, pid, 0);
            if (descriptor < 0)
            {
                var errno = Marshal.GetLastPInvokeError();
                return errno == LinuxError.NoProcess ? Task.FromResult<int?>(null) : throw new LinuxException(errno, $"watch process {pid}");
            }
            var handle = new SafeFileHandle(descriptor, ownsHandle: true);
            var key = ++lastKey;
            var watch = new Entry(pid, handle, new TaskCompletionSource<int?>(TaskCreationOptions.RunContinuationsAsynchronously));
            watches[key] = watch;
            byProcess[pid] = watch.Exited.Task;
            var change = stackalloc byte[EventSize];
            *(uint*)change = Readable | OneShot;
            *(ulong*)(change + DataOffset) = key;
            return Libc.EpollControl(epoll, ControlAdd, handle, change) == 0
                ? watch.Exited.Task
                : throw LinuxException.Last($"watch process {pid}");
        }
    }

    private void Loop()
    {
        const int Capacity = 64;
        var events = stackalloc byte[Capacity * EventSize];
        while (true)
        {
            var count = Libc.EpollWait(epoll, events, Capacity, -1);
            for (var i = 0; i < count; i++)
            {
                if (watches.TryRemove(*(ulong*)(events + (i * EventSize) + DataOffset), out var watch))
                {
                    int? code;
                    lock (byProcess)
                    {
                        byProcess.Remove(watch.Pid);
                        code = Reap(watch.Pid);
                    }
                    watch.Handle.Dispose();
                    watch.Exited.SetResult(code);
                }
            }
        }
    }

    private static int? Reap(int pid)
    {
        int status;
        return Libc.WaitPid(pid, &status, 0) != pid ? null
            : (status & 0x7f) == 0 ? (status >> 8) & 0xff
            : 128 + (status & 0x7f);
    }

    private sealed record Entry(int Pid, SafeFileHandle Handle, TaskCompletionSource<int?> Exited);
}
