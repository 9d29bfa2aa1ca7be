using SharpStack.Foundation.Http;
using SharpStack.Neutron.Api;
using SharpStack.Neutron.Ml2;

namespace SharpStack.Neutron.Qos;

/// <summary><c>/v2.0/qos/rule-types</c>: the kinds of rules that this cloud follows.</summary>
internal static class QosRuleTypes
{
    public static void Map(ApiRoutes routes)
    {
        routes.Get("/v2.0/qos/rule-types", ListAsync).Policy("get_rule_type");
        routes.Get("/v2.0/qos/rule-types/{type}", ShowAsync).Policy("get_rule_type");
    }

    private static Task ListAsync(ApiContext context)
    {
        context.Enforce();
        var isAll = context.Query["all_rules"] is { } text && Checks.ToFlag(text);
        return context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("rule_types");
            foreach (var kind in QosRuleKind.All.Where(kind => isAll || kind.IsSupported))
            {
                json.WriteStartObject();
                json.WriteString("type", kind.Type);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>What drivers there are is for administrators, whatever the rule says.</summary>
    private static Task ShowAsync(ApiContext context)
    {
        context.Enforce();
        if (!context.Can("context_is_admin"))
        {
            throw context.Denied("context_is_admin");
        }

        var type = context.Route("type");
        var kind = QosRuleKind.All.FirstOrDefault(kind => kind.Type == type) ?? throw NeutronErrors.BadRequest($"Field value {type} is invalid");
        return context.WriteJsonAsync(200, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("rule_type");
            json.WriteString("type", kind.Type);
            json.WriteStartArray("drivers");
            if (kind.IsSupported)
            {
                json.WriteStartObject();
                json.WriteString("name", OpenVSwitchMechanismDriver.DriverName);
                json.WritePropertyName("supported_parameters");
                kind.WriteParameters(json);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        });
    }
}
