using System.Globalization;
using System.Net;
using System.Text;
using SharpStack.OpenVSwitch.OpenFlow;

namespace SharpStack.OpenVSwitch.Flows;

/// <summary>
/// What a flow does with a packet: an immutable value that prints as in ovs-ofctl. <see cref="GotoTable"/> may stand last; all others are
/// applied in order.
/// </summary>
public abstract record FlowAction
{
    private const ushort Experimenter = 0xffff;
    private const uint Nicira = 0x2320;

    /// <summary>Sends the packet out of a port.</summary>
    public static FlowAction Output(uint port) => new OutputAction(port);

    /// <summary>Drops the packet if it is beyond the meter's rate; only as the first action of a flow.</summary>
    public static FlowAction Meter(uint id) => new MeterAction(id);

    /// <summary>Marks an IP packet with a differentiated services code point, 0 to 63.</summary>
    public static FlowAction SetDscp(byte mark) => SetField(FlowField.IpDscp, mark);

    /// <summary>Switches as a learning switch.</summary>
    public static FlowAction Normal { get; } = new OutputAction(PortNumbers.Normal);

    /// <summary>Sends the packet back out of the port it came in by.</summary>
    public static FlowAction InPort { get; } = new OutputAction(PortNumbers.InPort);

    /// <summary>Goes on in another table and comes back: <c>resubmit(,table)</c>.</summary>
    public static FlowAction Resubmit(byte table) => new ResubmitAction(ResubmitAction.SamePort, table);

    /// <summary>Goes on in another table; only as the last action of a flow.</summary>
    public static FlowAction GotoTable(byte table) => new GotoTableAction(table);

    /// <summary>Adds an 802.1Q tag, whose id is to be set next.</summary>
    public static FlowAction PushVlan { get; } = new PushVlanAction(0x8100);

    /// <summary>Takes the outer tag away.</summary>
    public static FlowAction PopVlan { get; } = new PopVlanAction();

    /// <summary>Sets the VLAN id of a tagged packet: <c>set_field:4097->vlan_vid</c>.</summary>
    public static FlowAction SetVlan(int id) => SetField(FlowField.VlanVid, (uint)(0x1000 | id));

    /// <summary>Sets a register.</summary>
    public static FlowAction SetRegister(int number, uint value) => SetField(FlowField.Register(number), value);

    /// <summary>Sets the source MAC address.</summary>
    public static FlowAction SetEthSrc(MacAddress address) => SetField(FlowField.EthSrc, address.Value);

    /// <summary>Sets the destination MAC address.</summary>
    public static FlowAction SetEthDst(MacAddress address) => SetField(FlowField.EthDst, address.Value);

    /// <summary>Sets the tunnel key.</summary>
    public static FlowAction SetTunnel(ulong id) => SetField(FlowField.TunId, id);

    /// <summary>Sets a whole field.</summary>
    public static FlowAction SetField(FlowField field, UInt128 value) => new SetFieldAction(field, value & field.AllOnes);

    /// <summary>Sets bits of a field: <c>load:value->field[..]</c>.</summary>
    public static FlowAction Load(ulong value, Subfield destination) => new LoadAction(value, destination);

    /// <summary>Loads an IPv4 address.</summary>
    public static FlowAction Load(IPAddress value, Subfield destination) => new LoadAction((ulong)Addresses.ToNumber(value), destination);

    /// <summary>Copies bits: <c>move:source->destination</c>.</summary>
    public static FlowAction Move(Subfield source, Subfield destination) => new MoveAction(source, destination);

    /// <summary>Through the connection tracker, then on in <paramref name="table"/>.</summary>
    public static FlowAction Track(byte table, Subfield zone) => new TrackAction { Table = table, Zone = zone };

    /// <summary>Forgets that the packet has been through the tracker.</summary>
    public static FlowAction ClearTracking { get; } = new ClearTrackingAction();

