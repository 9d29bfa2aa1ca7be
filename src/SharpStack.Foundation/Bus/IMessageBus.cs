using System.Text.Json.Serialization.Metadata;

namespace SharpStack.Foundation.Bus;

/// <summary>Nothing in a message but that there is an answer.</summary>
public sealed record Ack
{
    public static readonly Ack Ok = new();
}

/// <summary>Who serves a message, and whose <c>transport_url</c> it travels by.</summary>
/// <param name="Service">The configuration that names the transport: <c>nova</c>, <c>neutron</c>.</param>
/// <param name="Name">OpenStack's name for the servers: <c>q-plugin</c>, <c>dhcp_agent</c>.</param>
public sealed record BusTopic(string Service, string Name)
{
    public override string ToString() => Name;
}

/// <summary>
/// A contract's version. Another major version is another message: it goes to those who serve that version only. A minor version adds: members that
/// an older reader ignores, and for which a newer one has defaults.
/// </summary>
public readonly record struct BusVersion(int Major, int Minor)
{
    public static implicit operator BusVersion(int major) => new(major, 0);

    public override string ToString() => $"{Major}.{Minor}";
}

/// <summary>
/// One kind of message: who serves it, its name, its version, how it is written. Contracts live in the <c>*.Contracts</c> projects, as static
/// fields. A message is a hint or a question, never the only copy of a fact: losing or repeating it costs time only.
/// </summary>
public sealed record BusContract<TRequest, TReply>(
    BusTopic Topic, string Method, BusVersion Version, JsonTypeInfo<TRequest> Request, JsonTypeInfo<TReply> Reply)
{
    /// <summary>The minor version that a server must have at least to be asked: one that would ignore what was added since is refused.</summary>
    public int RequiredMinor { get; init; }
}

/// <summary>
/// Calls, casts and fan-outs to a topic or to a host's topic; in process or through RabbitMQ, with the same behaviour. A message may arrive twice or in
/// another order: handlers can be repeated.
/// </summary>
public interface IMessageBus
{
    /// <summary>Asks one server of the topic (the one at <paramref name="host"/>, where given) and waits for its answer.</summary>
    /// <exception cref="CloudException">The server's own error (an unexpected one as <see cref="ErrorKind.Internal"/>); or
    /// <see cref="ErrorKind.ServiceUnavailable"/> when nobody serves the topic in this version, nobody answered within <paramref name="timeout"/>
    /// (<c>rpc_response_timeout</c> where not given), or the broker cannot be reached.</exception>
    Task<TReply> CallAsync<TRequest, TReply>(
        BusContract<TRequest, TReply> contract, TRequest request, string? host = null, TimeSpan? timeout = null, CancellationToken cancellationToken = default);

    /// <summary>
    /// Tells one server of the topic, without an answer; lost where nobody serves it. A handler that fails is tried once more, then the message is
    /// put aside as a dead letter.
    /// </summary>
    ValueTask CastAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, string? host = null, CancellationToken cancellationToken = default);

    /// <summary>Tells every server of the topic.</summary>
    ValueTask FanoutAsync<TRequest, TReply>(BusContract<TRequest, TReply> contract, TRequest request, CancellationToken cancellationToken = default);

    /// <summary>
    /// Serves a contract: for the topic as a whole and, where a host is given, for that host's topic. Dispose to stop. One process serves all that there
    /// is of a host's topic.
    /// </summary>
    IDisposable Serve<TRequest, TReply>(BusContract<TRequest, TReply> contract, string? host, Func<TRequest, CancellationToken, Task<TReply>> handler);

    /// <summary>Raised when the connection to the bus came back and hints may have been lost: enqueue all.</summary>
    event Action? Reconnected;
}
