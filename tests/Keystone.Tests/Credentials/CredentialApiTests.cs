using LinqToDB.Async;
using SharpStack.Keystone.Storage;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests.Credentials;

public class CredentialApiTests
{
    [Fact]
    public async Task A_credential_is_kept_encrypted_and_read_by_its_owner_and_administrators_only()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var alice = await cloud.PersonAsync("alice", "member");
        var bob = await cloud.PersonAsync("bob", "member");
        using var own = cloud.Client(alice.Token);
        using var other = cloud.Client(bob.Token);

        var created = (await own.PostAsync("/v3/credentials", $$"""{"credential": {"type": "totp", "blob": "very-secret", "user_id": "{{alice.UserId}}" } }""")).Expect(201);
        var credential = created.Json.GetProperty("credential");
        var id = credential.GetProperty("id").GetString();
        Assert.Equal(["blob", "id", "links", "project_id", "type", "user_id"], credential.Names().Order());
        await using (var db = cloud.Cloud.Get<KeystoneStore>().Read())
        {
            Assert.DoesNotContain("secret", (await db.Credentials().FirstAsync(TestContext.Current.CancellationToken)).EncryptedBlob, StringComparison.Ordinal);
        }

        Assert.Equal("very-secret", (await own.GetAsync($"/v3/credentials/{id}")).Expect(200).Json.GetProperty("credential").GetProperty("blob").GetString());
        (await other.GetAsync($"/v3/credentials/{id}")).Expect(403);
        (await other.DeleteAsync($"/v3/credentials/{id}")).Expect(403);
        (await other.PostAsync("/v3/credentials", $$"""{"credential": {"type": "totp", "blob": "x", "user_id": "{{alice.UserId}}" } }""")).Expect(403);
        Assert.Empty((await other.GetAsync("/v3/credentials")).Expect(200).Json.GetProperty("credentials").EnumerateArray());
        Assert.Single((await own.GetAsync("/v3/credentials")).Expect(200).Json.GetProperty("credentials").EnumerateArray());
        Assert.Single((await cloud.Admin.GetAsync($"/v3/credentials?user_id={alice.UserId}&type=totp")).Expect(200).Json.GetProperty("credentials").EnumerateArray());

        (await own.PatchAsync($"/v3/credentials/{id}", """{"credential": {"blob": "newer"}}""")).Expect(200);
        (await own.PatchAsync($"/v3/credentials/{id}", $$"""{"credential": {"user_id": "{{bob.UserId}}" } }""")).Expect(403);
        (await cloud.Admin.PatchAsync($"/v3/credentials/{id}", """{"credential": {"type": "cert"}}""")).Expect(200);
        (await own.DeleteAsync($"/v3/credentials/{id}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/credentials/{id}")).Expect(404);
    }

    [Fact]
    public async Task An_ec2_credential_has_an_access_key_and_a_project_and_is_found_by_the_key()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var person = await cloud.PersonAsync("alice", "member");

        (await PostAsync("""{\"access\": \"key\"}""", null)).Expect(400);
        (await PostAsync("no json", person.ProjectId)).Expect(400);
        (await PostAsync("{}", person.ProjectId)).Expect(400);
        var created = (await PostAsync("""{\"access\": \"key\", \"secret\": \"s\"}""", person.ProjectId)).Expect(201);
        (await PostAsync("""{\"access\": \"key\"}""", person.ProjectId)).Expect(409);

        Assert.Equal(
            "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683", created.Json.GetProperty("credential").GetProperty("id").GetString());
        (await cloud.Admin.DeleteAsync($"/v3/users/{person.UserId}")).Expect(204);
        Assert.Empty((await cloud.Admin.GetAsync("/v3/credentials")).Json.GetProperty("credentials").EnumerateArray());

        Task<TestAnswer> PostAsync(string blob, string? project) => cloud.Admin.PostAsync(
            "/v3/credentials",
            $$"""{"credential": {"type": "ec2", "blob": "{{blob}}", "user_id": "{{person.UserId}}"{{(project is null ? "" : $", \"project_id\": \"{project}\"")}} } }""");
    }

    [Fact]
    public async Task A_policy_text_is_kept_changed_and_removed()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var id = await cloud.CreateAsync("policies", "policy", """{"type": "application/json", "blob": "{}"}""");

        (await cloud.Admin.PatchAsync($"/v3/policies/{id}", """{"policy": {"blob": "new"}}""")).Expect(200);
        Assert.Equal("new", (await cloud.Admin.GetAsync($"/v3/policies/{id}")).Expect(200).Json.GetProperty("policy").GetProperty("blob").GetString());
        Assert.Single((await cloud.Admin.GetAsync("/v3/policies?type=application/json")).Expect(200).Json.GetProperty("policies").EnumerateArray());
        (await cloud.Admin.DeleteAsync($"/v3/policies/{id}")).Expect(204);
        (await cloud.Admin.GetAsync($"/v3/policies/{id}")).Expect(404);
    }
}
