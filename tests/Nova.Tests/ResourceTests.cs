using System.Text.Json;
using SharpStack.TestKit;

namespace SharpStack.Nova.Tests;

/// <summary>Resources beside servers, and the shapes that microversions give them.</summary>
public sealed class ResourceTests
{
    private const string PublicKey =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8b0yqD1PUzZ0m2Yb6dYz6KZ9Y0qkqkQ2t0Zz3c1vXr demo";

    private static IEnumerable<string> Members(JsonElement element) => element.EnumerateObject().Select(member => member.Name).Order(StringComparer.Ordinal);

    [Fact]
    public async Task The_version_documents_need_no_token()
    {
        await using var nova = await NovaCloud.StartAsync();
        using var anonymous = nova.Cloud.Client("nova-api", null);
        var versions = (await anonymous.GetAsync("/")).Expect(200).Json.GetProperty("versions");
        Assert.Equal(["v2.0", "v2.1"], versions.EnumerateArray().Select(version => version.GetProperty("id").GetString()));
        var version = (await anonymous.GetAsync("/v2.1/")).Expect(200).Json.GetProperty("version");
        Assert.Equal("2.96", version.GetProperty("version").GetString());
        Assert.Equal("2.1", version.GetProperty("min_version").GetString());
    }

    [Theory]
    [InlineData("compute 2.1", "2.1")]
    [InlineData("compute latest", "2.96")]
    public async Task The_microversion_is_said_in_the_answer(string asked, string given)
    {
        await using var nova = await NovaCloud.StartAsync();
        var answer = (await nova.Demo(asked).GetAsync("/v2.1/flavors")).Expect(200);
        Assert.Equal("compute " + given, answer.Headers.GetValues("OpenStack-API-Version").Single());
        Assert.Equal(given, answer.Headers.GetValues("X-OpenStack-Nova-API-Version").Single());
        (await nova.Demo("compute 2.97").GetAsync("/v2.1/flavors")).Expect(406);
        (await nova.Demo("compute nonsense").GetAsync("/v2.1/flavors")).Expect(400);
    }

    /// <summary>The members of OpenStack's own samples of a flavor, by microversion.</summary>
    [Theory]
    [InlineData("compute 2.1", false, false, false)]
    [InlineData("compute 2.55", true, false, false)]
    [InlineData("compute 2.61", true, true, false)]
    [InlineData("compute 2.75", true, true, true)]
    public async Task A_flavor_has_the_members_of_its_microversion(string microversion, bool description, bool specs, bool swapIsNumber)
    {
        await using var nova = await NovaCloud.StartAsync();
        var flavor = (await nova.Demo(microversion).GetAsync("/v2.1/flavors/1")).Expect(200).Json.GetProperty("flavor");
        List<string> expected =
        [
            "OS-FLV-DISABLED:disabled", "OS-FLV-EXT-DATA:ephemeral", "disk", "id", "links", "name", "os-flavor-access:is_public", "ram", "rxtx_factor", "swap", "vcpus",
        ];
        expected.AddRange(description ? ["description"] : []);
        expected.AddRange(specs ? ["extra_specs"] : []);
        Assert.Equal(expected.Order(StringComparer.Ordinal), Members(flavor));
        Assert.Equal(swapIsNumber ? JsonValueKind.Number : JsonValueKind.String, flavor.GetProperty("swap").ValueKind);
        Assert.Equal("1.0", flavor.GetProperty("rxtx_factor").GetRawText());
    }

