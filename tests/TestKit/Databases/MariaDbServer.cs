using System.Collections.Concurrent;
using System.Data.Common;
using System.Text;
using MySqlConnector;

namespace SharpStack.TestKit.Databases;

internal sealed class MariaDbServer() : DatabaseServer("mariadb")
{
    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> scripts = new();

    protected override string SystemUser => "mysql";

    private string Socket => $"{Folder}/socket";

    public override string Url(string database) => $"mysql+pymysql://root@localhost/{database}?charset=utf8&unix_socket={Socket}";

    public override async Task CopyAsync(string template, string database)
    {
        var script = await scripts.GetOrAdd(template, name => new(() => ScriptAsync(name))).Value;
        await ExecuteAsync($"CREATE DATABASE {Quoted(database)}; USE {Quoted(database)}; {script}");
    }

    public override Task DropAsync(string database) => ExecuteAsync($"DROP DATABASE IF EXISTS {Quoted(database)}");

    protected override string Quoted(string name) => $"`{name}`";

    protected override DbConnection Administrator() => new MySqlConnection($"Server={Socket};ConnectionProtocol=unix;UserID=root;Pooling=false");

    /// <summary>The statements that make a database's tables and rows in an empty one.</summary>
    private async Task<string> ScriptAsync(string template)
    {
        await using var connection = Administrator();
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = $"SELECT table_name FROM information_schema.tables WHERE table_schema = '{template}' ORDER BY 1";
        var tables = new List<string>();
        await using (var names = await command.ExecuteReaderAsync())
        {
            while (await names.ReadAsync())
            {
                tables.Add(Quoted(names.GetString(0)));
            }
        }

        var script = new StringBuilder("SET foreign_key_checks = 0;");
        foreach (var table in tables)
        {
            var source = $"{Quoted(template)}.{table}";
            command.CommandText = $"SHOW CREATE TABLE {source}; SELECT EXISTS (SELECT 1 FROM {source})";
            await using var shown = await command.ExecuteReaderAsync();
            await shown.ReadAsync();
            script.Append(shown.GetString(1)).Append(';');
            await shown.NextResultAsync();
            await shown.ReadAsync();
            if (shown.GetInt32(0) != 0)
            {
                script.Append($"INSERT INTO {table} SELECT * FROM {source};");
            }
        }

        return script.ToString();
    }

    protected override (string[] Install, string[] Run) Commands()
    {
        var data = $"{Folder}/data";
        // Another character set and collation than ours: nothing may depend on the server's.
        return (
            [
                Find("/usr/bin/mariadb-install-db"), "--no-defaults", $"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
                "--innodb-flush-method=nosync", "--innodb-log-file-size=8M",
            ],
            [
                Find("/usr/sbin/mariadbd"), "--no-defaults", $"--datadir={data}", $"--socket={Socket}", $"--pid-file={Folder}/pid", "--skip-networking", "--skip-log-bin", "--skip-name-resolve",
                "--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M",
                "--max-connections=400", "--performance-schema=OFF", "--character-set-server=utf8mb3", "--collation-server=utf8mb3_general_ci",
            ]);
    }
}
