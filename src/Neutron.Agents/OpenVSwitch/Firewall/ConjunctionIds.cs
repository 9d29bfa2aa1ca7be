using System.Buffers.Binary;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace SharpStack.Neutron.Agents.OpenVSwitch.Firewall;

/// <summary>The rules of a group that name one remote group, in one direction and family.</summary>
/// <param name="RemoteGroupId">A security group or an address group.</param>
/// <param name="Stateless">Whether the rules are for single packets.</param>
internal readonly record struct ConjunctionKey(string GroupId, string RemoteGroupId, bool Ingress, AddressFamily Family, bool Stateless = false);

/// <summary>
/// Numbers for conjunctions. Each key has a block of eight: two (established, new) for each of four priorities. They are derived from the key,
/// so that an agent that starts again finds its flows as they are.
/// </summary>
internal sealed class ConjunctionIds
{
    private const uint Block = 8;

    private readonly Dictionary<ConjunctionKey, uint> ids = [];
    private readonly HashSet<uint> taken = [];

    /// <summary>The number for established connections; the next one is for new ones.</summary>
    public uint Get(ConjunctionKey key, int priorityOffset)
    {
        if (!ids.TryGetValue(key, out var id))
        {
            var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{key.GroupId} {key.RemoteGroupId} {key.Ingress} {key.Family}{(key.Stateless ? " stateless" : "")}"));
            id = BinaryPrimitives.ReadUInt32BigEndian(hash) / Block * Block;

            // Zero is no conjunction, and two keys of one hash must differ.
            while (id == 0 || !taken.Add(id))
            {
                id += Block;
            }

            ids.Add(key, id);
        }

        return id + (uint)(priorityOffset * 2);
    }
}
