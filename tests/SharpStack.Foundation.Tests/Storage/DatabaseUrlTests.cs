using SharpStack.Foundation.Storage;

namespace SharpStack.Foundation.Tests.Storage;

public sealed class DatabaseUrlTests
{
    [Theory]
    [InlineData("mysql+pymysql://nova:s3cret@controller/nova?charset=utf8", DatabaseEngine.MariaDb, "controller", null, "nova", "s3cret", "nova")]
    [InlineData("mysql+pymysql://nova:p%40ss%2Fw%3Ard%25@10.0.0.11:3307/nova_api", DatabaseEngine.MariaDb, "10.0.0.11", 3307, "nova", "p@ss/w:rd%", "nova_api")]
    [InlineData("mysql://root@localhost/x?unix_socket=/run/mysqld/mysqld.sock", DatabaseEngine.MariaDb, "localhost", null, "root", "", "x")]
    [InlineData("mariadb+mariadbconnector://a:b@h/d", DatabaseEngine.MariaDb, "h", null, "a", "b", "d")]
    [InlineData("postgresql+psycopg2://k:pw@[fd00::11]:5433/keystone?sslmode=require", DatabaseEngine.PostgreSql, "fd00::11", 5433, "k", "pw", "keystone")]
    [InlineData("postgresql://k@/keystone?host=/var/run/postgresql", DatabaseEngine.PostgreSql, "", null, "k", "", "keystone")]
    [InlineData("sqlite:////var/lib/nova/nova.db", DatabaseEngine.Sqlite, "", null, "", "", "/var/lib/nova/nova.db")]
    [InlineData("sqlite:///nova.db", DatabaseEngine.Sqlite, "", null, "", "", "nova.db")]
    [InlineData("sqlite://", DatabaseEngine.Sqlite, "", null, "", "", "")]
    [InlineData("sqlite:///:memory:", DatabaseEngine.Sqlite, "", null, "", "", "")]
    public void SqlAlchemys_urls_are_read(string text, DatabaseEngine engine, string host, int? port, string user, string password, string database)
    {
        var url = DatabaseUrl.Parse(text);
        Assert.Equal((engine, host, port, user, password, database), (url.Engine, url.Host, url.Port, url.UserName, url.Password, url.Database));
        if (password.Length > 0)
        {
            Assert.DoesNotContain($":{password}@", url.ToString(), StringComparison.Ordinal);
            Assert.Contains(":***@", url.ToString(), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("oracle://nova:geheim@db/nova", "no engine oracle")]
    [InlineData("postgres://nova:geheim@db/nova", "postgresql://")]
    [InlineData("mysql+pymysql://nova:geheim@db", "names no database")]
    [InlineData("mysql+pymysql://db/nova", "names no user")]
    [InlineData("mysql+pymysql://nova:geheim@db:dreitausend/nova", "port")]
    [InlineData("mysql+pymysql://nova:geheim@db/nova?charset=latin1", "charset=latin1")]
    [InlineData("mysql+pymysql://nova:geheim@db/nova?sslmode=require", "no parameter 'sslmode'")]
    [InlineData("sqlite://nova.db", "three slashes")]
    [InlineData("nova.db", "engine://")]
    [InlineData("", "engine://")]
    public void A_wrong_url_is_refused_in_words_that_hold_no_password(string text, string why)
    {
        var failure = Assert.Throws<FormatException>(() => DatabaseUrl.Parse(text));
        Assert.Contains(why, failure.Message, StringComparison.Ordinal);
        Assert.Contains("[database] connection", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("heim", failure.Message, StringComparison.Ordinal);
    }
}
