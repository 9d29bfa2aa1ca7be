using SharpStack.Foundation;
using SharpStack.Neutron.Api;

namespace SharpStack.Neutron.Trunks;

internal static class TrunkErrors
{
    public static CloudException NotFound(string id) => NeutronErrors.NotFound("TrunkNotFound", $"Trunk {id} could not be found.");

    public static CloudException SubPortNotFound(string trunkId, string portId) => NeutronErrors.NotFound("SubPortNotFound", $"SubPort {portId} on trunk {trunkId} could not be found.");

    public static CloudException DuplicateSubPort(SubPortRow row) => NeutronErrors.Conflict(
        "DuplicateSubPort", $"segmentation_type {row.SegmentationType} and segmentation_id {row.SegmentationId} already in use on trunk {row.TrunkId}.");

    public static CloudException PortInUse(string portId) => NeutronErrors.Conflict("TrunkPortInUse", $"Port {portId} is in use by another trunk.");

    public static CloudException ParentInUse(string portId) =>
        NeutronErrors.Conflict("ParentPortInUse", $"Port {portId} is currently in use and is not eligible for use as a parent port.");

    public static CloudException TooLargeMtu(string portId, int mtu, string parentId, int parentMtu) => NeutronErrors.Conflict(
        "SubPortMtuGreaterThanTrunkPortMtu", $"MTU {mtu} of subport {portId} cannot be greater than MTU {parentMtu} of trunk {parentId}.");

    public static CloudException IsParent(string portId, string trunkId) => NeutronErrors.Conflict("PortInUseAsTrunkParent", $"Port {portId} is currently a parent port for trunk {trunkId}.");

    public static CloudException IsSubPort(string portId, string trunkId) => NeutronErrors.Conflict("PortInUseAsSubPort", $"Port {portId} is currently a subport for trunk {trunkId}.");

    public static CloudException InUse(string id) => NeutronErrors.Conflict("TrunkInUse", $"Trunk {id} is currently in use.");

    public static CloudException InErrorState(string id) =>
        NeutronErrors.Conflict("TrunkInErrorState", $"Trunk {id} is in error state. Attempt to resolve the error condition before proceeding.");

    public static CloudException Disabled(string id) => NeutronErrors.Conflict("TrunkDisabled", $"Trunk {id} is currently disabled.");
}
