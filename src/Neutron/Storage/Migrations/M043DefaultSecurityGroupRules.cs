using FluentMigrator;

namespace SharpStack.Neutron.Storage.Migrations;

[Migration(43, "The rules that new security groups begin with")]
public sealed class M043DefaultSecurityGroupRules : ForwardOnlyMigration
{
    private const string Table = "default_security_group_rules";

    public override void Up()
    {
        Create.ResourceTable(Table)
            .WithColumn("remote_group_id").AsString(36).Nullable()
            .WithColumn("remote_address_group_id").AsString(36).Nullable()
            .WithColumn("direction").AsString(16).NotNullable()
            .WithColumn("ethertype").AsString(16).NotNullable()
            .WithColumn("protocol").AsString(40).Nullable()
            .WithColumn("port_range_min").AsInt32().Nullable()
            .WithColumn("port_range_max").AsInt32().Nullable()
            .WithColumn("remote_ip_prefix").AsString(255).Nullable()
            .WithColumn("used_in_default_sg").AsBoolean().NotNullable()
            .WithColumn("used_in_non_default_sg").AsBoolean().NotNullable();

        // What groups have always begun with.
        foreach (var ethertype in (string[])["IPv4", "IPv6"])
        {
            Insert.IntoTable(Table).Row(Rule("egress", ethertype, null, isForOthers: true));
            Insert.IntoTable(Table).Row(Rule("ingress", ethertype, DefaultSecurityGroupRuleRow.Parent, isForOthers: false));
        }
    }

    private static Dictionary<string, object?> Rule(string direction, string ethertype, string? remoteGroup, bool isForOthers) => new()
    {
        ["id"] = Guid.NewGuid().ToString("D"),
        ["project_id"] = "",
        ["name"] = "",
        ["description"] = $"Legacy default SG rule for {direction} traffic",
        ["revision"] = 0L,
        ["created_at"] = 0L,
        ["updated_at"] = 0L,
        ["remote_group_id"] = remoteGroup,
        ["direction"] = direction,
        ["ethertype"] = ethertype,
        ["used_in_default_sg"] = true,
        ["used_in_non_default_sg"] = isForOthers,
    };
}
