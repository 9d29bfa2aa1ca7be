using System.Text.Json;
using SharpStack.Foundation;
using SharpStack.Keystone.Projects;
using SharpStack.Keystone.Storage;

namespace SharpStack.Keystone.Authentication;

/// <summary>Finds who and what requests name by id, or by name within a domain.</summary>
internal sealed class UserFinder(IdentityCache cache, UrlSafeNames names)
{
    /// <summary>The user in <c>{"user": {…}}</c>. Null where there is none, or the domain is disabled.</summary>
    /// <exception cref="CloudException">The payload names none (400).</exception>
    public async Task<UserRow?> FindAsync(JsonElement payload, string method, CancellationToken cancellationToken)
    {
        if (payload.ValueKind != JsonValueKind.Object || !payload.TryGetProperty("user", out var user) || user.ValueKind != JsonValueKind.Object)
        {
            throw Fail.Expected("user", method);
        }
        var snapshot = cache.Current;
        if (user.Text("name") is { Length: > 0 } name)
        {
            if (!user.TryGetProperty("domain", out var reference))
            {
                throw Fail.Expected("domain", "user");
            }
            return await DomainAsync(reference, $"identity/{method}/user/domain", cancellationToken) is { } domain
                ? await snapshot.UserByNameAsync(domain.Id, name, cancellationToken)
                : null;
        }
        var id = user.Text("id") is { Length: > 0 } given ? given : throw CloudException.BadRequest($"Invalid input for field identity/{method}/user: id or name must be present.");
        return await snapshot.UserAsync(id, cancellationToken) is { } found && await snapshot.DomainAsync(found.DomainId, cancellationToken) is { Enabled: true } ? found : null;
    }

    /// <summary>An enabled domain.</summary>
    public async Task<ProjectRow?> DomainAsync(JsonElement domain, string path, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (domain.Text("name") is { } asked)
        {
            names.CheckDomainInUse(asked);
        }
        var found = domain.Text("name") is { Length: > 0 } name ? await snapshot.ProjectByNameAsync("", name, cancellationToken)
            : domain.Text("id") is { Length: > 0 } id ? await snapshot.DomainAsync(id, cancellationToken)
            : throw CloudException.BadRequest($"Invalid input for field {path}: id or name must be present.");
        return found is { Enabled: true } ? found : null;
    }

    /// <summary>A project, or a domain that is named as one by its id.</summary>
    public async Task<ProjectRow?> ProjectAsync(JsonElement project, CancellationToken cancellationToken)
    {
        var snapshot = cache.Current;
        if (project.Text("name") is not { Length: > 0 } name)
        {
            return project.Text("id") is { Length: > 0 } id
                ? await snapshot.ProjectAsync(id, cancellationToken)
                : throw CloudException.BadRequest("Invalid input for field scope/project: id or name must be present.");
        }
        names.CheckProjectInUse(name);
        if (!project.TryGetProperty("domain", out var reference))
        {
            throw Fail.Expected("domain", "project");
        }
        return await DomainAsync(reference, "scope/project/domain", cancellationToken) is { } domain
            ? await snapshot.ProjectByNameAsync(domain.Id, name, cancellationToken)
            : null;
    }
}
