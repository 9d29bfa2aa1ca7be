using SharpStack.Foundation.Configuration;

namespace SharpStack.Keystone.Directories;

/// <summary>A user as another directory has it.</summary>
/// <param name="Id">What the directory calls the user; Keystone's own id is made of it.</param>
/// <param name="Extra">Further attributes by the names that the API gives them.</param>
internal sealed record DirectoryUser(string Id, string Name, bool Enabled, string? DefaultProjectId, IReadOnlyDictionary<string, string> Extra);

internal sealed record DirectoryGroup(string Id, string Name, string? Description, IReadOnlyDictionary<string, string> Extra);

/// <summary>What a list's names must be like.</summary>
/// <param name="Method">Empty for equality, <c>contains</c>, <c>startswith</c> or <c>endswith</c>.</param>
internal sealed record NameFilter(string Method, string Value);

/// <summary>How the users and groups of a domain are kept elsewhere; registered by OpenStack's name for it (<c>[identity] driver</c>).</summary>
internal interface IIdentityDriver
{
    string Name { get; }

    /// <param name="config">The domain's configuration.</param>
    IIdentityDirectory Open(ServiceConfig config);
}

/// <summary>
/// Users and groups that are kept elsewhere and only read here. Ids are the directory's own. Where it does not answer in a bounded time, calls fail with
/// 503; what does not exist is null.
/// </summary>
internal interface IIdentityDirectory : IDisposable
{
    Task<DirectoryUser?> UserAsync(string id, CancellationToken cancellationToken);

    Task<DirectoryUser?> UserByNameAsync(string name, CancellationToken cancellationToken);

    /// <param name="limit">The most that are read; 0 for all.</param>
    Task<IReadOnlyList<DirectoryUser>> UsersAsync(IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken);

    Task<IReadOnlyList<DirectoryUser>> UsersInGroupAsync(string groupId, CancellationToken cancellationToken);

    Task<DirectoryGroup?> GroupAsync(string id, CancellationToken cancellationToken);

    Task<IReadOnlyList<DirectoryGroup>> GroupsAsync(IReadOnlyList<NameFilter> filters, int limit, CancellationToken cancellationToken);

    Task<IReadOnlyList<DirectoryGroup>> GroupsOfUserAsync(string userId, CancellationToken cancellationToken);

    /// <summary>Whether the password is the user's.</summary>
    Task<bool> AuthenticateAsync(string userId, string password, CancellationToken cancellationToken);
}
