using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using SharpStack.TestKit;

namespace SharpStack.Tests.Serve;

/// <summary>Each service as a process of its own, as a service manager starts and ends it.</summary>
public sealed class ServeTests : IDisposable
{
    private const string Login = """{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"0123456789abcdef01234567","password":"wrong"}}}}}""";

    private readonly OperatorFiles files = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => files.Dispose();

    [Theory]
    [InlineData("keystone")]
    [InlineData("glance-api")]
    [InlineData("placement-api")]
    [InlineData("nova-api")]
    [InlineData("nova-metadata-api")]
    [InlineData("neutron-server")]
    public async Task Each_API_answers_alone_where_its_configuration_says_as_soon_as_it_is_ready(string service)
    {
        await using var served = await ServedProcess.ReadyAsync(files.Arguments(service));

        Assert.Equal("OK", await GetAsync($"{files.Url(service)}/healthcheck"));
        Assert.Equal(0, await served.StopAsync());
        Assert.Contains(served.Told, lines => lines.StartsWith("STOPPING=1", StringComparison.Ordinal));
        Assert.Empty(served.Errors);
    }

    [Theory]
    [InlineData("nova-conductor")]
    [InlineData("nova-scheduler")]
    [InlineData("nova-compute")]
    [InlineData("neutron-openvswitch-agent")]
    [InlineData("neutron-dhcp-agent")]
    [InlineData("neutron-l3-agent")]
    [InlineData("neutron-metadata-agent")]
    public async Task Each_worker_runs_alone_waits_for_the_others_and_listens_only_where_a_switch_connects(string service)
    {
        await using var served = await ServedProcess.ReadyAsync(files.Arguments(service));

        Assert.Equal(service == "neutron-openvswitch-agent" ? 1 : 0, served.ListeningSockets());
        Assert.Equal(0, await served.StopAsync());
        Assert.DoesNotContain(" CRITICAL ", served.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nova-compute")]
    [InlineData("neutron-openvswitch-agent")]
    [InlineData("neutron-dhcp-agent")]
    [InlineData("neutron-l3-agent")]
    [InlineData("neutron-metadata-agent")]
    public async Task A_host_has_no_database_and_loads_no_code_of_one(string service)
    {
        await using var served = await ServedProcess.ReadyAsync(files.Arguments(service));

        var loaded = await File.ReadAllTextAsync($"/proc/{served.Id}/maps", Cancelled);
        Assert.DoesNotContain(Directory.EnumerateFiles(files.State, "*", SearchOption.AllDirectories), path => path.EndsWith(".db", StringComparison.Ordinal) || path.EndsWith(".sqlite", StringComparison.Ordinal));
        foreach (var engine in new[] { "e_sqlite3", "Microsoft.Data.Sqlite", "linq2db", "Npgsql", "MySqlConnector", "FluentMigrator" })
        {
            Assert.DoesNotContain(engine, loaded, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public async Task Nova_api_is_the_metadata_API_too_unless_its_configuration_leaves_that_out()
    {
        files.Write("nova/nova.conf.d/apis.conf", "[DEFAULT]\nenabled_apis = osapi_compute,metadata");

        await using var served = await ServedProcess.ReadyAsync(files.Arguments("nova-api"));

        Assert.Equal("OK", await GetAsync($"{files.Url("nova-metadata-api")}/healthcheck"));
    }

    [Fact]
    public async Task A_port_in_use_is_one_line_and_nothing_stays_behind()
    {
        using var other = new TcpListener(IPAddress.Loopback, files.Port("placement-api"));
        other.Start();

        await using var served = ServedProcess.Start(files.Arguments("keystone", "placement-api"));

        Assert.Equal(1, await served.ExitAsync());
        Assert.Matches($@"^sharpstack: .*{files.Port("placement-api")}.*in use.*\n$", served.Errors);
        Assert.Empty(served.Told);
    }

    [Theory]
    [InlineData("bind_port", "many", "bind_port = many: not a integer")]
    [InlineData("bind_host", "no-such-host.invalid", "no-such-host.invalid")]
    [InlineData("default_log_levels", "a=LOUD", "default_log_levels")]
    [InlineData("log_file", "/no/such/folder/keystone.log", "/no/such/folder/keystone.log")]
    public async Task A_wrong_option_is_named_and_nothing_starts(string name, string value, string said)
    {
        files.Write("keystone/keystone.conf.d/wrong.conf", $"[DEFAULT]\n{name} = {value}");

        await using var served = ServedProcess.Start(files.Arguments("keystone"));

        Assert.Equal(1, await served.ExitAsync());
        Assert.Contains(said, served.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", served.Errors, StringComparison.Ordinal);
        Assert.Empty(served.Told);
    }

    [Fact]
    public async Task A_certificate_that_cannot_be_read_is_one_line()
    {
        files.Write("keystone/keystone.conf.d/tls.conf", $"[ssl]\ncert_file = {files.Root}/none.pem\nkey_file = {files.Root}/none.pem");

        await using var served = ServedProcess.Start(files.Arguments("keystone"));

        Assert.Equal(1, await served.ExitAsync());
        Assert.Matches(@"^sharpstack: .*none\.pem.*\n$", served.Errors);
    }

    [Fact]
    public async Task A_request_that_has_begun_is_answered_before_the_process_ends()
    {
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));
        using var slow = await BeginAsync();

        served.Signal("TERM");
        await served.ToldAsync("STOPPING=1");
        await Eventually.TrueAsync(async () => !await ConnectsAsync(), "nobody else is let in");
        var answer = await FinishAsync(slow);

        Assert.StartsWith("HTTP/1.1 401 ", answer, StringComparison.Ordinal);
        Assert.Contains("Connection: close", answer, StringComparison.Ordinal);
        Assert.Equal(0, await served.ExitAsync());
    }

    [Fact]
    public async Task A_request_that_takes_longer_than_the_time_to_end_is_cut_off()
    {
        files.Write("keystone/keystone.conf.d/stop.conf", "[DEFAULT]\ngraceful_shutdown_timeout = 1");
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));
        using var slow = await BeginAsync();

        Assert.Equal(0, await served.StopAsync());
        Assert.Contains("cut off", served.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_second_signal_ends_it_at_once()
    {
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));
        using var slow = await BeginAsync();

        served.Signal("TERM");
        await served.ToldAsync("STOPPING=1");

        Assert.Equal(143, await served.StopAsync());
    }

    [Fact]
    public async Task A_reload_takes_new_certificates_and_log_options_while_open_connections_live_on()
    {
        using var authority = new TestAuthority(files.State);
        var (certificate, key) = authority.Issue("first", "127.0.0.1");
        var log = Path.Combine(files.State, "keystone.log");
        files.Write("keystone/keystone.conf.d/tls.conf", $"[DEFAULT]\nlog_file = {log}\n[ssl]\ncert_file = {certificate}\nkey_file = {key}");
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));
        using var before = await HandshakeAsync(authority);

        var (nextCertificate, nextKey) = authority.Issue("second", "127.0.0.1");
        File.Move(nextCertificate, certificate, overwrite: true);
        File.Move(nextKey, key, overwrite: true);
        files.Write("keystone/keystone.conf.d/log.conf", "[DEFAULT]\nuse_json = true");
        served.Signal("HUP");
        await served.ToldAsync("RELOADING=1");
        await Eventually.TrueAsync(() => served.Told.Count(lines => lines.StartsWith("READY=1", StringComparison.Ordinal)) == 2, "it is ready again");
        using var after = await HandshakeAsync(authority);

        Assert.Matches(@"MONOTONIC_USEC=[1-9]\d+", served.Told.First(lines => lines.StartsWith("RELOADING=1", StringComparison.Ordinal)));
        Assert.Equal("CN=first", before.RemoteCertificate!.Subject);
        Assert.Equal("CN=second", after.RemoteCertificate!.Subject);
        foreach (var connection in new[] { before, after })
        {
            Assert.StartsWith("HTTP/1.1 200 ", await AskAsync(connection, "GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"), StringComparison.Ordinal);
        }

        Assert.Equal(0, await served.StopAsync());
        var lines = await File.ReadAllLinesAsync(log, Cancelled);
        Assert.DoesNotMatch("^{", lines[0]);
        Assert.Matches("^{.*}$", lines[^1]);
    }

