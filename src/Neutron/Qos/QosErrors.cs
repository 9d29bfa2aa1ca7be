using SharpStack.Foundation;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.Qos;

internal static class QosErrors
{
    public static CloudException PolicyNotFound(string id) => NeutronErrors.NotFound("QosPolicyNotFound", $"QoS policy {id} could not be found.");

    public static CloudException RuleNotFound(string policyId, string id) => NeutronErrors.NotFound("QosRuleNotFound", $"QoS rule {id} for policy {policyId} could not be found.");

    public static CloudException InUse(string policyId, string type, string id) => NeutronErrors.Conflict("QosPolicyInUse", $"QoS Policy {policyId} is used by {type} {id}.");

    public static CloudException DefaultExists(string projectId) => NeutronErrors.Conflict("QoSPolicyDefaultAlreadyExists", $"A default QoS policy exists for project {projectId}.");

    public static CloudException NotSupportedByPort(string type, string portId) => NeutronErrors.Conflict("QosRuleNotSupported", $"Rule {type} is not supported by port {portId}");

    public static CloudException NotSupportedByNetwork(string type, string networkId) => NeutronErrors.Conflict("QosRuleNotSupportedByNetwork", $"Rule {type} is not supported by network {networkId}");

    public static CloudException TrackedInPlacement() =>
        new(ErrorKind.NotImplemented, "Cannot update QoS policies/rules backed by resources tracked in Placement", "NotImplementedError");

    public static CloudException Conflicts(string type, QosRuleRow existing) =>
        NeutronErrors.Conflict("QoSRulesConflict", $"Rule {type} conflicts with rule {existing.Id} which already exists in QoS Policy {existing.PolicyId}.");

    public static CloudException ConflictingValue(object value, QosRuleRow existing, object existingValue) => NeutronErrors.Conflict(
        "QoSRuleParameterConflict",
        $"Unable to add the rule with value {value} to the policy {existing.PolicyId} as the existing rule of type {existing.Type} has value {existingValue}.");

    public static CloudException MayNotRemove(string policyId) =>
        CloudException.Forbidden($"Failed to remove provided policy {policyId} because you are not authorized.", "PolicyRemoveAuthorizationError");
}
