using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

public sealed class ServerTests
{
    [Fact]
    public async Task A_server_becomes_active_with_a_port_and_an_allocation_on_the_host()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();

        var server = await nova.ShowAsync(id);
        Assert.Equal("host1", server.GetProperty("OS-EXT-SRV-ATTR:host").GetString());
        Assert.Equal(1, server.GetProperty("OS-EXT-STS:power_state").GetInt32());
        var port = Assert.Single(nova.Services.PortsOf(id));
        var address = server.GetProperty("addresses").GetProperty("demo-network")[0].GetProperty("addr").GetString();
        Assert.Equal((string)nova.Services.Ports[port]["fixed_ips"]![0]!["ip_address"]!, address);
        Assert.Equal("host1", (string)nova.Services.Ports[port]["binding:host_id"]!);
        Assert.Equal(TestIdentities.DemoProject, (string)nova.Services.Ports[port]["project_id"]!);
        Assert.True(nova.Services.Allocations.ContainsKey(id));
        Assert.Equal("default", server.GetProperty("security_groups")[0].GetProperty("name").GetString());
    }

    [Fact]
    public async Task The_answer_to_a_creation_has_the_location_and_a_password()
    {
        await using var nova = await NovaCloud.StartAsync();
        var answer = (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody())).Expect(202);
        var server = answer.Json.GetProperty("server");
        Assert.EndsWith("/v2.1/servers/" + server.GetProperty("id").GetString(), answer.Headers.Location!.ToString(), StringComparison.Ordinal);
        Assert.Equal(12, server.GetProperty("adminPass").GetString()!.Length);
        Assert.Equal("MANUAL", server.GetProperty("OS-DCF:diskConfig").GetString());
        Assert.Equal("default", server.GetProperty("security_groups")[0].GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_deleted_server_leaves_no_port_and_no_allocation()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Empty(nova.Services.PortsOf(id));
        Assert.False(nova.Services.Allocations.ContainsKey(id));
        Assert.False(nova.Host.Guests.ContainsKey(id));
        var actions = (await nova.Demo().GetAsync($"/v2.1/servers/{id}/os-instance-actions")).Expect(200).Json.GetProperty("instanceActions");
        Assert.Equal(["delete", "create"], actions.EnumerateArray().Select(action => action.GetProperty("action").GetString()));
    }

    [Fact]
    public async Task A_port_of_the_user_outlives_the_server()
    {
        await using var nova = await NovaCloud.StartAsync();
        var port = nova.Services.AddPort(nova.NetworkId);
        var answer = await nova.Demo().PostAsync(
            "/v2.1/servers", $$"""{"server": {"name": "s", "flavorRef": "1", "imageRef": "{{nova.ImageId}}", "networks": [{"port": "{{port}}"}]} }""");
        var id = answer.Expect(202).Json.GetProperty("server").GetProperty("id").GetString()!;
        await nova.WaitForStatusAsync(id, "ACTIVE");
        Assert.Equal([port], nova.Services.PortsOf(id));

        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
        await nova.WaitForGoneAsync(id);
        Assert.Equal("", (string)nova.Services.Ports[port]["device_id"]!);
    }

    [Theory]
    [InlineData("""{"reboot": {"type": "SOFT"}}""", "ACTIVE")]
    [InlineData("""{"reboot": {"type": "HARD"}}""", "ACTIVE")]
    [InlineData("""{"os-stop": null}""", "SHUTOFF")]
    public async Task An_action_ends_in_the_state_that_it_leads_to(string action, string status)
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", action)).Expect(202);
        await nova.WaitForStatusAsync(id, status);
        Assert.Equal(2, nova.Host.Asked.Distinct().Count());
    }

    [Fact]
    public async Task A_stopped_server_can_be_started_and_not_stopped_again()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"os-stop": null}""")).Expect(202);
        await nova.WaitForStatusAsync(id, "SHUTOFF");
        var again = (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"os-stop": null}""")).Expect(409);
        Assert.Equal($"Cannot 'stop' instance {id} while it is in vm_state stopped", again.Json.GetProperty("conflictingRequest").GetProperty("message").GetString());
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"os-start": null}""")).Expect(202);
        await nova.WaitForStatusAsync(id, "ACTIVE");
    }

    [Fact]
    public async Task A_guest_that_goes_off_by_itself_is_shown_as_shut_off()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        await nova.Host.ReportAsync(new Contracts.InstanceReport("host1", id, 1, Contracts.PowerState.Shutdown), NovaCloud.Cancelled);
        Assert.Equal("SHUTOFF", (await nova.ShowAsync(id)).GetProperty("status").GetString());
    }

    [Fact]
    public async Task The_console_output_is_what_the_host_says()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var answer = (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"os-getConsoleOutput": {"length": 1}}""")).Expect(200);
        Assert.Equal("login:", answer.Json.GetProperty("output").GetString());
    }

    [Fact]
    public async Task A_locked_server_obeys_an_administrator_only()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"lock": {"locked_reason": "mine"}}""")).Expect(202);
        var server = await nova.ShowAsync(id);
        Assert.True(server.GetProperty("locked").GetBoolean());
        Assert.Equal("mine", server.GetProperty("locked_reason").GetString());
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(409);
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"reboot": {"type": "HARD"}}""")).Expect(409);
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"unlock": null}""")).Expect(202);
        (await nova.Demo().DeleteAsync($"/v2.1/servers/{id}")).Expect(204);
    }

    [Fact]
    public async Task A_server_is_invisible_to_other_projects()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        using var other = nova.Cloud.Client("nova-api", "other", "compute 2.96");
        var answer = (await other.GetAsync($"/v2.1/servers/{id}")).Expect(404);
        Assert.Equal($"Instance {id} could not be found.", answer.Json.GetProperty("itemNotFound").GetProperty("message").GetString());
        Assert.Equal(0, (await other.GetAsync("/v2.1/servers")).Expect(200).Json.GetProperty("servers").GetArrayLength());
        (await other.DeleteAsync($"/v2.1/servers/{id}")).Expect(404);
        (await other.GetAsync("/v2.1/servers?all_tenants=1")).Expect(403);
    }

    [Fact]
    public async Task A_reader_may_look_but_not_touch()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        using var reader = nova.Cloud.Client("nova-api", "reader", "compute 2.96");
        (await reader.GetAsync($"/v2.1/servers/{id}")).Expect(200);
        (await reader.DeleteAsync($"/v2.1/servers/{id}")).Expect(403);
        (await reader.PostAsync("/v2.1/servers", nova.ServerBody())).Expect(403);
    }

    [Fact]
    public async Task Several_servers_of_one_request_are_numbered_and_counted()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody("many", ", \"min_count\": 2, \"max_count\": 3"))).Expect(202);
        var servers = (await nova.Demo().GetAsync("/v2.1/servers?sort_key=display_name&sort_dir=asc")).Expect(200).Json.GetProperty("servers");
        Assert.Equal(["many-1", "many-2", "many-3"], servers.EnumerateArray().Select(server => server.GetProperty("name").GetString()));
    }

    [Fact]
    public async Task A_passed_quota_is_refused_with_the_numbers_and_nothing_is_created()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Admin().PutAsync($"/v2.1/os-quota-sets/{TestIdentities.DemoProject}", """{"quota_set": {"instances": 1}}""")).Expect(200);
        await nova.BootAsync();
        var answer = (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody("second"))).Expect(403);
        Assert.Equal(
            "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances",
            answer.Json.GetProperty("forbidden").GetProperty("message").GetString());
        Assert.Single((await nova.Demo().GetAsync("/v2.1/servers")).Json.GetProperty("servers").EnumerateArray());
    }

    [Fact]
    public async Task Pages_of_servers_follow_each_other_without_gap_or_repeat()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody("many", ", \"min_count\": 5"))).Expect(202);
        var names = new List<string>();
        var path = "/v2.1/servers?limit=2&sort_key=display_name&sort_dir=asc";
        while (path is not null)
        {
            var answer = (await nova.Demo().GetAsync(path)).Expect(200).Json;
            names.AddRange(answer.GetProperty("servers").EnumerateArray().Select(server => server.GetProperty("name").GetString()!));
            path = answer.TryGetProperty("servers_links", out var links) ? new Uri(links[0].GetProperty("href").GetString()!).PathAndQuery : null;
        }

        Assert.Equal(["many-1", "many-2", "many-3", "many-4", "many-5"], names);
        Assert.Equal(
            "Invalid input for query parameters changes-since. Value: 2011/01/01. '2011/01/01' is not a 'date-time'",
            (await nova.Demo().GetAsync("/v2.1/servers?changes-since=2011/01/01")).Expect(400).Json.GetProperty("badRequest").GetProperty("message").GetString());
        Assert.Equal(
            "marker [nothing] not found",
            (await nova.Demo().GetAsync("/v2.1/servers?marker=nothing")).Expect(400).Json.GetProperty("badRequest").GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("name=ma.y-[12]$", 2)]
    [InlineData("name=zzz", 0)]
    [InlineData("status=ACTIVE", 3)]
    [InlineData("status=ERROR", 0)]
    [InlineData("flavor=1", 3)]
    [InlineData("image=00000000-0000-0000-0000-000000000000", 0)]
    [InlineData("ip=10\\.0\\.0\\.", 3)]
    [InlineData("changes-since=2000-01-01T00:00:00Z", 3)]
    [InlineData("host=host1&all_tenants=1", 3)]
    public async Task A_filter_keeps_what_matches(string filter, int count)
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody("many", ", \"min_count\": 3"))).Expect(202);
        await Eventually.TrueAsync(
            async () => (await nova.Demo().GetAsync("/v2.1/servers/detail")).Json.GetProperty("servers").EnumerateArray().All(server => server.GetProperty("status").GetString() == "ACTIVE"),
            "all are active");
        using var client = filter.Contains("all_tenants", StringComparison.Ordinal) ? nova.Admin() : nova.Demo();
        Assert.Equal(count, (await client.GetAsync("/v2.1/servers?" + filter)).Expect(200).Json.GetProperty("servers").GetArrayLength());
    }

    [Fact]
    public async Task Metadata_can_be_set_read_and_removed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync(more: ", \"metadata\": {\"a\": \"1\"}");
        var path = $"/v2.1/servers/{id}/metadata";
        (await nova.Demo().PostAsync(path, """{"metadata": {"b": "2"}}""")).Expect(200);
        (await nova.Demo().PutAsync(path + "/c", """{"meta": {"c": "3"}}""")).Expect(200);
        (await nova.Demo().DeleteAsync(path + "/a")).Expect(204);
        Assert.Equal("""{"b":"2","c":"3"}""", (await nova.Demo().GetAsync(path)).Json.GetProperty("metadata").GetRawText());
        Assert.Equal("Metadata item was not found", (await nova.Demo().GetAsync(path + "/a")).Expect(404).Json.GetProperty("itemNotFound").GetProperty("message").GetString());
        (await nova.Demo().PutAsync(path + "/x", """{"meta": {"y": "1"}}""")).Expect(400);
    }

    [Fact]
    public async Task Tags_can_be_set_read_and_removed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var path = $"/v2.1/servers/{id}/tags";
        (await nova.Demo().PutAsync(path + "/blue")).Expect(201);
        (await nova.Demo().PutAsync(path + "/blue")).Expect(204);
        (await nova.Demo().GetAsync(path + "/blue")).Expect(204);
        Assert.Equal(1, (await nova.Demo().GetAsync("/v2.1/servers?tags=blue")).Json.GetProperty("servers").GetArrayLength());
        Assert.Equal(0, (await nova.Demo().GetAsync("/v2.1/servers?not-tags=blue")).Json.GetProperty("servers").GetArrayLength());
        (await nova.Demo().DeleteAsync(path)).Expect(204);
        Assert.Equal("[]", (await nova.Demo().GetAsync(path)).Json.GetProperty("tags").GetRawText());
    }

    [Fact]
    public async Task Neutrons_word_that_a_port_is_plugged_reaches_the_host_even_when_the_hint_is_lost()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var port = nova.Services.PortsOf(id).Single();
        nova.Cloud.Get<Foundation.Bus.InProcessBus>().Chaos = _ => 0;
        using var neutron = nova.Cloud.Client("nova-api", "service", "compute 2.1");
        var body = $$"""{"events": [{"server_uuid": "{{id}}", "name": "network-vif-plugged", "status": "completed", "tag": "{{port}}"}]}""";
        (await neutron.PostAsync("/v2.1/os-server-external-events", body)).Expect(200);
        await nova.Host.LookAsync(id, NovaCloud.Cancelled);
        Assert.True(Assert.Single(nova.Host.Last!.Ports).Plugged);

        var unknown = body.Replace(id, Guid.NewGuid().ToString(), StringComparison.Ordinal);
        Assert.Equal(404, (await neutron.PostAsync("/v2.1/os-server-external-events", unknown)).Expect(207).Json.GetProperty("events")[0].GetProperty("code").GetInt32());
        (await nova.Demo().PostAsync("/v2.1/os-server-external-events", body)).Expect(403);
    }

    [Fact]
    public async Task A_floating_ip_is_among_the_addresses_once_Neutron_says_that_the_network_changed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var port = nova.Services.PortsOf(id).Single();
        var inner = (string)nova.Services.Ports[port]["fixed_ips"]![0]!["ip_address"]!;
        nova.Services.FloatingIps["one"] = new() { ["port_id"] = port, ["fixed_ip_address"] = inner, ["floating_ip_address"] = "203.0.113.5" };
        using var neutron = nova.Cloud.Client("nova-api", "service", "compute 2.1");
        var body = $$"""{"events": [{"server_uuid": "{{id}}", "name": "network-changed", "tag": "{{port}}"}]}""";
        (await neutron.PostAsync("/v2.1/os-server-external-events", body)).Expect(200);
        Assert.Equal([("fixed", inner), ("floating", "203.0.113.5")], await AddressesAsync());
        Assert.Equal(1, (await nova.Demo().GetAsync("/v2.1/servers?ip=203.0.113")).Expect(200).Json.GetProperty("servers").GetArrayLength());
        nova.Services.FloatingIps.Clear();
        (await neutron.PostAsync("/v2.1/os-server-external-events", body)).Expect(200);
        Assert.Equal([("fixed", inner)], await AddressesAsync());

        async Task<List<(string?, string?)>> AddressesAsync() =>
            [.. (await nova.Demo().GetAsync($"/v2.1/servers/{id}")).Json.GetProperty("server").GetProperty("addresses").EnumerateObject().Single().Value.EnumerateArray()
                .Select(address => (address.GetProperty("OS-EXT-IPS:type").GetString(), address.GetProperty("addr").GetString()))];
    }

    [Fact]
    public async Task A_server_can_be_renamed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var server = (await nova.Demo().PutAsync($"/v2.1/servers/{id}", """{"server": {"name": "new", "description": "d"}}""")).Expect(200).Json.GetProperty("server");
        Assert.Equal("new", server.GetProperty("name").GetString());
        Assert.Equal("d", server.GetProperty("description").GetString());
    }

    [Fact]
    public async Task Every_list_of_a_thousand_servers_is_one_page_written_at_once()
    {
        await using var nova = await NovaCloud.StartAsync(settings: [("nova", "quota", "instances", "-1"), ("nova", "quota", "cores", "-1"), ("nova", "quota", "ram", "-1")]);
        nova.Host.IsDeaf = true;
        (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody("many", ", \"min_count\": 1000"))).Expect(202);
        var answer = (await nova.Demo().GetAsync("/v2.1/servers/detail")).Expect(200);
        Assert.Equal(1000, answer.Json.GetProperty("servers").GetArrayLength());
        Assert.True(answer.Json.TryGetProperty("servers_links", out _));
    }

    [Fact]
    public async Task A_body_that_is_no_JSON_is_a_bad_request()
    {
        await using var nova = await NovaCloud.StartAsync();
        var answer = (await nova.Demo().PostAsync("/v2.1/servers", "{nonsense")).Expect(400);
        Assert.True(answer.Json.TryGetProperty("badRequest", out _));
    }

    [Theory]
    [InlineData("\"flavorRef\": \"1\"", "\"flavorRef\": \"nope\"", 400, "Flavor nope could not be found.")]
    [InlineData("\"name\": \"demo-instance-1\", ", "", 400, "Invalid input for field/attribute server. Value: ")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"\"", 400, "Invalid input for field/attribute name. Value: \"\". '' is too short")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"nonsense\": 1", 400, "Invalid input for field/attribute server. Value: ")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"key_name\": \"nope\"", 400, "Invalid key_name provided.")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"min_count\": 3, \"max_count\": 2", 400, "min_count must be <= max_count")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"availability_zone\": \"mars\"", 400, "The requested availability zone is not available")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"security_groups\": [{\"name\": \"nope\"}]", 400, "Security group nope not found for project 0d0000000000000000000000000000de.")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"user_data\": \"***\"", 400, "Invalid input for field/attribute user_data.")]
    [InlineData("\"name\": \"demo-instance-1\"", "\"name\": \"n\", \"host\": \"host1\"", 403, "Policy doesn't allow compute:servers:create:requested_destination to be performed.")]
    public async Task A_bad_creation_is_refused_with_what_is_wrong(string from, string to, int status, string message)
    {
        await using var nova = await NovaCloud.StartAsync();
        var answer = (await nova.Demo().PostAsync("/v2.1/servers", nova.ServerBody().Replace(from, to, StringComparison.Ordinal))).Expect(status);
        Assert.StartsWith(message, answer.Json.EnumerateObject().First().Value.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.Empty((await nova.Demo().GetAsync("/v2.1/servers")).Json.GetProperty("servers").EnumerateArray());
    }

    [Fact]
    public async Task An_image_that_does_not_fit_is_refused_with_the_sizes()
    {
        await using var nova = await NovaCloud.StartAsync();
        await Refused(nova.Services.AddImage(size: 2L << 30), "Flavor's disk is too small for requested image. Flavor disk is 1073741824 bytes, image is 2147483648 bytes.");
        await Refused(nova.Services.AddImage(minRam: 1024), "Flavor's memory is too small for requested image.");
        await Refused(
            nova.Services.AddImage(minDisk: 2),
            "Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is 1073741824 bytes, minimum size is 2147483648 bytes.");
        var queued = nova.Services.AddImage(status: "queued");
        await Refused(queued, $"Image {queued} is not active.");
        await Refused(Guid.NewGuid().ToString(), "Can not find requested image");

        async Task Refused(string image, string message)
        {
            var body = nova.ServerBody().Replace(nova.ImageId, image, StringComparison.Ordinal);
            Assert.Equal(message, (await nova.Demo().PostAsync("/v2.1/servers", body)).Expect(400).Json.GetProperty("badRequest").GetProperty("message").GetString());
        }
    }

    [Fact]
    public async Task A_network_that_cannot_be_used_is_refused_with_the_reason()
    {
        await using var nova = await NovaCloud.StartAsync();
        var unknown = Guid.NewGuid().ToString();
        await Refused($$"""[{"uuid": "{{unknown}}"}]""", 400, $"Network {unknown} could not be found.");
        var bare = nova.Services.AddNetwork("bare", subnets: false);
        await Refused($$"""[{"uuid": "{{bare}}"}]""", 400, $"Network {bare} requires a subnet in order to boot instances on.");
        var external = nova.Services.AddNetwork("external", shared: false, external: true);
        await Refused($$"""[{"uuid": "{{external}}"}]""", 403, $"It is not allowed to create an interface on external network {external}");
        var used = nova.Services.AddPort(nova.NetworkId, "someone");
        await Refused($$"""[{"port": "{{used}}"}]""", 409, $"Port {used} is still in use.");
        await Refused("\"auto\"", 409, "More than one possible network found. Specify network ID(s) to select which one(s) to connect to.");

        async Task Refused(string networks, int status, string message)
        {
            var body = $$"""{"server": {"name": "s", "flavorRef": "1", "imageRef": "{{nova.ImageId}}", "networks": {{networks}} } }""";
            var answer = (await nova.Demo().PostAsync("/v2.1/servers", body)).Expect(status);
            Assert.Equal(message, answer.Json.EnumerateObject().First().Value.GetProperty("message").GetString());
        }
    }

    [Fact]
    public async Task A_server_of_a_project_without_networks_gets_one_that_Neutron_allocates()
    {
        await using var nova = await NovaCloud.StartAsync();
        nova.Services.Networks.Clear();
        var body = $$"""{"server": {"name": "s", "flavorRef": "1", "imageRef": "{{nova.ImageId}}", "networks": "auto"} }""";
        var refused = (await nova.Demo().PostAsync("/v2.1/servers", body)).Expect(400).Json.GetProperty("badRequest").GetProperty("message").GetString()!;
        Assert.StartsWith("Unable to automatically allocate a network for project", refused, StringComparison.Ordinal);
        nova.Services.AllocatesNetworks = true;
        var id = (await nova.Demo().PostAsync("/v2.1/servers", body)).Expect(202).Json.GetProperty("server").GetProperty("id").GetString()!;
        await Eventually.TrueAsync(() => nova.Services.PortsOf(id).Any(), "the server has a port");
        var port = nova.Services.Ports[nova.Services.PortsOf(id).Single()];
        Assert.Equal("auto_allocated_network", (string)nova.Services.Networks[(string)port["network_id"]!]["name"]!);
    }

    [Fact]
    public async Task A_server_without_networks_has_no_port()
    {
        await using var nova = await NovaCloud.StartAsync();
        var answer = await nova.Demo().PostAsync(
            "/v2.1/servers", $$"""{"server": {"name": "s", "flavorRef": "1", "imageRef": "{{nova.ImageId}}", "networks": "none"} }""");
        var id = answer.Expect(202).Json.GetProperty("server").GetProperty("id").GetString()!;
        await nova.WaitForStatusAsync(id, "ACTIVE");
        Assert.Empty(nova.Services.Ports);
        Assert.Equal("{}", (await nova.ShowAsync(id)).GetProperty("addresses").GetRawText());
    }
}
