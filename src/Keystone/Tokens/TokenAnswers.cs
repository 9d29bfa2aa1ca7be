using SharpStack.Foundation.Http;

namespace SharpStack.Keystone.Tokens;

/// <summary>Answers with a token: its id in <c>X-Subject-Token</c>, what it stands for in the body.</summary>
internal sealed class TokenAnswers(TokenWriter writer)
{
    public Task WriteAsync(ApiContext context, int status, Token token)
    {
        context.Http.Response.Headers["X-Subject-Token"] = token.Id;
        context.Http.Response.Headers.Vary = "X-Auth-Token";
        var withCatalog = !context.Query.Has("nocatalog");
        return context.WriteJsonAsync(status, json => writer.Write(json, token, withCatalog));
    }
}
