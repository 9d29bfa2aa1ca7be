namespace SharpStack.Neutron.Ipam;

/// <summary>Sets of prefixes of one IP version.</summary>
internal static class Prefixes
{
    /// <summary>The fewest prefixes that cover the same addresses, in order.</summary>
    public static List<Cidr> Compact(IEnumerable<Cidr> prefixes)
    {
        var ordered = prefixes.OrderBy(prefix => prefix.First).ToList();
        return ordered.Count == 0 ? [] : [.. Merge(ordered.Select(prefix => new IpRange(prefix.First, prefix.Last))).SelectMany(range => Cover(range, ordered[0].Version))];
    }

    /// <summary>What is left of the prefixes without the others.</summary>
    public static List<Cidr> Except(IEnumerable<Cidr> prefixes, IEnumerable<Cidr> gone)
    {
        var kept = prefixes.ToList();
        if (kept.Count == 0)
        {
            return [];
        }

        var left = kept.ConvertAll(prefix => new IpRange(prefix.First, prefix.Last));
        foreach (var hole in gone)
        {
            left = [.. left.SelectMany(range => Without(range, hole))];
        }

        return [.. Merge(left.OrderBy(range => range.First)).SelectMany(range => Cover(range, kept[0].Version))];
    }

    private static IEnumerable<IpRange> Without(IpRange range, Cidr hole)
    {
        if (hole.First > range.Last || hole.Last < range.First)
        {
            yield return range;
            yield break;
        }

        if (hole.First > range.First)
        {
            yield return range with { Last = hole.First - 1 };
        }

        if (hole.Last < range.Last)
        {
            yield return range with { First = hole.Last + 1 };
        }
    }

    private static List<IpRange> Merge(IEnumerable<IpRange> ordered)
    {
        var merged = new List<IpRange>();
        foreach (var range in ordered)
        {
            if (merged.Count > 0 && (merged[^1].Last == UInt128.MaxValue || range.First <= merged[^1].Last + 1))
            {
                merged[^1] = merged[^1] with { Last = UInt128.Max(merged[^1].Last, range.Last) };
            }
            else
            {
                merged.Add(range);
            }
        }

        return merged;
    }

    /// <summary>A range as prefixes: each the largest that begins where the one before ended.</summary>
    private static IEnumerable<Cidr> Cover(IpRange range, int version)
    {
        var bits = version == 4 ? 32 : 128;
        var first = range.First;
        while (true)
        {
            // Its size is a power of two that divides the first address and does not pass the last.
            var zeros = Math.Min(bits, first == 0 ? bits : (int)UInt128.TrailingZeroCount(first));
            while (zeros > 0 && (zeros == 128 ? range.Last != UInt128.MaxValue : range.Last - first < (UInt128.One << zeros) - 1))
            {
                zeros--;
            }

            var prefix = new Cidr(first, bits - zeros, version);
            yield return prefix;
            if (prefix.Last >= range.Last)
            {
                yield break;
            }

            first = prefix.Last + 1;
        }
    }
}
