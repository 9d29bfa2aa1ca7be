using SharpStack.ClusterKit;
using SharpStack.Foundation.Storage;

namespace SharpStack.Chaos.Tests;

/// <summary>Failures of a whole cluster's services under a steady load of boots and deletions.</summary>
public sealed class ClusterChaosTests(ChaosCluster chaos, ITestOutputHelper output) : IClassFixture<ChaosCluster>
{
    private ServedCluster Cluster => chaos.Cluster;

    [Fact]
    public async Task Each_service_is_killed_in_turn()
    {
        await using var trial = await Trial.BeginAsync(Cluster, output);
        // One of the hosts stands for both.
        foreach (var process in Cluster.Processes.Values.Where(process => process.Name != "host2"))
        {
            await trial.KillAsync(process);
        }

        await trial.EndAsync();
    }

    [Fact]
    public async Task The_message_bus_stops_and_comes_back_without_its_queues()
    {
        var broker = Cluster.Broker!;
        await using var trial = await Trial.BeginAsync(Cluster, output);
        await trial.ThroughAsync(
            "RabbitMQ stopped, then its queues wiped",
            ChaosLength.Outage,
            broker.KillAsync,
            async () =>
            {
                await broker.WipeAsync();
                await broker.StartAgainAsync();
            });
        await trial.EndAsync();
    }

    [Fact]
    public async Task The_database_stops_and_comes_back()
    {
        await using var trial = await Trial.BeginAsync(Cluster, output);
        await trial.ThroughAsync($"{Cluster.Database.Name} stopped", ChaosLength.Outage, Cluster.Database.StopAsync, Cluster.Database.StartAgainAsync);
        await trial.EndAsync();
    }

    [Fact]
    public async Task A_compute_host_is_cut_off_from_the_management_network()
    {
        var link = Cluster.Link!;
        await using var trial = await Trial.BeginAsync(Cluster, output);
        await trial.ThroughAsync("a compute host's management network cut", ChaosLength.Cut, () => Done(link.Cut), () => Done(link.Mend));
        await trial.EndAsync();
    }

    private static Task Done(Action action)
    {
        action();
        return Task.CompletedTask;
    }
}

/// <summary>A cluster whose every tenth message is lost, every tenth comes twice, and every tenth late.</summary>
public sealed class BadNetworkTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Lost_doubled_and_reordered_messages_cost_time_and_nothing_else()
    {
        await using var cluster = await ChaosCluster.StartAsync(
            new ClusterPlan { Sharpstack = "bus_chaos = drop:0.1,double:0.1,reorder:0.1" }, ChaosLength.EngineOr(DatabaseEngine.MariaDb));
        await using var trial = await Trial.BeginAsync(cluster, output);
        await trial.LastAsync("10 % of messages lost, 10 % doubled, 10 % reordered", ChaosLength.BadNetwork);
        await trial.EndAsync();
    }
}
