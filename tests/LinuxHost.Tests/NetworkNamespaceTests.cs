using System.Net;
using System.Net.Sockets;
using SharpStack.LinuxHost.Namespaces;

namespace SharpStack.LinuxHost.Tests;

public sealed class NetworkNamespaceTests
{
    [Fact]
    public void A_created_namespace_is_listed_and_is_another_one_than_ours()
    {
        using var scratch = new ScratchNamespace();

        Assert.True(NetworkNamespace.Exists(scratch.Name));
        Assert.Contains(scratch.Name, NetworkNamespace.List());
        Assert.NotEqual(NetworkNamespace.Identity(null), NetworkNamespace.Identity(scratch.Name));
    }

    [Fact]
    public void A_deleted_namespace_is_gone_and_deleting_it_again_says_so()
    {
        var scratch = new ScratchNamespace();
        scratch.Dispose();

        Assert.False(NetworkNamespace.Exists(scratch.Name));
        Assert.False(NetworkNamespace.Delete(scratch.Name));
        var failure = Assert.Throws<LinuxException>(() => NetworkNamespace.Run(scratch.Name, () => 1));
        Assert.True(failure.IsNotFound);
    }

    [Fact]
    public void Creating_a_namespace_twice_fails_and_ensuring_it_does_not()
    {
        using var scratch = new ScratchNamespace();

        Assert.True(Assert.Throws<LinuxException>(() => NetworkNamespace.Create(scratch.Name)).IsExists);
        Assert.False(NetworkNamespace.Ensure(scratch.Name));
    }

    [Fact]
    public void A_name_left_without_its_namespace_is_made_whole()
    {
        using var scratch = new ScratchNamespace();
        NetworkNamespace.Delete(scratch.Name);
        File.WriteAllText($"/run/netns/{scratch.Name}", "");

        Assert.True(NetworkNamespace.Ensure(scratch.Name));
        Assert.NotEqual(NetworkNamespace.Identity(null), NetworkNamespace.Identity(scratch.Name));
    }

    [Theory]
    [InlineData("../evil")]
    [InlineData("")]
    [InlineData("..")]
    public void A_name_that_leaves_the_directory_is_refused(string name) =>
        Assert.Throws<ArgumentException>(() => NetworkNamespace.Create(name));

    [Fact]
    public void The_callers_thread_stays_where_it_was()
    {
        using var scratch = new ScratchNamespace();
        var before = NetworkNamespace.Identity(null);

        NetworkNamespace.Run(scratch.Name, () => { });

        Assert.Equal(before, NetworkNamespace.Identity(null));
    }

    [Fact]
    public void Sysctls_are_those_of_the_namespace()
    {
        using var scratch = new ScratchNamespace();

        NetworkNamespace.WriteSysctl(scratch.Name, "net.ipv4.ip_forward", "1");
        Assert.Equal("1", NetworkNamespace.ReadSysctl(scratch.Name, "net.ipv4.ip_forward"));
        NetworkNamespace.WriteSysctl(scratch.Name, "net.ipv4.ip_forward", "0");
        Assert.Equal("0", NetworkNamespace.ReadSysctl(scratch.Name, "net.ipv4.ip_forward"));
        Assert.Throws<ArgumentException>(() => NetworkNamespace.WriteSysctl(scratch.Name, "../../etc/x", "1"));
    }

    [Fact]
    public async Task A_socket_opened_inside_is_reached_only_from_inside()
    {
        using var scratch = new ScratchNamespace();
        scratch.Routes.SetUp("lo");
        using var listener = NetworkNamespace.OpenSocket(scratch.Name, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();

        using var inside = NetworkNamespace.OpenSocket(scratch.Name, AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await inside.ConnectAsync(listener.LocalEndPoint!, TestContext.Current.CancellationToken);
        Assert.True(inside.Connected);

        using var outside = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var free = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        free.Bind(listener.LocalEndPoint!); // the port is free out here
        var failure = await Assert.ThrowsAsync<SocketException>(async () =>
            await outside.ConnectAsync(listener.LocalEndPoint!, TestContext.Current.CancellationToken));
        Assert.Equal(SocketError.ConnectionRefused, failure.SocketErrorCode);
    }
}
