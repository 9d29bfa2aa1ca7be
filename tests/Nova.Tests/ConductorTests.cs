using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Storage.Leases;
using SharpStack.Nova.Conductor;
using SharpStack.Nova.Contracts;
using SharpStack.Nova.Scheduling;
using SharpStack.Nova.Storage;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

public sealed class ConductorTests
{
    public static TheoryData<string> BuildSteps => ["schedule", "claim", "host", "ports", "network"];

    public static TheoryData<string> DeleteSteps => ["release ports", "release allocation", "deleted"];

    /// <summary>Stops the conductor's work before a step for good, as a kill does, until the cloud is started again.</summary>
    private static TaskCompletionSource DieBefore(NovaCloud nova, string step)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        nova.Cloud.Get<InstanceReconciler>().BeforeStep = name =>
        {
            if (name == step)
            {
                reached.TrySetResult();
                throw new OperationCanceledException("killed");
            }

            return Task.CompletedTask;
        };
        return reached;
    }

    private static Task Reached(TaskCompletionSource step) => step.Task.WaitAsync(TimeSpan.FromSeconds(20), NovaCloud.Cancelled);

    [Theory]
    [MemberData(nameof(BuildSteps))]
    public async Task A_conductor_killed_before_a_step_of_a_build_goes_on_after_its_restart_with_one_port_and_one_allocation(string step)
    {
        var nova = await NovaCloud.StartAsync();
        var reached = DieBefore(nova, step);
        var id = await nova.CreateAsync();
        await Reached(reached);

        await using var again = await nova.RestartAsync();
        await again.WaitForStatusAsync(id, "ACTIVE");
        Assert.Single(again.Services.PortsOf(id));
        Assert.Single(again.Services.Ports);
        Assert.Single(again.Services.Allocations);
    }

    [Theory]
    [MemberData(nameof(DeleteSteps))]
    public async Task A_conductor_killed_before_a_step_of_a_deletion_goes_on_after_its_restart_and_leaves_nothing(string step)
    {
        var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var reached = DieBefore(nova, step);
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await Reached(reached);

        await using var again = await nova.RestartAsync();
        await again.WaitForGoneAsync(id);
        Assert.Empty(again.Services.Ports);
        Assert.Empty(again.Services.Allocations);
    }

    [Fact]
    public async Task A_deletion_in_the_midst_of_a_build_leaves_nothing()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Host.IsDeaf = true;
        var id = await nova.CreateAsync();
        await Eventually.TrueAsync(() => nova.Services.PortsOf(id).Any(), "the port");
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        nova.Host.IsDeaf = false;
        nova.Cloud.Get<InstanceReconciler>().Look(id);
        await nova.WaitForGoneAsync(id);
        Assert.Empty(nova.Services.Ports);
        Assert.Empty(nova.Services.Allocations);
    }

    [Fact]
    public async Task A_failure_on_the_host_is_shown_with_its_reason_and_gives_everything_back()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Host.Fail = _ => new FaultReport(500, "No bootable device.", "a trace");
        var id = await nova.CreateAsync();
        await nova.WaitForStatusAsync(id, "ERROR");
        var fault = (await nova.ShowAsync(id)).GetProperty("fault");
        Assert.Equal("No bootable device.", fault.GetProperty("message").GetString());
        Assert.Equal("a trace", fault.GetProperty("details").GetString());
        await Eventually.TrueAsync(() => nova.Services.Ports.IsEmpty && nova.Services.Allocations.IsEmpty, "everything is given back");
        var server = (await nova.Demo().GetAsync($"/v2.1/servers/{id}")).Json.GetProperty("server");
        Assert.False(server.GetProperty("fault").TryGetProperty("details", out _));
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
    }

    [Fact]
    public async Task A_host_that_fails_is_left_for_another_one_with_the_same_port()
    {
        await using var nova = await NovaCloud.StartAsync();
        var second = await nova.AddHostAsync("host2");
        nova.Host.Fail = _ => new FaultReport(500, "disk full", Reschedule: true);
        var id = await nova.BootAsync();
        var server = await nova.ShowAsync(id);
        Assert.Equal("host2", server.GetProperty("OS-EXT-SRV-ATTR:host").GetString());
        var port = Assert.Single(nova.Services.PortsOf(id));
        Assert.Equal("host2", (string)nova.Services.Ports[port]["binding:host_id"]!);
        Assert.True(second.Guests.ContainsKey(id));
    }

    [Fact]
    public async Task No_valid_host_is_an_error_that_says_so()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Host.Fail = _ => new FaultReport(500, "disk full", Reschedule: true);
        var id = await nova.CreateAsync();
        await nova.WaitForStatusAsync(id, "ERROR");
        Assert.StartsWith("No valid host was found.", (await nova.ShowAsync(id)).GetProperty("fault").GetProperty("message").GetString(), StringComparison.Ordinal);
        await Eventually.TrueAsync(() => nova.Services.Ports.IsEmpty && nova.Services.Allocations.IsEmpty, "everything is given back");
    }

    [Fact]
    public async Task A_service_that_does_not_answer_delays_a_build_but_does_not_fail_it()
    {
        await using var nova = await NovaCloud.StartAsync();
        var failures = 0;
        nova.Services.Before = (method, path) =>
        {
            if (method == "POST" && path == "/v2.0/ports" && failures++ < 2)
            {
                throw CloudException.Unavailable("not now");
            }
        };
        var id = await nova.BootAsync();
        Assert.Single(nova.Services.PortsOf(id));
        Assert.Equal(3, failures);
    }

    [Fact]
    public async Task A_refused_port_fails_the_build_with_Neutrons_words()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Services.Before = (method, path) =>
        {
            if (method == "POST" && path == "/v2.0/ports")
            {
                throw CloudException.Conflict("Quota exceeded for resources: ['port'].");
            }
        };
        var id = await nova.CreateAsync();
        await nova.WaitForStatusAsync(id, "ERROR");
        Assert.Contains("Quota exceeded for resources: ['port'].", (await nova.ShowAsync(id)).GetProperty("fault").GetProperty("message").GetString(), StringComparison.Ordinal);
        await Eventually.TrueAsync(() => nova.Services.Allocations.IsEmpty, "the allocation is given back");
    }

    [Fact]
    public async Task Lost_and_doubled_hints_cost_time_only()
    {
        await using var nova = await NovaCloud.StartAsync();
        var bus = nova.Cloud.Get<InProcessBus>();
        var number = 0;
        bus.Chaos = _ => Interlocked.Increment(ref number) % 3;
        var ids = new List<string>();
        for (var i = 0; i < 5; i++)
        {
            ids.Add(await nova.CreateAsync($"s{i}"));
        }

        foreach (var id in ids)
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    // What the slow periods of conductor and host do, sooner.
                    nova.Cloud.Get<InstanceReconciler>().EnqueueAll();
                    await nova.Host.LookAsync(id, NovaCloud.Cancelled);
                    return (await nova.ShowAsync(id)).GetProperty("status").GetString() == "ACTIVE";
                },
                $"{id} is active");
        }

        Assert.Equal(5, nova.Services.Ports.Count);
        Assert.Equal(5, nova.Services.Allocations.Count);
    }

    [Fact]
    public async Task A_server_on_a_host_that_is_down_can_be_deleted()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        nova.Host.IsDeaf = true;
        var service = (await nova.Admin().GetAsync("/v2.1/os-services?binary=nova-compute")).Json.GetProperty("services")[0].GetProperty("id").GetString();
        (await nova.Admin().PutAsync($"/v2.1/os-services/{service}", """{"forced_down": true}""")).Expect(200);
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Empty(nova.Services.Ports);
        Assert.Empty(nova.Services.Allocations);

        // When the host is back it is told that the guest is not its own.
        nova.Host.IsDeaf = false;
        await nova.Host.LookAsync(id, NovaCloud.Cancelled);
        Assert.False(nova.Host.Guests.ContainsKey(id));
    }

    [Fact]
    public async Task An_action_that_the_host_never_ends_is_given_up_after_its_time()
    {
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "DEFAULT", "instance_action_timeout", "1")]);
        var id = await nova.BootAsync();
        nova.Host.IsDeaf = true;
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"reboot": {"type": "HARD"}}""")).Expect(202);
        await Eventually.TrueAsync(
            async () =>
            {
                nova.Cloud.Get<InstanceReconciler>().EnqueueAll();
                return (await nova.ShowAsync(id)).GetProperty("status").GetString() == "ACTIVE";
            },
            "the reboot is given up");
        var actions = (await nova.Demo().GetAsync($"/v2.1/servers/{id}/os-instance-actions")).Json.GetProperty("instanceActions");
        Assert.Equal("Error", actions[0].GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_network_service_that_never_answers_ends_a_build_in_its_time_with_a_reason_and_gives_back_what_it_holds()
    {
        var time = new FakeTimeProvider(DateTimeOffset.UnixEpoch.AddYears(60));
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "DEFAULT", "instance_build_timeout", "120")], time: time, leases: new LeaseTimings(TimeSpan.FromSeconds(2), TimeSpan.FromDays(1)));
        var hangs = new TaskCompletionSource();
        nova.Services.Before = (method, path) =>
        {
            if (method == "POST" && path == "/v2.0/ports")
            {
                hangs.Task.Wait();
            }
        };
        var id = await nova.CreateAsync();
        try
        {
            await Eventually.TrueAsync(() => nova.Services.Allocations.ContainsKey(id), "the allocation is claimed");
            await Eventually.TrueAsync(
                async () =>
                {
                    time.Advance(TimeSpan.FromSeconds(5));
                    return (await nova.ShowAsync(id)).GetProperty("status").GetString() == "ERROR";
                },
                "the build is given up",
                TimeSpan.FromSeconds(60));
            Assert.Contains("did not end in time", (await nova.ShowAsync(id)).GetProperty("fault").GetProperty("message").GetString(), StringComparison.Ordinal);
            await Eventually.TrueAsync(
                () =>
                {
                    time.Advance(TimeSpan.FromSeconds(5));
                    return nova.Services.Allocations.IsEmpty;
                },
                "the allocation is given back");
        }
        finally
        {
            hangs.SetResult();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Ports_have_their_servers_host_name_where_Neutron_names_ports(bool namesPorts)
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Services.NamesPorts = namesPorts;
        var own = nova.Services.AddPort(nova.NetworkId);
        var id = (await nova.Demo().PostAsync(
            "/v2.1/servers", $$"""{"server": {"name": "Web 1", "flavorRef": "1", "imageRef": "{{nova.ImageId}}", "networks": [{"port": "{{own}}"}, {"uuid": "{{nova.NetworkId}}"}]} }""")).Expect(202).Json.GetProperty("server").Text("id")!;
        await nova.WaitForStatusAsync(id, "ACTIVE");
        var names = nova.Services.Ports.Values.Where(port => (string?)port["device_id"] == id).Select(port => (string?)port["dns_name"]).ToList();
        Assert.Equal(namesPorts ? ["web-1", "web-1"] : new string?[] { null, null }, names);
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Equal(namesPorts ? "" : null, (string?)nova.Services.Ports[own]["dns_name"]);
    }

    [Fact]
    public async Task The_report_of_an_older_action_changes_nothing()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var reply = await nova.Host.ReportAsync(
            new InstanceReport("host1", id, 1, PowerState.Shutdown) { ActionId = 4711, Progress = ActionProgress.Done }, NovaCloud.Cancelled);
        Assert.False(reply.Accepted);
        reply = await nova.Host.ReportAsync(new InstanceReport("elsewhere", id, 1, PowerState.Shutdown), NovaCloud.Cancelled);
        Assert.False(reply.Accepted);
        Assert.Equal("ACTIVE", (await nova.ShowAsync(id)).GetProperty("status").GetString());
    }

    [Fact]
    public async Task The_janitor_gives_back_what_a_deleted_server_still_holds()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var provider = nova.Services.Allocations[id];
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        var port = nova.Services.AddPort(nova.NetworkId, id);
        nova.Services.Ports[port]["device_owner"] = "compute:nova";
        nova.Services.Allocations[id] = provider;
        var foreign = nova.Services.AddPort(nova.NetworkId, Guid.NewGuid().ToString());
        nova.Services.Ports[foreign]["device_owner"] = "compute:nova";

        await nova.Cloud.Get<Janitor>().SweepAsync(NovaCloud.Cancelled);
        await Eventually.TrueAsync(() => !nova.Services.Ports.ContainsKey(port) && nova.Services.Allocations.IsEmpty, "what is left over is given back");
        Assert.True(nova.Services.Ports.ContainsKey(foreign));
    }

    [Fact]
    public async Task A_host_is_published_in_Placement_as_it_reported_itself()
    {
        await using var nova = await NovaCloud.StartAsync();
        var provider = Assert.Single(nova.Services.Providers).Value;
        var memory = provider["inventories"]!["MEMORY_MB"]!;
        Assert.Equal(8192, (int)memory["total"]!);
        Assert.Equal(512, (int)memory["reserved"]!);
        Assert.Equal(1.5, (double)memory["allocation_ratio"]!);
        Assert.Equal(["COMPUTE_NODE"], ((System.Text.Json.Nodes.JsonArray)provider["traits"]!).Select(trait => (string)trait!));
    }
}
