using System.Text;
using SharpStack.OpenVSwitch.Flows;

namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>A port as the bridge describes it.</summary>
public sealed record OpenFlowPort(uint Number, string Name, MacAddress Address);

/// <summary>A flow as it is in the switch, with its counters.</summary>
public sealed record InstalledFlow(Flow Flow, ulong Packets, ulong Bytes);

/// <summary>Which flows to dump or to compare: those of a cookie under a mask, in one table or all (null).</summary>
public readonly record struct FlowFilter(ulong Cookie = 0, ulong CookieMask = 0, byte? Table = null);

/// <summary>One connected bridge, while it is connected.</summary>
public sealed class OpenFlowSwitch
{
    private const byte AllTables = 255;
    private const uint NoBuffer = 0xffffffff;
    private const ushort FlowMultipart = 1;
    private const ushort MeterConfiguration = 10;
    private const ushort PortDescriptions = 13;
    private const uint AllMeters = 0xffffffff;
    private const ushort MeterFlags = 1 | 4 | 8; // kilobits, burst, statistics

    private readonly OpenFlowConnection connection;
    private int lastBundle;

    private OpenFlowSwitch(OpenFlowConnection connection, ulong datapathId, string name)
    {
        this.connection = connection;
        DatapathId = datapathId;
        Name = name;
    }

    /// <summary>The bridge's datapath id.</summary>
    public ulong DatapathId { get; }

    /// <summary>The bridge's name: that of its local port.</summary>
    public string Name { get; }

    /// <summary>Hello, features, and the name from the local port.</summary>
    internal static async Task<OpenFlowSwitch> GreetAsync(OpenFlowConnection connection, CancellationToken cancellationToken)
    {
        using (var hello = new OpenFlowBuffer())
        {
            OpenFlowConnection.Header(hello, OpenFlowType.Hello, connection.TakeXids());
            hello.U16(1); // OFPHET_VERSIONBITMAP
            hello.U16(8);
            hello.U32(1u << OpenFlowConnection.Version);
            hello.PatchLength(2, 0);
            await connection.SendAsync(hello.Written, cancellationToken);
        }

        if (!SpeaksOurVersion(await connection.Hello.WaitAsync(cancellationToken)))
        {
            throw new OpenFlowException("A bridge connected that does not speak OpenFlow 1.4: add OpenFlow14 to its protocols (ovs-vsctl set bridge BRIDGE protocols=OpenFlow10,OpenFlow13,OpenFlow14).");
        }

        ulong datapathId = 0;
        await SimpleAsync(connection, "?", "the features request", OpenFlowType.FeaturesRequest, OpenFlowType.FeaturesReply, body => datapathId = new OpenFlowReader(body).U64(), cancellationToken);
        var ports = await DescribePortsAsync(connection, "?", cancellationToken);
        var local = ports.FirstOrDefault(port => port.Number == PortNumbers.Local)
            ?? throw new OpenFlowException($"The bridge with datapath id {datapathId:x16} has no local port, so its name is not known.");
        return new(connection, datapathId, local.Name);
    }

    /// <summary>The bridge's ports.</summary>
    public Task<IReadOnlyList<OpenFlowPort>> DescribePortsAsync(CancellationToken cancellationToken) => DescribePortsAsync(connection, Name, cancellationToken);

    /// <summary>Waits until the switch has done all that was sent before.</summary>
    public Task BarrierAsync(CancellationToken cancellationToken) =>
        SimpleAsync(connection, Name, "a barrier", OpenFlowType.BarrierRequest, OpenFlowType.BarrierReply, static _ => { }, cancellationToken);

    /// <summary>The flows that the filter covers.</summary>
    public async Task<IReadOnlyList<InstalledFlow>> DumpFlowsAsync(FlowFilter filter, CancellationToken cancellationToken)
    {
        var flows = new List<InstalledFlow>();
        using var buffer = new OpenFlowBuffer();
        var xid = connection.TakeXids();
        OpenFlowConnection.Header(buffer, OpenFlowType.MultipartRequest, xid);
        buffer.U16(FlowMultipart);
        buffer.Zeros(6);
        buffer.U8(filter.Table ?? AllTables);
        buffer.Zeros(3);
        buffer.U32(PortNumbers.Any);
        buffer.U32(PortNumbers.Any); // any group
        buffer.Zeros(4);
        buffer.U64(filter.Cookie);
        buffer.U64(filter.CookieMask);
        FlowMatch.Any.Write(buffer);
        buffer.PatchLength(2, 0);
        await connection.RequestAsync(Multipart(Name, "a dump of its flows", xid, body => ReadFlows(body, flows)), buffer.Written, cancellationToken);
        return flows;
    }

