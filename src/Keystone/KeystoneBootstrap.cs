using System.Text.Json;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Storage;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Credentials;
using SharpStack.Keystone.Receipts;
using SharpStack.Keystone.Storage;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone;

/// <summary>What <c>keystone-manage bootstrap</c> takes.</summary>
public sealed record BootstrapSettings(string AdminPassword)
{
    public string AdminUser { get; init; } = "admin";

    public string Project { get; init; } = "admin";

    /// <summary>The administrator's role.</summary>
    public string AdminRole { get; init; } = "admin";

    /// <summary>Whether the roles that are made can be neither changed nor deleted.</summary>
    public bool ImmutableRoles { get; init; } = true;

    public string Region { get; init; } = "RegionOne";

    public string ServiceName { get; init; } = "keystone";

    public string? PublicUrl { get; init; }

    public string? InternalUrl { get; init; }

    public string? AdminUrl { get; init; }
}

/// <summary>A service of the cloud: its user in project <c>service</c>, its catalog entry and its three endpoints.</summary>
/// <param name="User">The name of the service user, for example <c>nova</c>.</param>
/// <param name="Password">Set where the user is new or has another one.</param>
/// <param name="Type">The type in the catalog; null for a user without an entry.</param>
/// <param name="Url">The URL of all three endpoints.</param>
public sealed record ServiceRegistration(string User, string Password, string? Type = null, string? Name = null, string? Url = null, string Description = "");

/// <summary>
/// Makes an empty identity service usable, or a broken one again: run twice, the second run changes nothing, or repairs what is missing.
/// </summary>
public sealed class KeystoneBootstrap
{
    private readonly KeystoneStore store;
    private readonly KeyRepository keys;
    private readonly CredentialKeys credentialKeys;
    private readonly ReceiptKeys receiptKeys;
    private readonly JwsKeys jwsKeys;
    private readonly bool usesJws;
    private readonly PasswordHasher hasher;
    private readonly Authenticator authenticator;
    private readonly RevocationIndex revocations;
    private readonly TimeProvider time;
    private readonly string defaultDomainId;

    internal KeystoneBootstrap(
        KeystoneStore store,
        KeyRepository keys,
        CredentialKeys credentialKeys,
        ReceiptKeys receiptKeys,
        JwsKeys jwsKeys,
        PasswordHasher hasher,
        Authenticator authenticator,
        RevocationIndex revocations,
        TimeProvider time,
        ServiceConfig config)
    {
        this.store = store;
        this.keys = keys;
        this.credentialKeys = credentialKeys;
        this.receiptKeys = receiptKeys;
        this.jwsKeys = jwsKeys;
        usesJws = config.Get(KeystoneOptions.TokenProvider) == "jws";
        this.hasher = hasher;
        this.authenticator = authenticator;
        this.revocations = revocations;
        this.time = time;
        defaultDomainId = config.Get(KeystoneOptions.DefaultDomainId);
    }

