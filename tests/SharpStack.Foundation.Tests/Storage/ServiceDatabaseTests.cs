using FluentMigrator;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Mapping;
using SharpStack.Foundation.Storage;

namespace SharpStack.Foundation.Tests.Storage;

[Migration(1)]
public sealed class CreateThings : ForwardOnlyMigration
{
    public override void Up() => Create.Table("things").WithColumn("id").AsInt32().PrimaryKey().WithColumn("name").AsString(255).Unique();
}

[Table("things")]
public sealed record Thing
{
    [Column("id"), PrimaryKey]
    public int Id { get; init; }

    [Column("name")]
    public string Name { get; init; } = "";
}

public sealed class ServiceDatabaseTests : IAsyncDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory();

    private string Url => $"sqlite:///{folder.FullName}/things.db";

    [Fact]
    public async Task Migrations_run_once_and_the_rows_stay()
    {
        await using (var database = Open())
        {
            Assert.Equal(0, database.CurrentVersion());
            database.Migrate();
            Assert.Equal(1, database.CurrentVersion());
            await database.WriteAsync(session => session.InsertAsync(new Thing { Id = 1, Name = "one" }), TestContext.Current.CancellationToken);
        }

        await using var again = Open();
        again.Migrate();
        await using var read = again.Read();
        Assert.Equal("one", (await read.GetTable<Thing>().SingleAsync(TestContext.Current.CancellationToken)).Name);
    }

    [Fact]
    public async Task What_fails_leaves_nothing_behind()
    {
        await using var database = Open();
        database.Migrate();
        await Assert.ThrowsAsync<InvalidOperationException>(() => database.WriteAsync<int>(
            async session =>
            {
                await session.InsertAsync(new Thing { Id = 1, Name = "one" });
                throw new InvalidOperationException("after the insert");
            },
            TestContext.Current.CancellationToken));
        await using var read = database.Read();
        Assert.Equal(0, await read.GetTable<Thing>().CountAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Of_many_writers_of_one_name_one_wins_and_the_others_are_told()
    {
        await using var database = Open();
        database.Migrate();
        var results = await Task.WhenAll(Enumerable.Range(0, 16).Select(async id =>
        {
            try
            {
                await database.WriteAsync(session => session.InsertAsync(new Thing { Id = id, Name = "same" }));
                return true;
            }
            catch (UniqueConstraintException)
            {
                return false;
            }
        }));
        Assert.Equal(1, results.Count(won => won));
    }

    [Fact]
    public void Another_engine_is_refused_in_words()
    {
        var failure = Assert.Throws<CloudException>(() => new ServiceDatabase("mysql+pymysql://nova:pw@db/nova", typeof(Thing).Assembly, "x"));
        Assert.DoesNotContain("pw", failure.Message, StringComparison.Ordinal);
    }

    public ValueTask DisposeAsync()
    {
        folder.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    private ServiceDatabase Open() => new(Url, typeof(CreateThings).Assembly, typeof(CreateThings).Namespace!);
}
