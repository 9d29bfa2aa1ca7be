using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Tokens;

/// <summary>
/// A directory of Fernet keys, laid out as OpenStack does: file <c>0</c> is staged (it only decrypts, and becomes primary at the next rotation),
/// the highest number is primary (it encrypts), those between are secondary. A change of the directory is noticed within a second.
/// </summary>
internal sealed partial class KeyRepository(string directory, int maxActiveKeys, TimeProvider time, ILogger<KeyRepository> log) : IDisposable
{
    private const int OnStack = 4096;
    private static readonly TimeSpan CheckPeriod = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private Keys? keys;
    private long checkedAt;

    private sealed record Keys(FernetKey[] InOrder, string PrimaryHash, DateTime Changed);

    public string Directory => directory;

    /// <summary>Makes the directory with a primary and a staged key where there is none; nothing where keys exist.</summary>
    public void Setup()
    {
        lock (gate)
        {
            if (Numbers().Count > 0)
            {
                return;
            }
            System.IO.Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            WriteKey(0);
            Promote([0]);
            keys = null;
        }
    }

    /// <summary>Makes the staged key primary, stages a new one, and removes the oldest secondary keys beyond the number to keep.</summary>
    public void Rotate()
    {
        lock (gate)
        {
            var numbers = Numbers();
            if (numbers.Count == 0)
            {
                throw new CloudException(ErrorKind.Internal, $"{directory} has no keys to rotate: run `sharpstack keystone fernet-setup`.");
            }
            Promote(numbers);
            // The staged key counts as one, and is never the one removed.
            var secondaries = Numbers().Where(static n => n != 0).ToList();
            foreach (var old in secondaries.Take(Math.Max(0, secondaries.Count + 1 - Math.Max(maxActiveKeys, 2))))
            {
                File.Delete(PathOf(old));
            }
            keys = null;
        }
    }

    /// <summary>The SHA-1 of the primary key, by which stored secrets name the key that they need.</summary>
    public string PrimaryHash => Current().PrimaryHash;

    /// <summary>How many keys there are, and whether anyone but their owner may read them.</summary>
    public (int Count, bool IsReadableByOthers) Inspect()
    {
        const UnixFileMode others = UnixFileMode.OtherRead | UnixFileMode.OtherExecute | UnixFileMode.OtherWrite;
        var numbers = Numbers();
        return (numbers.Count, numbers.Count > 0 && (File.GetUnixFileMode(directory) & others) != 0);
    }

    public string Encrypt(ReadOnlySpan<byte> payload, DateTimeOffset issuedAt) => Current().InOrder[0].Encrypt(payload, issuedAt);

    /// <returns>Null for a token that none of the keys made.</returns>
    public byte[]? Decrypt(ReadOnlySpan<char> token, out DateTimeOffset issuedAt)
    {
        issuedAt = default;
        token = token.TrimEnd('=');
        Span<byte> decoded = token.Length <= OnStack ? stackalloc byte[OnStack] : new byte[token.Length];
        if (!Base64Url.IsValid(token) || !Base64Url.TryDecodeFromChars(token, decoded, out var length))
        {
            return null;
        }
        Span<byte> payload = length <= OnStack ? stackalloc byte[OnStack] : new byte[length];
        foreach (var key in Current().InOrder)
        {
            if (key.TryDecrypt(decoded[..length], payload, out var written, out issuedAt))
            {
                return payload[..written].ToArray();
            }
        }
        return null;
    }

    public void Dispose()
    {
        foreach (var key in keys?.InOrder ?? [])
        {
            key.Dispose();
        }
    }

    private Keys Current()
    {
        var known = Volatile.Read(ref keys);
        if (known is not null && time.GetElapsedTime(Interlocked.Read(ref checkedAt)) < CheckPeriod)
        {
            return known;
        }
        lock (gate)
        {
            var changed = System.IO.Directory.GetLastWriteTimeUtc(directory);
            if (keys is null || keys.Changed != changed)
            {
                // Keys that are replaced are left to the collector: another request may just be using them.
                keys = Load(changed);
            }
            Interlocked.Exchange(ref checkedAt, time.GetTimestamp());
            return keys;
        }
    }

    private Keys Load(DateTime changed)
    {
        var numbers = Numbers();
        if (numbers.Count == 0)
        {
            throw new CloudException(ErrorKind.Internal, $"No encryption keys found in {directory}; run `sharpstack keystone fernet-setup` to create them.");
        }
        if ((File.GetUnixFileMode(directory) & (UnixFileMode.OtherRead | UnixFileMode.OtherExecute)) != 0)
        {
            LogReadable(directory);
        }
        var texts = numbers.OrderDescending().Select(n => File.ReadAllText(PathOf(n))).ToList();
#pragma warning disable CA5350 // Names a key as OpenStack does; protects nothing.
        var hash = Convert.ToHexStringLower(SHA1.HashData(Encoding.UTF8.GetBytes(texts[0].Trim())));
#pragma warning restore CA5350
        return new([.. texts.Select(static text => FernetKey.Parse(text))], hash, changed);
    }

    private void Promote(List<int> numbers)
    {
        File.Move(PathOf(0), PathOf(numbers.Max() + 1));
        WriteKey(0);
    }

    private List<int> Numbers() => !System.IO.Directory.Exists(directory)
        ? []
        : [.. System.IO.Directory.EnumerateFiles(directory).Select(Path.GetFileName).Where(static f => int.TryParse(f, out var n) && n >= 0).Select(static f => int.Parse(f!)).Order()];

    private string PathOf(int number) => Path.Combine(directory, number.ToString());

    private void WriteKey(int number)
    {
        // Renamed into place, so that no reader ever sees half a key.
        var temporary = PathOf(number) + ".tmp";
        File.Delete(temporary);
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var writer = new StreamWriter(temporary, options))
        {
            writer.Write(FernetKey.Generate());
        }
        File.Move(temporary, PathOf(number));
    }

    [LoggerMessage(EventId = 2101, Level = LogLevel.Warning, Message = "The key repository {Directory} is readable by everyone: chmod 0700 it")]
    private partial void LogReadable(string directory);
}
