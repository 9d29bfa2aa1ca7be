using System.Globalization;

namespace SharpStack.OpenVSwitch.OpenFlow;

/// <summary>The OpenFlow conversation with a bridge failed, or the bridge refused a request.</summary>
public class OpenFlowException : Exception
{
    /// <summary>With a message that says what to do.</summary>
    public OpenFlowException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}

/// <summary>A bridge answered a request with an OFPT_ERROR.</summary>
public sealed class OpenFlowErrorException : OpenFlowException
{
    internal OpenFlowErrorException(string bridge, ushort type, ushort code, string request)
        : base(string.Create(CultureInfo.InvariantCulture, $"Bridge {bridge} refused {request}: OpenFlow error type {type} ({TypeName(type)}), code {code}. The log of ovs-vswitchd says more."))
    {
        Type = type;
        Code = code;
    }

    /// <summary>The error's type, OFPET_*.</summary>
    public ushort Type { get; }

    /// <summary>The code within the type.</summary>
    public ushort Code { get; }

    private static string TypeName(ushort type) => type switch
    {
        0 => "hello failed",
        1 => "bad request",
        2 => "bad action",
        3 => "bad instruction",
        4 => "bad match",
        5 => "flow mod failed",
        6 => "group mod failed",
        12 => "meter mod failed",
        17 => "bundle failed",
        0xffff => "experimenter",
        _ => "other",
    };
}
