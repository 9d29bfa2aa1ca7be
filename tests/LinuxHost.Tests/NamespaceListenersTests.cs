using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.LinuxHost.Kestrel;
using SharpStack.LinuxHost.Namespaces;

namespace SharpStack.LinuxHost.Tests;

public sealed class NamespaceListenersTests
{
    private static readonly IPEndPoint Address = new(IPAddress.Loopback, 8080);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task One_server_answers_in_namespaces_that_come_and_go_and_knows_which_one_asks()
    {
        using var one = new ScratchNamespace();
        using var two = new ScratchNamespace();
        one.Routes.SetUp("lo");
        two.Routes.SetUp("lo");
        await using var server = await StartAsync();
        var listeners = server.Services.GetRequiredService<NamespaceListeners>();

        Assert.True(listeners.Add(one.Name, Address));
        Assert.True(listeners.Add(two.Name, Address));
        Assert.False(listeners.Add(two.Name, Address));

        Assert.Equal(one.Name, await GetAsync(one.Name));
        Assert.Equal(two.Name, await GetAsync(two.Name));

        listeners.RemoveAll(one.Name);
        await Assert.ThrowsAsync<HttpRequestException>(() => GetAsync(one.Name));
        Assert.Equal(two.Name, await GetAsync(two.Name));
        Assert.True(listeners.Add(one.Name, Address));
        Assert.Equal(one.Name, await GetAsync(one.Name));
    }

    [Fact]
    public async Task Ordinary_end_points_are_served_beside_them_without_the_feature()
    {
        await using var server = await StartAsync();
        using var client = new HttpClient();

        Assert.Equal("outside", await client.GetStringAsync(server.Urls.First(url => url.StartsWith("http://127", StringComparison.Ordinal)), Cancellation));
    }

    [Fact]
    public async Task An_address_in_use_is_refused_and_can_be_tried_again()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.SetUp("lo");
        await using var server = await StartAsync();
        var listeners = server.Services.GetRequiredService<NamespaceListeners>();
        using (var other = NetworkNamespace.OpenSocket(scratch.Name, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            other.Bind(Address);
            other.Listen();
            Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(() => listeners.Add(scratch.Name, Address)).SocketErrorCode);
        }
        Assert.True(listeners.Add(scratch.Name, Address));
    }

    private static async Task<WebApplication> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddNamespaceListeners();
        builder.WebHost.ConfigureKestrel((_, options) =>
        {
            options.Listen(options.ApplicationServices.GetRequiredService<NamespaceListeners>().EndPoint);
            options.Listen(IPAddress.Loopback, 0);
        });
        var server = builder.Build();
        server.MapGet("/", (HttpContext context) => context.Features.Get<INetworkNamespaceFeature>()?.NetworkNamespace ?? "outside");
        await server.StartAsync(Cancellation);
        return server;
    }

    private static async Task<string> GetAsync(string networkNamespace)
    {
        using var client = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, cancellationToken) =>
            {
                var socket = NetworkNamespace.OpenSocket(networkNamespace, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(Address, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            },
        });
        return await client.GetStringAsync("http://127.0.0.1:8080/", Cancellation);
    }
}
