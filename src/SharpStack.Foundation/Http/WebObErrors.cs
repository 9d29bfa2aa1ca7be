using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SharpStack.Foundation.Http;

/// <summary>
/// Errors as WebOb writes them for Glance and the metadata services: HTML where the client takes it, else JSON (<c>message</c>, <c>code</c>, <c>title</c>), else
/// plain text. A missing or bad token is answered by keystonemiddleware, whose form is its own.
/// </summary>
public sealed partial class WebObErrors : IApiErrors
{
    public void Write(Utf8JsonWriter json, int status, CloudException error, string requestId)
    {
        json.WriteStartObject();
        if (status == 401)
        {
            json.WriteStartObject("error");
            json.WriteNumber("code", status);
            json.WriteString("title", ReasonPhrases.Of(status));
            json.WriteString("message", error.Message);
            json.WriteEndObject();
        }
        else
        {
            json.WriteString("message", error.Message + "<br /><br />\n\n\n");
            json.WriteString("code", $"{status} {ReasonPhrases.Of(status)}");
            json.WriteString("title", ReasonPhrases.Of(status));
        }

        json.WriteEndObject();
    }

    public (string ContentType, string Text)? Render(string accept, int status, CloudException error)
    {
        if (status == 401)
        {
            return null;
        }

        var title = $"{status} {ReasonPhrases.Of(status)}";
        if (accept.Length == 0 || accept.Contains("text/html", StringComparison.OrdinalIgnoreCase) || accept.Contains("*/*", StringComparison.Ordinal) || accept.Contains("text/*", StringComparison.Ordinal))
        {
            var body = WebUtility.HtmlEncode(error.Message) + "<br /><br />\n\n\n";
            return ("text/html; charset=UTF-8", $"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {body}\n </body>\n</html>");
        }

        return accept.Contains("json", StringComparison.OrdinalIgnoreCase) || accept.Contains("application/*", StringComparison.Ordinal)
            ? null
            : ("text/plain; charset=UTF-8", $"{title}\n\n{Tags().Replace(error.Message, "")}\n\n\n");
    }

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();
}
