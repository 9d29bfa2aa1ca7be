using System.Threading.Channels;

namespace SharpStack.Libvirt.Tests;

/// <summary>Against the test driver that libvirt carries in itself.</summary>
public sealed class LibvirtTests : IDisposable
{
    private readonly Guid uuid = Guid.NewGuid();
    private readonly LibvirtConnection connection = LibvirtConnection.Open("test:///default");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string Xml =>
        $"<domain type='test'><name>é-{uuid:N}</name><uuid>{uuid}</uuid><memory unit='KiB'>65536</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>";

    public void Dispose()
    {
        using (var domain = connection.Find(uuid))
        {
            if (domain is { State: not DomainState.ShutOff })
            {
                domain.Destroy();
            }
            domain?.Undefine();
        }
        connection.Dispose();
    }

    [Fact]
    public void The_library_the_hypervisor_and_the_node_say_what_they_are()
    {
        Assert.True(LibvirtLibrary.IsInstalled);
        Assert.InRange(LibvirtLibrary.Version, 1_000_000, 100_000_000);
        Assert.Equal("TEST", connection.HypervisorType);
        Assert.True(connection.HypervisorVersion > 0);
        Assert.True(connection.IsAlive);
        Assert.NotEmpty(connection.Hostname);
        Assert.StartsWith("<capabilities>", connection.Capabilities, StringComparison.Ordinal);
        Assert.True(connection.NodeInfo is { Processors: > 0, MemoryKib: > 0 });
    }

    [Fact]
    public void A_domain_goes_through_its_life()
    {
        using var domain = connection.Define(Xml);
        Assert.Equal((uuid, $"é-{uuid:N}", DomainState.ShutOff, true), (domain.Uuid, domain.Name, domain.State, domain.IsPersistent));
        Assert.Null(domain.Id);

        domain.Start();
        Assert.Equal(DomainState.Running, domain.State);
        Assert.NotNull(domain.Id);
        Assert.Equal((65536L, 2), (domain.Info.MaximumMemoryKib, domain.Info.Processors));
        domain.Suspend();
        Assert.Equal(DomainState.Paused, domain.State);
        domain.Resume();
        domain.Reboot();
        domain.Destroy();
        Assert.Equal(DomainState.ShutOff, domain.State);
        domain.Undefine();
        Assert.Null(connection.Find(uuid));
    }

    [Fact]
    public void A_domain_is_found_by_uuid_by_name_and_in_the_list()
    {
        connection.Define(Xml).Dispose();

        using var byUuid = connection.Find(uuid);
        using var byName = connection.Find($"é-{uuid:N}");
        Assert.Equal(uuid, byUuid!.Uuid);
        Assert.Equal(uuid, byName!.Uuid);
        var all = connection.ListDomains();
        Assert.Contains(all, domain => domain.Uuid == uuid);
        Assert.Contains($"<uuid>{uuid}</uuid>", byUuid.GetXml(), StringComparison.Ordinal);
        foreach (var domain in all)
        {
            domain.Dispose();
        }
        Assert.Null(connection.Find(Guid.NewGuid()));
        Assert.Null(connection.Find("no such domain"));
    }

    [Fact]
    public void Errors_carry_libvirts_code_and_words()
    {
        var badXml = Assert.Throws<LibvirtException>(() => connection.Define("<domain type='test'><name>x</name></domain>"));
        Assert.Equal(LibvirtError.XmlError, badXml.Code);
        var noFile = Assert.Throws<LibvirtException>(() => LibvirtConnection.Open("test:///no/such/file.xml"));
        Assert.Contains("/no/such/file.xml", noFile.Message, StringComparison.Ordinal);

        using var domain = connection.Define(Xml);
        Assert.True(Assert.Throws<LibvirtException>(() => domain.Destroy()).IsInvalidState);
        domain.Undefine();
        Assert.True(Assert.Throws<LibvirtException>(() => domain.Start()).IsNoDomain);
    }

    [Fact]
    public async Task Lifecycle_events_arrive_in_order()
    {
        using var domain = connection.Define(Xml);
        domain.Start();
        domain.Suspend();
        domain.Destroy();

        var kinds = await TakeAsync(connection.Events, 4);

        Assert.Equal([DomainEventKind.Defined, DomainEventKind.Started, DomainEventKind.Suspended, DomainEventKind.Stopped], kinds);
    }

    [Fact]
    public async Task A_closed_connection_completes_its_events_and_says_so()
    {
        var other = LibvirtConnection.Open("test:///default");
        other.Dispose();
        other.Dispose();

        await other.Closed.WaitAsync(TimeSpan.FromSeconds(20), Cancellation);
        Assert.False(other.IsAlive);
        Assert.False(await other.Events.WaitToReadAsync(Cancellation));
    }

    [Fact]
    public async Task A_host_connects_when_needed_and_passes_events_on()
    {
        await using var host = new LibvirtHost("test:///default");

        Assert.Equal("TEST", await host.RunAsync(open => open.HypervisorType, Cancellation));
        Assert.True(await host.Connections.ReadAsync(Cancellation));
        await host.RunAsync(open => open.Define(Xml).Dispose(), Cancellation);
        await host.WithDomainAsync(uuid, domain =>
        {
            domain.Start();
            return true;
        }, false, Cancellation);
        Assert.Equal([DomainEventKind.Defined, DomainEventKind.Started], await TakeAsync(host.Events, 2));
        Assert.Equal(DomainState.Running, await host.WithDomainAsync(uuid, domain => domain.State, DomainState.NoState, Cancellation));
        Assert.Equal(DomainState.NoState, await host.WithDomainAsync(Guid.NewGuid(), domain => domain.State, DomainState.NoState, Cancellation));
    }

    [Fact]
    public async Task Many_threads_share_a_host()
    {
        await using var host = new LibvirtHost("test:///default", concurrency: 4);

        var failures = await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
        {
            var missing = Guid.NewGuid();
            return await host.RunAsync(open => open.Find(missing) is null, Cancellation);
        }));

        Assert.DoesNotContain(false, failures);
    }

    [Fact]
    public async Task A_hypervisor_that_cannot_be_reached_fails_each_call_with_its_reason()
    {
        await using var host = new LibvirtHost("qemu+unix:///system?socket=/nonexistent/libvirt-sock");

        var failure = await Assert.ThrowsAsync<LibvirtException>(() => host.RunAsync(open => open.Hostname, Cancellation));
        Assert.Contains("/nonexistent/libvirt-sock", failure.Message, StringComparison.Ordinal);
    }

    private async Task<List<DomainEventKind>> TakeAsync(ChannelReader<DomainEvent> reader, int count)
    {
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        bound.CancelAfter(TimeSpan.FromSeconds(30));
        var kinds = new List<DomainEventKind>();
        while (kinds.Count < count)
        {
            var item = await reader.ReadAsync(bound.Token);
            if (item.Uuid == uuid)
            {
                kinds.Add(item.Kind);
            }
        }
        return kinds;
    }
}
