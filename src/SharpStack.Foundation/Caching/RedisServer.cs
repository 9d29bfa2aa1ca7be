using StackExchange.Redis;

namespace SharpStack.Foundation.Caching;

/// <summary>A Redis server. The client reconnects by itself; without a connection it fails at once instead of queueing.</summary>
internal sealed class RedisServer : ICacheServer
{
    private readonly Lazy<Task<ConnectionMultiplexer>> connection;

    public RedisServer(ConfigurationOptions options)
    {
        options.AbortOnConnectFail = false;
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ClientName = "sharpstack";
        Name = options.EndPoints[0].ToString()!;
        connection = new Lazy<Task<ConnectionMultiplexer>>(() => ConnectionMultiplexer.ConnectAsync(options));
    }

    public string Name { get; }

    public Task<bool> EnterAsync(TimeSpan limit, CancellationToken cancellationToken) => Task.FromResult(true);

    public void Leave()
    {
    }

    public async Task<byte[]?> GetAsync(string key, CancellationToken cancellationToken) =>
        await (await connection.Value.WaitAsync(cancellationToken)).GetDatabase().StringGetAsync(key).WaitAsync(cancellationToken);

    public async Task SetAsync(string key, byte[] value, TimeSpan lifetime, CancellationToken cancellationToken) =>
        await (await connection.Value.WaitAsync(cancellationToken)).GetDatabase().StringSetAsync(key, value, lifetime).WaitAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        if (connection.IsValueCreated)
        {
            await (await connection.Value).DisposeAsync();
        }
    }
}
