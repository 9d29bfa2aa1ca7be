namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>A meter of a bridge: packets beyond a rate are dropped.</summary>
/// <param name="Id">From 1; flows name it by <see cref="Flows.FlowAction.Meter"/>.</param>
/// <param name="Rate">Kilobits a second.</param>
/// <param name="Burst">Kilobits that may pass at once.</param>
public sealed record FlowMeter(uint Id, uint Rate, uint Burst);
