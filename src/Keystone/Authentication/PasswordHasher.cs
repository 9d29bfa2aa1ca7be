using System.Text;
using System.Threading.Channels;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Authentication;

/// <summary>
/// bcrypt on threads of its own, as many as there are cores: a flood of log-ins queues here and takes no thread from the requests that only
/// show a token. Passwords beyond bcrypt's 72 bytes are cut, as Keystone does.
/// </summary>
internal sealed class PasswordHasher : IDisposable
{
    private const int Significant = 72;
    private const int LongestQueue = 2_000;

    private readonly Channel<Action> queue = Channel.CreateBounded<Action>(new BoundedChannelOptions(LongestQueue) { FullMode = BoundedChannelFullMode.Wait });
    private readonly int rounds;
    private readonly Lazy<string> decoy;

    public PasswordHasher(int rounds)
    {
        this.rounds = rounds;
        decoy = new(() => BCrypt.Net.BCrypt.HashPassword(Guid.NewGuid().ToString("N"), Salt()));
        for (var i = 0; i < Environment.ProcessorCount; i++)
        {
            new Thread(Work) { IsBackground = true, Name = "password hashing" }.Start();
        }
    }

    public Task<string> HashAsync(string password, CancellationToken cancellationToken) =>
        QueueAsync(() => BCrypt.Net.BCrypt.HashPassword(Cut(password), Salt()), cancellationToken);

    /// <summary>Compares in constant time. Without a hash (no such user; empty for no password) it costs as much, and is false.</summary>
    public Task<bool> VerifyAsync(string password, string? hash, CancellationToken cancellationToken) =>
        QueueAsync(
            () =>
            {
                try
                {
                    return BCrypt.Net.BCrypt.Verify(Cut(password), hash is { Length: > 0 } ? hash : decoy.Value) && hash is { Length: > 0 };
                }
                catch (BCrypt.Net.SaltParseException)
                {
                    return false;
                }
            },
            cancellationToken);

    public void Dispose() => queue.Writer.TryComplete();

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
        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        var queued = queue.Writer.TryWrite(() =>
        {
            if (cancellationToken.IsCancellationRequested)
            {
                // The client left while the password waited: nobody needs the answer.
                result.TrySetCanceled(cancellationToken);
                return;
            }
            try
            {
                result.TrySetResult(work());
            }
            catch (Exception failure)
            {
                result.TrySetException(failure);
            }
        });
        return queued ? result.Task : throw CloudException.Unavailable("Too many passwords wait to be checked: try again in some seconds.");
    }

    private void Work()
    {
        while (queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            while (queue.Reader.TryRead(out var work))
            {
                work();
            }
        }
    }
}
