using SharpStack.Foundation;
using SharpStack.Keystone.Credentials;
using SharpStack.TestKit;

namespace SharpStack.Keystone.Tests;

/// <summary>What <c>sharpstack keystone …</c> does on the machine.</summary>
public class AdminTests
{
    [Fact]
    public async Task Keys_of_credentials_are_rotated_when_nothing_needs_the_oldest_any_more()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var cancellation = TestContext.Current.CancellationToken;
        var admin = cloud.Cloud.Get<KeystoneAdmin>();
        var user = await cloud.CreateUserAsync("alice");
        var id = await cloud.CreateAsync("credentials", "credential", $$"""{"type": "totp", "blob": "the-secret", "user_id": "{{user}}"}""");
        Assert.Empty(await admin.DiagnoseAsync(cancellation));

        await admin.RotateCredentialKeysAsync(cancellation);
        var refused = await Assert.ThrowsAsync<CloudException>(() => admin.RotateCredentialKeysAsync(cancellation));
        var symptoms = await admin.DiagnoseAsync(cancellation);
        Assert.Equal(1, await admin.MigrateCredentialsAsync(cancellation));
        Assert.Equal(0, await admin.MigrateCredentialsAsync(cancellation));
        for (var i = 0; i < 4; i++)
        {
            await admin.RotateCredentialKeysAsync(cancellation);
            await admin.MigrateCredentialsAsync(cancellation);
        }

        Assert.Contains("credential-migrate", refused.Message, StringComparison.Ordinal);
        Assert.Contains("credential-migrate", Assert.Single(symptoms), StringComparison.Ordinal);
        Assert.Equal("the-secret", (await cloud.Admin.GetAsync($"/v3/credentials/{id}")).Expect(200).Json.GetProperty("credential").GetProperty("blob").GetString());
        Assert.Equal(CredentialKeys.MaxActiveKeys, Directory.GetFiles(admin.CredentialKeyDirectory).Length);
    }

    [Fact]
    public async Task Keys_that_others_can_read_are_found()
    {
        await using var cloud = await IdentityCloud.StartAsync();
        var admin = cloud.Cloud.Get<KeystoneAdmin>();
        var directory = admin.TokenKeyDirectories.Single();
        File.SetUnixFileMode(directory, File.GetUnixFileMode(directory) | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);

        var found = await admin.DiagnoseAsync(TestContext.Current.CancellationToken);

        Assert.Contains(found, symptom => symptom.Contains("chmod 0700", StringComparison.Ordinal) && symptom.Contains(directory, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("fernet")]
    [InlineData("jws")]
    public async Task A_token_of_either_provider_is_good_explained_and_revoked(string provider)
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("token", "provider", provider));
        var admin = cloud.Cloud.Get<KeystoneAdmin>();
        var alice = await cloud.PersonAsync("alice", "member");

        (await cloud.ValidateAsync(alice.Token)).Expect(200);
        var valid = (await admin.ExplainAsync(alice.Token, TestContext.Current.CancellationToken)).ToDictionary(static line => line.Name, static line => line.Value);
        (await cloud.ValidateAsync(alice.Token[..^6] + "AAAAAA")).Expect(404);
        (await cloud.ValidateAsync(alice.Token, method: HttpMethod.Delete)).Expect(204);
        (await cloud.ValidateAsync(alice.Token)).Expect(404);
        var revoked = (await admin.ExplainAsync(alice.Token, TestContext.Current.CancellationToken)).ToDictionary(static line => line.Name, static line => line.Value);

        Assert.Equal(provider == "jws" ? 2 : 0, alice.Token.Count(static c => c == '.'));
        Assert.Equal(("Project", "password", $"{alice.UserId} (alice)", "valid", "member, reader"), (valid["kind"], valid["methods"], valid["user"], valid["state"], valid["roles"]));
        Assert.StartsWith("refused", revoked["state"], StringComparison.Ordinal);
        await Assert.ThrowsAsync<CloudException>(() => admin.ExplainAsync("nonsense", TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_new_pair_of_jws_keys_signs_and_the_former_still_proves()
    {
        await using var cloud = await IdentityCloud.StartAsync(null, ("token", "provider", "jws"));
        var admin = cloud.Cloud.Get<KeystoneAdmin>();

        Assert.False(admin.CreateJwsKeys(again: false));
        Assert.True(admin.CreateJwsKeys(again: true));

        await Eventually.TrueAsync(
            async () => (await cloud.ValidateAsync(await cloud.TokenAsync("admin", IdentityCloud.AdminPassword))).Status == 200, "tokens of the new key are good");
        (await cloud.ValidateAsync(cloud.AdminToken)).Expect(200);
        Assert.Equal(2, Directory.GetFiles(admin.JwsKeyDirectories.Last()).Length);
    }
}
