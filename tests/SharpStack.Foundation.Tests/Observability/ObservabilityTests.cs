using Microsoft.Extensions.Logging;
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
            using (LoggerMessage.DefineScope<string>("{RequestId}")(log, "req-1"))
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
    public void A_log_file_is_its_owners_alone()
    {
        var folder = Directory.CreateTempSubdirectory();
        try
        {
            var path = Path.Combine(folder.FullName, "sharpstack.log");
            LineLogs.ToFile(path, TimeProvider.System).Dispose();
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
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
