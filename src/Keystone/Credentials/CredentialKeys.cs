using System.Text;
using SharpStack.Foundation;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Credentials;

/// <summary>The keys that encrypt credentials: not those of the tokens, which may be shared with other installations.</summary>
internal sealed class CredentialKeys(KeyRepository repository) : IDisposable
{
    /// <summary>Not configurable, as in OpenStack: a rotation waits until all is encrypted with the newest key.</summary>
    public const int MaxActiveKeys = 3;

    public KeyRepository Repository => repository;

    /// <summary>The credential with another secret, encrypted with the newest key.</summary>
    public CredentialRow Sealed(CredentialRow credential, string blob, DateTimeOffset now)
    {
        var message = repository.Encrypt(Encoding.UTF8.GetBytes(blob), now);
        // Tokens have no padding, as they travel in URLs; OpenStack's credentials have it.
        return credential with { EncryptedBlob = message.PadRight((message.Length + 3) / 4 * 4, '='), KeyHash = repository.PrimaryHash };
    }

    public string Decrypt(string encrypted) => repository.Decrypt(encrypted, out _) is { } bytes
        ? Encoding.UTF8.GetString(bytes)
        : throw new CloudException(ErrorKind.Internal, "An unexpected error prevented the server from accessing encrypted credentials.");

    public void Dispose() => repository.Dispose();
}
