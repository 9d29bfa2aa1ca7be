using LinqToDB;
using LinqToDB.Async;
using SharpStack.Foundation;
using SharpStack.Neutron.AddressGroups;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.FloatingIps;
using SharpStack.Neutron.Qos;
using SharpStack.Neutron.Routers;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Rbac;

/// <summary>A kind of resource that RBAC policies can open, registered by its name: <c>network</c>, <c>qos_policy</c>.</summary>
internal interface IRbacObjectType
{
    string Name { get; }

    IReadOnlyList<string> Actions { get; }

    /// <summary>Whose it is; throws the kind's own error where there is none.</summary>
    Task<string> OwnerOfAsync(Work work, string id);

    /// <summary>The projects that use it by leave of this action, the owner perhaps among them.</summary>
    Task<List<string>> UsersAsync(Work work, string id, string action);

    /// <summary>
    /// Whether a changed policy counts with its new target, and the owner as one who needs none. Neutron does so for networks; with all else a change is a removal, and what is
    /// shared with all stays so as long as the owner uses it too.
    /// </summary>
    bool IsLenient => false;

    /// <summary>With the policies as they are now, all who use the object must still be allowed to.</summary>
    /// <param name="goneTarget">Whom a policy named that is no more.</param>
    /// <param name="changedId">A policy that has another target now; null for none.</param>
    async Task CheckUsersAsync(Work work, string id, string action, string goneTarget, string? changedId = null)
    {
        var owner = IsLenient || goneTarget != Sharing.Everyone ? await OwnerOfAsync(work, id) : null;
        var ignored = IsLenient ? null : changedId;
        var left = (await work.Db.GetTable<RbacPolicyRow>().Where(policy => policy.ObjectId == id && policy.Action == action).Select(policy => new { policy.Id, policy.Target }).ToListAsync(work.Cancellation))
            .Where(policy => policy.Id != ignored || policy.Target == Sharing.Everyone).Select(policy => policy.Target).ToList();
        if (left.Contains(Sharing.Everyone))
        {
            return;
        }

        var stranded = (await UsersAsync(work, id, action))
            .Where(user => user.Length > 0 && user != owner && !left.Contains(user) && (goneTarget == Sharing.Everyone || goneTarget == user)).ToList();
        if (stranded.Count > 0)
        {
            throw InUse(id, $"it is used by the projects {string.Join(", ", stranded)}");
        }
    }

    static CloudException InUse(string id, string details) =>
        NeutronErrors.Conflict("RbacPolicyInUse", $"RBAC policy on object {id} cannot be removed because other objects depend on it.\nDetails: {details}");

    /// <summary>Refuses a policy that would open it to those who may not have what it is made of.</summary>
    Task CheckOpeningAsync(Work work, RbacPolicyRow policy);

    /// <summary>Refuses to take a policy away that the object cannot be without, whoever uses it.</summary>
    Task CheckClosingAsync(Work work, RbacPolicyRow policy);

    /// <summary>Its policies changed: what the row says of them is to be made true.</summary>
    Task ChangedAsync(Work work, string id);
}

/// <param name="users">The projects that use one of them.</param>
/// <param name="notFound">The error where an id is none of them.</param>
/// <param name="changed">What else is to be made true, given all its policies.</param>
/// <param name="opening">See <see cref="IRbacObjectType.CheckOpeningAsync"/>.</param>
/// <param name="closing">See <see cref="IRbacObjectType.CheckClosingAsync"/>.</param>
internal sealed class RbacObjectType<TRow>(
    string name, Func<Work, string, string, IQueryable<string>> users, Func<string, CloudException> notFound, IReadOnlyList<string>? actions = null, Action<TRow, IReadOnlyList<RbacPolicyRow>>? changed = null,
    Func<Work, RbacPolicyRow, Task>? opening = null, Func<Work, RbacPolicyRow, Task>? closing = null, bool isLenient = false)
    : IRbacObjectType
    where TRow : ResourceRow, IShareableRow
{
    public string Name => name;

    public bool IsLenient => isLenient;

    public IReadOnlyList<string> Actions { get; } = actions ?? [Sharing.AsShared];

    public async Task<string> OwnerOfAsync(Work work, string id) =>
        await work.Db.GetTable<TRow>().Where(row => row.Id == id).Select(row => row.ProjectId).FirstOrDefaultAsync(work.Cancellation) ?? throw notFound(id);

    public Task<List<string>> UsersAsync(Work work, string id, string action) => users(work, id, action).Distinct().ToListAsync(work.Cancellation);

    public Task CheckOpeningAsync(Work work, RbacPolicyRow policy) => opening?.Invoke(work, policy) ?? Task.CompletedTask;

    public Task CheckClosingAsync(Work work, RbacPolicyRow policy) => closing?.Invoke(work, policy) ?? Task.CompletedTask;

    public async Task ChangedAsync(Work work, string id)
    {
        if (await work.Db.GetTable<TRow>().FirstOrDefaultAsync(row => row.Id == id, work.Cancellation) is not { } row)
        {
            return;
        }

        var policies = await work.Db.GetTable<RbacPolicyRow>().Where(policy => policy.ObjectId == id).ToListAsync(work.Cancellation);
        row.Shared = policies.Exists(policy => policy is { Action: Sharing.AsShared, Target: Sharing.Everyone });
        row.SharedSelectively = policies.Exists(policy => policy.Action == Sharing.AsShared && policy.Target != Sharing.Everyone);
        changed?.Invoke(row, policies);
        work.Bump(row);
        await work.Db.UpdateAsync(row, token: work.Cancellation);
    }
}

