using System.Runtime.InteropServices;

namespace SharpStack.LinuxHost;

/// <summary>A system call or a netlink request that the kernel refused.</summary>
public sealed class LinuxException : IOException
{
    /// <param name="errno">Linux error number (positive), for instance 17 for EEXIST.</param>
    /// <param name="operation">What was attempted, with its object: "create namespace qdhcp-1".</param>
    /// <param name="detail">The kernel's own explanation, where it gave one.</param>
    public LinuxException(int errno, string operation, string? detail = null)
        : base($"Cannot {operation}: {Marshal.GetPInvokeErrorMessage(errno)}{(string.IsNullOrEmpty(detail) ? "" : $" ({detail})")}")
    {
        Errno = errno;
        Operation = operation;
    }

    public int Errno { get; }

    public string Operation { get; }

    public bool IsExists => Errno == LinuxError.Exists;

    /// <summary>No such file, device, process or route entry.</summary>
    public bool IsNotFound => Errno is LinuxError.NoEntry or LinuxError.NoDevice or LinuxError.NoProcess
        or LinuxError.AddressNotAvailable or LinuxError.NoDeviceOrAddress;

    internal static LinuxException Last(string operation) => new(Marshal.GetLastPInvokeError(), operation);
}

/// <summary>Linux error numbers that callers tell apart.</summary>
public static class LinuxError
{
    public const int NotPermitted = 1;
    public const int NoEntry = 2;
    public const int NoProcess = 3;
    public const int Interrupted = 4;
    public const int NoDeviceOrAddress = 6;
    public const int Access = 13;
    public const int Busy = 16;
    public const int Exists = 17;
    public const int NoDevice = 19;
    public const int Invalid = 22;
    public const int NotSupported = 95;
    public const int AddressNotAvailable = 99;
    public const int NetworkUnreachable = 101;
}
