using SharpStack.Foundation.Identity;

namespace SharpStack.TestKit;

/// <summary>
/// Tokens of fixed personas, for tests of one service that are not about Keystone: <c>admin</c> (admin on project admin), <c>demo</c> (member of project demo),
/// <c>other</c> (member of project other), <c>reader</c> (reader on project demo), <c>nobody</c> (no role), <c>system</c> (admin on the system), <c>service</c> (admin and service on project service).
/// <c>ruled</c> is demo by an application credential that may list images and servers and show one of either. The token is the persona's name.
/// </summary>
public sealed class TestIdentities : ITokenValidator
{
    public const string AdminProject = "0a0000000000000000000000000000ad";
    public const string DemoProject = "0d0000000000000000000000000000de";
    public const string OtherProject = "0e0000000000000000000000000000e0";
    public const string ServiceProject = "0500000000000000000000000000005e";

    private readonly Dictionary<string, RequestIdentity> identities = new()
    {
        ["admin"] = Identity("admin", AdminProject, "admin", "admin", "member", "reader"),
        ["demo"] = Identity("demo", DemoProject, "demo", "member", "reader"),
        ["other"] = Identity("other", OtherProject, "other", "member", "reader"),
        ["reader"] = Identity("reader", DemoProject, "demo", "reader"),
        ["nobody"] = Identity("nobody", DemoProject, "demo"),
        ["service"] = Identity("service", ServiceProject, "service", "admin", "service", "member", "reader"),
        ["ruled"] = Identity("demo", DemoProject, "demo", "member", "reader") with
        {
            ApplicationCredentialId = "ruled",
            AccessRules =
            [
                new("1", "image", "GET", "/v2/images"), new("2", "image", "GET", "/v2/images/*"),
                new("3", "compute", "GET", "/v2.1/servers"), new("4", "compute", "GET", "/v2.1/servers/{server_id}"),
            ],
        },
        ["system"] = Identity("system", null, null, "admin", "member", "reader") with { SystemScope = "all" },
    };

    public static string UserIdOf(string persona) => $"user{persona}".PadRight(32, '0');

    public ValueTask<RequestIdentity?> ValidateAsync(string token, CancellationToken cancellationToken) => new(identities.GetValueOrDefault(token));

    private static RequestIdentity Identity(string name, string? projectId, string? projectName, params string[] roles) =>
        new()
        {
            UserId = UserIdOf(name),
            UserName = name,
            UserDomainId = "default",
            UserDomainName = "Default",
            ProjectId = projectId,
            ProjectName = projectName,
            ProjectDomainId = projectId is null ? null : "default",
            ProjectDomainName = projectId is null ? null : "Default",
            Roles = roles,
            RoleIds = roles,
            IssuedAt = DateTimeOffset.UnixEpoch,
            ExpiresAt = DateTimeOffset.MaxValue,
        };
}