    /// <summary>The members of OpenStack's own samples of a server, by microversion, for its owner.</summary>
    [Theory]
    [InlineData(1, "")]
    [InlineData(9, "locked")]
    [InlineData(19, "locked,description")]
    [InlineData(26, "locked,description,tags")]
    [InlineData(63, "locked,description,tags,trusted_image_certificates")]
    [InlineData(71, "locked,description,tags,trusted_image_certificates,server_groups")]
    [InlineData(73, "locked,description,tags,trusted_image_certificates,server_groups,locked_reason")]
    [InlineData(90, "locked,description,tags,trusted_image_certificates,server_groups,locked_reason,OS-EXT-SRV-ATTR:hostname")]
    [InlineData(96, "locked,description,tags,trusted_image_certificates,server_groups,locked_reason,OS-EXT-SRV-ATTR:hostname,pinned_availability_zone")]
    public async Task A_server_has_the_members_of_its_microversion(int minor, string more)
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var server = (await nova.Demo($"compute 2.{minor}").GetAsync($"/v2.1/servers/{id}")).Expect(200).Json.GetProperty("server");
        string[] expected =
        [
            "OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone", "OS-EXT-STS:power_state", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "OS-SRV-USG:launched_at",
            "OS-SRV-USG:terminated_at", "accessIPv4", "accessIPv6", "addresses", "config_drive", "created", "flavor", "hostId", "id", "image", "key_name", "links", "metadata",
            "name", "os-extended-volumes:volumes_attached", "progress", "security_groups", "status", "tenant_id", "updated", "user_id",
            .. more.Split(',', StringSplitOptions.RemoveEmptyEntries),
        ];
        Assert.Equal(expected.Order(StringComparer.Ordinal), Members(server));
        Assert.Equal(minor >= 47 ? ["disk", "ephemeral", "extra_specs", "original_name", "ram", "swap", "vcpus"] : ["id", "links"], Members(server.GetProperty("flavor")));
    }

    [Fact]
    public async Task An_administrator_sees_where_a_server_is()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var server = await nova.ShowAsync(id);
        Assert.Equal("host1", server.GetProperty("OS-EXT-SRV-ATTR:hypervisor_hostname").GetString());
        Assert.StartsWith("instance-0000", server.GetProperty("OS-EXT-SRV-ATTR:instance_name").GetString(), StringComparison.Ordinal);
        Assert.Equal("UP", server.GetProperty("host_status").GetString());
        var old = (await nova.Admin("compute 2.1").GetAsync($"/v2.1/servers/{id}")).Json.GetProperty("server");
        Assert.False(old.TryGetProperty("OS-EXT-SRV-ATTR:reservation_id", out _));
        Assert.False(old.TryGetProperty("host_status", out _));
    }

    [Fact]
    public async Task A_flavor_is_made_by_an_administrator_once()
    {
        await using var nova = await NovaCloud.StartAsync();
        const string Body = """{"flavor": {"name": "m1.tiny", "id": "tiny", "ram": 512, "vcpus": 1, "disk": 1, "description": "small"}}""";
        (await nova.Demo().PostAsync("/v2.1/flavors", Body)).Expect(403);
        (await nova.Admin().PostAsync("/v2.1/flavors", Body)).Expect(200);
        Assert.Equal(
            "Flavor with name m1.tiny already exists.",
            (await nova.Admin().PostAsync("/v2.1/flavors", Body.Replace("\"tiny\"", "\"other\"", StringComparison.Ordinal))).Expect(409).Json.GetProperty("conflictingRequest").GetProperty("message").GetString());
        Assert.Equal(
            "Flavor with ID tiny already exists.",
            (await nova.Admin().PostAsync("/v2.1/flavors", Body.Replace("m1.tiny", "m2", StringComparison.Ordinal))).Expect(409).Json.GetProperty("conflictingRequest").GetProperty("message").GetString());
        (await nova.Admin().PostAsync("/v2.1/flavors", Body.Replace("512", "0", StringComparison.Ordinal))).Expect(400);
        (await nova.Admin().DeleteAsync("/v2.1/flavors/tiny")).Expect(202);
        Assert.Equal(
            "Flavor tiny could not be found.", (await nova.Demo().GetAsync("/v2.1/flavors/tiny")).Expect(404).Json.GetProperty("itemNotFound").GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_private_flavor_is_for_the_projects_that_have_access()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Admin().PostAsync(
            "/v2.1/flavors", """{"flavor": {"name": "private", "id": "p", "ram": 1, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": false}}""")).Expect(200);
        (await nova.Demo().GetAsync("/v2.1/flavors/p")).Expect(404);
        var add = $$$"""{"addTenantAccess": {"tenant": "{{{TestIdentities.DemoProject}}}"}}""";
        (await nova.Admin().PostAsync("/v2.1/flavors/p/action", add)).Expect(200);
        (await nova.Admin().PostAsync("/v2.1/flavors/p/action", add)).Expect(409);
        (await nova.Demo().GetAsync("/v2.1/flavors/p")).Expect(200);
        Assert.Equal(2, (await nova.Demo().GetAsync("/v2.1/flavors")).Json.GetProperty("flavors").GetArrayLength());
        (await nova.Admin().PostAsync("/v2.1/flavors/p/action", add.Replace("add", "remove", StringComparison.Ordinal))).Expect(200);
        (await nova.Demo().GetAsync("/v2.1/flavors/p")).Expect(404);
    }

    [Fact]
    public async Task Extra_specs_of_a_flavor_are_kept()
    {
        await using var nova = await NovaCloud.StartAsync();
        const string Path = "/v2.1/flavors/1/os-extra_specs";
        (await nova.Admin().PostAsync(Path, """{"extra_specs": {"hw:cpu_policy": "shared", "n": 1}}""")).Expect(200);
        (await nova.Admin().PutAsync(Path + "/n", """{"n": "2"}""")).Expect(200);
        Assert.Equal("2", (await nova.Demo().GetAsync(Path + "/n")).Expect(200).Json.GetProperty("n").GetString());
        (await nova.Admin().DeleteAsync(Path + "/n")).Expect(200);
        Assert.Equal("Flavor 1 has no extra specs with key n.", (await nova.Demo().GetAsync(Path + "/n")).Expect(404).Json.GetProperty("itemNotFound").GetProperty("message").GetString());
    }

    [Fact]
    public async Task A_key_pair_is_imported_shown_and_removed()
    {
        await using var nova = await NovaCloud.StartAsync();
        var body = $$$"""{"keypair": {"name": "k", "public_key": "{{{PublicKey}}}"}}""";
        var made = (await nova.Demo().PostAsync("/v2.1/os-keypairs", body)).Expect(201).Json.GetProperty("keypair");
        Assert.Matches("^([0-9a-f]{2}:){15}[0-9a-f]{2}$", made.GetProperty("fingerprint").GetString());
        (await nova.Demo().PostAsync("/v2.1/os-keypairs", body)).Expect(409);
        (await nova.Demo().PostAsync("/v2.1/os-keypairs", """{"keypair": {"name": "x", "public_key": "ssh-rsa nonsense"}}""")).Expect(400);
        (await nova.Demo().PostAsync("/v2.1/os-keypairs", """{"keypair": {"name": "x"}}""")).Expect(400);
        var shown = (await nova.Demo().GetAsync("/v2.1/os-keypairs/k")).Expect(200).Json.GetProperty("keypair");
        Assert.Equal(
            ["created_at", "deleted", "deleted_at", "fingerprint", "id", "name", "public_key", "type", "updated_at", "user_id"], Members(shown));
        Assert.Equal(0, (await nova.Cloud.Client("nova-api", "other", "compute 2.96").GetAsync("/v2.1/os-keypairs")).Json.GetProperty("keypairs").GetArrayLength());
        (await nova.Admin().GetAsync($"/v2.1/os-keypairs/k?user_id={TestIdentities.UserIdOf("demo")}")).Expect(200);
        (await nova.Demo().DeleteAsync("/v2.1/os-keypairs/k")).Expect(204);
        (await nova.Demo().GetAsync("/v2.1/os-keypairs/k")).Expect(404);
    }

    [Fact]
    public async Task A_generated_key_fits_its_private_half()
    {
        await using var nova = await NovaCloud.StartAsync();
        var pair = (await nova.Demo("compute 2.2").PostAsync("/v2.1/os-keypairs", """{"keypair": {"name": "k"}}""")).Expect(201).Json.GetProperty("keypair");
        using var rsa = System.Security.Cryptography.RSA.Create();
        rsa.ImportFromPem(pair.GetProperty("private_key").GetString());
        var blob = Convert.FromBase64String(pair.GetProperty("public_key").GetString()!.Split(' ')[1]);
        Assert.Equal(rsa.ExportParameters(false).Modulus, blob[^256..]);
    }

    [Fact]
    public async Task A_disabled_compute_service_says_so_everywhere()
    {
        await using var nova = await NovaCloud.StartAsync();
        var services = (await nova.Admin().GetAsync("/v2.1/os-services")).Expect(200).Json.GetProperty("services");
        Assert.Equal(["nova-compute", "nova-conductor", "nova-scheduler"], services.EnumerateArray().Select(service => service.GetProperty("binary").GetString()).Order(StringComparer.Ordinal));
        Assert.All(services.EnumerateArray(), service => Assert.Equal("up", service.GetProperty("state").GetString()));
        var id = services.EnumerateArray().First(service => service.GetProperty("binary").GetString() == "nova-compute").GetProperty("id").GetString();
        var changed = (await nova.Admin().PutAsync($"/v2.1/os-services/{id}", """{"status": "disabled", "disabled_reason": "maintenance"}""")).Expect(200).Json.GetProperty("service");
        Assert.Equal("maintenance", changed.GetProperty("disabled_reason").GetString());
        Assert.Equal("disabled", (await nova.Admin().GetAsync("/v2.1/os-hypervisors")).Json.GetProperty("hypervisors")[0].GetProperty("status").GetString());
        Assert.Contains("COMPUTE_STATUS_DISABLED", nova.Services.Providers.Values.Single()["traits"]!.ToJsonString(), StringComparison.Ordinal);
        (await nova.Demo().GetAsync("/v2.1/os-services")).Expect(403);
    }

    [Theory]
    [InlineData("compute 2.1", "cpu_info,current_workload,disk_available_least,free_disk_gb,free_ram_mb,host_ip,hypervisor_hostname,hypervisor_type,hypervisor_version,id,local_gb,local_gb_used,memory_mb,memory_mb_used,running_vms,service,state,status,vcpus,vcpus_used")]
    [InlineData("compute 2.88", "host_ip,hypervisor_hostname,hypervisor_type,hypervisor_version,id,service,state,status,uptime")]
    public async Task A_hypervisor_has_the_members_of_its_microversion(string microversion, string members)
    {
        await using var nova = await NovaCloud.StartAsync();
        var hypervisor = (await nova.Admin(microversion).GetAsync("/v2.1/os-hypervisors/detail")).Expect(200).Json.GetProperty("hypervisors")[0];
        Assert.Equal(members.Split(','), Members(hypervisor));
        if (microversion == "compute 2.1")
        {
            Assert.Equal(JsonValueKind.String, hypervisor.GetProperty("cpu_info").ValueKind);
            Assert.Equal(JsonValueKind.Number, hypervisor.GetProperty("id").ValueKind);
        }
    }

    [Fact]
    public async Task Limits_and_quotas_agree()
    {
        await using var nova = await NovaCloud.StartAsync();
        await nova.BootAsync();
        var absolute = (await nova.Demo().GetAsync("/v2.1/limits")).Expect(200).Json.GetProperty("limits").GetProperty("absolute");
        Assert.Equal(
            ["maxServerGroupMembers", "maxServerGroups", "maxServerMeta", "maxTotalCores", "maxTotalInstances", "maxTotalKeypairs", "maxTotalRAMSize", "totalCoresUsed",
                "totalInstancesUsed", "totalRAMUsed", "totalServerGroupsUsed"],
            Members(absolute));
        Assert.Equal(512, absolute.GetProperty("totalRAMUsed").GetInt32());
        var detail = (await nova.Demo().GetAsync($"/v2.1/os-quota-sets/{TestIdentities.DemoProject}/detail")).Expect(200).Json.GetProperty("quota_set");
        Assert.Equal(1, detail.GetProperty("instances").GetProperty("in_use").GetInt32());
        (await nova.Demo().GetAsync($"/v2.1/os-quota-sets/{TestIdentities.OtherProject}")).Expect(403);
        var low = (await nova.Admin().PutAsync($"/v2.1/os-quota-sets/{TestIdentities.DemoProject}", """{"quota_set": {"instances": 0}}""")).Expect(400);
        Assert.Equal(
            "Quota limit 0 for instances must be greater than or equal to already used and reserved 1.",
            low.Json.GetProperty("badRequest").GetProperty("message").GetString());
    }

    [Fact]
    public async Task An_action_that_this_cloud_does_not_have_is_said_to_be_missing()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        (await nova.Demo().PostAsync($"/v2.1/servers/{id}/action", """{"createImage": {"name": "i"}}""")).Expect(501);
        (await nova.Demo().PostAsync($"/v2.1/servers/{Guid.NewGuid()}/action", """{"migrate": null}""")).Expect(404);
    }

    [Fact]
    public async Task Limits_of_a_quota_class_are_the_defaults_of_projects()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Admin().PutAsync("/v2.1/os-quota-class-sets/default", """{"quota_class_set": {"instances": 7}}""")).Expect(200);
        Assert.Equal(7, (await nova.Demo().GetAsync("/v2.1/limits")).Json.GetProperty("limits").GetProperty("absolute").GetProperty("maxTotalInstances").GetInt32());
    }

    [Fact]
    public async Task An_access_address_is_kept_in_its_shortest_form()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.CreateAsync(more: ", \"accessIPv6\": \"0000:0000:0000:0000:0000:babe:220.12.22.2\"");
        Assert.Equal("::babe:dc0c:1602", (await nova.ShowAsync(id)).GetProperty("accessIPv6").GetString());
    }

    [Fact]
    public async Task Old_proxies_of_other_services_are_not_found()
    {
        await using var nova = await NovaCloud.StartAsync();
        (await nova.Demo().GetAsync("/v2.1/images")).Expect(404);
        (await nova.Demo().GetAsync("/v2.1/os-networks")).Expect(404);
        (await nova.Demo().PostAsync($"/v2.1/servers/{Guid.NewGuid()}/action", """{"nonsense": null}""")).Expect(400);
    }

    [Fact]
    public async Task Paths_with_the_project_work_for_that_project_only()
    {
        await using var nova = await NovaCloud.StartAsync();
        var id = await nova.BootAsync();
        var server = (await nova.Demo().GetAsync($"/v2.1/{TestIdentities.DemoProject}/servers/{id}")).Expect(200).Json.GetProperty("server");
        Assert.EndsWith($"/v2.1/{TestIdentities.DemoProject}/servers/{id}", server.GetProperty("links")[0].GetProperty("href").GetString(), StringComparison.Ordinal);
        (await nova.Demo().GetAsync($"/v2.1/{TestIdentities.OtherProject}/servers/{id}")).Expect(400);
    }
}
