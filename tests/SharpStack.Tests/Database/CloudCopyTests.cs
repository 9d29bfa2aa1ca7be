using System.Globalization;
using LinqToDB.Data;
using SharpStack.Cloud;
using SharpStack.CommandLine;
using SharpStack.Database;
using SharpStack.Foundation.Storage;
using SharpStack.Serve;
using SharpStack.TestKit;
using SharpStack.TestKit.Databases;

namespace SharpStack.Tests.Database;

/// <summary>A whole cloud on its way from SQLite to PostgreSQL, to MariaDB and back.</summary>
public sealed class CloudCopyTests : IAsyncLifetime
{
    private readonly CloudLayout layout = new(Directory.CreateTempSubdirectory("sharpstack-copy-").FullName);
    private readonly List<TestDatabase> places = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var place in places)
        {
            await place.DisposeAsync();
        }

        Directory.Delete(layout.Data, recursive: true);
    }

    [Fact]
    public async Task Not_a_row_of_any_service_is_lost_or_changed()
    {
        // The demo: projects, users, an image, networks, ports, servers with their actions and allocations, all by the public APIs.
        await RunAsync("up", "--fake", "--data", layout.Data, "--port-base", FreePorts.Row(16).ToString(CultureInfo.InvariantCulture));
        await RunAsync("down", "--data", layout.Data);
        var cloud = CloudOptions.Read(Arguments.Parse(["--data", layout.Data], CloudOptions.Values, []), null, TimeProvider.System);
        foreach (var schema in ServiceSchema.All)
        {
            await using var original = schema.In(cloud)!;
            var expected = await RowsAsync(original, (await CopyAsync(original, schema, DatabaseEngine.Sqlite)).Tables);
            Assert.True(expected.Values.Any(rows => rows.Count > 0), $"{schema.Service} has no row");
            var from = original;
            foreach (var engine in (DatabaseEngine[])[DatabaseEngine.PostgreSql, DatabaseEngine.MariaDb, DatabaseEngine.Sqlite])
            {
                var (to, tables) = await CopyAsync(from, schema, engine);
                var actual = await RowsAsync(to, tables);
                Assert.Equal(expected.Keys, actual.Keys);
                foreach (var (table, rows) in expected)
                {
                    Assert.True(rows.SequenceEqual(actual[table]), $"{schema.Service}.{table} on {engine}: {rows.Except(actual[table]).FirstOrDefault()} became {actual[table].Except(rows).FirstOrDefault()}");
                }

                if (from != original)
                {
                    await from.DisposeAsync();
                }

                from = to;
            }

            await from.DisposeAsync();
        }
    }

    private async Task<(ServiceDatabase Database, IReadOnlyList<string> Tables)> CopyAsync(ServiceDatabase from, ServiceSchema schema, DatabaseEngine engine)
    {
        var place = await TestDatabases.CreateAsync(engine);
        places.Add(place);
        var to = schema.At(place.Url);
        var copied = await DatabaseCopy.RunAsync(from, to, Cancelled);
        return (to, [.. copied.Select(table => table.Table)]);
    }

    /// <summary>Each row of each table as one text, in an order that no engine decides.</summary>
    private static async Task<SortedDictionary<string, List<string>>> RowsAsync(ServiceDatabase database, IReadOnlyList<string> tables)
    {
        var all = new SortedDictionary<string, List<string>>(StringComparer.Ordinal);
        var quote = database.Url.Engine == DatabaseEngine.MariaDb ? '`' : '"';
        await using var session = database.Read();
        foreach (var table in tables)
        {
            await using var reader = await session.ExecuteReaderAsync($"SELECT * FROM {quote}{table}{quote}", Cancelled);
            var rows = all[table] = [];
            while (await reader.Reader!.ReadAsync(Cancelled))
            {
                rows.Add(string.Join('|', Enumerable.Range(0, reader.Reader.FieldCount).Select(i => $"{reader.Reader.GetName(i)}={Text(reader.Reader.GetValue(i))}").Order(StringComparer.Ordinal)));
            }

            rows.Sort(StringComparer.Ordinal);
        }

        return all;
    }

    private static string Text(object value) => value switch
    {
        DBNull => "NULL",
        bool flag => flag ? "1" : "0",
        byte[] bytes => Convert.ToHexString(bytes),
        IFormattable number => Convert.ToDouble(number, CultureInfo.InvariantCulture) is var real && Math.Abs(real) < 1e15 ? real.ToString("R", CultureInfo.InvariantCulture) : number.ToString(null, CultureInfo.InvariantCulture),
        _ => $"'{value}'",
    };

    private static Task<string> RunAsync(params string[] arguments) => SharpstackCommand.RunAsync(arguments, Cancelled);
}
