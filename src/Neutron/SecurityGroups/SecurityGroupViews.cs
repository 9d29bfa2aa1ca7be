using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary>A security group with its rules, as a caller sees it.</summary>
internal sealed record SecurityGroupView(SecurityGroupRow Row, IReadOnlyList<SecurityGroupRuleView> Rules, IReadOnlyList<string> Tags, IReadOnlyList<string> SharedWith, bool IsShared) : IResourceView<SecurityGroupRow>, ISharedView;

/// <summary>A rule, and who owns its group.</summary>
internal sealed record SecurityGroupRuleView(SecurityGroupRuleRow Row, string GroupProjectId) : IResourceView<SecurityGroupRuleRow>;
