using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;

namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>JSON-RPC 1.0 over one stream, as RFC 7047 uses it: requests by id, echoes answered, notifications handed on in order.</summary>
internal sealed class OvsdbConnection(Stream stream, Action<string, JsonElement> notified) : IAsyncDisposable
{
    private readonly SemaphoreSlim writing = new(1);
    private readonly Dictionary<long, Request> requests = [];
    private Exception? ended;
    private long lastId;

    /// <summary>
    /// Calls a method; the result outlives the connection. <paramref name="received"/> runs on the reading task before any later message is
    /// read, for results that notifications build on.
    /// </summary>
    /// <exception cref="OvsdbException">The server answered with an error, or the connection ended.</exception>
    public async Task<JsonElement> CallAsync(string method, Action<Utf8JsonWriter> parameters, CancellationToken cancellationToken, Action<JsonElement>? received = null)
    {
        var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        long id;
        lock (requests)
        {
            if (ended is not null)
            {
                throw new OvsdbException("ovsdb-server has closed the connection.", ended);
            }

            id = ++lastId;
            requests.Add(id, new(answer, received));
        }

        try
        {
            await SendAsync(
                json =>
                {
                    json.WriteString("method"u8, method);
                    json.WriteStartArray("params"u8);
                    parameters(json);
                    json.WriteEndArray();
                    json.WriteNumber("id"u8, id);
                },
                cancellationToken);
            return await answer.Task.WaitAsync(cancellationToken);
        }
        finally
        {
            lock (requests)
            {
                requests.Remove(id);
            }
        }
    }

    /// <summary>Reads until the server closes or the token is cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 32768, leaveOpen: true));
        var framing = default(JsonFraming);
        Exception? reason = null;
        try
        {
            while (true)
            {
                var result = await reader.ReadAsync(cancellationToken);
                var buffer = result.Buffer;
                while (framing.TryRead(ref buffer, out var message))
                {
                    await HandleAsync(message, cancellationToken);
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (result.IsCompleted)
                {
                    throw new OvsdbException("ovsdb-server closed the connection.");
                }
            }
        }
        catch (Exception e)
        {
            reason = e;
            throw;
        }
        finally
        {
            await reader.CompleteAsync();
            List<Request> open;
            lock (requests)
            {
                ended = reason;
                open = [.. requests.Values];
            }

            foreach (var request in open)
            {
                request.Answer.TrySetException(new OvsdbException("ovsdb-server closed the connection before it answered.", reason));
            }
        }
    }

    public async ValueTask DisposeAsync() => await stream.DisposeAsync();

    private async Task SendAsync(Action<Utf8JsonWriter> write, CancellationToken cancellationToken)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { SkipValidation = true }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        await writing.WaitAsync(cancellationToken);
        try
        {
            await stream.WriteAsync(buffer.WrittenMemory, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // A message cut in the middle garbles all that follow: the client shall connect anew.
            await stream.DisposeAsync();
            throw;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new OvsdbException("ovsdb-server has closed the connection.", e);
        }
        finally
        {
            writing.Release();
        }
    }

    private async ValueTask HandleAsync(ReadOnlySequence<byte> message, CancellationToken cancellationToken)
    {
        using var document = JsonDocument.Parse(message);
        var root = document.RootElement;
        if (root.TryGetProperty("method"u8, out var method) && method.ValueKind == JsonValueKind.String)
        {
            var parameters = root.GetProperty("params"u8);
            if (method.ValueEquals("echo"u8))
            {
                var id = root.GetProperty("id"u8).Clone();
                var echoed = parameters.Clone();
                await SendAsync(
                    json =>
                    {
                        json.WritePropertyName("result"u8);
                        echoed.WriteTo(json);
                        json.WriteNull("error"u8);
                        json.WritePropertyName("id"u8);
                        id.WriteTo(json);
                    },
                    cancellationToken);
            }
            else
            {
                notified(method.GetString()!, parameters);
            }

            return;
        }

        Request? request;
        lock (requests)
        {
            requests.TryGetValue(root.GetProperty("id"u8).GetInt64(), out request);
        }

        if (root.TryGetProperty("error"u8, out var error) && error.ValueKind != JsonValueKind.Null)
        {
            var (name, details) = error.ValueKind == JsonValueKind.Object
                ? (error.GetProperty("error"u8).GetString()!, error.TryGetProperty("details"u8, out var more) ? more.GetString() : null)
                : (error.ToString(), null);
            request?.Answer.TrySetException(new OvsdbOperationException(name, details, 0, "the request"));
        }
        else
        {
            var result = root.GetProperty("result"u8).Clone();
            request?.Received?.Invoke(result);
            request?.Answer.TrySetResult(result);
        }
    }

    private sealed record Request(TaskCompletionSource<JsonElement> Answer, Action<JsonElement>? Received);
}
