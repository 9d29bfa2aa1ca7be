using System.Text.Json;

namespace SharpStack.Foundation.Http;

/// <summary>The error envelope of a service; they differ, and clients read them.</summary>
public interface IApiErrors
{
    string ContentType => "application/json";

    /// <summary>Writes the whole body of an error answer.</summary>
    void Write(Utf8JsonWriter json, int status, CloudException error, string requestId);

    /// <summary>The same, for an envelope that changed with a microversion (Placement).</summary>
    /// <param name="version">Null for an error before the version was negotiated.</param>
    void Write(Utf8JsonWriter json, int status, CloudException error, string requestId, Microversion? version) => Write(json, status, error, requestId);

    /// <summary>The body in another form than JSON, where the service has one for what the client accepts (Glance: HTML); null for none.</summary>
    /// <param name="accept">The request's <c>Accept</c> header.</param>
    (string ContentType, string Text)? Render(string accept, int status, CloudException error) => null;
}

/// <summary>Reason phrases as OpenStack's services write them.</summary>
public static class ReasonPhrases
{
    public static string Of(int status) => status switch
    {
        300 => "Multiple Choices",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Error",
    };
}
