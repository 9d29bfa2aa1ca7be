using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using SharpStack.Foundation;
using SharpStack.Foundation.Bus;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Http;
using SharpStack.Foundation.Policy;
using SharpStack.LinuxHost.Namespaces;
using SharpStack.LinuxHost.Netlink;
using SharpStack.Neutron.Agents.L3;
using SharpStack.Neutron.Agents.Metadata;
using SharpStack.Neutron.Contracts;
using SharpStack.TestKit;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Neutron.Agents.Tests.Metadata;

/// <summary>Requests from inside a network's namespace, through the agent, to a Nova that tells what reached it.</summary>
public sealed class MetadataAgentTests : IAsyncLifetime
{
    private const string Secret = "very secret";
    private const string Guest = "10.3.0.51";
    private const string Stranger = "10.3.0.99";
    private const string Instance = "6d3f1a52-0000-4000-8000-000000000001";

    private readonly string networkId = Guid.NewGuid().ToString("D");
    private readonly NovaStub nova = new();
    private readonly List<IDisposable> served = [];
    private readonly ConcurrentDictionary<(string RouterId, string Address), string> routers = new();
    private readonly ConcurrentDictionary<string, string> instances = new() { [Guest] = Instance };
    private TestCloud cloud = null!;
    private int asked;

    private string Place => $"qdhcp-{networkId}";

    public async ValueTask InitializeAsync()
    {
        NetworkNamespace.Create(Place);
        using (var links = RouteClient.Open(Place))
        {
            links.SetUp("lo");
            foreach (var address in new[] { "169.254.169.254/32", $"{Guest}/32", $"{Stranger}/32" })
            {
                links.AddAddress("lo", InterfaceAddress.Parse(address));
            }
        }

        var data = Directory.CreateTempSubdirectory("sharpstack-metadata-").FullName;
        Directory.CreateDirectory(Path.Combine(data, "neutron", "dhcp", networkId));
        cloud = await TestCloud.StartAsync([nova, new MetadataAgentModule()], [("neutron", "DEFAULT", "metadata_proxy_shared_secret", Secret)], data);
        var bus = cloud.Get<IMessageBus>();
        served.Add(bus.Serve(AgentContracts.ReportState, null, (_, _) => Task.FromResult(new AgentReportAnswer("agent", "alive", false, true))));
        served.Add(bus.Serve(MetadataContracts.FindInstance, null, (request, _) =>
        {
            Interlocked.Increment(ref asked);
            if (request.RouterId is { } routerId)
            {
                return Task.FromResult(new MetadataInstanceAnswer(request.NetworkId is null ? routers.GetValueOrDefault((routerId, request.FixedIp)) : null, "a-project", "a-port"));
            }

            return Task.FromResult(request.NetworkId == networkId && instances.TryGetValue(request.FixedIp, out var instance)
                ? new MetadataInstanceAnswer(instance, "a-project", "a-port")
                : new MetadataInstanceAnswer(null, null, null));
        }));
        cloud.Get<MetadataSockets>().Open(Place);
    }

    public async ValueTask DisposeAsync()
    {
        served.ForEach(registration => registration.Dispose());
        await cloud.DisposeAsync();
        NetworkNamespace.Delete(Place);
    }

