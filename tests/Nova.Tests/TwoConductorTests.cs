using LinqToDB;
using LinqToDB.Async;
using Microsoft.Extensions.DependencyInjection;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Storage;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Two processes of Nova, each with API, conductor and scheduler, on one database and one bus.</summary>
public sealed class TwoConductorTests
{
    /// <summary>Where one is to be taken for dead soon.</summary>
    private static readonly LeaseTimings Quick = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(3));

    /// <summary>Where none is, however busy the machine.</summary>
    private static readonly LeaseTimings Calm = new(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(2));

    [Fact]
    public async Task Both_build_and_delete_instances_and_each_is_built_once()
    {
        await using var nova = await NovaCloud.StartAsync(leases: Calm);
        await using var second = await NovaCloud.JoinAsync(nova, Calm);
        await BothHoldAsync(nova, second);
        var steps = new System.Collections.Concurrent.ConcurrentBag<(int Conductor, string Step)>();
        foreach (var (cloud, number) in ((TestCloud, int)[])[(nova.Cloud, 1), (second, 2)])
        {
            cloud.Get<InstanceReconciler>().BeforeStep = step =>
            {
                steps.Add((number, step));
                return Task.CompletedTask;
            };
        }

        await RaiseQuotaAsync(nova);
        var ids = await Task.WhenAll(Enumerable.Range(0, 12).Select(index => nova.CreateAsync($"server-{index}")));
        foreach (var id in ids)
        {
            await nova.WaitForStatusAsync(id, "ACTIVE");
            Assert.Single(nova.Services.PortsOf(id));
        }

        Assert.Equal(ids.Length, steps.Count(step => step.Step == "claim"));
        Assert.Equal(ids.Length, nova.Host.Asked.DistinctBy(asked => asked.Id).Count());
        Assert.Contains(steps, step => step.Conductor == 1);
        Assert.Contains(steps, step => step.Conductor == 2);
        await Task.WhenAll(ids.Select(async id => (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204)));
        foreach (var id in ids)
        {
            await nova.WaitForGoneAsync(id);
        }

        Assert.Empty(nova.Services.Ports);
        Assert.Empty(nova.Services.Allocations);
    }

    [Theory]
    [InlineData("schedule")]
    [InlineData("claim")]
    [InlineData("host")]
    [InlineData("ports")]
    [InlineData("network")]
    public async Task What_a_conductor_that_hangs_has_begun_the_other_ends_and_the_first_undoes_nothing_when_it_is_back(string step)
    {
        await using var nova = await NovaCloud.StartAsync(leases: Quick);
        await using var second = await NovaCloud.JoinAsync(nova, Quick);
        await BothHoldAsync(nova, second);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var share = nova.Cloud.Get<ConductorLeases>();
        nova.Cloud.Get<InstanceReconciler>().BeforeStep = async name =>
        {
            if (name == step)
            {
                reached.TrySetResult();
                await goOn.Task;
                passed.TrySetResult();
            }
        };

        // One of these is the first conductor's: the whole process hangs at its step, the beat too.
        await RaiseQuotaAsync(nova);
        var ids = new List<string>();
        while (!reached.Task.IsCompleted)
        {
            ids.Add(await nova.CreateAsync());
            await Task.WhenAny(reached.Task, nova.WaitForStatusAsync(ids[^1], "ACTIVE"));
        }

        string before;
        try
        {
            await share.Keeper.DisposeAsync();
            foreach (var id in ids)
            {
                await nova.WaitForStatusAsync(id, "ACTIVE");
            }

            before = await StateAsync(nova, ids);
        }
        finally
        {
            goOn.SetResult();
        }

        await passed.Task.WaitAsync(TimeSpan.FromSeconds(20), NovaCloud.Cancelled);
        await nova.Cloud.Get<InstanceReconciler>().WhenIdleAsync().WaitAsync(TimeSpan.FromSeconds(20), NovaCloud.Cancelled);
        Assert.Equal(before, await StateAsync(nova, ids));
        Assert.Equal(ids.Count, nova.Services.Ports.Count);
        Assert.Equal(ids.Count, nova.Services.Allocations.Count);
    }

    [Fact]
    public async Task An_allocation_claimed_too_late_for_an_instance_that_another_conductor_deleted_is_given_back()
    {
        await using var nova = await NovaCloud.StartAsync(leases: Quick);
        await using var second = await NovaCloud.JoinAsync(nova, Quick);
        await BothHoldAsync(nova, second);
        var share = nova.Cloud.Get<ConductorLeases>().Instances;
        var reached = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        nova.Services.Before = (method, path) =>
        {
            if (method == "PUT" && path.StartsWith("/allocations/", StringComparison.Ordinal) && share.Holds(path["/allocations/".Length..]) && reached.TrySetResult(path["/allocations/".Length..]))
            {
                // The claim is on its way while the conductor hangs.
                goOn.Task.Wait();
            }
        };
        await RaiseQuotaAsync(nova);
        while (!reached.Task.IsCompleted)
        {
            var one = await nova.CreateAsync();
            await Task.WhenAny(reached.Task, nova.WaitForStatusAsync(one, "ACTIVE"));
        }

        var id = await reached.Task;
        try
        {
            await nova.Cloud.Get<ConductorLeases>().Keeper.DisposeAsync();
            (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
            await nova.WaitForGoneAsync(id);
        }
        finally
        {
            goOn.SetResult();
        }

        await Eventually.TrueAsync(
            async () =>
            {
                await using var session = second.Get<NovaStore>().Read();
                return !nova.Services.Allocations.ContainsKey(id) && await session.Instances.AnyAsync(row => row.Uuid == id && !row.Release, NovaCloud.Cancelled);
            },
            "the late allocation is given back");
    }

    [Fact]
    public async Task Requests_at_both_apis_do_not_pass_a_quota_together()
    {
        await using var nova = await NovaCloud.StartAsync(leases: Calm);
        await using var second = await NovaCloud.JoinAsync(nova, Calm);
        using var there = second.Client("nova-api", "demo", "compute 2.96");
        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(index => (index % 2 == 0 ? nova.Demo() : there).PostAsync("/v2.1/servers", nova.ServerBody())));
        Assert.Equal(10, answers.Count(answer => answer.Status == 202));
        Assert.Equal(14, answers.Count(answer => answer.Status == 403));
    }

    private static Task BothHoldAsync(NovaCloud nova, TestCloud second) =>
        Eventually.TrueAsync(() => nova.Cloud.Get<ConductorLeases>().Instances.HeldCount == 32 && second.Get<ConductorLeases>().Instances.HeldCount == 32, "each holds half");

    private static async Task RaiseQuotaAsync(NovaCloud nova) =>
        (await nova.Admin().PutAsync($"/v2.1/os-quota-sets/{TestIdentities.DemoProject}", """{"quota_set": {"instances": 100, "cores": 100}}""")).Expect(200);

    /// <summary>What users and services see of the instances.</summary>
    private static async Task<string> StateAsync(NovaCloud nova, IEnumerable<string> ids)
    {
        await using var session = nova.Cloud.Get<NovaStore>().Read();
        var rows = await session.Instances.OrderBy(row => row.Id).Select(row => new { row.Uuid, row.Host, row.VmState, row.TaskState, row.NetworkInfo, row.Revision }).ToListAsync(NovaCloud.Cancelled);
        return string.Join('\n', rows.Select(row => $"{row}")
            .Concat(ids.Order(StringComparer.Ordinal).Select(id => $"{id} {nova.Services.Allocations[id]} {string.Join(',', nova.Services.PortsOf(id))}")));
    }
}
