using System.Buffers;
using System.Text;
using SharpStack.OpenVSwitch.Ovsdb;

namespace SharpStack.OpenVSwitch.Tests.Ovsdb;

public sealed class OvsdbCodecTests
{
    [Fact]
    public void Messages_are_cut_out_of_the_stream_wherever_the_pieces_end()
    {
        const string Stream = """{"id":1,"result":["a}","\"{"],"error":null}{"id":2,"x":{"y":[{}]}} {"id":3}""";
        var bytes = Encoding.UTF8.GetBytes(Stream);
        var framing = default(JsonFraming);
        var messages = new List<string>();
        var start = 0;
        for (var end = 1; end <= bytes.Length; end++)
        {
            var buffer = new ReadOnlySequence<byte>(bytes, start, end - start);
            while (framing.TryRead(ref buffer, out var message))
            {
                messages.Add(Encoding.UTF8.GetString(message).Trim());
                start += (int)message.Length;
            }
        }

        Assert.Equal(["""{"id":1,"result":["a}","\"{"],"error":null}""", """{"id":2,"x":{"y":[{}]}}""", """{"id":3}"""], messages);
    }

    [Fact]
    public void A_transaction_is_written_as_rfc_7047_has_it()
    {
        var transaction = new OvsdbTransaction();
        var port = transaction.Insert("Port", new Dictionary<string, OvsdbValue> { ["name"] = "p", ["tag"] = 3L, ["other_config"] = OvsdbValue.Map(new Dictionary<string, string> { ["a"] = "b" }) });
        transaction.Mutate("Bridge", [new OvsdbCondition("name", "==", "br-int")], OvsdbMutation.Insert("ports", port));
        transaction.Wait("Bridge", [], new Dictionary<string, OvsdbValue> { ["name"] = "br-int" }, TimeSpan.Zero);
        transaction.Delete("Port", OvsdbCondition.Is(Guid.Parse("2f77b348-9768-4866-b761-89d5177ecda0")));
        transaction.Update("Port", [], new Dictionary<string, OvsdbValue> { ["tag"] = OvsdbValue.Empty, ["trunks"] = OvsdbValue.Set(2L, 1L, 2L) });
        transaction.Select("Port", [], ["name"]);
        transaction.Comment("why");

        Assert.Equal(
            """[{"op":"insert","table":"Port","uuid-name":"row0","row":{"name":"p","tag":3,"other_config":["map",[["a","b"]]]}},"""
            + """{"op":"mutate","table":"Bridge","where":[["name","==","br-int"]],"mutations":[["ports","insert",["named-uuid","row0"]]]},"""
            + """{"op":"wait","table":"Bridge","timeout":0,"where":[],"columns":["name"],"until":"==","rows":[{"name":"br-int"}]},"""
            + """{"op":"delete","table":"Port","where":[["_uuid","==",["uuid","2f77b348-9768-4866-b761-89d5177ecda0"]]]},"""
            + """{"op":"update","table":"Port","where":[],"row":{"tag":["set",[]],"trunks":["set",[1,2]]}},"""
            + """{"op":"select","table":"Port","where":[],"columns":["name"]},"""
            + """{"op":"comment","comment":"why"}]""",
            transaction.ToString());
    }

    [Fact]
    public void Differences_of_sets_and_maps_are_applied()
    {
        Assert.Equal(OvsdbValue.Set(1L, 3L), OvsdbValue.Set(1L, 2L).Modify(OvsdbValue.Set(2L, 3L)));
        var map = OvsdbValue.Map(new Dictionary<string, string> { ["stays"] = "1", ["changes"] = "2", ["goes"] = "3" });
        var difference = OvsdbValue.Map(new Dictionary<string, string> { ["changes"] = "4", ["goes"] = "3", ["comes"] = "5" });
        Assert.Equal(new Dictionary<string, string> { ["stays"] = "1", ["changes"] = "4", ["comes"] = "5" }, map.Modify(difference).ToMap());
        Assert.Equal(["comes"], OvsdbValue.Empty.Modify(OvsdbValue.Map(new Dictionary<string, string> { ["comes"] = "5" })).ToMap().Keys);
    }

    [Fact]
    public void A_value_of_the_wrong_type_says_so()
    {
        var error = Assert.Throws<OvsdbException>(() => OvsdbValue.Set("text").Keys[0].Number);
        Assert.Contains("'text' where an integer was expected", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/run/db.sock")]
    [InlineData("tcp:localhost")]
    [InlineData("ssl:host:6640")]
    public async Task An_endpoint_of_another_form_is_refused(string text) =>
        await Assert.ThrowsAsync<FormatException>(() => new OvsdbEndpoint(text).ConnectAsync(CancellationToken.None));
}