    [Fact]
    public async Task A_reload_with_files_that_cannot_be_used_leaves_all_as_it_was()
    {
        using var authority = new TestAuthority(files.State);
        var (certificate, key) = authority.Issue("first", "127.0.0.1");
        files.Write("keystone/keystone.conf.d/tls.conf", $"[ssl]\ncert_file = {certificate}\nkey_file = {key}");
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));

        await File.WriteAllTextAsync(key, "no key", Cancelled);
        served.Signal("HUP");
        await Eventually.TrueAsync(() => served.Output.Contains("Not read anew", StringComparison.Ordinal), "the fault is told");
        using var after = await HandshakeAsync(authority);

        Assert.Equal("CN=first", after.RemoteCertificate!.Subject);
    }

    [Fact]
    public async Task With_client_authorities_only_their_certificates_are_let_in()
    {
        using var authority = new TestAuthority(files.State);
        using var stranger = new TestAuthority(files.State, "stranger");
        var (certificate, key) = authority.Issue("server", "127.0.0.1");
        files.Write("glance/glance-api.conf.d/tls.conf", $"[DEFAULT]\ncert_file = {certificate}\nkey_file = {key}\nca_file = {authority.CaFile}");
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("glance-api"));
        var url = new Uri($"https://127.0.0.1:{files.Port("glance-api")}/healthcheck");

        Assert.Equal("OK", await Client(authority, authority.Issue("user", "user")).GetStringAsync(url, Cancelled));
        await Assert.ThrowsAsync<HttpRequestException>(() => Client(authority, null).GetStringAsync(url, Cancelled));
        await Assert.ThrowsAsync<HttpRequestException>(() => Client(authority, stranger.Issue("other", "other")).GetStringAsync(url, Cancelled));
    }

    [Theory]
    [InlineData(true, "https://cloud.example.org/identity/v3/")]
    [InlineData(false, "http://127.0.0.1")]
    public async Task A_proxy_is_believed_only_where_the_configuration_says_that_there_is_one(bool believed, string link)
    {
        files.Write("keystone/keystone.conf.d/proxy.conf", $"[oslo_middleware]\nenable_proxy_headers_parsing = {believed}");
        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, $"{files.Url("keystone")}/v3");
        request.Headers.Add("X-Forwarded-Proto", "https");
        request.Headers.Add("X-Forwarded-Host", "cloud.example.org");
        request.Headers.Add("X-Forwarded-Prefix", "/identity");

        using var answer = await http.SendAsync(request, Cancelled);

        Assert.Contains($"\"href\":\"{link}", (await answer.Content.ReadAsStringAsync(Cancelled)).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("::1", "[::1]")]
    [InlineData("localhost", "127.0.0.1")]
    [InlineData("::", "127.0.0.1")]
    public async Task Names_and_addresses_of_both_kinds_can_be_listened_on(string bind, string host)
    {
        files.Write("keystone/keystone.conf.d/bind.conf", $"[DEFAULT]\nbind_host = {bind}");

        await using var served = await ServedProcess.ReadyAsync(files.Arguments("keystone"));

        Assert.Equal("OK", await GetAsync($"http://{host}:{files.Port("keystone")}/healthcheck"));
    }

    [Fact]
    public async Task The_watchdog_is_fed_for_as_long_as_the_process_lives()
    {
        await using var served = ServedProcess.Start(new Dictionary<string, string> { ["WATCHDOG_USEC"] = "100000" }, files.Arguments("nova-compute"));

        await served.AwaitReadyAsync();

        await Eventually.TrueAsync(() => served.Told.Count(lines => lines == "WATCHDOG=1") > 3, "the watchdog is fed");
    }

    private static async Task<string> GetAsync(string url)
    {
        using var http = new HttpClient();
        return await http.GetStringAsync(new Uri(url), Cancelled);
    }

    private static HttpClient Client(TestAuthority authority, (string CertFile, string KeyFile)? own)
    {
        var handler = new SocketsHttpHandler { SslOptions = Trusting(authority) };
        if (own is var (certificate, key))
        {
            handler.SslOptions.ClientCertificates = [X509Certificate2.CreateFromPemFile(certificate, key)];
        }

        return new HttpClient(handler);
    }

    private static SslClientAuthenticationOptions Trusting(TestAuthority authority)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.ImportFromPemFile(authority.CaFile);
        return new SslClientAuthenticationOptions { TargetHost = "127.0.0.1", CertificateChainPolicy = policy };
    }

    private async Task<bool> ConnectsAsync()
    {
        using var socket = new TcpClient();
        try
        {
            await socket.ConnectAsync(IPAddress.Loopback, files.Port("keystone"), Cancelled);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>The first half of a request.</summary>
    private async Task<NetworkStream> BeginAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, files.Port("keystone"), Cancelled);
        var stream = new NetworkStream(socket, ownsSocket: true);
        await stream.WriteAsync(
            Encoding.ASCII.GetBytes($"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {Login.Length}\r\n\r\n"), Cancelled);
        // The server asks for the body: the request has begun.
        var buffer = new byte[1024];
        Assert.StartsWith("HTTP/1.1 100", Encoding.ASCII.GetString(buffer, 0, await stream.ReadAsync(buffer, Cancelled)), StringComparison.Ordinal);
        return stream;
    }

    private static Task<string> FinishAsync(Stream stream) => AskAsync(stream, Login);

    private static async Task<string> AskAsync(Stream stream, string words)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes(words), Cancelled);
        var buffer = new byte[4096];
        return Encoding.ASCII.GetString(buffer, 0, await stream.ReadAsync(buffer, Cancelled).AsTask().WaitAsync(ServedProcess.Bound, Cancelled));
    }

    private async Task<SslStream> HandshakeAsync(TestAuthority authority)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, files.Port("keystone"), Cancelled);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await stream.AuthenticateAsClientAsync(Trusting(authority), Cancelled);
        return stream;
    }
}
