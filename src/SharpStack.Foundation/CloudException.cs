namespace SharpStack.Foundation;

/// <summary>What kind of failure a request met; the value is the HTTP status that the edge answers with.</summary>
public enum ErrorKind
{
    MultipleChoices = 300,
    BadRequest = 400,
    Unauthorized = 401,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    NotAcceptable = 406,
    Conflict = 409,
    Gone = 410,
    PreconditionFailed = 412,
    PayloadTooLarge = 413,
    UnsupportedMediaType = 415,
    RangeNotSatisfiable = 416,
    UnprocessableEntity = 422,
    TooManyRequests = 429,
    Internal = 500,
    NotImplemented = 501,
    BadGateway = 502,
    ServiceUnavailable = 503,
}

/// <summary>
/// The one domain error: a kind, a message for the user that says what to do, and the service's own name for it where
/// its wire has one (Neutron's <c>type</c>: <c>NetworkNotFound</c>; Placement's <c>code</c>: <c>placement.concurrent_update</c>).
/// </summary>
public class CloudException(ErrorKind kind, string message, string? code = null, Exception? inner = null) : Exception(message, inner)
{
    public ErrorKind Kind { get; } = kind;

    public string? Code { get; } = code;

    /// <summary>Neutron's <c>detail</c> member, Nova's additional text; empty for most.</summary>
    public string Detail { get; init; } = "";

    /// <summary>True where trying the same thing again later may succeed.</summary>
    public bool IsTransient => Kind is ErrorKind.ServiceUnavailable or ErrorKind.BadGateway or ErrorKind.TooManyRequests;

    public static CloudException BadRequest(string message, string? code = null) => new(ErrorKind.BadRequest, message, code);

    public static CloudException Unauthorized(string message = "The request you have made requires authentication.") => new(ErrorKind.Unauthorized, message);

    public static CloudException Forbidden(string message, string? code = null) => new(ErrorKind.Forbidden, message, code);

    public static CloudException NotFound(string message, string? code = null) => new(ErrorKind.NotFound, message, code);

    public static CloudException Conflict(string message, string? code = null) => new(ErrorKind.Conflict, message, code);

    public static CloudException Unavailable(string message, string? code = null, Exception? inner = null) => new(ErrorKind.ServiceUnavailable, message, code, inner);
}