    /// <summary>Remembers the connection, with actions on the entry (<see cref="SetField"/> of ct_mark).</summary>
    public static FlowAction Commit(Subfield zone, params ReadOnlySpan<FlowAction> exec) => new TrackAction { Commits = true, Zone = zone, Exec = EquatableArray.Create(exec) };

    /// <summary>Remembers the connection in a constant zone.</summary>
    public static FlowAction Commit(ushort zone, params ReadOnlySpan<FlowAction> exec) => new TrackAction { Commits = true, ConstantZone = zone, Exec = EquatableArray.Create(exec) };

    /// <summary>Clause <paramref name="clause"/> (from 1) of <paramref name="clauses"/> of a conjunction.</summary>
    public static FlowAction Conjunction(uint id, byte clause, byte clauses) => new ConjunctionAction(id, clause, clauses);

    internal abstract void Write(OpenFlowBuffer buffer);

    internal abstract void Format(StringBuilder text);

    /// <inheritdoc/>
    public sealed override string ToString()
    {
        var text = new StringBuilder();
        Format(text);
        return text.ToString();
    }

    internal static void FormatAll(StringBuilder text, ReadOnlySpan<FlowAction> actions)
    {
        for (var i = 0; i < actions.Length; i++)
        {
            if (i > 0)
            {
                text.Append(',');
            }

            actions[i].Format(text);
        }
    }

    /// <summary>An instruction that this library never writes.</summary>
    internal static FlowAction Foreign(ushort instruction, ReadOnlySpan<byte> body) => new UnknownAction([(byte)(instruction >> 8), (byte)instruction, .. body]);

    /// <summary>Writes the length and the padding of an action around its body.</summary>
    private protected static int Begin(OpenFlowBuffer buffer, ushort type)
    {
        var start = buffer.Length;
        buffer.U16(type);
        buffer.U16(0);
        return start;
    }

    private protected static int BeginNicira(OpenFlowBuffer buffer, ushort subtype)
    {
        var start = Begin(buffer, Experimenter);
        buffer.U32(Nicira);
        buffer.U16(subtype);
        return start;
    }

    private protected static void End(OpenFlowBuffer buffer, int start)
    {
        buffer.Align8(start);
        buffer.PatchLength(start + 2, start);
    }

    /// <summary>Reads a list of actions that fills the span.</summary>
    internal static void ReadAll(ReadOnlySpan<byte> bytes, List<FlowAction> into)
    {
        var reader = new OpenFlowReader(bytes);
        while (reader.Remaining > 0)
        {
            var whole = new OpenFlowReader(bytes[^reader.Remaining..]);
            var type = reader.U16();
            var length = reader.U16();
            var body = new OpenFlowReader(reader.Take(length - 4));
            into.Add(Read(type, ref body) ?? new UnknownAction(EquatableArray.Create(whole.Take(length))));
        }
    }

    private static FlowAction? Read(ushort type, ref OpenFlowReader body)
    {
        switch (type)
        {
            case 0:
                return new OutputAction(body.U32()) { MaxLength = body.U16() };
            case 17:
                return new PushVlanAction(body.U16());
            case 18:
                return new PopVlanAction();
            case 25:
                var header = body.U32();
                return (header & 0x100) != 0 ? null : new SetFieldAction(FlowField.FromHeader(header), body.Value((int)(header & 0xff)));
            case Experimenter when body.U32() == Nicira:
                return ReadNicira(body.U16(), ref body);
            default:
                return null;
        }
    }

    private static FlowAction? ReadNicira(ushort subtype, ref OpenFlowReader body) => subtype switch
    {
        6 => MoveAction.ReadBody(ref body),
        7 => LoadAction.ReadBody(ref body),
        14 => new ResubmitAction(body.U16(), body.U8()),
        16 => LearnAction.ReadBody(ref body),
        34 => ConjunctionAction.ReadBody(ref body),
        35 => TrackAction.ReadBody(ref body),
        43 => new ClearTrackingAction(),
        _ => null,
    };

