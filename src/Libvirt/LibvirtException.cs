using System.Runtime.InteropServices;
using SharpStack.Libvirt.Native;

namespace SharpStack.Libvirt;

/// <summary>Error codes (virErrorNumber) that callers tell apart.</summary>
public enum LibvirtError
{
    None = 0,
    InternalError = 1,
    NoSupport = 3,
    InvalidArgument = 8,
    OperationFailed = 9,
    XmlError = 27,
    SystemError = 38,
    NoDomain = 42,
    OperationInvalid = 55,
    ConfigurationUnsupported = 67,
    OperationTimeout = 68,
    DomainExists = 74,
}

/// <summary>What libvirt answered to a call that failed.</summary>
/// <param name="code">virErrorNumber.</param>
/// <param name="errorDomain">virErrorDomain: the part of libvirt that failed, 10 is QEMU.</param>
/// <param name="message">libvirt's own text.</param>
public sealed class LibvirtException(LibvirtError code, int errorDomain, string message) : Exception(message)
{
    public LibvirtError Code => code;

    public int ErrorDomain => errorDomain;

    /// <summary>The domain does not exist (any more).</summary>
    public bool IsNoDomain => code == LibvirtError.NoDomain;

    /// <summary>The call does not fit the domain's state, for instance "domain is not running".</summary>
    public bool IsInvalidState => code == LibvirtError.OperationInvalid;

    /// <summary>The error of the call that this thread made last.</summary>
    internal static unsafe LibvirtException Last()
    {
        var error = Api.GetLastError();
        var failure = error is null
            ? new LibvirtException(LibvirtError.InternalError, 0, "libvirt failed without an error message")
            : new LibvirtException((LibvirtError)error->Code, error->Domain, Marshal.PtrToStringUTF8((nint)error->Message) ?? "");
        Api.ResetLastError();
        return failure;
    }
}
