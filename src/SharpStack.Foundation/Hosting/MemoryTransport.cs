using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace SharpStack.Foundation.Hosting;

/// <summary>The place of an API inside this process.</summary>
internal sealed class MemoryEndPoint(string api) : EndPoint
{
    public string Api { get; } = api;

    public override string ToString() => $"memory:{Api}";
}

/// <summary>Connections between the services of one process: the same HTTP, without a socket.</summary>
internal sealed class MemoryTransport : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly ConcurrentDictionary<string, Listener> listeners = new();
    private long connections;

    public bool CanBind(EndPoint endpoint) => endpoint is MemoryEndPoint;

    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var listener = new Listener((MemoryEndPoint)endpoint);
        listeners[((MemoryEndPoint)endpoint).Api] = listener;
        return ValueTask.FromResult<IConnectionListener>(listener);
    }

    /// <summary>Opens a connection to an API of this process.</summary>
    public Stream Connect(string api)
    {
        if (!listeners.TryGetValue(api, out var listener))
        {
            throw new IOException($"{api} does not run in this process");
        }

        // 1 MiB of back-pressure each way: images are streamed through here.
        var options = new PipeOptions(pauseWriterThreshold: 1 << 20, resumeWriterThreshold: 1 << 19, useSynchronizationContext: false);
        var toServer = new Pipe(options);
        var toClient = new Pipe(options);
        var connection = new MemoryConnection(
            $"memory-{Interlocked.Increment(ref connections)}",
            new DuplexPipe(toServer.Reader, toClient.Writer),
            new DuplexPipe(toClient.Reader, toServer.Writer))
        {
            LocalEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
        };
        if (!listener.Accepted.Writer.TryWrite(connection))
        {
            throw new IOException($"{api} is stopping");
        }

        return new DuplexStream(toClient.Reader, toServer.Writer);
    }

    /// <summary>
    /// The framework's context cancels its token on a pool thread, after it may have been disposed: an aborted request would then end the process.
    /// </summary>
    private sealed class MemoryConnection : DefaultConnectionContext
    {
        // Never disposed: it has no timer, and the last to cancel may come late.
        private readonly CancellationTokenSource closed = new();

        public MemoryConnection(string id, IDuplexPipe transport, IDuplexPipe application)
            : base(id, transport, application) => ConnectionClosed = closed.Token;

        public override void Abort(ConnectionAbortedException abortReason) =>
            ThreadPool.UnsafeQueueUserWorkItem(static source => source.Cancel(), closed, preferLocal: false);
    }

    private sealed class DuplexPipe(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input { get; } = input;

        public PipeWriter Output { get; } = output;
    }

    private sealed class Listener(MemoryEndPoint endpoint) : IConnectionListener
    {
        public Channel<ConnectionContext> Accepted { get; } = Channel.CreateUnbounded<ConnectionContext>();

        public EndPoint EndPoint { get; } = endpoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                return await Accepted.Reader.ReadAsync(cancellationToken);
            }
            catch (ChannelClosedException)
            {
                return null;
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            Accepted.Writer.TryComplete();
            return ValueTask.CompletedTask;
        }

        public ValueTask DisposeAsync() => UnbindAsync();
    }

    /// <summary>The client's end of a connection.</summary>
    private sealed class DuplexStream(PipeReader reader, PipeWriter writer) : Stream
    {
        private readonly Stream input = reader.AsStream();
        private readonly Stream output = writer.AsStream();

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush() => output.Flush();

        public override Task FlushAsync(CancellationToken cancellationToken) => output.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => input.Read(buffer, offset, count);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => input.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => input.ReadAsync(buffer, offset, count, cancellationToken);

        public override void Write(byte[] buffer, int offset, int count) => output.Write(buffer, offset, count);

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => output.WriteAsync(buffer, cancellationToken);

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => output.WriteAsync(buffer, offset, count, cancellationToken);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                // A read that waits ends with the stream, as a socket's does: the client gives a request up by closing its connection.
                reader.CancelPendingRead();
                writer.CancelPendingFlush();
                input.Dispose();
                output.Dispose();
            }

            base.Dispose(disposing);
        }
    }
}
