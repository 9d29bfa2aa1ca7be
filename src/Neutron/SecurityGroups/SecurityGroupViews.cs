using SharpStack.Neutron.Api;
using SharpStack.Neutron.Storage;

namespace SharpStack.Neutron.SecurityGroups;

/// <summary>A security group with its rules, as a caller sees it.</summary>
internal sealed record SecurityGroupView(SecurityGroupRow Row, IReadOnlyList<SecurityGroupRuleView> Rules, IReadOnlyList<string> Tags, IReadOnlyList<string> SharedWith, bool IsShared) : IResourceView<SecurityGroupRow>, ISharedView;

/// <summary>A rule, who owns its group, and whether that is the default one.</summary>
internal sealed record SecurityGroupRuleView(SecurityGroupRuleRow Row, string GroupProjectId, bool IsOfDefault) : IResourceView<SecurityGroupRuleRow>;