    /// <summary>Keys, the default domain, roles admin, member, reader (each implies the next) and service, the administrator, the region and the catalog entry.</summary>
    public async Task RunAsync(BootstrapSettings settings, CancellationToken cancellationToken = default)
    {
        SetupKeys();
        var roles = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in (string[])["reader", "member", settings.AdminRole, "service"])
        {
            roles[name] = await EnsureRoleAsync(name, settings.ImmutableRoles, cancellationToken);
        }
        await store.WriteAsync(
            async db =>
            {
                await EnsureImpliedAsync(db, roles[settings.AdminRole], roles["member"], cancellationToken);
                await EnsureImpliedAsync(db, roles["member"], roles["reader"], cancellationToken);
            },
            cancellationToken);
        var project = await EnsureProjectAsync("Bootstrap project for initializing the cloud.", settings.Project, cancellationToken);
        var user = await EnsureUserAsync(settings.AdminUser, settings.AdminPassword, cancellationToken);
        await EnsureAssignmentAsync(user, AssignmentRow.Project, project, roles[settings.AdminRole], cancellationToken);
        await EnsureAssignmentAsync(user, AssignmentRow.System, "all", roles[settings.AdminRole], cancellationToken);
        await EnsureServiceAsync(
            "identity", settings.ServiceName, "OpenStack Identity", settings.Region, settings.PublicUrl, settings.InternalUrl, settings.AdminUrl, cancellationToken);
    }

    /// <summary>Service users with the roles admin and service on project <c>service</c>, and their catalog entries. Needs <see cref="RunAsync"/> before.</summary>
    public async Task RegisterServicesAsync(IEnumerable<ServiceRegistration> services, string region = "RegionOne", CancellationToken cancellationToken = default)
    {
        var project = await EnsureProjectAsync("Project of the services' own users.", "service", cancellationToken);
        var admin = await EnsureRoleAsync("admin", true, cancellationToken);
        var service = await EnsureRoleAsync("service", true, cancellationToken);
        var registrations = services.ToList();
        // Checking a password takes a quarter of a second of processor time: on all cores at once.
        var users = await Task.WhenAll(registrations.Select(r => EnsureUserAsync(r.User, r.Password, cancellationToken)));
        foreach (var (registration, user) in registrations.Zip(users))
        {
            await EnsureAssignmentAsync(user, AssignmentRow.Project, project, admin, cancellationToken);
            await EnsureAssignmentAsync(user, AssignmentRow.Project, project, service, cancellationToken);
            if (registration.Type is { } type)
            {
                var url = registration.Url;
                await EnsureServiceAsync(type, registration.Name ?? registration.User, registration.Description, region, url, url, url, cancellationToken);
            }
        }
    }

    /// <summary>Makes the keys of tokens, receipts and credentials where there are none.</summary>
    public void SetupKeys()
    {
        keys.Setup();
        receiptKeys.Repository.Setup();
        if (usesJws)
        {
            jwsKeys.Setup();
        }
        credentialKeys.Repository.Setup();
    }

    private async Task<string> EnsureProjectAsync(string description, string name, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            async db =>
            {
                if (!await db.Projects().AnyAsync(p => p.Id == defaultDomainId, cancellationToken))
                {
                    await db.InsertAsync(
                        new ProjectRow
                        {
                            Id = defaultDomainId,
                            Name = "Default",
                            NameKey = "default",
                            DomainId = "",
                            IsDomain = true,
                            Enabled = true,
                            Description = "The default domain",
                        },
                        token: cancellationToken);
                }
                var key = Names.Key(name);
                if (await db.Projects().FirstOrDefaultAsync(p => p.DomainId == defaultDomainId && p.NameKey == key, cancellationToken) is { } existing)
                {
                    return existing.Id;
                }
                var project = new ProjectRow
                {
                    Id = Names.NewId(),
                    Name = name,
                    NameKey = key,
                    DomainId = defaultDomainId,
                    ParentId = defaultDomainId,
                    IsDomain = false,
                    Enabled = true,
                    Description = description,
                };
                await db.InsertAsync(project, token: cancellationToken);
                return project.Id;
            },
            cancellationToken);

    private async Task<string> EnsureRoleAsync(string name, bool immutable, CancellationToken cancellationToken) =>
        await store.WriteAsync(
            async db =>
            {
                var key = Names.Key(name);
                if (await db.Roles().FirstOrDefaultAsync(r => r.DomainId == "" && r.NameKey == key, cancellationToken) is { } existing)
                {
                    return existing.Id;
                }
                var role = new RoleRow { Id = Names.NewId(), Name = name, NameKey = key, DomainId = "", Options = immutable ? """{"immutable":true}""" : JsonText.Empty };
                await db.InsertAsync(role, token: cancellationToken);
                return role.Id;
            },
            cancellationToken);

    private static async Task EnsureImpliedAsync(DataConnection db, string prior, string implied, CancellationToken cancellationToken)
    {
        if (!await db.ImpliedRoles().AnyAsync(i => i.PriorRoleId == prior && i.ImpliedRoleId == implied, cancellationToken))
        {
            await db.InsertAsync(new ImpliedRoleRow { PriorRoleId = prior, ImpliedRoleId = implied }, token: cancellationToken);
        }
    }

    /// <summary>Also the way back in for a locked-out administrator: enables the user, and sets the password where it differs.</summary>
    private async Task<string> EnsureUserAsync(string name, string password, CancellationToken cancellationToken)
    {
        var key = Names.Key(name);
        UserRow? existing;
        await using (var db = store.Read())
        {
            existing = await db.Users().FirstOrDefaultAsync(u => u.DomainId == defaultDomainId && u.NameKey == key, cancellationToken);
        }
        var current = existing is not null && await authenticator.VerifyPasswordAsync(existing.Id, password, cancellationToken);
        if (current && existing!.Enabled)
        {
            return existing.Id;
        }
        var hash = current ? null : await hasher.HashAsync(password, cancellationToken);
        var user = (existing ?? new UserRow
        {
            Id = Names.NewId(),
            DomainId = defaultDomainId,
            Name = name,
            NameKey = key,
            Enabled = true,
            CreatedAt = time.NowMicroseconds(),
        }) with { Enabled = true };
        await store.WriteAsync(
            async db =>
            {
                if (existing is null)
                {
                    await db.InsertAsync(user, token: cancellationToken);
                }
                else
                {
                    await db.UpdateAsync(user, token: cancellationToken);
                    await revocations.RevokeUserAsync(db, user.Id, cancellationToken);
                }
                if (hash is not null)
                {
                    await db.InsertAsync(new PasswordRow { UserId = user.Id, Hash = hash, CreatedAt = time.NowMicroseconds() }, token: cancellationToken);
                }
            },
            cancellationToken);
        return user.Id;
    }

    private Task EnsureAssignmentAsync(string userId, string targetType, string targetId, string roleId, CancellationToken cancellationToken) => store.WriteAsync(
        async db =>
        {
            if (!await db.Assignments().AnyAsync(
                a => a.ActorType == AssignmentRow.User && a.ActorId == userId && a.TargetType == targetType && a.TargetId == targetId && a.RoleId == roleId && !a.Inherited,
                cancellationToken))
            {
                await db.InsertAsync(
                    new AssignmentRow
                    {
                        ActorType = AssignmentRow.User,
                        ActorId = userId,
                        TargetType = targetType,
                        TargetId = targetId,
                        RoleId = roleId,
                        Inherited = false,
                    },
                    token: cancellationToken);
            }
        },
        cancellationToken);

    private Task EnsureServiceAsync(
        string type, string name, string description, string region, string? publicUrl, string? internalUrl, string? adminUrl, CancellationToken cancellationToken) => store.WriteAsync(
        async db =>
        {
            if (!await db.Regions().AnyAsync(r => r.Id == region, cancellationToken))
            {
                await db.InsertAsync(new RegionRow { Id = region }, token: cancellationToken);
            }
            if ((publicUrl ?? internalUrl ?? adminUrl) is null)
            {
                return;
            }
            var service = await db.Services().FirstOrDefaultAsync(s => s.Type == type, cancellationToken);
            if (service is null)
            {
                service = new ServiceRow
                {
                    Id = Names.NewId(),
                    Type = type,
                    Name = name,
                    Enabled = true,
                    Extra = JsonSerializer.Serialize(new Dictionary<string, string> { ["description"] = description }),
                };
                await db.InsertAsync(service, token: cancellationToken);
            }
            foreach (var (@interface, url) in ((string, string?)[])[("public", publicUrl), ("internal", internalUrl), ("admin", adminUrl)])
            {
                await EnsureEndpointAsync(db, service.Id, @interface, region, url, cancellationToken);
            }
        },
        cancellationToken);

    private static async Task EnsureEndpointAsync(
        DataConnection db, string serviceId, string @interface, string region, string? url, CancellationToken cancellationToken)
    {
        if (url is null)
        {
            return;
        }
        var existing = await db.Endpoints().FirstOrDefaultAsync(
            e => e.ServiceId == serviceId && e.Interface == @interface && e.RegionId == region, cancellationToken);
        if (existing is null)
        {
            await db.InsertAsync(
                new EndpointRow { Id = Names.NewId(), ServiceId = serviceId, Interface = @interface, RegionId = region, Url = url, Enabled = true },
                token: cancellationToken);
        }
        else if (existing.Url != url)
        {
            await db.UpdateAsync(existing with { Url = url }, token: cancellationToken);
        }
    }
}
