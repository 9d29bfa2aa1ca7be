using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Authentication;

/// <summary>
/// bcrypt on threads of its own, as many as there are cores: a flood of log-ins queues here, takes no thread from the requests that only
/// show a token, and gives way to them on the processor. Passwords beyond bcrypt's 72 bytes are cut, as Keystone does.
/// </summary>
internal sealed partial class PasswordHasher : IDisposable
{
    private const int Significant = 72;
    private const int LongestQueue = 2_000;

    // A tenth of what other threads get, where they want it all; what a log-in may still wait for where the machine's guests are busy.
    private const int Niceness = 10;

    private readonly BlockingCollection<Job> queue = new(LongestQueue);
    private readonly BlockingCollection<Job> done = [];
    private readonly int rounds;
    private int working = Environment.ProcessorCount;
    private readonly Lazy<string> decoy;
    private long comparisons;

    public PasswordHasher(int rounds)
    {
        this.rounds = rounds;
        decoy = new(() => BCrypt.Net.BCrypt.HashPassword(Guid.NewGuid().ToString("N"), Salt()));
        for (var i = working; i > 0; i--)
        {
            new Thread(Work) { IsBackground = true, Name = "password hashing" }.Start();
        }
        new Thread(Tell) { IsBackground = true, Name = "password results" }.Start();
    }

    /// <summary>How many passwords were compared with a hash, right or wrong.</summary>
    public long Comparisons => Interlocked.Read(ref comparisons);

    /// <summary>What a password is compared with where there is no hash.</summary>
    public string Decoy => decoy.Value;

    public Task<string> HashAsync(string password, CancellationToken cancellationToken) =>
        QueueAsync(() => BCrypt.Net.BCrypt.HashPassword(Cut(password), Salt()), cancellationToken);

    /// <summary>Compares in constant time. Without a hash (no such user; empty for no password) it costs as much, and is false.</summary>
    public Task<bool> VerifyAsync(string password, string? hash, CancellationToken cancellationToken) =>
        QueueAsync(
            () =>
            {
                Interlocked.Increment(ref comparisons);
                try
                {
                    return BCrypt.Net.BCrypt.Verify(Cut(password), hash is { Length: > 0 } ? hash : Decoy) && hash is { Length: > 0 };
                }
                catch (BCrypt.Net.SaltParseException)
                {
                    return false;
                }
            },
            cancellationToken);

    /// <summary>What is queued is still done.</summary>
    public void Dispose() => queue.CompleteAdding();

    private string Salt() => BCrypt.Net.BCrypt.GenerateSalt(rounds, 'b');

    private static string Cut(string password)
    {
        if (Encoding.UTF8.GetByteCount(password) <= Significant)
        {
            return password;
        }
        var characters = password.AsSpan();
        var length = 0;
        var bytes = 0;
        foreach (var rune in characters.EnumerateRunes())
        {
            bytes += rune.Utf8SequenceLength;
            if (bytes > Significant)
            {
                break;
            }
            length += rune.Utf16SequenceLength;
        }
        return characters[..length].ToString();
    }

    private Task<T> QueueAsync<T>(Func<T> work, CancellationToken cancellationToken)
    {
        var job = new Job<T>(work, cancellationToken);
        return queue.TryAdd(job) ? job.Result : throw CloudException.Unavailable("Too many passwords wait to be checked: try again in some seconds.");
    }

    private void Work()
    {
        // Of this thread alone (0), which is what a process is to Linux's setpriority. Where it is refused, all is fair instead.
        _ = SetPriority(0, 0, Niceness);
        foreach (var job in queue.GetConsumingEnumerable())
        {
            job.Run();
            done.Add(job);
        }
        if (Interlocked.Decrement(ref working) == 0)
        {
            done.CompleteAdding();
        }
    }

    /// <summary>Gives the results to those who wait, from a thread of usual priority: what goes on there may start threads, which inherit it.</summary>
    private void Tell()
    {
        foreach (var job in done.GetConsumingEnumerable())
        {
            job.Tell();
        }
    }

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);

    private abstract class Job
    {
        public abstract void Run();

        public abstract void Tell();
    }

    private sealed class Job<T>(Func<T> work, CancellationToken cancellationToken) : Job
    {
        private readonly TaskCompletionSource<T> result = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private T? value;
        private Exception? failure;

        public Task<T> Result => result.Task;

        public override void Run()
        {
            // The client may have left while the password waited: nobody needs the answer.
            if (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            try
            {
                value = work();
            }
            catch (Exception caught)
            {
                failure = caught;
            }
        }

        public override void Tell()
        {
            if (failure is not null)
            {
                result.TrySetException(failure);
            }
            else if (cancellationToken.IsCancellationRequested)
            {
                result.TrySetCanceled(cancellationToken);
            }
            else
            {
                result.TrySetResult(value!);
            }
        }
    }
}
