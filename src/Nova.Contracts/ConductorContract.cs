using SharpStack.Foundation.Bus;

namespace SharpStack.Nova.Contracts;

/// <summary>
/// What compute hosts ask and tell the conductor. The conductor holds what should be; a host reads it by instance, makes it so, and reports what it
/// saw. Every call may be repeated.
/// </summary>
public static class ConductorContract
{
    public static readonly BusTopic Topic = new("nova", "nova-conductor");

    /// <summary>A host's heartbeat and facts, every <c>report_interval</c> (10 s). The conductor keeps the service and hypervisor rows by it and
    /// publishes provider, inventories and traits in Placement: hosts need no Placement credentials.</summary>
    public static readonly BusContract<HostReport, HostReportReply> ReportHost =
        new(Topic, "report_host", 1, ContractJson.Default.HostReport, ContractJson.Default.HostReportReply);

    /// <summary>The instances that this host should know: all with its name on them, those to be removed included. A guest on the host that is not
    /// listed is a remnant: ask <see cref="GetInstance"/> and remove it when the answer is absent.</summary>
    public static readonly BusContract<HostQuery, InstanceList> ListInstances =
        new(Topic, "list_instances", 1, ContractJson.Default.HostQuery, ContractJson.Default.InstanceList);

    /// <summary>What one instance should be on the asking host.</summary>
    public static readonly BusContract<InstanceQuery, InstanceAnswer> GetInstance =
        new(Topic, "get_instance", 1, ContractJson.Default.InstanceQuery, ContractJson.Default.InstanceAnswer);

    /// <summary>What the host saw of one instance: progress, the end of an action, or a guest that changed by itself.</summary>
    public static readonly BusContract<InstanceReport, InstanceReportReply> ReportInstance =
        new(Topic, "report_instance", 1, ContractJson.Default.InstanceReport, ContractJson.Default.InstanceReportReply);

    /// <summary>Start or end of one step of an action, for <c>openstack server event show</c>.</summary>
    public static readonly BusContract<ActionEventReport, Ack> ReportEvent =
        new(Topic, "report_event", 1, ContractJson.Default.ActionEventReport, ContractJson.Default.Ack);
}
