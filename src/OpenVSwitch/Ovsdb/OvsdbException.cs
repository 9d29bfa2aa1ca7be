namespace SharpStack.OpenVSwitch.Ovsdb;

/// <summary>The conversation with ovsdb-server failed.</summary>
public class OvsdbException : Exception
{
    /// <summary>With a message that says what to do.</summary>
    public OvsdbException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>The database refused an operation of a transaction; nothing of the transaction was done.</summary>
public sealed class OvsdbOperationException : OvsdbException
{
    internal OvsdbOperationException(string error, string? details, int operation, string? text)
        : base($"The Open vSwitch database refused {text ?? "the transaction"}: {error}{(details is null ? "" : $": {details}")}.")
    {
        Error = error;
        Details = details;
        Operation = operation;
    }

    /// <summary>RFC 7047's error string, such as <c>constraint violation</c> or <c>timed out</c>.</summary>
    public string Error { get; }

    /// <summary>What the server adds to it.</summary>
    public string? Details { get; }

    /// <summary>The index of the operation; the number of operations where the commit failed.</summary>
    public int Operation { get; }
}
