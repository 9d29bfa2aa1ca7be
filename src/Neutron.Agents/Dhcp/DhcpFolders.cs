namespace SharpStack.Neutron.Agents.Dhcp;

/// <summary>The folders of the networks that a DHCP agent serves.</summary>
internal sealed class DhcpFolders(string root) : OwnedFolders(root);