    /// <summary>Applies all commands or, with an <see cref="OpenFlowException"/> that names the first one refused, none of them.</summary>
    public async Task ApplyAsync(IReadOnlyList<FlowCommand> commands, CancellationToken cancellationToken)
    {
        if (commands.Count == 0)
        {
            return;
        }

        var bundle = (uint)Interlocked.Increment(ref lastBundle);
        string Describe(int offset) => offset > 0 && offset <= commands.Count ? $"{commands[offset - 1].Kind} {commands[offset - 1].Flow}" : "the bundle";

        using (var buffer = new OpenFlowBuffer())
        {
            // Opened, filled and closed by a barrier, so that a flow refused while filling is known before the commit.
            var first = connection.TakeXids(commands.Count + 2);
            BundleControl(buffer, first, bundle, BundleStep.Open);
            for (var i = 0; i < commands.Count; i++)
            {
                BundleAdd(buffer, first + 1 + (uint)i, bundle, commands[i]);
            }

            OpenFlowConnection.Header(buffer, OpenFlowType.BarrierRequest, first + 1 + (uint)commands.Count);
            try
            {
                await connection.RequestAsync(new(Name, Describe, first, commands.Count + 2, static (type, _) => type == OpenFlowType.BarrierReply), buffer.Written, cancellationToken);
            }
            catch (OpenFlowErrorException)
            {
                using var discard = new OpenFlowBuffer();
                BundleControl(discard, connection.TakeXids(), bundle, BundleStep.Discard);
                await connection.SendAsync(discard.Written, cancellationToken);
                throw;
            }
        }

        using var commit = new OpenFlowBuffer();
        var xid = connection.TakeXids();
        BundleControl(commit, xid, bundle, BundleStep.Commit);
        await connection.RequestAsync(
            new(Name, _ => $"a bundle of {commands.Count} flow changes, beginning with {commands[0].Flow}", xid, 1, static (type, _) => type == OpenFlowType.BundleControl),
            commit.Written,
            cancellationToken);
    }

    /// <summary>
    /// Makes the flows that the filter covers those that are wanted, in one bundle; none is sent when they are so already. All wanted flows
    /// must be covered by the filter. Returns what was done.
    /// </summary>
    public async Task<FlowDifference> SynchronizeAsync(IEnumerable<Flow> wanted, FlowFilter filter, CancellationToken cancellationToken)
    {
        var actual = await DumpFlowsAsync(filter, cancellationToken);
        var difference = FlowDifference.Between(actual.Select(installed => installed.Flow), wanted);
        await ApplyAsync(difference.Commands(), cancellationToken);
        return difference;
    }

    /// <summary>The meters of the bridge that have one band, which drops.</summary>
    public async Task<IReadOnlyList<FlowMeter>> DumpMetersAsync(CancellationToken cancellationToken)
    {
        var meters = new List<FlowMeter>();
        using var buffer = new OpenFlowBuffer();
        var xid = connection.TakeXids();
        OpenFlowConnection.Header(buffer, OpenFlowType.MultipartRequest, xid);
        buffer.U16(MeterConfiguration);
        buffer.Zeros(6);
        buffer.U32(AllMeters);
        buffer.Zeros(4);
        buffer.PatchLength(2, 0);
        await connection.RequestAsync(Multipart(Name, "a dump of its meters", xid, body => ReadMeters(body, meters)), buffer.Written, cancellationToken);
        return meters;
    }

    /// <summary>Makes meters that are missing, or other than wanted. Flows that name a meter can be sent only after it.</summary>
    public Task PutMetersAsync(IReadOnlyCollection<FlowMeter> added, IReadOnlyCollection<FlowMeter> changed, CancellationToken cancellationToken) =>
        ModifyMetersAsync([.. added.Select(meter => (MeterCommand.Add, meter)), .. changed.Select(meter => (MeterCommand.Modify, meter))], cancellationToken);

    /// <summary>Deletes meters, and with them all flows that still name them.</summary>
    public Task DeleteMetersAsync(IReadOnlyCollection<FlowMeter> meters, CancellationToken cancellationToken) =>
        ModifyMetersAsync([.. meters.Select(meter => (MeterCommand.Delete, meter))], cancellationToken);

