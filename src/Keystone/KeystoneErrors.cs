using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;
using SharpStack.Keystone.OAuth2;

namespace SharpStack.Keystone;

/// <summary>Keystone's envelope: <c>{"error": {"code": 404, "message": "…", "title": "Not Found"}}</c>.</summary>
internal sealed class KeystoneErrors : IApiErrors
{
    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
    {
        if (error is OAuth2Exception other)
        {
            other.Write(json);
            return;
        }
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteNumber("code", status);
        json.WriteString("message", error.Message);
        json.WriteString("title", ReasonPhrases.Of(status));
        if (error is MethodsException { Methods: var methods })
        {
            json.WriteStartObject("identity");
            if (methods is not null)
            {
                json.WriteStartArray("methods");
                foreach (var method in methods)
                {
                    json.WriteStringValue(method);
                }
                json.WriteEndArray();
            }
            json.WriteEndObject();
        }
        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static CloudException SchemaFailure(SchemaError error) =>
        // The first name is the envelope's ({"user": …}), which users do not think of as a field.
        CloudException.BadRequest(error.Path.Count > 1
            ? $"Invalid input for field '{string.Join('/', error.Path.Skip(1))}': {error.Message}"
            : error.Message);
}

/// <summary>A refused log-in that tells the methods that are accepted.</summary>
internal sealed class MethodsException(string message, IReadOnlyList<string>? methods) : CloudException(ErrorKind.Unauthorized, message)
{
    public IReadOnlyList<string>? Methods => methods;
}

/// <summary>Errors in Keystone's words.</summary>
internal static class Fail
{
    public static CloudException NotFound(string what, string id, bool colon = true) => CloudException.NotFound($"Could not find {what}{(colon ? ":" : "")} {id}.");

    public static CloudException Conflict(string type, string details) =>
        CloudException.Conflict($"Conflict occurred attempting to store {type} - {details}.");

    public static CloudException Duplicate(string type, string name, string? domainId) =>
        Conflict(type, domainId is null ? $"Duplicate entry found with name {name}" : $"Duplicate entry found with name {name} at domain ID {domainId}");

    public static CloudException Expected(string attribute, string target) => CloudException.BadRequest(
        $"Expecting to find {attribute} in {target}. The server could not comply with the request since it is either malformed or otherwise"
        + " incorrect. The client is assumed to be in error.");

    public static CloudException ForbiddenAction(string action) =>
        CloudException.Forbidden($"You are not authorized to perform the requested action: {action}.");

    public static CloudException Immutable(string verb, string type, string id) =>
        CloudException.Forbidden($"Unable to {verb} immutable {type} resource: `{id}. Set resource option \"immutable\" to false first.");
}