    [Fact]
    public async Task A_request_reaches_Nova_with_who_asks_signed()
    {
        var answer = JsonDocument.Parse(await CurlAsync(Guest, "/openstack/latest/meta_data.json?x=a%20b")).RootElement;
        Assert.Equal("/openstack/latest/meta_data.json?x=a%20b", answer.GetProperty("path").GetString());
        Assert.Equal(Instance, answer.GetProperty("X-Instance-ID").GetString());
        Assert.Equal("a-project", answer.GetProperty("X-Tenant-ID").GetString());
        Assert.Equal(Guest, answer.GetProperty("X-Forwarded-For").GetString());
        Assert.Equal(Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(Secret), Encoding.UTF8.GetBytes(Instance))), answer.GetProperty("X-Instance-ID-Signature").GetString());
    }

    [Fact]
    public async Task What_the_guest_says_of_itself_is_dropped()
    {
        var answer = JsonDocument.Parse(await CurlAsync(
            Guest, "/latest/", "-H", "X-Forwarded-For: 10.9.9.9", "-H", "X-Instance-ID: other", "-H", "X-Tenant-ID: other", "-H", "X-Instance-ID-Signature: forged", "-H", "X-Auth-Token: stolen", "-H", "X-Neutron-Network-ID: other")).RootElement;
        Assert.Equal(Guest, answer.GetProperty("X-Forwarded-For").GetString());
        Assert.Equal(Instance, answer.GetProperty("X-Instance-ID").GetString());
        Assert.Equal("a-project", answer.GetProperty("X-Tenant-ID").GetString());
        Assert.False(answer.TryGetProperty("X-Auth-Token", out _));
        Assert.False(answer.TryGetProperty("X-Neutron-Network-ID", out _));
    }

    [Fact]
    public async Task A_stranger_is_told_that_nothing_is_there()
    {
        Assert.StartsWith("404", await StatusAsync(Stranger, "/latest/"), StringComparison.Ordinal);
        Assert.Equal(0, nova.Requests);
    }

    [Fact]
    public async Task Who_asks_is_asked_for_once_and_again_after_a_404()
    {
        await CurlAsync(Guest, "/one");
        await CurlAsync(Guest, "/two");
        Assert.Equal(1, asked);
        instances[Guest] = "6d3f1a52-0000-4000-8000-000000000002";
        nova.Unknown = Instance;
        Assert.Equal("6d3f1a52-0000-4000-8000-000000000002", JsonDocument.Parse(await CurlAsync(Guest, "/three")).RootElement.GetProperty("X-Instance-ID").GetString());
        Assert.Equal(2, asked);
    }

    [Theory]
    [InlineData("/status/400", "400")]
    [InlineData("/status/403", "403")]
    [InlineData("/status/404", "404")]
    [InlineData("/status/500", "500")]
    [InlineData("/status/302", "500")]
    public async Task Novas_refusals_are_passed_on_without_its_words(string path, string status) => Assert.StartsWith(status, await StatusAsync(Guest, path), StringComparison.Ordinal);

    [Fact]
    public async Task A_body_is_passed_on_and_a_large_one_refused()
    {
        var answer = JsonDocument.Parse(await CurlAsync(Guest, "/openstack/latest/password", "--data-binary", "ciphertext")).RootElement;
        Assert.Equal("POST", answer.GetProperty("method").GetString());
        Assert.Equal("ciphertext", answer.GetProperty("body").GetString());
        var large = Path.Combine(cloud.Data, "large");
        await File.WriteAllBytesAsync(large, new byte[100_000], TestContext.Current.CancellationToken);
        Assert.StartsWith("413", await StatusAsync(Guest, "/openstack/latest/password", "--data-binary", $"@{large}"), StringComparison.Ordinal);
        Assert.StartsWith("413", await StatusAsync(Guest, "/openstack/latest/password", "-H", "Transfer-Encoding: chunked", "--data-binary", $"@{large}"), StringComparison.Ordinal);
        Assert.Equal(1, nova.Requests);
    }

    [Fact]
    public async Task Nonsense_does_not_harm()
    {
        foreach (var nonsense in new[] { "\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET http://evil/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n" })
        {
            using var socket = NetworkNamespace.OpenSocket(Place, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(Stranger), 0));
            await socket.ConnectAsync(IPAddress.Parse("169.254.169.254"), 80, TestContext.Current.CancellationToken);
            await socket.SendAsync(Encoding.ASCII.GetBytes(nonsense), TestContext.Current.CancellationToken);
            var buffer = new byte[1024];
            var read = await socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken);
            Assert.Matches("^HTTP/1.1 (400|404|505)", Encoding.ASCII.GetString(buffer, 0, read));
        }

        Assert.Equal(0, nova.Requests);
        Assert.NotEmpty(await CurlAsync(Guest, "/"));
    }

    [Fact]
    public async Task A_network_of_a_DHCP_agent_elsewhere_is_found_by_its_folder()
    {
        var sockets = cloud.Get<MetadataSockets>();
        var folder = Path.Combine(cloud.Data, "neutron", "dhcp", networkId);
        Directory.Delete(folder);
        sockets.Scan();
        Assert.Equal("000", await StatusAsync(Guest, "/"));
        // The folder says that the network is this agent's, not another cloud's on the same machine.
        Directory.CreateDirectory(folder);
        sockets.Scan();
        Assert.Equal("200", await StatusAsync(Guest, "/"));
    }

    [Fact]
    public async Task A_guest_is_known_by_its_link_local_address_also_after_its_link_was_made_anew()
    {
        const string link = "tap-metadata";
        const string guestAddress = "fe80::f816:3eff:fe00:51";
        var guest = $"guest-{networkId[..8]}";
        NetworkNamespace.Create(guest);
        try
        {
            instances[guestAddress] = Instance;
            var sockets = cloud.Get<MetadataSockets>();
            foreach (var open in new[] { () => sockets.Open(Place), sockets.Scan })
            {
                using (var links = RouteClient.Open(Place))
                {
                    links.DeleteLink(link);
                    links.CreateVeth(link, "eth0", guest);
                    links.SetUp(link);
                    links.AddAddress(link, InterfaceAddress.Parse("fe80::a9fe:a9fe/64"), duplicateDetection: false);
                }

                await OpenVSwitchSandbox.RunAsync("ip", "-n", guest, "link", "set", "eth0", "address", "fa:16:3e:00:00:51", "up");
                await Eventually.TrueAsync(() => OpenVSwitchSandbox.PingAsync(guest, "fe80::a9fe:a9fe%eth0"), "the link works");

                open();
                var answer = JsonDocument.Parse(await OpenVSwitchSandbox.RunAsync(
                    "ip", "netns", "exec", guest, "curl", "-s", "-S", "-g", "--max-time", "20", "http://[fe80::a9fe:a9fe%25eth0]/latest/")).RootElement;
                Assert.Equal((Instance, guestAddress), (answer.GetProperty("X-Instance-ID").GetString(), answer.GetProperty("X-Forwarded-For").GetString()));

                // Clients that leave the link in the name of the host, twice on a connection.
                var twice = JsonDocument.Parse("[" + (await OpenVSwitchSandbox.RunAsync(
                    "ip", "netns", "exec", guest, "curl", "-s", "-S", "-g", "--max-time", "20", "-H", "host: [fe80::a9fe:a9fe%25eth0]:80", "--data-binary", "Host: [a%b]\n", "http://[fe80::a9fe:a9fe%25eth0]/one", "http://[fe80::a9fe:a9fe%25eth0]/two")).Replace("}{", "},{", StringComparison.Ordinal) + "]").RootElement;
                Assert.Equal(["/one", "/two"], twice.EnumerateArray().Select(each => each.GetProperty("path").GetString()));
                Assert.Equal("200", await StatusAsync(Guest, "/"));
            }
        }
        finally
        {
            NetworkNamespace.Delete(guest);
        }
    }

    [Fact]
    public async Task A_request_through_a_router_is_asked_for_by_the_router()
    {
        var routerId = Guid.NewGuid().ToString("D");
        var router = RouterNames.NamespaceOf(routerId);
        var folder = Directory.CreateDirectory(Path.Combine(cloud.Data, "neutron", "l3", routerId)).FullName;
        NetworkNamespace.Create(router);
        try
        {
            using (var links = RouteClient.Open(router))
            {
                links.SetUp("lo");
                links.AddAddress("lo", InterfaceAddress.Parse($"{Guest}/32"));
            }

            routers[(routerId, Guest)] = Instance;
            var sockets = cloud.Get<MetadataSockets>();
            sockets.Scan();
            Assert.NotEqual(0, (await TryAsync()).Code);
            // The L3 agent, here or in another process, says so.
            await File.WriteAllTextAsync(Path.Combine(folder, "metadata"), "9697\n", TestContext.Current.CancellationToken);
            sockets.Scan();
            Assert.Equal(Instance, JsonDocument.Parse((await TryAsync()).Output).RootElement.GetProperty("X-Instance-ID").GetString());
            Assert.Equal("404", (await OpenVSwitchSandbox.TryRunAsync("ip", "netns", "exec", router, "curl", "-s", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "-g", "http://[::1]:9697/latest/")).Output);
            File.Delete(Path.Combine(folder, "metadata"));
            sockets.Scan();
            Assert.NotEqual(0, (await TryAsync()).Code);
        }
        finally
        {
            NetworkNamespace.Delete(router);
        }

        Task<(int Code, string Output, string Error)> TryAsync() => OpenVSwitchSandbox.TryRunAsync(
            "ip", "netns", "exec", router, "curl", "-s", "--max-time", "20", "--interface", Guest, "-H", "X-Neutron-Router-ID: forged", $"http://{Guest}:9697/latest/");
    }

    private Task<string> CurlAsync(string source, string path, params string[] more) =>
        OpenVSwitchSandbox.RunAsync("ip", ["netns", "exec", Place, "curl", "-s", "-S", "--max-time", "20", "--interface", source, .. more, $"http://169.254.169.254{path}"]);

    private async Task<string> StatusAsync(string source, string path, params string[] more) =>
        (await OpenVSwitchSandbox.TryRunAsync("ip", ["netns", "exec", Place, "curl", "-s", "--max-time", "20", "--interface", source, "-o", "/dev/null", "-w", "%{http_code}", .. more, $"http://169.254.169.254{path}"])).Output;

    /// <summary>Answers on Nova's metadata port with the method, path, headers and body that reached it.</summary>
    private sealed class NovaStub : IServiceModule
    {
        private int requests;

        public int Requests => requests;

        /// <summary>The instance that it does not know.</summary>
        public string? Unknown { get; set; }

        public IReadOnlyList<string> Services => ["nova-metadata-api"];

        public IEnumerable<(string Config, ConfigOption Option)> Options => [];

        public void Register(ModuleContext context) => context.AddApi(new ApiDefinition
        {
            Name = "nova-metadata-api",
            ServiceType = "metadata",
            DefaultPort = 8775,
            Errors = new WebObErrors(),
            ReadsTokens = false,
            Policies = _ => new PolicyEnforcer([]),
            Map = (routes, _) =>
            {
                foreach (var method in new[] { "GET", "POST" })
                {
                    routes.Map(method, "/{**path}", AnswerAsync).Public();
                }
            },
        });

        private async Task AnswerAsync(ApiContext context)
        {
            Interlocked.Increment(ref requests);
            var request = context.Http.Request;
            if (request.Headers["X-Instance-ID"] == Unknown)
            {
                throw CloudException.NotFound("gone");
            }

            if (request.Path.StartsWithSegments("/status", out var status))
            {
                context.Http.Response.StatusCode = int.Parse(status.Value!.AsSpan(1));
                return;
            }

            using var reader = new StreamReader(request.Body);
            var body = await reader.ReadToEndAsync(context.Aborted);
            await context.WriteJsonAsync(StatusCodes.Status200OK, json =>
            {
                json.WriteStartObject();
                json.WriteString("method", request.Method);
                json.WriteString("path", request.GetEncodedPathAndQuery());
                json.WriteString("body", body);
                foreach (var (name, values) in request.Headers)
                {
                    json.WriteString(name, values.ToString());
                }

                json.WriteEndObject();
            });
        }
    }
}
