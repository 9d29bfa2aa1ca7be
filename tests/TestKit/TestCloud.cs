using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Hosting;
using SharpStack.Foundation.Identity;
using SharpStack.Foundation.Storage;
using SharpStack.TestKit.Databases;
using Xunit;

namespace SharpStack.TestKit;

/// <summary>
/// A cloud of some modules in this process, in a folder of its own, without sockets. Without Keystone among the modules the tokens are
/// those of <see cref="TestIdentities"/>. Its databases are on the engine that SHARPSTACK_TEST_ENGINE names (see <see cref="TestDatabases"/>).
/// </summary>
public sealed class TestCloud : IAsyncDisposable
{
    private readonly Dictionary<string, string> databases;
    private readonly List<ServiceDatabase> opened;
    private readonly bool keepsData;

    private TestCloud(CloudHost host, string data, Dictionary<string, string> databases, bool keepsData)
    {
        Host = host;
        Data = data;
        this.databases = databases;
        opened = [.. databases.Keys.Select(name => host.Services.GetKeyedService<ServiceDatabase>(name)).OfType<ServiceDatabase>()];
        this.keepsData = keepsData;
    }

    public CloudHost Host { get; }

    /// <summary>The cloud's data folder; gone with it.</summary>
    public string Data { get; }

    public static Task<TestCloud> StartAsync(params IServiceModule[] modules) => StartAsync(modules, null);

    /// <param name="keepsData">The folder is another cloud's, which this one joins as a second process.</param>
    /// <param name="ports">Where the APIs listen on 127.0.0.1, by name, for clients that are programs of their own; null for no sockets.</param>
    public static async Task<TestCloud> StartAsync(
        IEnumerable<IServiceModule> modules,
        IEnumerable<(string Config, string Group, string Name, string Value)>? settings,
        string? data = null,
        TimeProvider? time = null,
        Action<IServiceCollection>? services = null,
        bool keystone = false,
        bool keepsData = false,
        IReadOnlyDictionary<string, int>? ports = null)
    {
        data ??= Directory.CreateTempSubdirectory("sharpstack-test-").FullName;
        var configs = new Dictionary<string, ServiceConfig>();
        foreach (var (config, group, name, value) in settings ?? [])
        {
            if (!configs.TryGetValue(config, out var existing))
            {
                configs[config] = existing = ServiceConfig.Empty(config);
            }

            existing.With(group, name, value);
        }

        var all = modules.ToList();
        var databases = await DatabasesAsync(all, configs, data);
        var options = new HostOptions { DataDirectory = data, Configs = configs, Listen = ports is null ? null : IPAddress.Loopback, Ports = ports ?? new Dictionary<string, int>(), HostName = "testhost", Time = time ?? TimeProvider.System };
        var host = CloudHost.Create(
            options,
            all,
            logging => logging.SetMinimumLevel(LogLevel.Warning).AddProvider(new TestOutputLogs()),
            container =>
            {
                if (!keystone)
                {
                    container.AddSingleton<ITokenValidator, TestIdentities>();
                }

                services?.Invoke(container);
            });
        await host.StartAsync();
        return new TestCloud(host, data, databases, keepsData);
    }

    public T Get<T>()
        where T : notnull => Host.Services.GetRequiredService<T>();

    /// <summary>The URL of a service's database, by its configuration's name (<c>nova</c>).</summary>
    public string DatabaseUrl(string config) => databases[config];

    /// <summary>A client of an API that sends a token with each request; null for none.</summary>
    public TestClient Client(string api, string? token = "admin", string? microversion = null) => new(Host.CreateClient(api), token, microversion);

    /// <summary>Stops the process's services but keeps the data folder, for a test that starts again on it.</summary>
    public async Task<string> StopAndKeepDataAsync()
    {
        await Host.DisposeAsync();
        return Data;
    }

    /// <summary>Ends the cloud, and fails where a request of it left a session with a database open: as many of those as the pool has connections, and it answers no more.</summary>
    public async ValueTask DisposeAsync()
    {
        await Host.DisposeAsync();
        await CleanUpAsync();
        foreach (var database in opened)
        {
            await Eventually.TrueAsync(() => database.OpenSessions == 0, $"no session with {database.Url} is open");
        }
    }

    private async Task CleanUpAsync()
    {
        if (keepsData)
        {
            return;
        }

        foreach (var config in databases.Keys)
        {
            await TestDatabases.DropAsync(TestDatabases.Engine, DatabaseName(Data, config));
        }

        Directory.Delete(Data, recursive: true);
    }