/// <summary>The kinds that this server knows.</summary>
internal static class RbacObjectTypes
{
    public static IRbacObjectType Network { get; } = new RbacObjectType<NetworkRow>(
        "network",
        static (work, id, action) => action == Sharing.AsExternal
            ? (from router in work.Db.GetTable<RouterRow>()
               join gateway in work.Db.GetTable<PortRow>() on router.GatewayPortId equals gateway.Id
               where gateway.NetworkId == id
               select router.ProjectId).Union(work.Db.GetTable<FloatingIpRow>().Where(row => row.FloatingNetworkId == id).Select(row => row.ProjectId))
            : work.Db.GetTable<PortRow>().Where(port => port.NetworkId == id && !port.DeviceOwner.StartsWith("network:")).Select(port => port.ProjectId)
                .Union(work.Db.GetTable<SubnetRow>().Where(subnet => subnet.NetworkId == id).Select(subnet => subnet.ProjectId)),
        NeutronErrors.NetworkNotFound,
        [Sharing.AsExternal, Sharing.AsShared],
        static (row, policies) => row.External = policies.Any(policy => policy.Action == Sharing.AsExternal),
        closing: static async (work, policy) =>
        {
            if (policy is { Action: Sharing.AsExternal, Target: Sharing.Everyone } && await work.Db.GetTable<NetworkRow>().AnyAsync(row => row.Id == policy.ObjectId && row.IsDefault, work.Cancellation))
            {
                throw IRbacObjectType.InUse(policy.ObjectId, "Default external networks must be shared to everyone.");
            }
        },
        isLenient: true);

    public static IRbacObjectType SubnetPool { get; } = new RbacObjectType<SubnetPoolRow>(
        "subnetpool",
        static (work, id, _) => work.Db.GetTable<SubnetRow>().Where(subnet => subnet.SubnetPoolId == id).Select(subnet => subnet.ProjectId),
        NeutronErrors.SubnetPoolNotFound,
        opening: static async (work, policy) =>
        {
            var scope = await work.Db.GetTable<SubnetPoolRow>().Where(row => row.Id == policy.ObjectId).Select(row => row.AddressScopeId).FirstOrDefaultAsync(work.Cancellation);
            if (scope is not null && !await work.Db.GetTable<AddressScopeRow>().AnyAsync(row => row.Id == scope && row.ProjectId == policy.Target, work.Cancellation)
                && !await work.Db.GetTable<RbacPolicyRow>().AnyAsync(other => other.ObjectId == scope && (other.Target == policy.Target || other.Target == Sharing.Everyone), work.Cancellation))
            {
                throw CloudException.BadRequest(
                    $"Failed to create RBAC policy on object {policy.ObjectId} because project {policy.Target} has no access to its address scope {scope}: share the scope with it before.", "RbacPolicyInitError");
            }
        });

    public static IRbacObjectType AddressScope { get; } = new RbacObjectType<AddressScopeRow>(
        "address_scope",
        static (work, id, _) => work.Db.GetTable<SubnetPoolRow>().Where(pool => pool.AddressScopeId == id).Select(pool => pool.ProjectId),
        NeutronErrors.AddressScopeNotFound);

    public static IRbacObjectType SecurityGroup { get; } = new RbacObjectType<SecurityGroupRow>(
        "security_group",
        static (work, id, _) => from bound in work.Db.GetTable<PortSecurityGroupRow>()
                                where bound.SecurityGroupId == id
                                join port in work.Db.GetTable<PortRow>() on bound.PortId equals port.Id
                                select port.ProjectId,
        NeutronErrors.SecurityGroupNotFound);

    public static IRbacObjectType QosPolicy { get; } = new RbacObjectType<QosPolicyRow>(
        "qos_policy",
        static (work, id, _) => work.Db.GetTable<PortRow>().Where(row => row.QosPolicyId == id).Select(row => row.ProjectId)
            .Union(work.Db.GetTable<NetworkRow>().Where(row => row.QosPolicyId == id).Select(row => row.ProjectId))
            .Union(work.Db.GetTable<FloatingIpRow>().Where(row => row.QosPolicyId == id).Select(row => row.ProjectId))
            .Union(work.Db.GetTable<RouterRow>().Where(row => row.GatewayQosPolicyId == id).Select(row => row.ProjectId)),
        QosErrors.PolicyNotFound);

    public static IRbacObjectType AddressGroup { get; } = new RbacObjectType<AddressGroupRow>(
        "address_group",
        static (work, id, _) => work.Db.GetTable<SecurityGroupRuleRow>().Where(rule => rule.RemoteAddressGroupId == id).Select(rule => rule.ProjectId),
        AddressGroupResource.GroupNotFound);
}
