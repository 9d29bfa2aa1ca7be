using System.Globalization;
using System.Text;
using SharpStack.OpenVSwitch.OpenFlow;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>What a learned flow takes over from the packet that made it.</summary>
public sealed record LearnSpec
{
    private enum Target
    {
        Match,
        Load,
        Output,
    }

    private Target Kind { get; init; }

    private Subfield? Source { get; init; }

    private ulong Constant { get; init; }

    private Subfield Destination { get; init; }

    /// <summary>The new flow matches, in <paramref name="destination"/>, what this packet has in <paramref name="source"/>.</summary>
    public static LearnSpec Match(Subfield destination, Subfield source) => new() { Kind = Target.Match, Source = source, Destination = destination };

    /// <summary>The new flow matches what this packet has in the same field.</summary>
    public static LearnSpec Match(Subfield field) => Match(field, field);

    /// <summary>The new flow loads what this packet has in <paramref name="source"/>.</summary>
    public static LearnSpec Load(Subfield source, Subfield destination) => new() { Kind = Target.Load, Source = source, Destination = destination };

    /// <summary>The new flow loads a constant.</summary>
    public static LearnSpec Load(ulong constant, Subfield destination) => new() { Kind = Target.Load, Constant = constant, Destination = destination };

    /// <summary>The new flow sends packets to the port whose number this packet has in <paramref name="source"/>.</summary>
    public static LearnSpec Output(Subfield source) => new() { Kind = Target.Output, Source = source, Destination = source };

    internal void Write(OpenFlowBuffer buffer)
    {
        buffer.U16((ushort)((Source is null ? 1 << 13 : 0) | ((int)Kind << 11) | Destination.Bits));
        if (Source is { } source)
        {
            buffer.U32(source.Field.ActionHeader);
            buffer.U16((ushort)source.Offset);
        }
        else
        {
            buffer.Value(Constant, (Destination.Bits + 15) / 16 * 2);
        }

        if (Kind != Target.Output)
        {
            buffer.U32(Destination.Field.ActionHeader);
            buffer.U16((ushort)Destination.Offset);
        }
    }

    /// <summary>Null at the padding after the last one.</summary>
    internal static LearnSpec? Read(ref OpenFlowReader reader)
    {
        if (reader.Remaining < 2 || reader.U16() is not (> 0 and var header))
        {
            return null;
        }

        var bits = header & 0x3ff;
        Subfield? source = null;
        ulong constant = 0;
        if ((header & (1 << 13)) != 0)
        {
            constant = (ulong)reader.Value((bits + 15) / 16 * 2);
        }
        else
        {
            source = ReadSubfield(ref reader, bits);
        }

        var kind = (Target)((header >> 11) & 3);
        return new() { Kind = kind, Source = source, Constant = constant, Destination = kind == Target.Output ? source ?? default : ReadSubfield(ref reader, bits) };
    }

    private static Subfield ReadSubfield(ref OpenFlowReader reader, int bits)
    {
        var field = FlowField.FromHeader(reader.U32());
        return new(field, reader.U16(), bits);
    }

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        Target.Output => $"output:{Source}",
        Target.Load => $"load:{(Source is { } source ? source.ToString() : FlowField.Hex(Constant))}->{Destination}",
        _ when Source == Destination => Destination.ToString(),
        _ => $"{Destination}={(Source is { } source ? source.ToString() : FlowField.Hex(Constant))}",
    };
}

/// <summary>Installs a flow made from the packet: <c>learn(...)</c>.</summary>
public sealed record LearnAction(byte Table, EquatableArray<LearnSpec> Specs) : FlowAction
{
    /// <summary>Seconds without a packet after which the learned flow goes; 0 never.</summary>
    public ushort IdleTimeout { get; init; }

    /// <summary>Seconds after which the learned flow goes; 0 never.</summary>
    public ushort HardTimeout { get; init; }

    /// <summary>The learned flow's priority.</summary>
    public ushort Priority { get; init; } = 0x8000;

    /// <summary>The learned flow's cookie.</summary>
    public ulong Cookie { get; init; }

    internal ushort Flags { get; init; }

    internal override void Write(OpenFlowBuffer buffer)
    {
        var start = BeginNicira(buffer, 16);
        buffer.U16(IdleTimeout);
        buffer.U16(HardTimeout);
        buffer.U16(Priority);
        buffer.U64(Cookie);
        buffer.U16(Flags);
        buffer.U8(Table);
        buffer.Zeros(5); // one of padding, then the timeouts after a FIN, which are not used
        foreach (var spec in Specs)
        {
            spec.Write(buffer);
        }

        End(buffer, start);
    }

    internal static LearnAction ReadBody(ref OpenFlowReader body)
    {
        ushort idle = body.U16(), hard = body.U16(), priority = body.U16();
        var cookie = body.U64();
        var flags = body.U16();
        var table = body.U8();
        body.Skip(5);
        var specs = new List<LearnSpec>();
        while (LearnSpec.Read(ref body) is { } spec)
        {
            specs.Add(spec);
        }

        return new(table, [.. specs]) { IdleTimeout = idle, HardTimeout = hard, Priority = priority, Cookie = cookie, Flags = flags };
    }

    internal override void Format(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"learn(table={Table}");
        if (IdleTimeout > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $",idle_timeout={IdleTimeout}");
        }

        if (HardTimeout > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $",hard_timeout={HardTimeout}");
        }

        if (Priority != 0x8000)
        {
            text.Append(CultureInfo.InvariantCulture, $",priority={Priority}");
        }

        if ((Flags & 1) != 0)
        {
            text.Append(",send_flow_rem");
        }

        if ((Flags & 2) != 0)
        {
            text.Append(",delete_learned");
        }

        if (Cookie > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $",cookie={FlowField.Hex(Cookie)}");
        }

        foreach (var spec in Specs)
        {
            text.Append(',').Append(spec.ToString());
        }

        text.Append(')');
    }
}
