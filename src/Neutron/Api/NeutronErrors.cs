using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Neutron.Api;

/// <summary>Neutron's envelope and its errors by their names on the wire.</summary>
internal sealed class NeutronErrors : IApiErrors
{
    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
    {
        json.WriteStartObject();
        if (status == 401)
        {
            // Answered by keystonemiddleware in front of Neutron.
            json.WriteStartObject("error");
            json.WriteNumber("code", 401);
            json.WriteString("title", "Unauthorized");
            json.WriteString("message", error.Message);
        }
        else
        {
            json.WriteStartObject("NeutronError");
            json.WriteString("type", error.Code ?? status switch
            {
                400 => "HTTPBadRequest",
                403 => "HTTPForbidden",
                404 => "HTTPNotFound",
                405 => "HTTPMethodNotAllowed",
                409 => "HTTPConflict",
                412 => "HTTPPreconditionFailed",
                413 => "HTTPRequestEntityTooLarge",
                503 => "HTTPServiceUnavailable",
                501 => "HTTPNotImplemented",
                _ => "HTTPInternalServerError",
            });
            json.WriteString("message", error.Message);
            json.WriteString("detail", error.Detail);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    public static CloudException BadRequest(string message) => CloudException.BadRequest(message, "HTTPBadRequest");

    public static CloudException BadRequest(string resource, string message) => CloudException.BadRequest($"Bad {resource} request: {message}.", "BadRequest");

    public static CloudException InvalidInput(string message, string code = "InvalidInput") => CloudException.BadRequest($"Invalid input for operation: {message}.", code);

    public static CloudException NotFound(string code, string message) => CloudException.NotFound(message, code);

    public static CloudException Conflict(string code, string message) => CloudException.Conflict(message, code);

    public static CloudException NetworkNotFound(string id) => NotFound("NetworkNotFound", $"Network {id} could not be found.");

    public static CloudException SubnetNotFound(string id) => NotFound("SubnetNotFound", $"Subnet {id} could not be found.");

    public static CloudException PortNotFound(string id) => NotFound("PortNotFound", $"Port {id} could not be found.");

    public static CloudException SubnetPoolNotFound(string id) => NotFound("SubnetPoolNotFound", $"Subnet pool {id} could not be found.");

    public static CloudException AddressScopeNotFound(string id) => NotFound("AddressScopeNotFound", $"Address scope {id} could not be found.");

    public static CloudException SegmentNotFound(string id) => NotFound("SegmentNotFound", $"Segment {id} could not be found.");

    public static CloudException SecurityGroupNotFound(string id) => NotFound("SecurityGroupNotFound", $"Security group {id} does not exist");

    public static CloudException AgentNotFound(string id) => NotFound("AgentNotFound", $"Agent {id} could not be found.");
}
