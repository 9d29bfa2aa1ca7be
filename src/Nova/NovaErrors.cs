using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Nova;

/// <summary><c>{"itemNotFound": {"code": 404, "message": …}}</c>: the name of the member depends on the status.</summary>
internal sealed class NovaErrors : IApiErrors
{
    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
    {
        json.WriteStartObject();
        if (status == 401)
        {
            // The words of keystonemiddleware, which answers before Nova is asked.
            json.WriteStartObject("error");
            json.WriteNumber("code", status);
            json.WriteString("title", "Unauthorized");
            json.WriteString("message", error.Message);
            json.WriteEndObject();
            json.WriteEndObject();
            return;
        }

        json.WriteStartObject(NameOf(status));
        json.WriteNumber("code", status);
        json.WriteString("message", error.Message);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string NameOf(int status) => status switch
    {
        400 => "badRequest",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 or 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    };
}
