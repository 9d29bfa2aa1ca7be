using SharpStack.Foundation.Policy;

namespace SharpStack.Keystone.OAuth1;

internal static class OAuthPolicies
{
    private const PolicyScope SystemOrProject = PolicyScope.System | PolicyScope.Project;

    public static readonly PolicyRule[] Rules =
    [
        Consumer("get_consumer", Checks.AdminOrSystemReader, "Show OAUTH1 consumer details."),
        Consumer("list_consumers", Checks.AdminOrSystemReader, "List OAUTH1 consumers."),
        Consumer("create_consumer", Checks.Admin, "Create OAUTH1 consumer."),
        Consumer("update_consumer", Checks.Admin, "Update OAUTH1 consumer."),
        Consumer("delete_consumer", Checks.Admin, "Delete OAUTH1 consumer."),
        Token("authorize_request_token", "Authorize OAUTH1 request token."),
        Token("get_access_token", "Get OAUTH1 access token for user by access token ID."),
        Token("get_access_token_role", "Get role for user OAUTH1 access token."),
        Token("list_access_tokens", "List OAUTH1 access tokens for user."),
        Token("list_access_token_roles", "List OAUTH1 access token roles."),
        Token("delete_access_token", "Delete OAUTH1 access token."),
    ];

    private static PolicyRule Consumer(string name, string check, string description) =>
        new($"identity:{name}", check, description, SystemOrProject, new($"identity:{name}", Checks.Admin));

    // A request token is for a project, and so is whatever becomes of it.
    private static PolicyRule Token(string name, string description) => new($"identity:{name}", Checks.Admin, description, PolicyScope.Project);
}
