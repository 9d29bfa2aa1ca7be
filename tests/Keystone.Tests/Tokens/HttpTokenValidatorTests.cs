using System.Diagnostics.Metrics;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SharpStack.Foundation.Caching;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Keystone.Storage;
using SharpStack.TestKit.Hosts;

namespace SharpStack.Keystone.Tests.Tokens;

/// <summary>Validation by services whose Keystone is elsewhere: kept in each process and in a cache that they share.</summary>
public sealed class HttpTokenValidatorTests : IAsyncLifetime
{
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 1, 31, 8, 0, 0, TimeSpan.Zero));
    private readonly List<IAsyncDisposable> owned = [];
    private readonly MeterListener meters = new();
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, long> lookups = new();
    private IdentityCloud cloud = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        cloud = await IdentityCloud.StartAsync(time);
        meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument is { Meter.Name: "SharpStack.Caching", Name: "sharpstack.cache.lookups" })
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        meters.SetMeasurementEventCallback<long>((_, value, tags, _) =>
        {
            foreach (var tag in tags)
            {
                if (tag.Key == "outcome")
                {
                    lookups.AddOrUpdate((string)tag.Value!, value, (_, sum) => sum + value);
                }
            }
        });
        meters.Start();
    }

    public async ValueTask DisposeAsync()
    {
        meters.Dispose();
        owned.Reverse();
        foreach (var each in owned)
        {
            await each.DisposeAsync();
        }

        await cloud.DisposeAsync();
    }

    [Fact]
    public async Task What_one_node_validated_the_others_find_in_the_shared_cache()
    {
        var server = await StartAsync();
        var (one, two) = (Validator(server), Validator(server));
        var (user, project, token) = await cloud.PersonAsync("ann", "member");
        time.Advance(TimeSpan.FromSeconds(1));
        // Each knows from Keystone itself how new its answers are.
        Assert.NotNull(await one.ValidateAsync(cloud.AdminToken, Cancelled));
        Assert.NotNull(await two.ValidateAsync(cloud.AdminToken, Cancelled));
        var asked = await one.ValidateAsync(token, Cancelled);
        await SharpStack.TestKit.Eventually.TrueAsync(async () => (await StatisticAsync(server, "curr_items")) >= 2, "the entry");
        var hits = lookups.GetValueOrDefault("hit");
        var found = (await two.ValidateAsync(token, Cancelled))!;
        Assert.Equal(hits + 1, lookups["hit"]);
        Assert.Equal((user, "ann", project, "member"), (found.UserId, found.UserName, found.ProjectId, string.Join(',', found.Roles.Where(role => role == "member"))));
        Assert.Equal((asked!.ExpiresAt, asked.AuditIds[0]), (found.ExpiresAt, found.AuditIds[0]));
        // The next time it is in memory.
        Assert.Same(found, await two.ValidateAsync(token, Cancelled));
        Assert.Null(await two.ValidateAsync("nonsense", Cancelled));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_revoked_token_is_refused_everywhere_within_the_epochs_period(bool shared)
    {
        var server = shared ? await StartAsync() : null;
        var (one, two) = (Validator(server), Validator(server));
        var (_, _, token) = await cloud.PersonAsync("ann", "member");
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.NotNull(await one.ValidateAsync(token, Cancelled));
        Assert.NotNull(await two.ValidateAsync(token, Cancelled));
        (await cloud.Admin.SendAsync(HttpMethod.Delete, "/v3/auth/tokens", headers: ("X-Subject-Token", token))).Expect(204);
        time.Advance(HttpTokenValidator.EpochPeriod + KeystoneStore.CheckPeriod);
        Assert.Null(await one.ValidateAsync(token, Cancelled));
        Assert.Null(await two.ValidateAsync(token, Cancelled));
        Assert.NotNull(await one.ValidateAsync(cloud.AdminToken, Cancelled));
        // A process that starts now is not fooled by what others left.
        Assert.Null(await Validator(server).ValidateAsync(token, Cancelled));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Validation_goes_on_when_the_cache_dies_or_hangs(bool hangs)
    {
        var server = await StartAsync();
        var one = Validator(server, TimeProvider.System);
        var people = new List<string>();
        for (var i = 0; i < 5; i++)
        {
            people.Add((await cloud.PersonAsync($"person-{i}", "member")).Token);
        }

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.NotNull(await one.ValidateAsync(people[0], Cancelled));
        await (hangs ? server.PauseAsync() : server.KillAsync());
        var started = TimeProvider.System.GetTimestamp();
        foreach (var token in people)
        {
            Assert.NotNull(await one.ValidateAsync(token, Cancelled));
        }

        // One time-out of half a second at most in all of them together, on a busy machine.
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, TimeSpan.FromSeconds(3));
        if (hangs)
        {
            await server.ResumeAsync();
        }
    }

    private static async Task<long> StatisticAsync(KeptProcess server, string name)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(System.Net.IPAddress.Loopback, server.Port, Cancelled);
        using var reader = new StreamReader(client.GetStream());
        await client.GetStream().WriteAsync("stats\r\n"u8.ToArray(), Cancelled);
        while (await reader.ReadLineAsync(Cancelled) is { } line && line != "END")
        {
            if (line.Split(' ') is ["STAT", var found, var value] && found == name)
            {
                return long.Parse(value);
            }
        }

        return 0;
    }

    private async Task<KeptProcess> StartAsync()
    {
        var server = await KeptProcess.MemcachedAsync();
        owned.Add(server);
        return server;
    }

    /// <summary>A process of nova's, by its own configuration; Keystone is reached through memory. The cache keeps real time, tokens that of the test.</summary>
    private HttpTokenValidator Validator(KeptProcess? server, TimeProvider? cacheTime = null)
    {
        var config = ServiceConfig.Empty("nova").With("keystone_authtoken", "auth_url", IdentityCloud.Url).With("keystone_authtoken", "username", "admin")
            .With("keystone_authtoken", "password", IdentityCloud.AdminPassword).With("keystone_authtoken", "project_name", "admin");
        if (server is not null)
        {
            config.With("keystone_authtoken", "memcached_servers", $"127.0.0.1:{server.Port}");
        }

        var caches = new SharedCaches(cacheTime ?? TimeProvider.System, NullLogger<SharedCaches>.Instance);
        owned.Add(caches);
        var host = new HostOptions { DataDirectory = cloud.Cloud.Data, Configs = new Dictionary<string, ServiceConfig> { ["nova"] = config }, Listen = null, Time = time };
        return new HttpTokenValidator(cloud.Cloud.Get<ServiceClients>(), host, time, caches);
    }
}
