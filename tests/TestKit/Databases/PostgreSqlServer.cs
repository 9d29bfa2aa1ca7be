using System.Data.Common;
using Npgsql;

namespace SharpStack.TestKit.Databases;

internal sealed class PostgreSqlServer() : DatabaseServer("postgresql")
{
    protected override string SystemUser => "postgres";

    // Immediate shutdown; after a KILL its shared memory would stay.
    protected override string EndSignal => "QUIT";

    public override string Url(string database) => $"postgresql+psycopg2://{User}@/{database}?host={Folder}";

    public override Task CopyAsync(string template, string database) => ExecuteAsync($"CREATE DATABASE {Quoted(database)} TEMPLATE {Quoted(template)}");

    public override Task DropAsync(string database) => ExecuteAsync($"DROP DATABASE IF EXISTS {Quoted(database)} WITH (FORCE)");

    protected override string Quoted(string name) => $"\"{name}\"";

    protected override DbConnection Administrator() => new NpgsqlConnection($"Host={Folder};Username={User};Database=postgres;Pooling=false");

    protected override (string[] Install, string[] Run) Commands()
    {
        var programs = Path.GetDirectoryName(Find([.. Enumerable.Range(13, 10).Reverse().Select(version => $"/usr/lib/postgresql/{version}/bin/postgres"), "/usr/bin/postgres"]))!;
        var data = $"{Folder}/data";
        // A locale that sorts otherwise than by code point: nothing may depend on it.
        return (
            [$"{programs}/initdb", "-D", data, "-U", User, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"],
            [
                // Nothing waits for the disk, but a commit is written before it is answered: the tests end the server as a crash does, and what was answered must be there.
                $"{programs}/postgres", "-D", data, "-k", Folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off",
                "-c", "max_connections=400", "-c", "shared_buffers=64MB", "-c", "autovacuum=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "max_pred_locks_per_transaction=256",
            ]);
    }
}
