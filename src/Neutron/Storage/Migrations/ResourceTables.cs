using FluentMigrator.Builders.Create;
using FluentMigrator.Builders.Create.Table;

namespace SharpStack.Neutron.Storage.Migrations;

internal static class ResourceTables
{
    /// <summary>A table with what every resource of the API has.</summary>
    public static ICreateTableColumnOptionOrWithColumnSyntax ResourceTable(this ICreateExpressionRoot create, string name) =>
        create.Table(name)
            .WithColumn("id").AsString(36).PrimaryKey()
            .WithColumn("project_id").AsString(255).NotNullable()
            .WithColumn("name").AsString(255).NotNullable()
            .WithColumn("description").AsString(255).NotNullable()
            .WithColumn("revision").AsInt64().NotNullable()
            .WithColumn("created_at").AsInt64().NotNullable()
            .WithColumn("updated_at").AsInt64().NotNullable();
}
