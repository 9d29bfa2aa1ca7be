using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Storage;
using SharpStack.Neutron.Contracts;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.Agents;

/// <summary>Which agents there are, and which of them live: those that reported within <c>agent_down_time</c>.</summary>
internal sealed class AgentDirectory(NeutronOptions options, TimeProvider time)
{
    public bool IsAlive(AgentRow row) => row.HeartbeatAt >= AliveSince;

    private long AliveSince => time.NowMicroseconds() - (long)options.AgentDownTime.TotalMicroseconds;

    /// <summary>The live agents of a host.</summary>
    public async Task<List<Agent>> OnHostAsync(DataConnection db, string host, CancellationToken cancellationToken)
    {
        var since = AliveSince;
        var rows = await db.GetTable<AgentRow>().Where(row => row.Host == host && row.HeartbeatAt >= since).ToListAsync(cancellationToken);
        return rows.ConvertAll(row => new Agent(row, true));
    }

    /// <summary>The live DHCP agents that take networks.</summary>
    public Task<List<AgentRow>> LiveDhcpAsync(DataConnection db, CancellationToken cancellationToken)
    {
        var since = AliveSince;
        return db.GetTable<AgentRow>().Where(row => row.AgentType == AgentTypes.Dhcp && row.AdminStateUp && row.HeartbeatAt >= since).ToListAsync(cancellationToken);
    }

    /// <summary>The DHCP agents of a network, dead ones too.</summary>
    public Task<List<AgentRow>> DhcpOfAsync(DataConnection db, string networkId, CancellationToken cancellationToken) =>
        (from bound in db.GetTable<NetworkDhcpAgentRow>()
         where bound.NetworkId == networkId
         join agent in db.GetTable<AgentRow>() on bound.AgentId equals agent.Id
         select agent).ToListAsync(cancellationToken);
}
