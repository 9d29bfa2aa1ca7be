using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Reconciling;
using SharpStack.Nova.Compute.Drivers;
using SharpStack.Nova.Compute.Drivers.Fake;
using SharpStack.Nova.Contracts;

namespace SharpStack.Nova.Compute.Tests;

public sealed class InstanceReconcilerTests : IAsyncDisposable
{
    private readonly FakeConductor conductor = new();
    private readonly ScriptedDriver driver = new();
    private readonly ServiceConfig config = ServiceConfig.Empty("nova");
    private ComputeService? service;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        if (service is not null)
        {
            await service.DisposeAsync();
        }

        await conductor.DisposeAsync();
    }

    [Fact]
    public async Task A_new_instance_gets_interfaces_disks_and_power_in_this_order_and_is_reported_done()
    {
        var instance = conductor.Add();
        await StartAsync();

        await conductor.SettledAsync(instance.Id);

        Assert.Equal(["plug", "prepare", "on"], driver.Calls);
        var last = conductor.Reports[^1];
        Assert.Equal((ActionProgress.Done, PowerState.Running, instance.Action!.Id), (last.Progress, last.PowerState, last.ActionId!.Value));
        Assert.NotNull(last.LaunchedAt);
        Assert.Equal(["networking", "block_device_mapping", "spawning"],
            conductor.Reports.Where(report => report.TaskState is not null).Select(report => report.TaskState!));
        await Wait.UntilAsync(() => conductor.Events.Count == 2);
        Assert.Contains(conductor.Events, each => each is { Name: "compute__do_build_and_run_instance", Result: "Success", Finish: not null });
    }

    [Fact]
    public async Task A_guest_does_not_run_before_Neutron_has_wired_its_ports()
    {
        var instance = conductor.Add(each => each with { Ports = [Port(plugged: false)] });
        await StartAsync();
        await Wait.UntilAsync(() => driver.Calls.Contains("prepare"));
        await service!.Instances.WhenIdleAsync();
        Assert.DoesNotContain("on", driver.Calls);

        await conductor.ChangeAsync(instance.Id, each => each with { Ports = [Port(plugged: true)] });
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(PowerState.Running, driver.Guests[instance.Id]);
        Assert.Single(driver.Calls, "plug");
    }

    [Fact]
    public async Task Ports_that_are_not_wired_in_time_fail_the_instance_and_leave_nothing()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var instance = conductor.Add(each => each with { Ports = [Port(plugged: false)], Action = conductor.NewAction(InstanceActionKind.Create, TimeSpan.FromHours(1)) });
        await StartAsync(time);
        await Wait.UntilAsync(() => driver.Calls.Contains("prepare"));
        await service!.Instances.WhenIdleAsync();

        time.Advance(TimeSpan.FromSeconds(301));
        await conductor.SettledAsync(instance.Id);

        var fault = conductor.Reports[^1].Fault;
        Assert.Contains("vif_plugging_timeout", fault!.Message, StringComparison.Ordinal);
        Assert.True(fault.Reschedule);
        AssertNothingLeft();
    }

    [Fact]
    public async Task With_vif_plugging_is_fatal_off_the_guest_runs_all_the_same()
    {
        config.With("DEFAULT", "vif_plugging_is_fatal", "false");
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var instance = conductor.Add(each => each with { Ports = [Port(plugged: false)], Action = conductor.NewAction(InstanceActionKind.Create, TimeSpan.FromHours(1)) });
        await StartAsync(time);
        await Wait.UntilAsync(() => driver.Calls.Contains("prepare"));
        await service!.Instances.WhenIdleAsync();

        time.Advance(TimeSpan.FromSeconds(301));
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(PowerState.Running, driver.Guests[instance.Id]);
    }

    [Fact]
    public async Task A_port_that_Neutron_could_not_bind_fails_at_once_with_the_next_step()
    {
        var instance = conductor.Add(each => each with { Ports = [Port(plugged: false) with { VifType = "binding_failed" }] });
        await StartAsync();

        await conductor.SettledAsync(instance.Id);

        Assert.Contains("openstack network agent list", conductor.Reports[^1].Fault!.Message, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_step_that_can_never_succeed_cleans_up_and_says_why()
    {
        driver.Fault = (step, after) =>
        {
            if (step == "prepare" && after)
            {
                throw new ComputeException("The image is too large.");
            }
        };
        var instance = conductor.Add();
        await StartAsync();

        await conductor.SettledAsync(instance.Id);

        var report = conductor.Reports[^1];
        Assert.Equal((ActionProgress.Failed, "The image is too large.", false, false), (report.Progress, report.Fault!.Message, report.Fault.Reschedule, report.Exists));
        AssertNothingLeft();
        await Wait.UntilAsync(() => conductor.Events.Any(each => each is { Result: "Error", Details: "The image is too large." }));
    }

    [Fact]
    public async Task A_step_that_fails_for_a_moment_is_tried_again()
    {
        var failures = 3;
        driver.Fault = (step, after) =>
        {
            if (step == "on" && !after && failures-- > 0)
            {
                throw new IOException("libvirt is away");
            }
        };
        var instance = conductor.Add();
        await StartAsync();

        await conductor.SettledAsync(instance.Id);

        Assert.Equal(PowerState.Running, driver.Guests[instance.Id]);
        Assert.Equal(ActionProgress.Done, conductor.Reports[^1].Progress);
    }

    [Fact]
    public async Task An_action_whose_time_is_over_ends_with_the_last_reason()
    {
        driver.Fault = (step, after) => _ = step == "on" ? throw new IOException("libvirt is away") : 0;
        var instance = conductor.Add(each => each with { Action = conductor.NewAction(InstanceActionKind.Create, TimeSpan.FromMilliseconds(100)) });
        await StartAsync();

        await conductor.SettledAsync(instance.Id);

        Assert.Equal("libvirt is away", conductor.Reports[^1].Fault!.Message);
        AssertNothingLeft();
    }

    public static TheoryData<string, bool> Steps => [("plug", false), ("plug", true), ("prepare", false), ("prepare", true), ("on", false), ("on", true)];

    [Theory]
    [MemberData(nameof(Steps))]
    public async Task A_crash_at_any_step_is_healed_by_the_next_start(string step, bool after)
    {
        // As with kill -9, nothing that the first process still does reaches the conductor.
        driver.Fault = (name, isAfter) =>
        {
            if (name == step && isAfter == after)
            {
                conductor.IsDown = true;
                throw new IOException("killed");
            }
        };
        var instance = conductor.Add();
        await StartAsync();
        await Wait.UntilAsync(() => conductor.IsDown);
        await service!.DisposeAsync();
        driver.Fault = null;
        conductor.IsDown = false;

        await StartAsync();
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(PowerState.Running, driver.Guests[instance.Id]);
        Assert.Equal(ActionProgress.Done, conductor.Reports[^1].Progress);
    }

    [Fact]
    public async Task An_instance_deleted_while_the_host_was_down_is_removed_at_the_next_start()
    {
        driver.Guests["11111111-1111-1111-1111-111111111111"] = PowerState.Running;
        driver.Disks["22222222-2222-2222-2222-222222222222"] = true;

        await StartAsync();

        await Wait.UntilAsync(() => driver.Guests.IsEmpty && driver.Disks.IsEmpty);
        Assert.Empty(conductor.Reports);
    }

    [Fact]
    public async Task A_deleted_instance_leaves_nothing_and_is_reported_gone()
    {
        var instance = await RunningAsync();

        await conductor.ActAsync(instance.Id, InstanceActionKind.Delete, DesiredState.Absent);
        await conductor.SettledAsync(instance.Id);

        Assert.False(conductor.Reports[^1].Exists);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_deletion_does_not_wait_for_the_image_of_the_instance_and_ends_its_download()
    {
        driver.Image = new TaskCompletionSource().Task;
        var instance = conductor.Add();
        await StartAsync();
        await Wait.UntilAsync(() => driver.Calls.Contains("download"));

        await conductor.ActAsync(instance.Id, InstanceActionKind.Delete, DesiredState.Absent);
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(["plug", "download", "remove"], driver.Calls);
        AssertNothingLeft();
    }

    [Fact]
    public async Task An_instance_goes_on_when_its_image_has_come()
    {
        var image = new TaskCompletionSource();
        driver.Image = image.Task;
        var instance = conductor.Add();
        await StartAsync();
        await Wait.UntilAsync(() => driver.Calls.Contains("download"));
        await service!.Instances.WhenIdleAsync();

        image.SetResult();
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(["plug", "download", "prepare", "on"], driver.Calls);
    }

    [Fact]
    public async Task No_more_guests_are_built_at_once_than_max_concurrent_builds()
    {
        config.With("DEFAULT", "max_concurrent_builds", "3");
        var image = new TaskCompletionSource();
        driver.Image = image.Task;
        var ids = Enumerable.Range(0, 8).Select(_ => conductor.Add().Id).ToList();
        await StartAsync();
        await Wait.UntilAsync(() => driver.Calls.Count(call => call == "plug") == 8);
        await service!.Instances.WhenIdleAsync();
        Assert.Equal(3, driver.Calls.Count(call => call == "download"));

        image.SetResult();
        foreach (var id in ids)
        {
            await conductor.SettledAsync(id);
        }

        Assert.Equal(8, driver.Guests.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_guest_that_went_off_with_its_host_runs_again_if_the_operator_wants_it(bool resume)
    {
        config.With("DEFAULT", "resume_guests_state_on_host_boot", resume ? "true" : "false");
        var instance = await RunningAsync();
        await service!.DisposeAsync();
        driver.Guests[instance.Id] = PowerState.Shutdown;
        driver.Plugged.Clear();
        var reports = conductor.Reports.Count;

        await StartAsync();
        await Wait.UntilAsync(() => conductor.Reports.Count > reports);

        Assert.Equal(resume ? PowerState.Running : PowerState.Shutdown, conductor.Reports[^1].PowerState);
        Assert.Equal(resume, driver.Plugged.ContainsKey(instance.Id));
    }

    [Fact]
    public async Task A_guest_that_vanished_is_reported_and_one_that_is_still_to_come_is_not()
    {
        var vanished = conductor.Add(each => each with { Action = null, LaunchedAt = DateTimeOffset.UnixEpoch });
        var toCome = conductor.Add(each => each with { Action = null });
        await StartAsync();

        await Wait.UntilAsync(() => conductor.Reports.Count > 0);
        await service!.Instances.WhenIdleAsync();

        Assert.Equal((vanished.Id, false, PowerState.NoState), (conductor.Reports[0].Id, conductor.Reports[0].Exists, conductor.Reports[0].PowerState));
        Assert.DoesNotContain(conductor.Reports, report => report.Id == toCome.Id);
        Assert.Empty(driver.Calls);
    }

    [Fact]
    public async Task A_removal_that_fails_is_tried_until_it_succeeds()
    {
        var instance = await RunningAsync();
        var failures = 2;
        driver.Fault = (step, after) =>
        {
            if (step == "remove" && !after && failures-- > 0)
            {
                throw new ComputeException("device busy");
            }
        };

        await conductor.ActAsync(instance.Id, InstanceActionKind.Delete, DesiredState.Absent);
        await conductor.SettledAsync(instance.Id);

        Assert.DoesNotContain(conductor.Reports, report => report.Progress == ActionProgress.Failed);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_stopped_guest_is_asked_first()
    {
        var instance = await RunningAsync();

        await conductor.ActAsync(instance.Id, InstanceActionKind.Stop, DesiredState.Stopped);
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(PowerState.Shutdown, conductor.Reports[^1].PowerState);
        Assert.Contains("shutdown", driver.Calls);
        Assert.DoesNotContain("off", driver.Calls);
    }

    [Fact]
    public async Task A_guest_that_does_not_obey_loses_its_power_after_the_shutdown_timeout()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        var instance = await RunningAsync(time);
        driver.Obeys = false;

        await conductor.ActAsync(instance.Id, InstanceActionKind.Stop, DesiredState.Stopped);
        await Wait.UntilAsync(() => driver.Calls.Contains("shutdown"));
        for (var i = 0; i < 7; i++)
        {
            await service!.Instances.WhenIdleAsync();
            time.Advance(TimeSpan.FromSeconds(10));
        }

        await conductor.SettledAsync(instance.Id);
        Assert.Contains("off", driver.Calls);
        Assert.InRange(driver.Calls.Count(call => call == "shutdown"), 5, 7);
    }

    [Fact]
    public async Task A_hard_reboot_cuts_the_power_and_gives_it_back_once_even_if_its_report_is_lost()
    {
        var instance = await RunningAsync();
        driver.Calls.Clear();
        driver.Fault = (step, after) => conductor.IsDown |= step == "on" && after;

        await conductor.ActAsync(instance.Id, InstanceActionKind.RebootHard, DesiredState.Running);
        await Wait.UntilAsync(() => driver.Calls.Contains("on"));
        conductor.IsDown = false;
        driver.Fault = null;
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(["off", "plug", "on"], driver.Calls);
        Assert.Equal(PowerState.Running, conductor.Reports[^1].PowerState);
    }

    [Fact]
    public async Task A_soft_reboot_asks_the_guest_and_starts_it_again()
    {
        var instance = await RunningAsync();
        driver.Calls.Clear();

        await conductor.ActAsync(instance.Id, InstanceActionKind.RebootSoft, DesiredState.Running);
        await conductor.SettledAsync(instance.Id);

        Assert.Equal(["shutdown", "plug", "on"], driver.Calls);
    }

    [Fact]
    public async Task A_guest_that_goes_off_by_itself_is_reported_and_left_off()
    {
        var instance = await RunningAsync();

        driver.ChangeByItself(instance.Id, PowerState.Shutdown);
        await Wait.UntilAsync(() => conductor.Reports[^1].PowerState == PowerState.Shutdown);
        await service!.Instances.WhenIdleAsync();

        Assert.Null(conductor.Reports[^1].ActionId);
        Assert.Equal(PowerState.Shutdown, driver.Guests[instance.Id]);
    }

    [Fact]
    public async Task The_console_is_read_over_the_bus_and_an_unknown_one_is_a_conflict()
    {
        var instance = await RunningAsync();

        var console = await conductor.Bus.CallAsync(ComputeContract.GetConsoleOutput, new ConsoleOutputQuery(instance.Id), FakeConductor.Host, null, Cancellation);
        Assert.Equal("login:", console.Text);
        var failure = await Assert.ThrowsAsync<CloudException>(() =>
            conductor.Bus.CallAsync(ComputeContract.GetConsoleOutput, new ConsoleOutputQuery(Guid.NewGuid().ToString()), FakeConductor.Host, null, Cancellation));
        Assert.Equal(ErrorKind.Conflict, failure.Kind);
    }

    [Fact]
    public async Task Images_are_fetched_ahead_of_need_and_one_that_fails_does_not_keep_the_others()
    {
        await StartAsync();
        await conductor.Bus.CallAsync(
            ComputeContract.CacheImages, new ImagesToCache([new ImageSpec("1", "broken", "raw", "bare", 1), new ImageSpec("2", "whole", "raw", "bare", 1)]), FakeConductor.Host, null, Cancellation);
        Assert.Equal(["1", "2"], driver.Cached);
    }

    [Fact]
    public async Task A_guest_that_does_not_run_cannot_be_diagnosed()
    {
        await StartAsync();
        var failure = await Assert.ThrowsAsync<CloudException>(() =>
            conductor.Bus.CallAsync(ComputeContract.GetDiagnostics, new DiagnosticsQuery(Guid.NewGuid().ToString()), FakeConductor.Host, null, Cancellation));
        Assert.Equal(ErrorKind.Conflict, failure.Kind);
    }

    [Fact]
    public async Task The_host_reports_what_it_has_and_keeps_back_what_is_reserved()
    {
        await StartAsync();
        await Wait.UntilAsync(() => conductor.Hosts.Count > 0);

        var report = conductor.Hosts[0];
        Assert.Equal(
            [
                new InventoryReport("VCPU", 2, 0, 16.0, MaxUnit: 2),
                new InventoryReport("MEMORY_MB", 4096, 512, 1.5, MaxUnit: 4096),
                new InventoryReport("DISK_GB", 20, 0, 1.0, MaxUnit: 20),
            ],
            report.Hypervisor.Inventories);
        Assert.Equal(FakeConductor.Host, report.Host);
    }

    [Fact]
    public async Task Lost_and_doubled_hints_cost_time_only()
    {
        var random = new Random(7);
        conductor.Bus.Chaos = _ => random.Next(3);
        await StartAsync(period: TimeSpan.FromMilliseconds(50));
        var ids = Enumerable.Range(0, 40).Select(_ => conductor.Add().Id).ToList();
        foreach (var id in ids)
        {
            await conductor.SettledAsync(id);
        }

        Assert.All(ids, id => Assert.Equal(PowerState.Running, driver.Guests[id]));
        foreach (var id in ids)
        {
            await conductor.ActAsync(id, InstanceActionKind.Delete, DesiredState.Absent);
        }

        foreach (var id in ids)
        {
            await conductor.SettledAsync(id);
        }

        AssertNothingLeft();
    }

    [Fact]
    public async Task The_fake_driver_boots_a_thousand_instances_and_remembers_them()
    {
        var directory = Directory.CreateTempSubdirectory("fake-driver-");
        var path = Path.Combine(directory.FullName, "guests");
        var ids = Enumerable.Range(0, 1000).Select(_ => conductor.Add().Id).ToList();
        await using (var first = New(new FakeDriver(config, FakeConductor.Host, path)))
        {
            await first.StartAsync(Cancellation);
            foreach (var id in ids)
            {
                await conductor.SettledAsync(id);
            }
        }

        await File.AppendAllTextAsync(path, "1 cut-sho", Cancellation);
        conductor.Forget(ids[0]);
        var again = new FakeDriver(config, FakeConductor.Host, path);
        await using (var second = New(again))
        {
            await second.StartAsync(Cancellation);
            Assert.Equal(1000, (await again.ListAsync(Cancellation)).Count);
            var gone = ids[0];
            await Wait.UntilAsync(() => !again.InspectAsync(gone, Cancellation).Result.Exists);
            Assert.Equal(new GuestState(true, PowerState.Running), await again.InspectAsync(ids[1], Cancellation));
        }

        directory.Delete(recursive: true);
    }

    private static PortSpec Port(bool plugged) => new()
    {
        Id = "ce531f90-199f-48c0-816c-13e38010b442",
        NetworkId = "n",
        MacAddress = "fa:16:3e:4c:2c:30",
        VifType = "ovs",
        Bridge = "br-int",
        DeviceName = "tapce531f90-19",
        Plugged = plugged,
    };

    private ComputeService New(IComputeDriver with, TimeProvider? time = null, TimeSpan? period = null) => new(
        FakeConductor.Host, conductor.Bus, with, config, time ?? TimeProvider.System, NullLogger.Instance,
        new ReconcilerOptions { FirstRetry = TimeSpan.FromMilliseconds(10), LongestRetry = TimeSpan.FromMilliseconds(50), FullPeriod = period ?? TimeSpan.FromHours(1) });

    private async Task StartAsync(TimeProvider? time = null, TimeSpan? period = null)
    {
        service = New(driver, time, period);
        await service.StartAsync(Cancellation);
    }

    private async Task<InstanceSpec> RunningAsync(TimeProvider? time = null)
    {
        var instance = conductor.Add();
        await StartAsync(time);
        await conductor.SettledAsync(instance.Id);
        return conductor[instance.Id];
    }

    private void AssertNothingLeft()
    {
        Assert.Empty(driver.Guests);
        Assert.Empty(driver.Disks);
        Assert.Empty(driver.Plugged);
    }
}