    private async Task ModifyMetersAsync(IReadOnlyList<(MeterCommand Command, FlowMeter Meter)> commands, CancellationToken cancellationToken)
    {
        if (commands.Count == 0)
        {
            return;
        }

        using var buffer = new OpenFlowBuffer();
        var first = connection.TakeXids(commands.Count + 1);
        for (var i = 0; i < commands.Count; i++)
        {
            var (command, meter) = commands[i];
            var start = buffer.Length;
            OpenFlowConnection.Header(buffer, OpenFlowType.MeterMod, first + (uint)i);
            buffer.U16((ushort)command);
            buffer.U16(MeterFlags);
            buffer.U32(meter.Id);
            if (command != MeterCommand.Delete)
            {
                buffer.U16(1); // OFPMBT_DROP
                buffer.U16(16);
                buffer.U32(meter.Rate);
                buffer.U32(meter.Burst);
                buffer.Zeros(4);
            }

            buffer.PatchLength(start + 2, start);
        }

        OpenFlowConnection.Header(buffer, OpenFlowType.BarrierRequest, first + (uint)commands.Count);
        string Describe(int offset) => offset < commands.Count ? $"{commands[offset].Command} {commands[offset].Meter}" : "a barrier";
        await connection.RequestAsync(new(Name, Describe, first, commands.Count + 1, static (type, _) => type == OpenFlowType.BarrierReply), buffer.Written, cancellationToken);
    }

    private static void ReadMeters(ReadOnlySpan<byte> body, List<FlowMeter> meters)
    {
        var reader = new OpenFlowReader(body);
        while (reader.Remaining > 0)
        {
            var length = reader.U16();
            var entry = new OpenFlowReader(reader.Take(length - 2));
            entry.Skip(2);
            var id = entry.U32();
            if (entry.Remaining >= 12 && entry.U16() == 1)
            {
                entry.Skip(2);
                meters.Add(new FlowMeter(id, entry.U32(), entry.U32()));
            }
        }
    }

    /// <summary>Writes a flow_mod as OpenFlow 1.4 has it.</summary>
    internal static void WriteFlowMod(OpenFlowBuffer buffer, uint xid, FlowCommand command)
    {
        var start = buffer.Length;
        var flow = command.Flow;
        OpenFlowConnection.Header(buffer, OpenFlowType.FlowMod, xid);
        buffer.U64(flow.Cookie);
        buffer.U64(command.CookieMask);
        buffer.U8(flow.Table);
        buffer.U8((byte)command.Kind);
        buffer.U16(flow.IdleTimeout);
        buffer.U16(flow.HardTimeout);
        buffer.U16(flow.Priority);
        buffer.U32(NoBuffer);
        buffer.U32(PortNumbers.Any);
        buffer.U32(PortNumbers.Any);
        buffer.U16(0);
        buffer.U16(0); // importance
        flow.Match.Write(buffer);
        if (command.Kind is not (FlowCommandKind.Delete or FlowCommandKind.DeleteStrict))
        {
            WriteInstructions(buffer, flow.Actions.AsSpan());
        }

        buffer.PatchLength(start + 2, start);
    }

    /// <summary>Reads the body of a flow multipart reply.</summary>
    internal static void ReadFlows(ReadOnlySpan<byte> body, List<InstalledFlow> flows)
    {
        var reader = new OpenFlowReader(body);
        while (reader.Remaining > 0)
        {
            var length = reader.U16();
            var entry = new OpenFlowReader(reader.Take(length - 2));
            var table = entry.U8();
            entry.Skip(9); // padding and duration
            ushort priority = entry.U16(), idle = entry.U16(), hard = entry.U16();
            entry.Skip(6); // flags, importance, padding
            ulong cookie = entry.U64(), packets = entry.U64(), bytes = entry.U64();
            var match = FlowMatch.Read(ref entry);
            var actions = ReadInstructions(entry);
            flows.Add(new(new Flow(table, priority, match, actions) { Cookie = cookie, IdleTimeout = idle, HardTimeout = hard }, packets, bytes));
        }
    }

    private static void WriteInstructions(OpenFlowBuffer buffer, ReadOnlySpan<FlowAction> actions)
    {
        FlowAction? last = actions is [.., FlowAction.GotoTableAction found] ? found : null;
        var applied = last is null ? actions : actions[..^1];
        if (applied is [FlowAction.MeterAction meter, ..])
        {
            meter.Write(buffer);
            applied = applied[1..];
        }

        if (applied.Length > 0)
        {
            var start = buffer.Length;
            buffer.U16(4); // OFPIT_APPLY_ACTIONS
            buffer.U16(0);
            buffer.Zeros(4);
            foreach (var action in applied)
            {
                action.Write(buffer);
            }

            buffer.PatchLength(start + 2, start);
        }

        last?.Write(buffer);
    }

