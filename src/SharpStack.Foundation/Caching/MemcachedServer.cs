using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Text;

namespace SharpStack.Foundation.Caching;

/// <summary>A memcached server by its text protocol, through a pool of connections.</summary>
/// <param name="tls">How TLS is spoken; null for none.</param>
internal sealed class MemcachedServer(string host, int port, int maxConnections, TimeSpan unusedTimeout, SslClientAuthenticationOptions? tls, TimeProvider time) : ICacheServer
{
    /// <summary>memcached's own default bound is 1 MiB.</summary>
    private const int MaxValue = 1 << 20;

    private readonly SemaphoreSlim slots = new(maxConnections);
    private readonly ConcurrentStack<Connection> idle = new();

    public string Name { get; } = host.Contains(':', StringComparison.Ordinal) ? $"[{host}]:{port}" : $"{host}:{port}";

    public Task<bool> EnterAsync(TimeSpan limit, CancellationToken cancellationToken) => slots.WaitAsync(limit, cancellationToken);

    public void Leave() => slots.Release();

    public Task<byte[]?> GetAsync(string key, CancellationToken cancellationToken) => UseAsync(connection => connection.GetAsync(key, cancellationToken), cancellationToken);

    public Task SetAsync(string key, byte[] value, TimeSpan lifetime, CancellationToken cancellationToken) =>
        value.Length > MaxValue
            ? Task.CompletedTask
            : UseAsync(
                async connection =>
                {
                    await connection.SetAsync(key, value, lifetime, cancellationToken);
                    return true;
                },
                cancellationToken);

    public ValueTask DisposeAsync()
    {
        while (idle.TryPop(out var connection))
        {
            connection.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    private async Task<T> UseAsync<T>(Func<Connection, Task<T>> work, CancellationToken cancellationToken)
    {
        Connection? connection = null;
        try
        {
            connection = TakeIdle();
            var isFresh = connection is null;
            connection ??= await OpenAsync(cancellationToken);
            T result;
            try
            {
                result = await work(connection);
            }
            catch (IOException) when (!isFresh)
            {
                // The server closed it since it was used last (a restart): that says nothing about the server now.
                connection.Dispose();
                DropIdle();
                connection = null;
                connection = await OpenAsync(cancellationToken);
                result = await work(connection);
            }

            connection.UsedAt = time.GetTimestamp();
            idle.Push(connection);
            connection = null;
            return result;
        }
        finally
        {
            // One that failed, or was given up in the middle of an answer, is not used again.
            connection?.Dispose();
        }
    }

    private Connection? TakeIdle()
    {
        while (idle.TryPop(out var connection))
        {
            if (time.GetElapsedTime(connection.UsedAt) < unusedTimeout)
            {
                return connection;
            }

            connection.Dispose();
        }

        return null;
    }

    private void DropIdle()
    {
        while (idle.TryPop(out var connection))
        {
            connection.Dispose();
        }
    }

    private async Task<Connection> OpenAsync(CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Stream? stream = null;
        try
        {
            await socket.ConnectAsync(host, port, cancellationToken);
            stream = new NetworkStream(socket, ownsSocket: true);
            if (tls is not null)
            {
                var secure = new SslStream(stream);
                stream = secure;
                await secure.AuthenticateAsClientAsync(tls, cancellationToken);
            }

            return new Connection(stream);
        }
        catch
        {
            stream?.Dispose();
            socket.Dispose();
            throw;
        }
    }

    private sealed class Connection(Stream stream) : IDisposable
    {
        private const int LongestLine = 512;

        private readonly byte[] buffer = new byte[8192];
        private int start;
        private int end;

        public long UsedAt { get; set; }

        public async Task<byte[]?> GetAsync(string key, CancellationToken cancellationToken)
        {
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"get {key}\r\n"), cancellationToken);
            var line = await ReadLineAsync(cancellationToken);
            if (line == "END")
            {
                return null;
            }

            if (line.Split(' ') is not ["VALUE", var found, _, var lengthText, ..] || found != key
                || !int.TryParse(lengthText, NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length > MaxValue)
            {
                throw new InvalidDataException("memcached gave an answer that is none to a get");
            }

            var value = new byte[length];
            await ReadExactlyAsync(value, cancellationToken);
            if (await ReadLineAsync(cancellationToken) != "" || await ReadLineAsync(cancellationToken) != "END")
            {
                throw new InvalidDataException("memcached gave a value of another length than it said");
            }

            return value;
        }

        public async Task SetAsync(string key, byte[] value, TimeSpan lifetime, CancellationToken cancellationToken)
        {
            // Above 30 days memcached takes the number as a date.
            var seconds = (int)Math.Clamp(Math.Ceiling(lifetime.TotalSeconds), 1, 30 * 24 * 3600);
            var header = Encoding.ASCII.GetBytes($"set {key} 0 {seconds} {value.Length}\r\n");
            var message = ArrayPool<byte>.Shared.Rent(header.Length + value.Length + 2);
            try
            {
                header.CopyTo(message, 0);
                value.CopyTo(message, header.Length);
                "\r\n"u8.CopyTo(message.AsSpan(header.Length + value.Length));
                await stream.WriteAsync(message.AsMemory(0, header.Length + value.Length + 2), cancellationToken);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(message);
            }

            if (await ReadLineAsync(cancellationToken) is var answer && answer is not ("STORED" or "NOT_STORED") && !answer.StartsWith("SERVER_ERROR", StringComparison.Ordinal))
            {
                throw new InvalidDataException("memcached gave an answer that is none to a set");
            }
        }

        public void Dispose() => stream.Dispose();

        private async Task<string> ReadLineAsync(CancellationToken cancellationToken)
        {
            while (true)
            {
                var at = buffer.AsSpan(start, end - start).IndexOf("\r\n"u8);
                if (at >= 0)
                {
                    var line = Encoding.ASCII.GetString(buffer, start, at);
                    start += at + 2;
                    return line;
                }

                if (end - start > LongestLine)
                {
                    throw new InvalidDataException("memcached gave a line without an end");
                }

                await FillAsync(cancellationToken);
            }
        }

        private async Task ReadExactlyAsync(Memory<byte> into, CancellationToken cancellationToken)
        {
            var have = Math.Min(end - start, into.Length);
            buffer.AsMemory(start, have).CopyTo(into);
            start += have;
            try
            {
                await stream.ReadExactlyAsync(into[have..], cancellationToken);
            }
            catch (EndOfStreamException failure)
            {
                throw new IOException("memcached closed the connection", failure);
            }
        }

        private async Task FillAsync(CancellationToken cancellationToken)
        {
            if (start > 0)
            {
                buffer.AsSpan(start, end - start).CopyTo(buffer);
                end -= start;
                start = 0;
            }

            var read = await stream.ReadAsync(buffer.AsMemory(end), cancellationToken);
            if (read == 0)
            {
                throw new IOException("memcached closed the connection");
            }

            end += read;
        }
    }
}