    private sealed record OutputAction(uint Port) : FlowAction
    {
        public ushort MaxLength { get; init; } = Port == 0xfffffffd ? (ushort)0xffff : (ushort)0;

        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = Begin(buffer, 0);
            buffer.U32(Port);
            buffer.U16(MaxLength);
            End(buffer, start);
        }

        internal override void Format(StringBuilder text)
        {
            if (Port <= 0xffffff00)
            {
                text.Append("output:");
            }

            text.Append(PortNumbers.Format(Port));
            if (Port == 0xfffffffd)
            {
                text.Append(CultureInfo.InvariantCulture, $":{MaxLength}");
            }
        }
    }

    private sealed record ResubmitAction(ushort Port, byte Table) : FlowAction
    {
        public const ushort SamePort = 0xfff8;

        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = BeginNicira(buffer, 14);
            buffer.U16(Port);
            buffer.U8(Table);
            End(buffer, start);
        }

        internal override void Format(StringBuilder text)
        {
            text.Append("resubmit(");
            if (Port != SamePort)
            {
                text.Append(CultureInfo.InvariantCulture, $"{Port}");
            }

            text.Append(CultureInfo.InvariantCulture, $",{Table})");
        }
    }

    internal sealed record GotoTableAction(byte Table) : FlowAction
    {
        /// <summary>An instruction, not an action, on the wire.</summary>
        internal override void Write(OpenFlowBuffer buffer)
        {
            buffer.U16(1);
            buffer.U16(8);
            buffer.U8(Table);
            buffer.Zeros(3);
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"goto_table:{Table}");
    }

    internal sealed record MeterAction(uint Id) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            buffer.U16(6);
            buffer.U16(8);
            buffer.U32(Id);
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"meter:{Id}");
    }

    private sealed record PushVlanAction(ushort EtherType) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = Begin(buffer, 17);
            buffer.U16(EtherType);
            End(buffer, start);
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"push_vlan:0x{EtherType:x4}");
    }

    private sealed record PopVlanAction : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer) => End(buffer, Begin(buffer, 18));

        internal override void Format(StringBuilder text) => text.Append("pop_vlan");
    }

    private sealed record SetFieldAction(FlowField Field, UInt128 Value) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = Begin(buffer, 25);
            buffer.U32(Field.Header);
            buffer.Value(Value, Field.Length);
            End(buffer, start);
        }

        internal override void Format(StringBuilder text)
        {
            text.Append("set_field:");
            Field.FormatValue(text, Value);
            text.Append("->").Append(Field.Name);
        }
    }

    private sealed record LoadAction(ulong Value, Subfield Destination) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = BeginNicira(buffer, 7);
            buffer.U16((ushort)((Destination.Offset << 6) | (Destination.Bits - 1)));
            buffer.U32(Destination.Field.ActionHeader);
            buffer.U64(Value);
            End(buffer, start);
        }

        internal static LoadAction ReadBody(ref OpenFlowReader body)
        {
            var bits = body.U16();
            var field = FlowField.FromHeader(body.U32());
            return new(body.U64(), new Subfield(field, bits >> 6, (bits & 0x3f) + 1));
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"load:{FlowField.Hex(Value)}->{Destination}");
    }

    private sealed record MoveAction(Subfield Source, Subfield Destination) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = BeginNicira(buffer, 6);
            buffer.U16((ushort)Source.Bits);
            buffer.U16((ushort)Source.Offset);
            buffer.U16((ushort)Destination.Offset);
            buffer.U32(Source.Field.ActionHeader);
            buffer.U32(Destination.Field.ActionHeader);
            End(buffer, start);
        }

        internal static MoveAction ReadBody(ref OpenFlowReader body)
        {
            int bits = body.U16(), from = body.U16(), to = body.U16();
            return new(new Subfield(FlowField.FromHeader(body.U32()), from, bits), new Subfield(FlowField.FromHeader(body.U32()), to, bits));
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"move:{Source}->{Destination}");
    }

    private sealed record ConjunctionAction(uint Id, byte Clause, byte Clauses) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = BeginNicira(buffer, 34);
            buffer.U8((byte)(Clause - 1));
            buffer.U8(Clauses);
            buffer.U32(Id);
            End(buffer, start);
        }

        internal static ConjunctionAction ReadBody(ref OpenFlowReader body)
        {
            byte clause = body.U8(), clauses = body.U8();
            return new(body.U32(), (byte)(clause + 1), clauses);
        }

        internal override void Format(StringBuilder text) => text.Append(CultureInfo.InvariantCulture, $"conjunction({Id},{Clause}/{Clauses})");
    }

    private sealed record TrackAction : FlowAction
    {
        private const byte NoTable = 0xff;

        public bool Commits { get; init; }

        public bool Force { get; init; }

        public byte Table { get; init; } = NoTable;

        public Subfield? Zone { get; init; }

        public ushort ConstantZone { get; init; }

        public ushort Helper { get; init; }

        public EquatableArray<FlowAction> Exec { get; init; }

        internal override void Write(OpenFlowBuffer buffer)
        {
            var start = BeginNicira(buffer, 35);
            buffer.U16((ushort)((Commits ? 1 : 0) | (Force ? 2 : 0)));
            buffer.U32(Zone?.Field.ActionHeader ?? 0);
            buffer.U16(Zone is { } zone ? (ushort)((zone.Offset << 6) | (zone.Bits - 1)) : ConstantZone);
            buffer.U8(Table);
            buffer.Zeros(3);
            buffer.U16(Helper);
            foreach (var action in Exec)
            {
                action.Write(buffer);
            }

            End(buffer, start);
        }

        internal static TrackAction ReadBody(ref OpenFlowReader body)
        {
            var flags = body.U16();
            var source = body.U32();
            var zone = body.U16();
            var table = body.U8();
            body.Skip(3);
            var helper = body.U16();
            var exec = new List<FlowAction>();
            ReadAll(body.Take(body.Remaining), exec);
            return new()
            {
                Commits = (flags & 1) != 0,
                Force = (flags & 2) != 0,
                Table = table,
                Zone = source == 0 ? null : new Subfield(FlowField.FromHeader(source), zone >> 6, (zone & 0x3f) + 1),
                ConstantZone = source == 0 ? zone : (ushort)0,
                Helper = helper,
                Exec = [.. exec],
            };
        }

        internal override void Format(StringBuilder text)
        {
            var parts = new List<string>();
            if (Commits)
            {
                parts.Add("commit");
            }

            if (Force)
            {
                parts.Add("force");
            }

            if (Table != NoTable)
            {
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"table={Table}"));
            }

            if (Zone is { } zone)
            {
                parts.Add($"zone={zone}");
            }
            else if (ConstantZone != 0)
            {
                parts.Add(string.Create(CultureInfo.InvariantCulture, $"zone={ConstantZone}"));
            }

            if (Exec.Count > 0)
            {
                parts.Add($"exec({string.Join(',', Exec)})");
            }

            text.Append("ct(").AppendJoin(',', parts).Append(')');
        }
    }

    private sealed record ClearTrackingAction : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer) => End(buffer, BeginNicira(buffer, 43));

        internal override void Format(StringBuilder text) => text.Append("ct_clear");
    }

    /// <summary>An action that this library does not know, kept as it is.</summary>
    private sealed record UnknownAction(EquatableArray<byte> Wire) : FlowAction
    {
        internal override void Write(OpenFlowBuffer buffer) => buffer.Bytes(Wire.AsSpan());

        internal override void Format(StringBuilder text) => text.Append("unknown(").Append(Convert.ToHexStringLower(Wire.AsSpan())).Append(')');
    }
}