    /// <summary>A database for each of the modules' configurations that names none; the same again for the same data folder.</summary>
    private static async Task<Dictionary<string, string>> DatabasesAsync(IEnumerable<IServiceModule> modules, Dictionary<string, ServiceConfig> configs, string data)
    {
        var databases = new Dictionary<string, string>();
        var stores = modules.SelectMany(module => module.Options.Where(option => option.Option == DatabaseOptions.Connection).Select(option => (Name: option.Config, Service: module.GetType().Assembly)));
        foreach (var (name, service) in stores.DistinctBy(static store => store.Name))
        {
            if (!configs.TryGetValue(name, out var config))
            {
                configs[name] = config = ServiceConfig.Empty(name);
            }

            if (!config.IsSet(DatabaseOptions.Connection))
            {
                var url = TestDatabases.Engine == DatabaseEngine.Sqlite
                    ? await TestDatabases.UrlAsync(Path.Combine(data, name + ".db"), service)
                    : await TestDatabases.UrlAsync(TestDatabases.Engine, DatabaseName(data, name), service);
                config.With(DatabaseOptions.Connection.Group, DatabaseOptions.Connection.Name, url);
            }

            databases[name] = config.Get(DatabaseOptions.Connection);
        }

        return databases;
    }

    private static string DatabaseName(string data, string config) => $"{Path.GetFileName(data)}_{config}";

    private sealed class TestOutputLogs : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            try
            {
                TestContext.Current.TestOutputHelper?.WriteLine($"{logLevel} {formatter(state, exception)} {exception}");
            }
            catch (InvalidOperationException)
            {
                // The test is over; its cloud's last words have no listener.
            }
        }
    }
}

/// <summary>An answer: its status, headers and JSON.</summary>
public sealed record TestAnswer(int Status, HttpResponseHeaders Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);

    public JsonElement Json => field.ValueKind == JsonValueKind.Undefined ? field = JsonDocument.Parse(Body).RootElement : field;

    /// <summary>Fails with the body where the status is another.</summary>
    public TestAnswer Expect(int status)
    {
        Assert.True(Status == status, $"Expected {status}, got {Status}: {Text}");
        return this;
    }
}

public sealed class TestClient(HttpClient http, string? token, string? microversion) : IDisposable
{
    public HttpClient Http { get; } = http;

    public Task<TestAnswer> GetAsync(string path) => SendAsync(HttpMethod.Get, path);

    public Task<TestAnswer> HeadAsync(string path) => SendAsync(HttpMethod.Head, path);

    public Task<TestAnswer> DeleteAsync(string path) => SendAsync(HttpMethod.Delete, path);

    /// <param name="json">JSON text; <c>'</c> is not replaced.</param>
    public Task<TestAnswer> PostAsync(string path, string? json = null) => SendAsync(HttpMethod.Post, path, json);

    public Task<TestAnswer> PutAsync(string path, string? json = null) => SendAsync(HttpMethod.Put, path, json);

    public Task<TestAnswer> PatchAsync(string path, string json, string contentType = "application/json") => SendAsync(HttpMethod.Patch, path, json, contentType);

    public async Task<TestAnswer> SendAsync(HttpMethod method, string path, string? json = null, string contentType = "application/json", params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (token is not null)
        {
            request.Headers.TryAddWithoutValidation("X-Auth-Token", token);
        }

        if (microversion is not null)
        {
            request.Headers.TryAddWithoutValidation("OpenStack-API-Version", microversion);
        }

        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        if (json is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(json)) { Headers = { ContentType = new MediaTypeHeaderValue(contentType) } };
        }

        using var response = await Http.SendAsync(request, TestContext.Current.CancellationToken);
        return new TestAnswer((int)response.StatusCode, response.Headers, await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
    }

    public void Dispose() => Http.Dispose();
}

/// <summary>Waits for a condition, with a bound.</summary>
public static class Eventually
{
    public static async Task TrueAsync(Func<Task<bool>> condition, string what, TimeSpan? within = null)
    {
        using var limit = new CancellationTokenSource(within ?? TimeSpan.FromSeconds(20));
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition())
        {
            try
            {
                await poll.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Not within the bound: {what}");
            }
        }
    }

    public static Task TrueAsync(Func<bool> condition, string what, TimeSpan? within = null) => TrueAsync(() => Task.FromResult(condition()), what, within);
}