    private static EquatableArray<FlowAction> ReadInstructions(OpenFlowReader reader)
    {
        var actions = new List<FlowAction>();
        FlowAction? last = null;
        while (reader.Remaining > 0)
        {
            var type = reader.U16();
            var length = reader.U16();
            var body = new OpenFlowReader(reader.Take(length - 4));
            switch (type)
            {
                case 1:
                    last = FlowAction.GotoTable(body.U8());
                    break;
                case 6:
                    actions.Insert(0, FlowAction.Meter(body.U32()));
                    break;
                case 4:
                    body.Skip(4);
                    FlowAction.ReadAll(body.Take(body.Remaining), actions);
                    break;
                default:
                    // Instructions that this library never writes (metadata) make a foreign flow; it differs from all of ours.
                    actions.Add(FlowAction.Foreign(type, body.Take(body.Remaining)));
                    break;
            }
        }

        if (last is not null)
        {
            actions.Add(last);
        }

        return [.. actions];
    }

    /// <summary>A switch that sends no bitmap of versions speaks all up to that of the header.</summary>
    private static bool SpeaksOurVersion(ReadOnlySpan<byte> hello)
    {
        var reader = new OpenFlowReader(hello[OpenFlowConnection.HeaderLength..]);
        while (reader.Remaining >= 8)
        {
            var type = reader.U16();
            var length = reader.U16();
            if (type == 1)
            {
                return (reader.U32() & (1u << OpenFlowConnection.Version)) != 0;
            }

            reader.Skip(((length + 7) / 8 * 8) - 4);
        }

        return hello[0] >= OpenFlowConnection.Version;
    }

    private static void BundleControl(OpenFlowBuffer buffer, uint xid, uint bundle, BundleStep step)
    {
        var start = buffer.Length;
        OpenFlowConnection.Header(buffer, OpenFlowType.BundleControl, xid);
        buffer.U32(bundle);
        buffer.U16((ushort)step);
        buffer.U16(3); // atomic, ordered
        buffer.PatchLength(start + 2, start);
    }

    private static void BundleAdd(OpenFlowBuffer buffer, uint xid, uint bundle, FlowCommand command)
    {
        var start = buffer.Length;
        OpenFlowConnection.Header(buffer, OpenFlowType.BundleAdd, xid);
        buffer.U32(bundle);
        buffer.U16(0);
        buffer.U16(3);
        WriteFlowMod(buffer, xid, command);
        buffer.PatchLength(start + 2, start);
    }

    private static async Task<IReadOnlyList<OpenFlowPort>> DescribePortsAsync(OpenFlowConnection connection, string bridge, CancellationToken cancellationToken)
    {
        var ports = new List<OpenFlowPort>();
        using var buffer = new OpenFlowBuffer();
        var xid = connection.TakeXids();
        OpenFlowConnection.Header(buffer, OpenFlowType.MultipartRequest, xid);
        buffer.U16(PortDescriptions);
        buffer.Zeros(6);
        buffer.PatchLength(2, 0);
        await connection.RequestAsync(Multipart(bridge, "a description of its ports", xid, body => ReadPorts(body, ports)), buffer.Written, cancellationToken);
        return ports;
    }

    private static void ReadPorts(ReadOnlySpan<byte> body, List<OpenFlowPort> ports)
    {
        var reader = new OpenFlowReader(body);
        while (reader.Remaining > 0)
        {
            var number = reader.U32();
            var length = reader.U16();
            var entry = new OpenFlowReader(reader.Take(length - 6));
            entry.Skip(2);
            var address = new MacAddress((ulong)entry.Value(6));
            entry.Skip(2);
            ports.Add(new(number, Encoding.ASCII.GetString(entry.Take(16).TrimEnd((byte)0)), address));
        }
    }

    private static OpenFlowRequest Multipart(string bridge, string what, uint xid, ReadBody read) => new(bridge, _ => what, xid, 1, (type, body) =>
    {
        if (type != OpenFlowType.MultipartReply)
        {
            return false;
        }

        var reader = new OpenFlowReader(body);
        reader.Skip(2);
        var more = (reader.U16() & 1) != 0;
        reader.Skip(4);
        read(reader.Take(reader.Remaining));
        return !more;
    });

    private static async Task SimpleAsync(OpenFlowConnection connection, string bridge, string what, OpenFlowType ask, OpenFlowType answer, ReadBody read, CancellationToken cancellationToken)
    {
        using var buffer = new OpenFlowBuffer();
        var xid = connection.TakeXids();
        OpenFlowConnection.Header(buffer, ask, xid);
        await connection.RequestAsync(
            new(bridge, _ => what, xid, 1, (type, body) =>
            {
                if (type != answer)
                {
                    return false;
                }

                read(body);
                return true;
            }),
            buffer.Written,
            cancellationToken);
    }

    private delegate void ReadBody(ReadOnlySpan<byte> body);

    private enum MeterCommand : ushort
    {
        Add = 0,
        Modify = 1,
        Delete = 2,
    }

    private enum BundleStep : ushort
    {
        Open = 0,
        Commit = 4,
        Discard = 6,
    }
}
