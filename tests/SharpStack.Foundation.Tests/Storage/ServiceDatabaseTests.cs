using FluentMigrator;
using LinqToDB;
using LinqToDB.Async;
using LinqToDB.Data;
using LinqToDB.Mapping;
using SharpStack.Foundation.Storage;
using SharpStack.TestKit.Databases;

namespace SharpStack.Foundation.Tests.Storage;

[Migration(1)]
public sealed class CreateThings : ForwardOnlyMigration
{
    public override void Up()
    {
        Create.Table("things")
            .WithColumn("id").AsInt64().PrimaryKey().Identity()
            .WithColumn("name").AsString(255).NotNullable().Unique("ux_things_name")
            .WithColumn("text").AsString(int.MaxValue).Nullable()
            .WithColumn("flag").AsBoolean().NotNullable().WithDefaultValue(false)
            .WithColumn("amount").AsInt32().NotNullable().WithDefaultValue(0)
            .WithColumn("ratio").AsDouble().NotNullable().WithDefaultValue(0)
            .WithColumn("at").AsInt64().Nullable();
        Create.Table("parts")
            .WithColumn("thing_id").AsInt64().PrimaryKey().ForeignKey("fk_parts_thing", "things", "id").OnDelete(System.Data.Rule.Cascade)
            .WithColumn("key").AsString(255).PrimaryKey()
            .WithColumn("limit").AsInt32().NotNullable();
    }
}

[Table("things")]
public sealed record Thing
{
    [Column("id"), PrimaryKey, Identity]
    public long Id { get; init; }

    [Column("name")]
    public required string Name { get; init; }

    [Column("text")]
    public string? Text { get; init; }

    [Column("flag")]
    public bool Flag { get; init; }

    [Column("amount")]
    public int Amount { get; init; }

    [Column("ratio")]
    public double Ratio { get; init; }

    [Column("at")]
    public long? At { get; init; }
}

[Table("parts")]
public sealed record Part
{
    [Column("thing_id"), PrimaryKey(0)]
    public long ThingId { get; init; }

    [Column("key"), PrimaryKey(1)]
    public required string Key { get; init; }

    [Column("limit")]
    public int Limit { get; init; }
}

/// <summary>What the storage promises, the same on every engine.</summary>
public sealed class ServiceDatabaseTests
{
    public static TheoryData<DatabaseEngine> Engines => TestDatabases.Engines;

