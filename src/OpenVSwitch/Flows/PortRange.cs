using System.Numerics;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>A transport port under a mask.</summary>
public readonly record struct MaskedPort(ushort Value, ushort Mask);

/// <summary>Ranges of transport ports as the fewest masked values.</summary>
public static class PortRange
{
    /// <summary>Covers <paramref name="first"/> to <paramref name="last"/> (both inclusive) exactly and without overlap.</summary>
    public static IReadOnlyList<MaskedPort> ToMasks(ushort first, ushort last)
    {
        var masks = new List<MaskedPort>();
        for (var start = (uint)first; start <= last;)
        {
            // The largest aligned block that begins here and does not pass the end.
            var bits = start == 0 ? 16 : BitOperations.TrailingZeroCount(start);
            while (bits > 16 || start + (1u << bits) - 1 > last)
            {
                bits--;
            }

            masks.Add(new((ushort)start, (ushort)(0xffff << bits)));
            start += 1u << bits;
        }

        return masks;
    }
}
