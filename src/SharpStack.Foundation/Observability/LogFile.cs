using Microsoft.Win32.SafeHandles;

namespace SharpStack.Foundation.Observability;

/// <summary>A file that is appended to, and opened anew when somebody moved or removed it (logrotate): no signal is needed for it.</summary>
internal sealed class LogFile : IDisposable
{
    private StreamWriter writer;
    private string? place;

    /// <exception cref="CloudException">The file cannot be written.</exception>
    public LogFile(string path)
    {
        Path = path;
        writer = Open();
    }

    public string Path { get; }

    /// <summary>To the file that now has the name.</summary>
    public TextWriter Writer
    {
        get
        {
            if (Place() != place)
            {
                writer.Dispose();
                writer = Open();
            }

            return writer;
        }
    }

    public void Dispose() => writer.Dispose();

    private StreamWriter Open()
    {
        try
        {
            var opened = new StreamWriter(Path, new FileStreamOptions
            {
                Mode = FileMode.Append,
                Access = FileAccess.Write,
                Share = FileShare.ReadWrite | FileShare.Delete,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
            place = Place(opened);
            return opened;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw CloudException.Unavailable($"The log file {Path} cannot be written: {failure.Message}", inner: failure);
        }
    }

    private string? Place() => Place(writer);

    /// <summary>The name that the kernel has for the open file at the moment.</summary>
    private static string? Place(StreamWriter opened)
    {
        SafeFileHandle handle = ((FileStream)opened.BaseStream).SafeFileHandle;
        return new FileInfo(FormattableString.Invariant($"/proc/self/fd/{handle.DangerousGetHandle()}")).LinkTarget;
    }
}
