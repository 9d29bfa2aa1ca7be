using System.Text.Json;
using Microsoft.Extensions.Logging;
using SharpStack.Foundation.Configuration;
using SharpStack.Foundation.Observability;
using SharpStack.TestKit;

namespace SharpStack.Foundation.Tests.Observability;

public sealed class ObservabilityTests
{
    private static readonly Action<ILogger, string, Exception?> Said = LoggerMessage.Define<string>(LogLevel.Warning, new EventId(42), "said {What}");

    [Fact]
    public void A_line_carries_the_request_id_and_no_line_of_its_senders_making()
    {
        using var text = new StringWriter();
        using (var provider = new LineLogs(text, TimeProvider.System))
        using (var factory = LoggerFactory.Create(logging => logging.AddProvider(provider)))
        {
            var log = factory.CreateLogger("test");
            using (log.BeginScope(new RequestScope("req-1")))
            {
                Said(log, "hello\n2026-01-01 ERROR forged", null);
            }

            Said(log, "later", new InvalidOperationException("broken"));
        }

        var lines = text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.EndsWith("WARNING test [req-1] 42 said hello\\n2026-01-01 ERROR forged", lines[0], StringComparison.Ordinal);
        Assert.EndsWith("WARNING test [-] 42 said later", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("    System.InvalidOperationException: broken", lines[2], StringComparison.Ordinal);
    }

    [Fact]
    public void A_log_file_is_its_owners_alone_and_opened_anew_when_it_was_moved()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var path = Path.Combine(folder.FullName, "nova-api.log");
            using var text = new StringWriter();
            using var provider = new LineLogs(text, TimeProvider.System);
            provider.Apply(LogSettings.Read(ServiceConfig.Empty("nova").With("DEFAULT", "log_dir", folder.FullName), "nova-api"));
            using var factory = LoggerFactory.Create(logging => logging.AddProvider(provider));
            var log = factory.CreateLogger("test");

            Said(log, "first", null);
            Assert.True(SpinWait.SpinUntil(() => File.Exists(path) && File.ReadAllText(path).EndsWith("said first\n", StringComparison.Ordinal), TimeSpan.FromSeconds(10)));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
            File.Move(path, path + ".1");
            Said(log, "second", null);

            Assert.True(SpinWait.SpinUntil(() => File.Exists(path) && File.ReadAllText(path).EndsWith("said second\n", StringComparison.Ordinal), TimeSpan.FromSeconds(10)));
            Assert.DoesNotContain("second", File.ReadAllText(path + ".1"), StringComparison.Ordinal);
            Assert.Empty(text.ToString());
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Levels_are_those_of_the_settings_of_the_moment_by_the_beginning_of_the_loggers_name()
    {
        using var provider = new LineLogs(new StringWriter(), TimeProvider.System);
        using var factory = LoggerFactory.Create(logging => logging.SetMinimumLevel(LogLevel.Trace).AddProvider(provider));
        var nova = factory.CreateLogger("SharpStack.Nova.Conductor");
        var other = factory.CreateLogger("SharpStack.Http");

        provider.Apply(LogSettings.Read(ServiceConfig.Empty("nova"), "nova-api"));
        Assert.False(nova.IsEnabled(LogLevel.Debug));
        Assert.True(other.IsEnabled(LogLevel.Information));
        provider.Apply(LogSettings.Read(ServiceConfig.Empty("nova").With("DEFAULT", "debug", "true").With("DEFAULT", "default_log_levels", "amqp=WARN,SharpStack.Nova=ERROR"), "nova-api"));
        Assert.False(nova.IsEnabled(LogLevel.Warning));
        Assert.True(other.IsEnabled(LogLevel.Debug));
        Assert.Throws<FormatException>(() => LogSettings.Read(ServiceConfig.Empty("nova").With("DEFAULT", "default_log_levels", "x=LOUD"), "nova-api"));
    }

    [Fact]
    public void Each_event_is_a_JSON_object_where_JSON_is_asked_for()
    {
        using var text = new StringWriter();
        using (var provider = new LineLogs(text, TimeProvider.System))
        using (var factory = LoggerFactory.Create(logging => logging.AddProvider(provider)))
        {
            provider.Apply(new LogSettings { Json = true });
            Said(factory.CreateLogger("test"), "\"hello\"\n", new InvalidOperationException("broken"));
        }

        var json = JsonDocument.Parse(text.ToString()).RootElement;
        Assert.Equal("said \"hello\"\n", json.GetProperty("message").GetString());
        Assert.Equal("WARNING", json.GetProperty("levelname").GetString());
        Assert.Equal(42, json.GetProperty("event_id").GetInt32());
        Assert.StartsWith("System.InvalidOperationException: broken", json.GetProperty("traceback").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requests_are_counted_by_service_and_status()
    {
        await using var cloud = await TestCloud.StartAsync(new MetricsModule());
        using var client = cloud.Client(MetricsModule.ServiceName, token: null);
        (await client.GetAsync("/nowhere")).Expect(404);
        await Eventually.TrueAsync(
            async () => (await client.GetAsync("/metrics")).Text.Split('\n').Any(line =>
                line.Contains("http_server_request_duration", StringComparison.Ordinal) && line.Contains("\"404\"", StringComparison.Ordinal) && line.Contains("\"metrics\"", StringComparison.Ordinal)),
            "the 404 among the metrics");
    }
}
