using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Foundation.Http;

namespace SharpStack.Placement;

/// <summary>Placement's values of <c>code</c> in an error, on the wire since microversion 1.23.</summary>
internal static class ErrorCodes
{
    public const string Undefined = "placement.undefined_code";
    public const string ConcurrentUpdate = "placement.concurrent_update";
    public const string InventoryInUse = "placement.inventory.inuse";
    public const string DuplicateName = "placement.duplicate_name";
    public const string ProviderInUse = "placement.resource_provider.inuse";
    public const string CannotDeleteParent = "placement.resource_provider.cannot_delete_parent";
    public const string ProviderNotFound = "placement.resource_provider.not_found";
    public const string DuplicateQueryKey = "placement.query.duplicate_key";
    public const string BadQueryValue = "placement.query.bad_value";
    public const string MissingQueryValue = "placement.query.missing_value";
}

/// <summary><c>{"errors": [{"status", "title", "detail", "code", "request_id"}]}</c>, the envelope of the API working group.</summary>
internal sealed class PlacementErrors : IApiErrors
{
    private static readonly Microversion CodesSince = new(1, 23);

    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId) => Write(json, status, error, requestId, null);

    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId, Microversion? version)
    {
        json.WriteStartObject();
        json.WriteStartArray("errors");
        json.WriteStartObject();
        json.WriteNumber("status", status);
        json.WriteString("title", ReasonPhrases.Of(status));
        json.WriteString("detail", $"{Explanation(status)}\n\n {error.Message}  ");
        if (version >= CodesSince)
        {
            json.WriteString("code", error.Code ?? ErrorCodes.Undefined);
        }

        json.WriteString("request_id", requestId);
        if (status == 406 && version is null)
        {
            json.WriteString("max_version", PlacementApi.Versions.Max.ToString());
            json.WriteString("min_version", PlacementApi.Versions.Min.ToString());
        }

        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>The sentence that webob puts before the detail; clients match on the whole text.</summary>
    private static string Explanation(int status) => status switch
    {
        400 => "The server could not comply with the request since it is either malformed or otherwise incorrect.",
        401 => "This server could not verify that you are authorized to access the document you requested.",
        403 => "Access was denied to this resource.",
        404 => "The resource could not be found.",
        405 => "The method is not allowed for this resource.",
        406 => "The resource could not be generated that was acceptable to your browser.",
        409 => "There was a conflict when trying to complete your request.",
        413 => "The body of your request was too large for this server.",
        415 => "The request media type is not supported by this server.",
        500 => "The server has either erred or is incapable of performing the requested operation.",
        503 => "The server is currently unavailable. Please try again at a later time.",
        _ => ReasonPhrases.Of(status),
    };
}
