using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Credentials;

internal sealed class CredentialOperations(KeystoneStore store, CredentialKeys keys, ServiceConfig config, TimeProvider time)
{
    private readonly int userLimit = config.Get(KeystoneOptions.CredentialLimit);

    public async Task<CredentialRow?> FindAsync(string id, CancellationToken cancellationToken)
    {
        await using var db = store.Read();
        return await db.Credentials().FirstOrDefaultAsync(c => c.Id == id, cancellationToken);
    }

    /// <summary>Stores a new credential with this secret.</summary>
    public async Task<CredentialRow> InsertAsync(CredentialRow credential, string blob, CancellationToken cancellationToken)
    {
        var row = keys.Sealed(credential, blob, time.GetUtcNow());
        try
        {
            await store.WriteAsync(
                async db =>
                {
                    if (userLimit >= 0 && await db.Credentials().CountAsync(c => c.UserId == row.UserId, cancellationToken) >= userLimit)
                    {
                        throw CloudException.Forbidden($"Unable to create additional credentials, maximum of {userLimit} already exceeded for user.");
                    }
                    await db.InsertAsync(row, token: cancellationToken);
                },
                cancellationToken);
        }
        catch (UniqueConstraintException)
        {
            throw Fail.Conflict("credential", $"Duplicate entry found with ID {row.Id}");
        }
        return row;
    }

    public Task DeleteAsync(string id, CancellationToken cancellationToken) =>
        store.WriteAsync(db => db.Credentials().Where(c => c.Id == id).DeleteAsync(cancellationToken), cancellationToken);

    /// <summary>Whether all is encrypted with the newest key, so that the next rotation makes nothing unreadable.</summary>
    public async Task<bool> IsMigratedAsync(CancellationToken cancellationToken)
    {
        var newest = keys.Repository.PrimaryHash;
        await using var db = store.Read();
        return !await db.Credentials().AnyAsync(c => c.KeyHash == null || c.KeyHash != newest, cancellationToken);
    }

    /// <summary>Encrypts anew what an older key encrypted.</summary>
    /// <returns>How many credentials were.</returns>
    public async Task<int> MigrateAsync(CancellationToken cancellationToken)
    {
        var newest = keys.Repository.PrimaryHash;
        return await store.WriteAsync(
            async db =>
            {
                var old = await db.Credentials().Where(c => c.KeyHash == null || c.KeyHash != newest).ToListAsync(cancellationToken);
                foreach (var credential in old)
                {
                    await db.UpdateAsync(keys.Sealed(credential, keys.Decrypt(credential.EncryptedBlob), time.GetUtcNow()), token: cancellationToken);
                }
                return old.Count;
            },
            cancellationToken);
    }
}
