using System.Collections.Concurrent;
using System.DirectoryServices.Protocols;
using SharpStack.Foundation;

namespace SharpStack.Keystone.Ldap;

/// <summary>
/// Connections to the servers of one configuration, so many at a time and no more, each call on a thread of its own and for a bounded time: a directory that
/// is slow or gone holds up those who ask for its users, and nobody else.
/// </summary>
internal sealed class LdapPool(LdapSettings settings, TimeProvider time) : IDisposable
{
    private const int InvalidCredentials = 49;
    private const int ConnectError = 91;

    private readonly Lane searching = new(settings.PoolSize, settings.UsePool, settings.Lifetime);
    private readonly Lane loggingIn = new(settings.AuthPoolSize, settings.UseAuthPool, settings.AuthLifetime);
    private volatile bool disposed;

    /// <summary>Connections of one use, and how many calls may run.</summary>
    private sealed class Lane(int size, bool keeps, TimeSpan lifetime) : IDisposable
    {
        private readonly ConcurrentBag<Kept> kept = [];

        public SemaphoreSlim Places { get; } = new(size);

        public Kept? Take(TimeProvider time)
        {
            while (kept.TryTake(out var one))
            {
                if (time.GetElapsedTime(one.OpenedAt) < lifetime)
                {
                    return one;
                }
                one.Connection.Dispose();
            }
            return null;
        }

        public void Give(Kept one)
        {
            if (keeps)
            {
                kept.Add(one);
            }
            else
            {
                one.Connection.Dispose();
            }
        }

        public void Dispose()
        {
            while (kept.TryTake(out var one))
            {
                one.Connection.Dispose();
            }
        }
    }

    private sealed record Kept(LdapConnection Connection, long OpenedAt);

    /// <summary>Runs queries as the configured user.</summary>
    public Task<T> SearchAsync<T>(Func<LdapConnection, T> work, CancellationToken cancellationToken) => RunAsync(
        searching, connection => LdapLibrary.Bind(connection, settings.User, settings.Password), work, cancellationToken);

    /// <summary>Whether a user's DN and password are accepted.</summary>
    public Task<bool> BindAsync(string dn, string password, CancellationToken cancellationToken) => RunAsync(
        loggingIn,
        Reach,
        connection =>
        {
            try
            {
                LdapLibrary.Bind(connection, dn, password);
                return true;
            }
            catch (LdapException failure) when (failure.ErrorCode is > 0 and < 80)
            {
                // Any refusal of the server's: invalid credentials, a locked account, a password that must be reset.
                return false;
            }
            catch (DirectoryOperationException)
            {
                return false;
            }
        },
        cancellationToken);

    public void Dispose()
    {
        disposed = true;
        searching.Dispose();
        loggingIn.Dispose();
    }

    private CloudException Unreachable(Exception? cause) => CloudException.Unavailable(
        $"Unable to establish a connection to LDAP Server ({string.Join(',', settings.Servers)}).", inner: cause);

    /// <summary>Makes sure that the server answers: whether it lets anonymous users in does not matter.</summary>
    private static void Reach(LdapConnection connection)
    {
        try
        {
            LdapLibrary.Bind(connection, null, null);
        }
        catch (LdapException failure) when (failure.ErrorCode is > 0 and < 80)
        {
            // It answered.
        }
    }

    /// <summary>Whether there was no connection, or it broke; by libldap's numbers and by those of Windows.</summary>
    private static bool IsGone(LdapException failure) => failure.ErrorCode is -1 or -11 or 81 or ConnectError;

    private async Task<T> RunAsync<T>(Lane lane, Action<LdapConnection> prepare, Func<LdapConnection, T> work, CancellationToken cancellationToken)
    {
        if (!await lane.Places.WaitAsync(settings.Timeout, cancellationToken))
        {
            throw Unreachable(null);
        }
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                try
                {
                    return await Task.Factory.StartNew(
                        () => Run(lane, prepare, work), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                }
                catch (LdapException failure) when (IsGone(failure) && attempt < settings.Tries)
                {
                    await Task.Delay(settings.TryAgainAfter, time, cancellationToken);
                }
                catch (LdapException failure) when (failure.ErrorCode == InvalidCredentials)
                {
                    throw CloudException.Unavailable("Unable to authenticate against Identity backend - Invalid username or password", inner: failure);
                }
                catch (LdapException failure)
                {
                    throw Unreachable(failure);
                }
            }
        }
        finally
        {
            lane.Places.Release();
        }
    }

    private T Run<T>(Lane lane, Action<LdapConnection> prepare, Func<LdapConnection, T> work)
    {
        // A kept connection may have died in its sleep: then a new one is made, once.
        if (lane.Take(time) is { } kept)
        {
            try
            {
                return Use(lane, kept, work);
            }
            catch (LdapException failure) when (IsGone(failure))
            {
                // The next one is new.
            }
        }
        return Use(lane, Connect(prepare), work);
    }

    private T Use<T>(Lane lane, Kept kept, Func<LdapConnection, T> work)
    {
        var good = false;
        try
        {
            var result = work(kept.Connection);
            good = !disposed;
            return result;
        }
        finally
        {
            if (good)
            {
                lane.Give(kept);
            }
            else
            {
                kept.Connection.Dispose();
            }
        }
    }

    /// <summary>The first server that answers.</summary>
    private Kept Connect(Action<LdapConnection> prepare)
    {
        for (var i = 0; ; i++)
        {
            LdapConnection? connection = null;
            try
            {
                connection = LdapLibrary.Open(settings.Servers[i], settings);
                prepare(connection);
                return new(connection, time.GetTimestamp());
            }
            catch (Exception failure)
            {
                connection?.Dispose();
                if (failure is not (LdapException { ErrorCode: not InvalidCredentials } or DirectoryOperationException) || i + 1 == settings.Servers.Count)
                {
                    throw failure is DirectoryOperationException ? new LdapException(ConnectError, failure.Message, failure) : failure;
                }
            }
        }
    }
}
