using System.Buffers.Text;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using SharpStack.Keystone.Authentication;
using SharpStack.Keystone.Tokens;

namespace SharpStack.Keystone.Tests.Tokens;

/// <summary>Tokens minted by OpenStack Zed's keystone.token.token_formatters with msgpack 1.0.3 and cryptography 38, for the keys below.</summary>
public class FernetCompatibilityTests
{
    private const string PrimaryKey = "cHJpbWFyeS1rZXktb2YtdGhlLWdvbGRlbi10ZXN0cyE=";
    private const string Audit = "3T2dc1CGQxyJsHdDu1xkcw";
    private const string Chain = "ZzZwkUflQfygX7pdYDBCQQ";

    private static readonly DateTimeOffset Expiry = DateTimeOffset.Parse("2030-01-02T03:04:05Z");

    private static readonly (string Name, string Token, string Payload, TokenPayload Content)[] Samples = Build();

    public static TheoryData<string> Names => [.. Samples.Select(static s => s.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_token_of_openstack_opens_to_what_it_holds(string name)
    {
        var sample = Samples.Single(s => s.Name == name);
        using var key = FernetKey.Parse(PrimaryKey);
        Span<byte> payload = stackalloc byte[1024];

        Assert.True(key.TryDecrypt(Base64Url.DecodeFromChars(sample.Token), payload, out var length, out var issuedAt));

        Assert.Equal(sample.Payload, Convert.ToHexStringLower(payload[..length]));
        Assert.Equal(2026, issuedAt.Year);
        var content = TokenPayload.Unpack(payload[..length]);
        Assert.Equal(sample.Content with { AuditIds = content.AuditIds }, content);
        Assert.Equal(sample.Content.AuditIds, content.AuditIds);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_payload_is_packed_to_the_same_bytes(string name)
    {
        var sample = Samples.Single(s => s.Name == name);

        Assert.Equal(sample.Payload, Convert.ToHexStringLower(sample.Content.Pack(new byte[1024])));
    }

    [Fact]
    public void A_token_of_a_repository_opens_with_the_primary_the_staged_and_a_secondary_key()
    {
        var directory = Directory.CreateTempSubdirectory("sharpstack-keys-").FullName;
        try
        {
            var path = Path.Combine(directory, "keys");
            using var repository = new KeyRepository(path, 3, TimeProvider.System, NullLogger<KeyRepository>.Instance);
            repository.Setup();
            repository.Setup();
            Assert.Equal(["0", "1"], Files(path));
            var first = repository.Encrypt(Encoding.UTF8.GetBytes("first"), DateTimeOffset.UnixEpoch);
            var staged = File.ReadAllText(Path.Combine(path, "0"));

            repository.Rotate();
            Assert.Equal(["0", "1", "2"], Files(path));
            Assert.Equal(staged, File.ReadAllText(Path.Combine(path, "2")));
            Assert.Equal("first", Encoding.UTF8.GetString(repository.Decrypt(first, out _)!));
            repository.Rotate();
            Assert.Equal(["0", "2", "3"], Files(path));
            Assert.Null(repository.Decrypt(first, out _));

            foreach (var file in Directory.GetFiles(path))
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            }
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(path));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void A_changed_or_foreign_token_does_not_open()
    {
        using var key = FernetKey.Parse(PrimaryKey);
        using var other = FernetKey.Parse(FernetKey.Generate());
        var token = key.Encrypt("payload"u8, TimeProvider.System.GetUtcNow());
        var bytes = Base64Url.DecodeFromChars(token);
        var buffer = new byte[64];

        Assert.True(key.TryDecrypt(bytes, buffer, out _, out _));
        Assert.False(other.TryDecrypt(bytes, buffer, out _, out _));
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 1;
            Assert.False(key.TryDecrypt(bytes, buffer, out _, out _));
            bytes[i] ^= 1;
        }
        Assert.False(key.TryDecrypt(bytes.AsSpan(0, 40), buffer, out _, out _));
    }

    [Fact]
    public void A_payload_that_is_cut_or_of_an_unknown_kind_is_a_format_error()
    {
        foreach (var sample in Samples)
        {
            var bytes = Convert.FromHexString(sample.Payload);
            for (var length = 0; length < bytes.Length; length++)
            {
                Assert.Throws<FormatException>(() => TokenPayload.Unpack(bytes.AsSpan(0, length)));
            }
            bytes[1] = 42;
            Assert.Throws<FormatException>(() => TokenPayload.Unpack(bytes));
        }
    }

    private static IEnumerable<string?> Files(string path) => Directory.EnumerateFiles(path).Select(Path.GetFileName).Order();

    private static (string, string, string, TokenPayload)[] Build() =>
    [
        (
            "unscoped",
            "gAAAAABrA5RR6L0PCXlzob4QVezqjptPR4BtMY0ZURHgH9l1IVURMQQY4vbuLVspsBTfOJjqXnhKevWsT8kQGI0BZz1rOE9xBMRecUVtD3wgxe_whxy4eU1nZYvJW_n7L2-PgdhXZ-U6IlUgXGrn0p-utxjuHLgDHA",
            "950092c3c4109a444c335eaf4b8b9b8d724d54d31a1502cb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.Unscoped, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password, null, Expiry, [Audit]) { DelegationId = null }
        ),
        (
            "domain_default",
            "gAAAAABrA5RR_zTHtEvLKIXLTuFYzqyUNycVjerdsbwqwdvgByybMe0M5q0RuwHDWYBDcJ57nNs-vqcejhHf2fmYOWvTpIQTN_ujkX5CTBi7zS_RqwWAKmI5jbNHE6KJFPOEmOW93M2D-jMv1VidAKSC2hI-1F1U1g",
            "960192c3c4109a444c335eaf4b8b9b8d724d54d31a1502a764656661756c74cb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.Domain, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password, "default", Expiry, [Audit]) { DelegationId = null }
        ),
        (
            "domain_uuid",
            "gAAAAABrA5RRyUqV7t489gW3gzm7P1r_BHb1j4Z8D20IcRrgcR7m2aEkDySNZUU2eztpF_m-gqyCqWiCi00ug9iTA-rpboVSmFLk4rhLRO2UosHKH5Hw2UY03D6MqY4vOskxluIR7uGREHi8TvnbdwECdhBQLTRV8K9hvFAZ0ytvNUqthTnGxBY",
            "960192c3c4109a444c335eaf4b8b9b8d724d54d31a1502c4105969daaeea3b438ea92555dd941f109fcb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.Domain, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit]) { DelegationId = null }
        ),
        (
            "project",
            "gAAAAABrA5RRPfbKElG-Sr3e-f4lCwNN5NLZMmhvSNN4l7CWNUdKPGy4tBI9kr45Lo8YG3nnaCc5WWOx1aSrBbXNyLvCf2lEPBV5eES08n4Q32N3NeEaRoxsCVz82gr3xYQ_4yWpqO3mbLA3XIpJLJCQyLeJ65WU4nhccPdKdsZu__qUrTHTiqBcfcKh4C3ZSh1jTbQHtxf9",
            "960292c3c4109a444c335eaf4b8b9b8d724d54d31a150692c3c4105969daaeea3b438ea92555dd941f109fcb41dc37554940000092c410dd3d9d735086431c89b07743bb5c6473c4106736709147e541fca05fba5d60304241",
            new(PayloadKind.Project, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password | AuthMethods.Token, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit, Chain]) { DelegationId = null }
        ),
        (
            "system",
            "gAAAAABrA5RR7EZarbfeOJ3jJQotBN55j5GDnP31h7iKAtHCSmp1mEZVWw4OH3ofJkT9pypFlev-o-YDLJ2yRXYFRG9IC2lUyvRny9SKTDtDmSDvQlCuzuF5WS0SHVEUiTQBSK5aCeQlONyEZw4EuegO4gEnZcdwMg",
            "960892c3c4109a444c335eaf4b8b9b8d724d54d31a1502a3616c6ccb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.System, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password, "all", Expiry, [Audit]) { DelegationId = null }
        ),
        (
            "appcred",
            "gAAAAABrA5RRIw0BZmFnpf7UIDwHGpP4NV_FHCj48MWXubiPPU2Y8sFf-cZI2BxmuNyKp1JaMOKswuApNmvWNxozEHA9xy6r5VbYZtmmrVungDjnVxBuxw7M_5WYUSr9MBJLoSAVwQ1VDrNvzGy_FTZeH395k5nRm-sGZYFv-quaWqu5gxuZhcP2Zbo-ds5Wn_CU410sSO4k",
            "970992c3c4109a444c335eaf4b8b9b8d724d54d31a152092c3c4105969daaeea3b438ea92555dd941f109fcb41dc37554940000091c410dd3d9d735086431c89b07743bb5c647392c3c4109a444c335eaf4b8b9b8d724d54d31a15",
            new(PayloadKind.ApplicationCredential, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.ApplicationCredential, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit]) { DelegationId = "9a444c335eaf4b8b9b8d724d54d31a15" }
        ),
        (
            "trust",
            "gAAAAABrA5RR_BDrjjMDrpArWiScYxNlGONOLruEHSs_f-vXU-iUZtHcgEeAhZqg5JcSbgYLyJqTS_cFypFLwdO7AdIM_sSBa3TTiqMWGt_vb6GAYQnqURf0UoVhGVr2JDd4KFR15lRBfVV1FBV_yg7zrffk5fvqnpaI4z1yK1a3uuBrJRBJjzXV8KwQ4z5UQ_zqq1WFAsru",
            "970392c3c4109a444c335eaf4b8b9b8d724d54d31a150292c3c4105969daaeea3b438ea92555dd941f109fcb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473c4109a444c335eaf4b8b9b8d724d54d31a15",
            new(PayloadKind.Trust, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.Password, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit]) { DelegationId = "9a444c335eaf4b8b9b8d724d54d31a15" }
        ),
        (
            "oauth",
            "gAAAAABrA5RRaDK4VDO8GDw-JzDmOBDCq7HB73Qv3EUIfaQKOO09DDy_3ItWK0M8W5qpNjH-NSQkKSSrLPhOUIhVHMD5HDKVM9lWLOL8QLPGcYQAKPiDO2IXiFrPQUXMqnokKWzkVWvUOk8j_XY102bbp7ZahXhJmp5GDeyNkxf3WI6mNFwfKQvGQcsW3Rqy575eoQaQVTb6",
            "970792c3c4109a444c335eaf4b8b9b8d724d54d31a150892c3c4105969daaeea3b438ea92555dd941f109f92c2a6616363657373cb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.OAuth1, "9a444c335eaf4b8b9b8d724d54d31a15", AuthMethods.OAuth1, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit]) { DelegationId = "access" }
        ),
        (
            "ldap",
            "gAAAAABrA5RRrpHzoaLFllGq8iRR9AE2Oxq697DReQnbkh8ge9KDhq625XOh1bEYrdkDN2MAg7QsNDFFogEAo4mdiOXjuy9WRMcwszq8f0JcrzDmu3eJILr19p9o862tMEnaQe4FIXiL44WzH7t2CMm2hUdCYoMUVcb0NENdBLx-dP-TvfBI8txhVhLWkqhYAxKen0Ohxg99QB9yyK8bL27NpCtkCIPBj2TB2t4Sa21yhMzlMm6oq2o",
            "960292c2d940366530623065366662633162396539623662346237653761336232613163306436653062306536666263316239653962366234623765376133623261316330640292c3c4105969daaeea3b438ea92555dd941f109fcb41dc37554940000091c410dd3d9d735086431c89b07743bb5c6473",
            new(PayloadKind.Project, "6e0b0e6fbc1b9e9b6b4b7e7a3b2a1c0d6e0b0e6fbc1b9e9b6b4b7e7a3b2a1c0d", AuthMethods.Password, "5969daaeea3b438ea92555dd941f109f", Expiry, [Audit]) { DelegationId = null }
        ),
    ];
}
