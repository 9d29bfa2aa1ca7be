using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Nova.Services;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Hosts come and go: how they are seen, switched off, forced down and removed.</summary>
public sealed class HostTests
{
    private static IEnumerable<string> Members(JsonElement element) => element.EnumerateObject().Select(member => member.Name).Order(StringComparer.Ordinal);

    private static string MessageOf(TestAnswer answer) => answer.Json.EnumerateObject().Single().Value.GetProperty("message").GetString()!;

    private static async Task<JsonElement> ServiceAsync(NovaCloud nova, string host) =>
        (await nova.Admin().GetAsync($"/v2.1/os-services?host={host}&binary=nova-compute")).Expect(200).Json.GetProperty("services").EnumerateArray().SingleOrDefault();

    private static async Task<JsonElement> HypervisorAsync(NovaCloud nova, string microversion, string host) =>
        (await nova.Admin(microversion).GetAsync("/v2.1/os-hypervisors/detail")).Expect(200).Json.GetProperty("hypervisors").EnumerateArray()
            .Single(hypervisor => hypervisor.GetProperty("hypervisor_hostname").GetString() == host);

    [Fact]
    public async Task A_host_that_reports_is_a_service_a_hypervisor_and_a_provider_without_anybodys_help()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        var service = await ServiceAsync(nova, "host2");
        Assert.Equal("up", service.GetProperty("state").GetString());
        Assert.Equal("enabled", service.GetProperty("status").GetString());
        Assert.Equal("nova", service.GetProperty("zone").GetString());
        var hypervisor = await HypervisorAsync(nova, "compute 2.96", "host2");
        var provider = nova.Services.Providers[hypervisor.GetProperty("id").GetString()!];
        Assert.Equal(8, (int)provider["inventories"]!["VCPU"]!["total"]!);
        Assert.Equal(512, (int)provider["inventories"]!["MEMORY_MB"]!["reserved"]!);
        Assert.Equal("""["COMPUTE_NODE"]""", provider["traits"]!.ToJsonString());
    }

    [Fact]
    public async Task A_host_that_stops_reporting_is_down_when_its_time_is_over_and_up_with_its_next_report()
    {
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "DEFAULT", "service_down_time", "60")], time: time);
        var id = await nova.BootAsync();
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal("up", (await ServiceAsync(nova, "host1")).GetProperty("state").GetString());
        time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("down", (await ServiceAsync(nova, "host1")).GetProperty("state").GetString());
        Assert.Equal("down", (await HypervisorAsync(nova, "compute 2.87", "host1")).GetProperty("state").GetString());
        // The uptime of a host that cannot be asked is not known.
        Assert.Equal(JsonValueKind.Null, (await HypervisorAsync(nova, "compute 2.88", "host1")).GetProperty("uptime").ValueKind);
        var number = (await HypervisorAsync(nova, "compute 2.1", "host1")).GetProperty("id").GetInt64();
        Assert.Equal(
            "Compute service of host1 is unavailable at this time.", MessageOf((await nova.Admin("compute 2.1").GetAsync($"/v2.1/os-hypervisors/{number}/uptime")).Expect(400)));
        // The server itself is as it was: only its host is not known.
        var server = await nova.ShowAsync(id);
        Assert.Equal("ACTIVE", server.GetProperty("status").GetString());
        Assert.Equal("UNKNOWN", server.GetProperty("host_status").GetString());

        await nova.Host.ReportAsync(NovaCloud.Cancelled);
        Assert.Equal("up", (await ServiceAsync(nova, "host1")).GetProperty("state").GetString());
        Assert.Equal("up", (await nova.Admin("compute 2.1").GetAsync($"/v2.1/os-hypervisors/{number}/uptime")).Expect(200).Json.GetProperty("hypervisor").GetProperty("uptime").GetString());
    }

    [Fact]
    public async Task A_host_that_is_forced_down_is_down_though_it_reports_and_up_again_when_it_is_let()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var service = (await ServiceAsync(nova, "host1")).GetProperty("id").GetString();
        (await nova.Admin().PutAsync($"/v2.1/os-services/{service}", """{"status": "disabled", "forced_down": true}""")).Expect(200);
        await nova.Host.ReportAsync(NovaCloud.Cancelled);
        var seen = await ServiceAsync(nova, "host1");
        Assert.Equal("down", seen.GetProperty("state").GetString());
        Assert.True(seen.GetProperty("forced_down").GetBoolean());
        // Forced down counts for more than disabled; the server's own state is not touched.
        var server = await nova.ShowAsync(id);
        Assert.Equal("DOWN", server.GetProperty("host_status").GetString());
        Assert.Equal("active", server.GetProperty("OS-EXT-STS:vm_state").GetString());
        Assert.Equal(1, server.GetProperty("OS-EXT-STS:power_state").GetInt32());
        // A deletion does not wait for it.
        nova.Host.IsDeaf = true;
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.False(nova.Services.Allocations.ContainsKey(id));

        (await nova.Admin("compute 2.11").PutAsync("/v2.1/os-services/force-down", """{"host": "host1", "binary": "nova-compute", "forced_down": "false"}""")).Expect(200);
        Assert.Equal("up", (await ServiceAsync(nova, "host1")).GetProperty("state").GetString());
        // When it is let again it hears that the guest is not to be.
        nova.Host.IsDeaf = false;
        await nova.Host.LookAsync(id, NovaCloud.Cancelled);
        Assert.Empty(nova.Host.Guests);
    }

    [Fact]
    public async Task A_server_on_a_disabled_host_shows_maintenance_and_goes_on()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Admin("compute 2.1").PutAsync("/v2.1/os-services/disable-log-reason", """{"host": "host1", "binary": "nova-compute", "disabled_reason": "new disks"}""")).Expect(200);
        Assert.Equal("MAINTENANCE", (await nova.ShowAsync(id)).GetProperty("host_status").GetString());
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"reboot": {"type": "HARD"}}""")).Expect(202);
        await nova.WaitForStatusAsync(id, "ACTIVE");
        var service = await ServiceAsync(nova, "host1");
        Assert.Equal("new disks", service.GetProperty("disabled_reason").GetString());
        (await nova.Admin("compute 2.1").PutAsync("/v2.1/os-services/enable", """{"host": "host1", "binary": "nova-compute"}""")).Expect(200);
        service = await ServiceAsync(nova, "host1");
        Assert.Equal(JsonValueKind.Null, service.GetProperty("disabled_reason").ValueKind);
        Assert.DoesNotContain("COMPUTE_STATUS_DISABLED", nova.Services.Providers.Values.Single()["traits"]!.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_user_with_the_right_to_unknown_only_sees_no_more()
    {
        var data = Directory.CreateTempSubdirectory("nova-policy-");
        var file = Path.Combine(data.FullName, "policy.yaml");
        await File.WriteAllTextAsync(file, "\"os_compute_api:servers:show:host_status:unknown-only\": \"role:member\"\n", NovaCloud.Cancelled);
        var time = new FakeTimeProvider(TimeProvider.System.GetUtcNow());
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "oslo_policy", "policy_file", file)], time: time);
        var id = await nova.BootAsync();
        Assert.False((await nova.Demo().GetAsync($"/v2.1/servers/{id}")).Json.GetProperty("server").TryGetProperty("host_status", out _));
        time.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal("UNKNOWN", (await nova.Demo().GetAsync($"/v2.1/servers/{id}")).Json.GetProperty("server").GetProperty("host_status").GetString());
        data.Delete(recursive: true);
    }

    [Fact]
    public async Task A_host_with_servers_cannot_be_deleted_and_one_without_takes_its_records_along()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        (await nova.Admin().PostAsync("/v2.1/os-aggregates", """{"aggregate": {"name": "a", "availability_zone": "london"}}""")).Expect(200);
        (await nova.Admin().PostAsync("/v2.1/os-aggregates/1/action", """{"add_host": {"host": "host1"}}""")).Expect(200);
        var id = await nova.BootAsync();
        var service = (await ServiceAsync(nova, "host1")).GetProperty("id").GetString();
        Assert.Equal(
            "Unable to delete compute service that is hosting instances. Migrate or delete the instances first.",
            MessageOf((await nova.Admin().DeleteAsync($"/v2.1/os-services/{service}")).Expect(409)));
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        var agent = nova.Services.AddProvider("agent", nova.Services.Providers.Values.Single(provider => (string)provider["name"]! == "host1")["uuid"]!.ToString());
        nova.Services.AddProvider("bridge", agent);
        (await nova.Admin().DeleteAsync($"/v2.1/os-services/{service}")).Expect(204);
        Assert.Equal(JsonValueKind.Undefined, (await ServiceAsync(nova, "host1")).ValueKind);
        Assert.Equal("host2", (string)nova.Services.Providers.Values.Single()["name"]!);
        Assert.Equal(1, (await nova.Admin().GetAsync("/v2.1/os-hypervisors")).Json.GetProperty("hypervisors").GetArrayLength());
        Assert.Equal(0, (await nova.Admin().GetAsync("/v2.1/os-aggregates/1")).Json.GetProperty("aggregate").GetProperty("hosts").GetArrayLength());
        (await nova.Admin().DeleteAsync($"/v2.1/os-services/{service}")).Expect(404);
        (await nova.Admin().DeleteAsync("/v2.1/os-services/1")).Expect(400);
        (await nova.Admin("compute 2.52").DeleteAsync("/v2.1/os-services/x")).Expect(400);
        (await nova.Admin("compute 2.52").DeleteAsync("/v2.1/os-services/999")).Expect(404);
        (await nova.Demo().DeleteAsync($"/v2.1/os-services/{service}")).Expect(403);
    }

    [Fact]
    public async Task A_deleted_host_that_comes_back_replaces_the_provider_that_its_deletion_could_not_remove()
    {
        await using var nova = await NovaCloud.StartAsync();
        var service = (await ServiceAsync(nova, "host1")).GetProperty("id").GetString();
        var old = nova.Services.Providers.Keys.Single();
        nova.Services.Before = (method, path) =>
        {
            if (method == "DELETE" && path.StartsWith("/resource_providers", StringComparison.Ordinal))
            {
                throw SharpStack.Foundation.CloudException.Unavailable("Placement rests.");
            }
        };
        await nova.Admin().DeleteAsync($"/v2.1/os-services/{service}");
        Assert.Equal(JsonValueKind.Undefined, (await ServiceAsync(nova, "host1")).ValueKind);
        Assert.Equal(old, nova.Services.Providers.Keys.Single());
        nova.Services.Before = static (_, _) => { };
        var id = (await nova.Host.ReportAsync(NovaCloud.Cancelled)).ComputeNodeId;
        await Eventually.TrueAsync(() => nova.Services.Providers.Keys.SequenceEqual([id]), "the new provider in place of the old one");
        Assert.NotEqual(old, id);
    }

    [Theory]
    [InlineData("compute 2.1", "binary,disabled_reason,host,id,state,status,updated_at,zone")]
    [InlineData("compute 2.11", "binary,disabled_reason,forced_down,host,id,state,status,updated_at,zone")]
    [InlineData("compute 2.53", "binary,disabled_reason,forced_down,host,id,state,status,updated_at,zone")]
    [InlineData("compute 2.69", "binary,disabled_reason,forced_down,host,id,state,status,updated_at,zone")]
    public async Task A_service_has_the_members_of_its_microversion(string microversion, string members)
    {
        await using var nova = await NovaCloud.StartAsync();
        var admin = nova.Admin(microversion);
        var services = (await admin.GetAsync("/v2.1/os-services")).Expect(200).Json.GetProperty("services");
        Assert.All(services.EnumerateArray(), service => Assert.Equal(members.Split(','), Members(service)));
        Assert.Equal("testhost", (await admin.GetAsync("/v2.1/os-services?binary=nova-conductor")).Json.GetProperty("services")[0].GetProperty("host").GetString());
        Assert.Equal("internal", (await admin.GetAsync("/v2.1/os-services?host=testhost")).Json.GetProperty("services")[0].GetProperty("zone").GetString());
        Assert.Equal(0, (await admin.GetAsync("/v2.1/os-services?host=testhost&binary=nova-compute")).Json.GetProperty("services").GetArrayLength());
    }

    [Theory]
    [InlineData("compute 2.1", "enable", """{"host": "host1", "binary": "nova-compute"}""", 200, """{"service":{"host":"host1","binary":"nova-compute","status":"enabled"}}""")]
    [InlineData("compute 2.1", "disable", """{"host": "host1", "binary": "nova-compute"}""", 200, """{"service":{"host":"host1","binary":"nova-compute","status":"disabled"}}""")]
    [InlineData("compute 2.1", "disable-log-reason", """{"host": "host1", "binary": "nova-compute", "disabled_reason": "test2"}""", 200, """{"service":{"host":"host1","binary":"nova-compute","status":"disabled","disabled_reason":"test2"}}""")]
    [InlineData("compute 2.11", "force-down", """{"host": "host1", "binary": "nova-compute", "forced_down": true}""", 200, """{"service":{"host":"host1","binary":"nova-compute","forced_down":true}}""")]
    [InlineData("compute 2.10", "force-down", """{"host": "host1", "binary": "nova-compute"}""", 404, "Unknown action")]
    [InlineData("compute 2.1", "fly", """{"host": "host1", "binary": "nova-compute"}""", 404, "Unknown action")]
    [InlineData("compute 2.1", "disable-log-reason", """{"host": "host1", "binary": "nova-compute"}""", 400, "Missing disabled reason field")]
    [InlineData("compute 2.11", "force-down", """{"host": "host1", "binary": "nova-compute"}""", 400, "Missing forced_down field")]
    [InlineData("compute 2.1", "disable", """{"host": "host1"}""", 400, "'binary' is a required property")]
    [InlineData("compute 2.1", "disable", """{"host": "nohost", "binary": "nova-compute"}""", 404, "Could not find binary nova-compute on host nohost.")]
    [InlineData("compute 2.1", "disable", """{"host": "testhost", "binary": "nova-conductor"}""", 400, "Only nova-compute services can be updated.")]
    public async Task Services_are_switched_by_name_before_2_53(string microversion, string action, string body, int status, string answer)
    {
        await using var nova = await NovaCloud.StartAsync();
        var given = (await nova.Admin(microversion).PutAsync($"/v2.1/os-services/{action}", body)).Expect(status);
        if (status == 200)
        {
            Assert.Equal(answer, given.Text);
        }
        else
        {
            Assert.Contains(answer, MessageOf(given), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("""{"status": "enabled", "disabled_reason": "x"}""", "Specifying 'disabled_reason' with status 'enabled' is invalid.")]
    [InlineData("{}", "No updates were requested. Fields 'status' or 'forced_down' should be specified.")]
    [InlineData("""{"status": "resting"}""", "is not one of")]
    [InlineData("""{"host": "x"}""", "Additional properties are not allowed")]
    public async Task Updates_of_a_service_that_make_no_sense_are_refused(string body, string message)
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = (await ServiceAsync(nova, "host1")).GetProperty("id").GetString();
        Assert.Contains(message, MessageOf((await nova.Admin().PutAsync($"/v2.1/os-services/{id}", body)).Expect(400)), StringComparison.Ordinal);
        (await nova.Admin().PutAsync("/v2.1/os-services/disable", """{"status": "disabled"}""")).Expect(400);
        (await nova.Admin().PutAsync($"/v2.1/os-services/{Guid.NewGuid()}", """{"status": "disabled"}""")).Expect(404);
        (await nova.Admin().GetAsync("/v2.1/os-services?colour=red")).Expect(400);
        (await nova.Admin("compute 2.74").GetAsync("/v2.1/os-services?colour=red")).Expect(200);
    }

    [Fact]
    public async Task Hypervisors_count_what_their_servers_were_promised()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.BootAsync("one");
        await nova.BootAsync("two");
        var hypervisor = await HypervisorAsync(nova, "compute 2.87", "host1");
        Assert.Equal(2, hypervisor.GetProperty("vcpus_used").GetInt32());
        Assert.Equal(512 + 1024, hypervisor.GetProperty("memory_mb_used").GetInt32());
        Assert.Equal(8192 - 1536, hypervisor.GetProperty("free_ram_mb").GetInt32());
        Assert.Equal(2, hypervisor.GetProperty("local_gb_used").GetInt32());
        Assert.Equal(2, hypervisor.GetProperty("running_vms").GetInt32());
        var statistics = (await nova.Admin("compute 2.87").GetAsync("/v2.1/os-hypervisors/statistics")).Expect(200).Json.GetProperty("hypervisor_statistics");
        Assert.Equal(
            [
                "count", "current_workload", "disk_available_least", "free_disk_gb", "free_ram_mb", "local_gb", "local_gb_used", "memory_mb", "memory_mb_used", "running_vms", "vcpus",
                "vcpus_used",
            ],
            Members(statistics));
        Assert.Equal(1536, statistics.GetProperty("memory_mb_used").GetInt32());
        (await nova.Admin("compute 2.1").PutAsync("/v2.1/os-services/disable", """{"host": "host1", "binary": "nova-compute"}""")).Expect(200);
        Assert.Equal(0, (await nova.Admin("compute 2.87").GetAsync("/v2.1/os-hypervisors/statistics")).Json.GetProperty("hypervisor_statistics").GetProperty("count").GetInt32());
        (await nova.Admin("compute 2.88").GetAsync("/v2.1/os-hypervisors/statistics")).Expect(404);
    }

    [Fact]
    public async Task Hypervisors_are_paged_searched_and_shown_with_their_servers()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.AddHostAsync("host2");
        await nova.AddHostAsync("third");
        var id = await nova.BootAsync();
        var admin = nova.Admin();
        var first = (await admin.GetAsync("/v2.1/os-hypervisors?limit=2")).Expect(200).Json;
        Assert.Equal(["host1", "host2"], first.GetProperty("hypervisors").EnumerateArray().Select(each => each.GetProperty("hypervisor_hostname").GetString()));
        var next = new Uri(first.GetProperty("hypervisors_links")[0].GetProperty("href").GetString()!).PathAndQuery;
        Assert.Equal("third", (await admin.GetAsync(next)).Expect(200).Json.GetProperty("hypervisors")[0].GetProperty("hypervisor_hostname").GetString());
        (await admin.GetAsync($"/v2.1/os-hypervisors?marker={Guid.NewGuid()}")).Expect(400);
        Assert.Equal(2, (await admin.GetAsync("/v2.1/os-hypervisors?hypervisor_hostname_pattern=host")).Expect(200).Json.GetProperty("hypervisors").GetArrayLength());
        (await admin.GetAsync("/v2.1/os-hypervisors?hypervisor_hostname_pattern=nohost")).Expect(404);
        (await admin.GetAsync("/v2.1/os-hypervisors?hypervisor_hostname_pattern=host&limit=1")).Expect(400);
        (await admin.GetAsync("/v2.1/os-hypervisors?colour=red")).Expect(400);
        (await nova.Admin("compute 2.52").GetAsync("/v2.1/os-hypervisors?colour=red")).Expect(200);

        var with = (await admin.GetAsync("/v2.1/os-hypervisors?with_servers=true")).Expect(200).Json.GetProperty("hypervisors");
        Assert.Equal(id, with[0].GetProperty("servers")[0].GetProperty("uuid").GetString());
        Assert.Equal(0, with[1].GetProperty("servers").GetArrayLength());
        // Until 2.75 an empty list was left out.
        Assert.False((await nova.Admin("compute 2.74").GetAsync("/v2.1/os-hypervisors?with_servers=true")).Json.GetProperty("hypervisors")[1].TryGetProperty("servers", out _));
        (await admin.GetAsync("/v2.1/os-hypervisors?with_servers=perhaps")).Expect(400);
        var shown = (await admin.GetAsync($"/v2.1/os-hypervisors/{with[0].GetProperty("id").GetString()}?with_servers=true")).Expect(200).Json.GetProperty("hypervisor");
        Assert.Equal(1, shown.GetProperty("servers").GetArrayLength());

        var old = nova.Admin("compute 2.52");
        Assert.Equal(2, (await old.GetAsync("/v2.1/os-hypervisors/host/search")).Expect(200).Json.GetProperty("hypervisors").GetArrayLength());
        Assert.Equal(id, (await old.GetAsync("/v2.1/os-hypervisors/host1/servers")).Expect(200).Json.GetProperty("hypervisors")[0].GetProperty("servers")[0].GetProperty("uuid").GetString());
        Assert.Equal("No hypervisor matching 'nohost' could be found.", MessageOf((await old.GetAsync("/v2.1/os-hypervisors/nohost/search")).Expect(404)));
        (await admin.GetAsync("/v2.1/os-hypervisors/host1/servers")).Expect(404);
        (await old.GetAsync("/v2.1/os-hypervisors/word")).Expect(404);
        (await admin.GetAsync("/v2.1/os-hypervisors/1")).Expect(400);
    }

    [Fact]
    public async Task The_hosts_of_old_are_shown_and_switched_up_to_2_42()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.BootAsync();
        var admin = nova.Admin("compute 2.42");
        var hosts = (await admin.GetAsync("/v2.1/os-hosts")).Expect(200).Json.GetProperty("hosts");
        Assert.Equal(
            ["host1 compute nova", "testhost conductor internal", "testhost scheduler internal"],
            hosts.EnumerateArray().Select(host => $"{host.GetProperty("host_name").GetString()} {host.GetProperty("service").GetString()} {host.GetProperty("zone").GetString()}").Order(StringComparer.Ordinal));
        Assert.Equal(1, (await admin.GetAsync("/v2.1/os-hosts?zone=nova")).Json.GetProperty("hosts").GetArrayLength());
        Assert.Equal(0, (await admin.GetAsync("/v2.1/os-hosts?zone=nowhere")).Json.GetProperty("hosts").GetArrayLength());
        var resources = (await admin.GetAsync("/v2.1/os-hosts/host1")).Expect(200).Json.GetProperty("host").EnumerateArray().Select(each => each.GetProperty("resource")).ToList();
        Assert.Equal(["(total)", "(used_now)", "(used_max)", TestIdentities.DemoProject], resources.Select(resource => resource.GetProperty("project").GetString()));
        Assert.Equal([8192, 1024, 512, 512], resources.Select(resource => resource.GetProperty("memory_mb").GetInt32()));
        Assert.Equal("""{"host":"host1","status":"disabled"}""", (await admin.PutAsync("/v2.1/os-hosts/host1", """{"status": "disable"}""")).Expect(200).Text);
        Assert.Equal("disabled", (await ServiceAsync(nova, "host1")).GetProperty("status").GetString());
        (await admin.PutAsync("/v2.1/os-hosts/host1", """{"maintenance_mode": "enable"}""")).Expect(501);
        (await admin.PutAsync("/v2.1/os-hosts/host1", """{"status": "rest"}""")).Expect(400);
        (await admin.PutAsync("/v2.1/os-hosts/host1", "{}")).Expect(400);
        (await admin.PutAsync("/v2.1/os-hosts/nohost", """{"status": "disable"}""")).Expect(404);
        foreach (var action in (string[])["startup", "shutdown", "reboot"])
        {
            (await admin.GetAsync($"/v2.1/os-hosts/host1/{action}")).Expect(501);
            (await admin.GetAsync($"/v2.1/os-hosts/nohost/{action}")).Expect(404);
            (await nova.Demo("compute 2.42").GetAsync($"/v2.1/os-hosts/host1/{action}")).Expect(403);
        }

        (await nova.Admin("compute 2.43").GetAsync("/v2.1/os-hosts")).Expect(404);
        (await nova.Demo("compute 2.42").GetAsync("/v2.1/os-hosts")).Expect(403);
        (await nova.Admin().GetAsync("/v2.1/os-agents")).Expect(410);
    }

    [Fact]
    public async Task No_server_has_moved()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        foreach (var microversion in (string[])["2.1", "2.23", "2.59", "2.66", "2.80"])
        {
            Assert.Equal("""{"migrations":[]}""", (await nova.Admin($"compute {microversion}").GetAsync("/v2.1/os-migrations?host=host1")).Expect(200).Text);
        }

        (await nova.Admin("compute 2.58").GetAsync("/v2.1/os-migrations?colour=red&changes-since=now")).Expect(200);
        (await nova.Admin("compute 2.59").GetAsync("/v2.1/os-migrations?colour=red")).Expect(400);
        (await nova.Admin("compute 2.59").GetAsync("/v2.1/os-migrations?changes-since=now")).Expect(400);
        (await nova.Admin("compute 2.65").GetAsync("/v2.1/os-migrations?changes-before=2020-01-01T00:00:00Z")).Expect(400);
        (await nova.Admin("compute 2.66").GetAsync("/v2.1/os-migrations?changes-since=2020-02-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z")).Expect(400);
        Assert.Equal("Marker x could not be found.", MessageOf((await nova.Admin().GetAsync("/v2.1/os-migrations?marker=x")).Expect(400)));
        (await nova.Demo().GetAsync("/v2.1/os-migrations")).Expect(403);
        Assert.Equal("""{"migrations":[]}""", (await nova.Admin().GetAsync($"/v2.1/servers/{id}/migrations")).Expect(200).Text);
        (await nova.Admin().GetAsync($"/v2.1/servers/{id}/migrations/1")).Expect(404);
        (await nova.Admin().GetAsync($"/v2.1/servers/{Guid.NewGuid()}/migrations")).Expect(404);
    }

    [Fact]
    public async Task A_running_guest_can_be_diagnosed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var path = $"/v2.1/servers/{id}/diagnostics";
        var old = (await nova.Admin("compute 2.47").GetAsync(path)).Expect(200).Json;
        Assert.Equal(
            [
                "cpu0_time", "memory", "vda_errors", "vda_read", "vda_read_req", "vda_write", "vda_write_req", "vnet1_rx", "vnet1_rx_drop", "vnet1_rx_errors", "vnet1_rx_packets",
                "vnet1_tx", "vnet1_tx_drop", "vnet1_tx_errors", "vnet1_tx_packets",
            ],
            Members(old));
        Assert.Equal(524_288, old.GetProperty("memory").GetInt64());
        var now = (await nova.Admin().GetAsync(path)).Expect(200).Json;
        Assert.Equal(
            [
                "config_drive", "cpu_details", "disk_details", "driver", "hypervisor", "hypervisor_os", "memory_details", "nic_details", "num_cpus", "num_disks", "num_nics", "state",
                "uptime",
            ],
            Members(now));
        Assert.Equal(["id", "time", "utilisation"], Members(now.GetProperty("cpu_details")[0]));
        Assert.Equal(["errors_count", "read_bytes", "read_requests", "write_bytes", "write_requests"], Members(now.GetProperty("disk_details")[0]));
        Assert.Equal(
            ["mac_address", "rx_drop", "rx_errors", "rx_octets", "rx_packets", "rx_rate", "tx_drop", "tx_errors", "tx_octets", "tx_packets", "tx_rate"],
            Members(now.GetProperty("nic_details")[0]));
        Assert.Equal(JsonValueKind.Null, now.GetProperty("nic_details")[1].GetProperty("rx_octets").ValueKind);
        (await nova.Demo().GetAsync(path)).Expect(403);
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"os-stop": null}""")).Expect(202);
        await nova.WaitForStatusAsync(id, "SHUTOFF");
        (await nova.Admin().GetAsync(path)).Expect(409);
    }

    [Fact]
    public async Task The_usage_audit_of_old_says_that_no_host_ran_it()
    {
        await using var nova = await NovaCloud.StartAsync(time: new FakeTimeProvider(new DateTimeOffset(2026, 3, 5, 0, 0, 0, TimeSpan.Zero)));
        var log = (await nova.Admin().GetAsync("/v2.1/os-instance_usage_audit_log")).Expect(200).Json.GetProperty("instance_usage_audit_logs");
        Assert.Equal("2026-02-01 00:00:00", log.GetProperty("period_beginning").GetString());
        Assert.Equal("0 of 1 hosts done. 0 errors.", log.GetProperty("overall_status").GetString());
        Assert.Equal("host1", log.GetProperty("hosts_not_run")[0].GetString());
        var past = (await nova.Admin().GetAsync("/v2.1/os-instance_usage_audit_log/2012-07-05%2010:00:00")).Expect(200).Json.GetProperty("instance_usage_audit_log");
        Assert.Equal("2012-07-01 00:00:00", past.GetProperty("period_ending").GetString());
        (await nova.Admin().GetAsync("/v2.1/os-instance_usage_audit_log/then")).Expect(400);
        (await nova.Demo().GetAsync("/v2.1/os-instance_usage_audit_log")).Expect(403);
    }

    [Fact]
    public async Task Hosts_that_registered_are_discovered_with_what_placement_lacks()
    {
        await using var nova = await NovaCloud.StartAsync();
        var lost = nova.Services.Providers.Keys.Single();
        nova.Services.Providers.TryRemove(lost, out _);
        var found = Assert.Single(await nova.Cloud.Get<HostDiscovery>().RunAsync(NovaCloud.Cancelled));
        Assert.Equal(("host1", lost, "nova", true, false, null), (found.Host, found.ProviderId, found.Zone, found.IsUp, found.IsDisabled, found.Failure));
        Assert.Equal(8, (int)nova.Services.Providers[lost]["inventories"]!["VCPU"]!["total"]!);
    }

    [Fact]
    public async Task A_server_without_a_host_is_gone_with_the_answer_to_its_deletion()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Host.Fail = static _ => new Contracts.FaultReport(500, "no room in the rack");
        var id = await nova.CreateAsync();
        await nova.WaitForStatusAsync(id, "ERROR");
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        (await nova.Demo().GetAsync($"/v2.1/servers/{id}")).Expect(404);
        await Eventually.TrueAsync(() => !nova.Services.PortsOf(id).Any() && !nova.Services.Allocations.ContainsKey(id), "nothing held");
        var action = (await nova.Demo().GetAsync($"/v2.1/servers/{id}/os-instance-actions")).Expect(200).Json.GetProperty("instanceActions")[0];
        Assert.Equal("delete", action.GetProperty("action").GetString());
    }
}
