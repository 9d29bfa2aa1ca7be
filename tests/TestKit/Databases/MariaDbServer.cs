using System.Data.Common;
using MySqlConnector;

namespace SharpStack.TestKit.Databases;

internal sealed class MariaDbServer() : DatabaseServer("mariadb")
{
    protected override string SystemUser => "mysql";

    private string Socket => $"{Folder}/socket";

    public override string Url(string database) => $"mysql+pymysql://root@localhost/{database}?charset=utf8&unix_socket={Socket}";

    public override Task DropAsync(string database) => ExecuteAsync($"DROP DATABASE IF EXISTS {Quoted(database)}");

    protected override string Quoted(string name) => $"`{name}`";

    protected override DbConnection Administrator() => new MySqlConnection($"Server={Socket};ConnectionProtocol=unix;UserID=root;Pooling=false");

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