    public static TheoryData<DatabaseEngine> Servers => TestDatabases.ServerEngines;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Migrations_run_once_and_the_rows_stay(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using (var database = Open(place))
        {
            Assert.Equal(0, database.CurrentVersion());
            database.Migrate();
            Assert.Equal(1, database.CurrentVersion());
            await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "one" }, token: Cancelled), Cancelled);
        }

        await using var again = Open(place);
        again.Migrate();
        await using var read = again.Read();
        Assert.Equal("one", (await read.GetTable<Thing>().SingleAsync(Cancelled)).Name);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Every_kind_of_value_comes_back_as_it_went(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        var longText = string.Concat(Enumerable.Repeat("ä€😀\\'\"%_\n\t", 20_000));
        Thing[] things =
        [
            new() { Name = "ä€😀 \\'\"%_", Text = longText, Flag = true, Amount = int.MinValue, Ratio = 1.0 / 3, At = long.MaxValue },
            new() { Name = "", Text = null, Flag = false, Amount = int.MaxValue, Ratio = -16.123456789012345, At = null },
        ];
        var ids = await database.WriteAsync(
            async session => new[] { await session.InsertWithInt64IdentityAsync(things[0], token: Cancelled), await session.InsertWithInt64IdentityAsync(things[1], token: Cancelled) }, Cancelled);
        await using var read = database.Read();
        var back = await read.GetTable<Thing>().OrderBy(thing => thing.Id).ToListAsync(Cancelled);
        Assert.Equal([things[0] with { Id = ids[0] }, things[1] with { Id = ids[1] }], back);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task What_fails_leaves_nothing_behind(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        await Assert.ThrowsAsync<InvalidOperationException>(() => database.WriteAsync<int>(
            async session =>
            {
                await session.InsertAsync(new Thing { Name = "one" }, token: Cancelled);
                throw new InvalidOperationException("after the insert");
            },
            Cancelled));
        await using var read = database.Read();
        Assert.Equal(0, await read.GetTable<Thing>().CountAsync(Cancelled));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Of_many_writers_of_one_name_one_wins_and_the_others_are_told_by_which_key(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        var refused = await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ =>
        {
            try
            {
                await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "same" }, token: Cancelled), Cancelled);
                return null;
            }
            catch (UniqueConstraintException failure)
            {
                return failure.Constraint;
            }
        }));
        Assert.Equal(15, refused.Count(constraint => constraint is not null));
        Assert.All(refused.OfType<string>(), constraint => Assert.Contains("name", constraint, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_row_that_points_nowhere_is_refused(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        await Assert.ThrowsAsync<UniqueConstraintException>(
            () => database.WriteAsync(session => session.InsertAsync(new Part { ThingId = 77, Key = "k" }, token: Cancelled), Cancelled));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Writers_that_read_what_they_change_lose_nothing(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "counter" }, token: Cancelled), Cancelled);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            for (var i = 0; i < 5; i++)
            {
                await database.WriteAsync(
                    async session =>
                    {
                        var thing = await session.GetTable<Thing>().SingleAsync(Cancelled);
                        await session.UpdateAsync(thing with { Amount = thing.Amount + 1 }, token: Cancelled);
                    },
                    Cancelled);
            }
        }));
        await using var read = database.Read();
        Assert.Equal(40, (await read.GetTable<Thing>().SingleAsync(Cancelled)).Amount);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_count_that_guards_an_insert_is_never_passed(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        var made = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => database.WriteAsync(
            async session =>
            {
                // A quota: two transactions that count before either inserts would both pass it under a weaker isolation.
                if (await session.GetTable<Thing>().CountAsync(thing => thing.Flag, Cancelled) >= 3)
                {
                    return false;
                }

                await session.InsertAsync(new Thing { Name = $"thing {i}", Flag = true }, token: Cancelled);
                return true;
            },
            Cancelled)));
        Assert.Equal(3, made.Count(one => one));
        await using var read = database.Read();
        Assert.Equal(3, await read.GetTable<Thing>().CountAsync(Cancelled));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Names_compare_and_sort_by_code_point(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        // Case, accents, trailing blanks: four different names each time. On a server's own collation some would be one, and sort otherwise.
        string[] names = ["a", "A", "a ", "á", "Z", "z", "ß", "ss", "_", "-", "10", "9", "Ab", "ab", "😀", "ｚ"];
        await database.WriteAsync(session => session.BulkCopyAsync(names.Select(name => new Thing { Name = name }), Cancelled), Cancelled);
        await using var read = database.Read();
        var sorted = await read.GetTable<Thing>().OrderBy(thing => thing.Name).Select(thing => thing.Name).ToListAsync(Cancelled);
        Assert.Equal(names.OrderBy(name => name, Comparer<string>.Create(ByCodePoint)), sorted);
        Assert.Equal(1, await read.GetTable<Thing>().CountAsync(thing => thing.Name == "a", Cancelled));
        Assert.Equal(1, await read.GetTable<Thing>().CountAsync(thing => thing.Name.StartsWith("ab", StringComparison.Ordinal), Cancelled));
        Assert.Equal(1, await read.GetTable<Thing>().CountAsync(thing => thing.Name.Contains("Ab", StringComparison.Ordinal), Cancelled));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task An_updates_expressions_see_the_row_as_it_was(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        await database.WriteAsync(
            async session =>
            {
                await session.InsertAsync(new Thing { Name = "one", Amount = 5 }, token: Cancelled);
                await session.GetTable<Thing>().Set(thing => thing.Amount, thing => thing.Amount + 1).Set(thing => thing.At, thing => thing.Amount + 1).UpdateAsync(Cancelled);
            },
            Cancelled);
        await using var read = database.Read();
        var thing = await read.GetTable<Thing>().SingleAsync(Cancelled);
        Assert.Equal((6, 6L), (thing.Amount, thing.At!.Value));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_row_is_replaced_by_its_key(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        await database.WriteAsync(
            async session =>
            {
                var id = await session.InsertWithInt64IdentityAsync(new Thing { Name = "one" }, token: Cancelled);
                await session.InsertOrReplaceAsync(new Part { ThingId = id, Key = "k", Limit = 1 }, token: Cancelled);
                await session.InsertOrReplaceAsync(new Part { ThingId = id, Key = "k", Limit = 2 }, token: Cancelled);
            },
            Cancelled);
        await using var read = database.Read();
        Assert.Equal(2, (await read.GetTable<Part>().SingleAsync(Cancelled)).Limit);
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task What_finds_its_connection_broken_is_done_on_a_new_one(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var way = DatabaseProxy.To(place);
        await using var database = Open(way.Url);
        await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "before" }, token: Cancelled), Cancelled);
        way.Break();
        await using (var read = database.Read())
        {
            Assert.Equal(1, await read.GetTable<Thing>().CountAsync(Cancelled));
        }

        way.Break();
        var runs = 0;
        await database.WriteAsync(
            session =>
            {
                runs++;
                return session.InsertAsync(new Thing { Name = "after" }, token: Cancelled);
            },
            Cancelled);
        Assert.InRange(runs, 1, 2);
        await using var again = database.Read();
        Assert.Equal(["after", "before"], await again.GetTable<Thing>().OrderBy(thing => thing.Name).Select(thing => thing.Name).ToListAsync(Cancelled));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task A_connection_that_breaks_under_the_second_try_too_ends_the_work_as_unavailable(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var way = DatabaseProxy.To(place);
        await using var database = Open(way.Url);
        await database.OpenAsync(Cancelled);
        way.BreakOn("things");
        await using var read = database.Read();
        await Assert.ThrowsAsync<DatabaseUnavailableException>(() => read.GetTable<Thing>().ToListAsync(Cancelled));
        using var waiting = database.Read();
        Assert.Throws<DatabaseUnavailableException>(() => waiting.GetTable<Thing>().ToList());
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Without_the_database_work_ends_as_unavailable_and_goes_on_when_it_is_back(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var way = DatabaseProxy.To(place);
        await using var database = Open(way.Url);
        await database.OpenAsync(Cancelled);
        way.Cut();
        await using (var read = database.Read())
        {
            var failure = await Assert.ThrowsAsync<DatabaseUnavailableException>(() => read.GetTable<Thing>().CountAsync(Cancelled));
            Assert.Equal(ErrorKind.ServiceUnavailable, failure.Kind);
            Assert.True(failure.IsTransient);
        }

        await Assert.ThrowsAsync<DatabaseUnavailableException>(() => database.WriteAsync(session => session.InsertAsync(new Thing { Name = "one" }, token: Cancelled), Cancelled));
        way.Mend();
        await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "one" }, token: Cancelled), Cancelled);
        await using var again = database.Read();
        Assert.Equal(1, await again.GetTable<Thing>().CountAsync(Cancelled));
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task The_start_waits_for_the_database_as_often_as_it_is_told_to(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var way = DatabaseProxy.To(place);
        way.Cut();
        var quick = new DatabaseSettings { MaxRetries = 2, RetryInterval = TimeSpan.FromMilliseconds(20) };
        await using (var impatient = Open(way.Url, quick))
        {
            await Assert.ThrowsAsync<DatabaseUnavailableException>(() => impatient.OpenAsync(Cancelled));
        }

        await using var patient = Open(way.Url, quick with { MaxRetries = -1 });
        var opening = patient.OpenAsync(Cancelled);
        Assert.False(opening.IsCompleted);
        way.Mend();
        await opening.WaitAsync(TimeSpan.FromSeconds(60), Cancelled);
        Assert.Equal(1, patient.CurrentVersion());
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Of_many_that_start_at_once_one_migrates(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        var databases = Enumerable.Range(0, 5).Select(_ => Open(place)).ToList();
        await Task.WhenAll(databases.Select(database => database.OpenAsync(Cancelled)));
        Assert.All(databases, database => Assert.Equal([1], database.AppliedVersions()));
        foreach (var database in databases)
        {
            await database.DisposeAsync();
        }
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_schema_of_a_newer_program_is_refused_in_words(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using (var newer = Open(place))
        {
            await newer.WriteAsync(session => session.ExecuteAsync("INSERT INTO schema_version (version) VALUES (99)", Cancelled), Cancelled);
        }

        await using var older = Open(place);
        var failure = await Assert.ThrowsAsync<CloudException>(() => older.OpenAsync(Cancelled));
        Assert.Contains("99", failure.Message, StringComparison.Ordinal);
        Assert.Contains("newer release", failure.Message, StringComparison.Ordinal);
        Assert.Contains(older.Check().Problems, problem => problem.Contains("99", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task The_check_finds_what_is_wrong(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place);
        Assert.Contains("db sync", Assert.Single(database.Check().Problems), StringComparison.Ordinal);
        database.Migrate();
        var report = database.Check();
        Assert.Empty(report.Problems);
        Assert.Equal((1, 1), (report.Current, report.Newest));
        if (engine == DatabaseEngine.Sqlite)
        {
            return;
        }

        await database.WriteAsync(
            session => session.ExecuteAsync(
                engine == DatabaseEngine.PostgreSql
                    ? "ALTER TABLE things ALTER COLUMN name TYPE varchar(255) COLLATE \"default\""
                    : "ALTER TABLE things MODIFY name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
                Cancelled),
            Cancelled);
        Assert.Contains("things.name", Assert.Single(database.Check().Problems), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task Round_trips_and_repeats_are_counted(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        var service = $"counted {Guid.NewGuid():N}";
        var counts = new System.Collections.Concurrent.ConcurrentDictionary<string, long>();
        using var listener = new System.Diagnostics.Metrics.MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == "SharpStack.Database")
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            if (tags.ToArray().Any(tag => Equals(tag.Value, service)))
            {
                counts.AddOrUpdate(instrument.Name, value, (_, before) => before + value);
            }
        });
        listener.Start();
        await using var database = Open(place.Url, new DatabaseSettings { Service = service });
        database.Migrate();
        await using (var read = database.Read())
        {
            await read.GetTable<Thing>().CountAsync(Cancelled);
        }

        Assert.Equal(1, counts["sharpstack.database.round_trips"]);
        await database.WriteAsync(session => session.InsertAsync(new Thing { Name = "one" }, token: Cancelled), Cancelled);
        // Insert and commit, and the begin where it is a message of its own.
        Assert.Equal(engine == DatabaseEngine.PostgreSql ? 3 : 4, counts["sharpstack.database.round_trips"]);
        var runs = 0;
        await database.WriteAsync(
            session =>
            {
                runs++;
                return runs == 1 ? throw Conflict(engine) : Task.CompletedTask;
            },
            Cancelled);
        Assert.Equal(2, runs);
        Assert.Equal(1, counts["sharpstack.database.retries"]);
    }

    [Theory]
    [MemberData(nameof(Engines))]
    public async Task A_change_that_loses_for_ever_ends_as_unavailable(DatabaseEngine engine)
    {
        await using var place = await TestDatabases.CreateAsync(engine);
        await using var database = Open(place.Url, new DatabaseSettings { OperationRetries = 3 });
        var runs = 0;
        await Assert.ThrowsAsync<DatabaseUnavailableException>(() => database.WriteAsync(
            _ =>
            {
                runs++;
                throw Conflict(engine);
            },
            Cancelled));
        Assert.Equal(4, runs);
    }

    private static Exception Conflict(DatabaseEngine engine) => engine switch
    {
        DatabaseEngine.Sqlite => new Microsoft.Data.Sqlite.SqliteException("database is locked", 5),
        DatabaseEngine.PostgreSql => new Npgsql.PostgresException("could not serialize access", "ERROR", "ERROR", "40001"),
        _ => MySqlFailure.Of(MySqlConnector.MySqlErrorCode.LockDeadlock),
    };

    private static int ByCodePoint(string? left, string? right) => string.CompareOrdinal(
        string.Concat(left!.EnumerateRunes().Select(rune => rune.Value.ToString("x8"))), string.Concat(right!.EnumerateRunes().Select(rune => rune.Value.ToString("x8"))));

    private static ServiceDatabase Open(TestDatabase place) => Open(place.Url);

    private static ServiceDatabase Open(string url, DatabaseSettings? settings = null) => new(url, typeof(CreateThings).Assembly, typeof(CreateThings).Namespace!, settings);
}

/// <summary>MySqlConnector makes its exceptions itself.</summary>
internal static class MySqlFailure
{
    public static Exception Of(MySqlConnector.MySqlErrorCode code) => (Exception)Activator.CreateInstance(
        typeof(MySqlConnector.MySqlException), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance, null, [code, "made for a test"], null)!;
}
