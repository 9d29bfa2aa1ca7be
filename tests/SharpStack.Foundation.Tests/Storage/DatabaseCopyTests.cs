using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using SharpStack.Foundation.Storage;
using SharpStack.TestKit.Databases;

namespace SharpStack.Foundation.Tests.Storage;

public sealed class DatabaseCopyTests
{
    public static TheoryData<DatabaseEngine, DatabaseEngine> Ways
    {
        get
        {
            var ways = new TheoryData<DatabaseEngine, DatabaseEngine>();
            foreach (var from in Enum.GetValues<DatabaseEngine>())
            {
                foreach (var to in Enum.GetValues<DatabaseEngine>())
                {
                    ways.Add(from, to);
                }
            }

            return ways;
        }
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Every_row_arrives_and_no_number_is_given_twice(DatabaseEngine engine, DatabaseEngine other)
    {
        await using var first = await TestDatabases.CreateAsync(engine);
        await using var second = await TestDatabases.CreateAsync(other);
        await using var from = Open(first);
        await using var to = Open(second);
        var last = await from.WriteAsync(
            async session =>
            {
                await session.BulkCopyAsync(Enumerable.Range(0, 300).Select(i => new Thing
                {
                    Name = $"näme {i}", Text = i % 3 == 0 ? null : new string('ß', i), Flag = i % 2 == 0, Amount = -i, Ratio = i / 8.0, At = i % 5 == 0 ? null : long.MaxValue - i,
                }), Cancelled);
                var ids = await session.GetTable<Thing>().Select(thing => thing.Id).ToListAsync(Cancelled);
                await session.BulkCopyAsync(ids.Select(id => new Part { ThingId = id, Key = $"k{id}", Limit = 7 }), Cancelled);
                var id = await session.InsertWithInt64IdentityAsync(new Thing { Name = "gone" }, token: Cancelled);
                await session.GetTable<Thing>().DeleteAsync(thing => thing.Id == id, Cancelled);
                return id;
            },
            Cancelled);

        var copied = await DatabaseCopy.RunAsync(from, to, Cancelled);

        Assert.Equal([("things", 300L), ("parts", 300L)], copied);
        await using var before = from.Read();
        await using var after = to.Read();
        Assert.Equal(await before.GetTable<Thing>().OrderBy(thing => thing.Id).ToListAsync(Cancelled), await after.GetTable<Thing>().OrderBy(thing => thing.Id).ToListAsync(Cancelled));
        Assert.Equal(await before.GetTable<Part>().OrderBy(part => part.ThingId).ToListAsync(Cancelled), await after.GetTable<Part>().OrderBy(part => part.ThingId).ToListAsync(Cancelled));
        Assert.Equal(last + 1, await to.WriteAsync(session => session.InsertWithInt64IdentityAsync(new Thing { Name = "next" }, token: Cancelled), Cancelled));
    }

    [Theory]
    [InlineData(DatabaseEngine.Sqlite)]
    [InlineData(DatabaseEngine.PostgreSql)]
    [InlineData(DatabaseEngine.MariaDb)]
    public async Task A_target_with_rows_is_left_alone(DatabaseEngine engine)
    {
        await using var first = await TestDatabases.CreateAsync(DatabaseEngine.Sqlite);
        await using var second = await TestDatabases.CreateAsync(engine);
        await using var from = Open(first);
        await using var to = Open(second);
        from.Migrate();
        await to.WriteAsync(session => session.InsertAsync(new Thing { Name = "mine" }, token: Cancelled), Cancelled);
        var failure = await Assert.ThrowsAsync<CloudException>(() => DatabaseCopy.RunAsync(from, to, Cancelled));
        Assert.Contains("things", failure.Message, StringComparison.Ordinal);
        await using var read = to.Read();
        Assert.Equal("mine", (await read.GetTable<Thing>().SingleAsync(Cancelled)).Name);
    }

    [Fact]
    public async Task A_source_of_another_version_is_refused()
    {
        await using var first = await TestDatabases.CreateAsync(DatabaseEngine.Sqlite);
        await using var second = await TestDatabases.CreateAsync(DatabaseEngine.Sqlite);
        await using var from = Open(first);
        await using var to = Open(second);
        var failure = await Assert.ThrowsAsync<CloudException>(() => DatabaseCopy.RunAsync(from, to, Cancelled));
        Assert.Contains("db sync", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, to.CurrentVersion());
    }

    private static ServiceDatabase Open(TestDatabase place) => new(place.Url, typeof(CreateThings).Assembly, typeof(CreateThings).Namespace!);
}
