using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;

namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>Message types of OpenFlow 1.4 (OFPT_*).</summary>
internal enum OpenFlowType : byte
{
    Hello = 0,
    Error = 1,
    EchoRequest = 2,
    EchoReply = 3,
    FeaturesRequest = 5,
    FeaturesReply = 6,
    FlowMod = 14,
    MultipartRequest = 18,
    MultipartReply = 19,
    BarrierRequest = 20,
    BarrierReply = 21,
    MeterMod = 29,
    BundleControl = 33,
    BundleAdd = 34,
}

/// <summary>Messages of one connection: framing, transaction ids, echoes. Requests may be made by several tasks at once.</summary>
internal sealed class OpenFlowConnection(Stream stream) : IAsyncDisposable
{
    public const byte Version = 5;
    public const int HeaderLength = 8;

    private readonly SemaphoreSlim writing = new(1);
    private readonly List<OpenFlowRequest> requests = [];
    private readonly TaskCompletionSource<byte[]> hello = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? ended;
    private uint lastXid;

    /// <summary>The switch's greeting, header and all: it comes unasked.</summary>
    public Task<byte[]> Hello => hello.Task;

    /// <summary>A number for messages of one request: <paramref name="count"/> consecutive ones, of which the first is returned.</summary>
    public uint TakeXids(int count = 1)
    {
        lock (requests)
        {
            // Zero is the xid of what the switch sends unasked.
            if (lastXid > uint.MaxValue - (uint)count - 1)
            {
                lastXid = 0;
            }

            var first = lastXid + 1;
            lastXid += (uint)count;
            return first;
        }
    }

    /// <summary>Sends what the buffer holds and waits until the request has its answer.</summary>
    /// <exception cref="OpenFlowException">The switch refused, or the connection ended.</exception>
    public async Task RequestAsync(OpenFlowRequest request, ReadOnlyMemory<byte> messages, CancellationToken cancellationToken)
    {
        lock (requests)
        {
            if (ended is not null)
            {
                throw new OpenFlowException("The bridge has closed its OpenFlow connection.", ended);
            }

            requests.Add(request);
        }

        try
        {
            await SendAsync(messages, cancellationToken);
            await request.Completion.WaitAsync(cancellationToken);
        }
        finally
        {
            lock (requests)
            {
                requests.Remove(request);
            }
        }
    }

    public async Task SendAsync(ReadOnlyMemory<byte> messages, CancellationToken cancellationToken)
    {
        await writing.WaitAsync(cancellationToken);
        try
        {
            await stream.WriteAsync(messages, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // A message cut in the middle garbles all that follow: the switch shall dial anew.
            await stream.DisposeAsync();
            throw;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new OpenFlowException("The bridge has closed its OpenFlow connection.", e);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Reads until the switch closes or the token is cancelled; then all pending requests fail.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 32768, leaveOpen: true));
        Exception? reason = null;
        try
        {
            while (true)
            {
                var result = await reader.ReadAsync(cancellationToken);
                var buffer = result.Buffer;
                while (TryRead(ref buffer, out var message))
                {
                    await HandleAsync(message, cancellationToken);
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (result.IsCompleted)
                {
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception e)
        {
            reason = e;
            throw;
        }
        finally
        {
            await reader.CompleteAsync();
            List<OpenFlowRequest> open;
            lock (requests)
            {
                ended = reason ?? new EndOfStreamException();
                open = [.. requests];
            }

            hello.TrySetException(new OpenFlowException("A bridge closed its OpenFlow connection before it said hello.", reason));
            _ = hello.Task.Exception; // looked at, for the case that nobody waits
            foreach (var request in open)
            {
                request.Fail(new OpenFlowException("The bridge closed its OpenFlow connection before it answered.", reason));
            }
        }
    }

    public async ValueTask DisposeAsync() => await stream.DisposeAsync();

    public static void Header(OpenFlowBuffer buffer, OpenFlowType type, uint xid)
    {
        buffer.U8(Version);
        buffer.U8((byte)type);
        buffer.U16(HeaderLength);
        buffer.U32(xid);
    }

    private static bool TryRead(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> message)
    {
        message = default;
        if (buffer.Length < HeaderLength)
        {
            return false;
        }

        Span<byte> header = stackalloc byte[4];
        buffer.Slice(0, 4).CopyTo(header);
        var length = BinaryPrimitives.ReadUInt16BigEndian(header[2..]);
        if (length < HeaderLength)
        {
            throw new OpenFlowException("The switch sent a message that is shorter than its header.");
        }

        if (buffer.Length < length)
        {
            return false;
        }

        message = buffer.Slice(0, length);
        buffer = buffer.Slice(length);
        return true;
    }

    private async ValueTask HandleAsync(ReadOnlySequence<byte> message, CancellationToken cancellationToken)
    {
        if (message.IsSingleSegment)
        {
            await HandleAsync(message.First, cancellationToken);
            return;
        }

        var rented = ArrayPool<byte>.Shared.Rent((int)message.Length);
        message.CopyTo(rented);
        await HandleAsync(rented.AsMemory(0, (int)message.Length), cancellationToken);
        ArrayPool<byte>.Shared.Return(rented);
    }

    private ValueTask HandleAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        var type = (OpenFlowType)message.Span[1];
        var xid = BinaryPrimitives.ReadUInt32BigEndian(message.Span[4..]);
        if (type == OpenFlowType.EchoRequest)
        {
            var reply = message.ToArray();
            reply[1] = (byte)OpenFlowType.EchoReply;
            return new(SendAsync(reply, cancellationToken));
        }

        if (type == OpenFlowType.Hello)
        {
            hello.TrySetResult(message.ToArray());
            return ValueTask.CompletedTask;
        }

        OpenFlowRequest? request;
        lock (requests)
        {
            request = requests.Find(open => open.Covers(xid));
        }

        request?.Accept(type, xid, message.Span[HeaderLength..]);
        return ValueTask.CompletedTask;
    }
}

/// <summary>A request that waits for its answer.</summary>
/// <param name="bridge">For messages.</param>
/// <param name="what">For messages: what was asked, by the offset from the first xid.</param>
/// <param name="first">The first of its transaction ids.</param>
/// <param name="count">How many it has.</param>
/// <param name="onMessage">Reads a message that is no error; true when the request is complete.</param>
internal sealed class OpenFlowRequest(string bridge, Func<int, string> what, uint first, int count, OpenFlowRequest.Handler onMessage)
{
    private readonly TaskCompletionSource completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public delegate bool Handler(OpenFlowType type, ReadOnlySpan<byte> body);

    public Task Completion => completion.Task;

    public bool Covers(uint xid) => xid - first < (uint)count;

    public void Fail(Exception reason) => completion.TrySetException(reason);

    public void Accept(OpenFlowType type, uint xid, ReadOnlySpan<byte> body)
    {
        try
        {
            if (type == OpenFlowType.Error)
            {
                var reader = new OpenFlowReader(body);
                Fail(new OpenFlowErrorException(bridge, reader.U16(), reader.U16(), what((int)(xid - first))));
            }
            else if (onMessage(type, body))
            {
                completion.TrySetResult();
            }
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }
}
