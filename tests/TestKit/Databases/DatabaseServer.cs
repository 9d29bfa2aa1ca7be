using System.Data.Common;
using System.Diagnostics;
using SharpStack.Foundation.Storage;

namespace SharpStack.TestKit.Databases;

/// <summary>
/// A PostgreSQL or MariaDB of this test process: a data folder in memory, a socket in it and no port, run as the engine's own user. It ends with the process, also where that
/// is killed, and its folder with it. Needs the packages postgresql and mariadb-server.
/// </summary>
public abstract class DatabaseServer : IAsyncDisposable
{
    protected const string User = "sharpstack";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    // The shell holds our pipe and does what it is told by it; it reads its end when this process is gone, whatever ended it.
    private const string Guardian = """
        exec 2>/dev/null; folder=$1 signal=$2; shift 2
        start() { "$@" </dev/null >>"$folder/log" 2>&1 & server=$!; }
        start "$@"
        while read -r order; do
          case $order in
            stop) kill -"$signal" "$server"; wait "$server"; echo stopped ;;
            start) start "$@" ;;
          esac
        done
        kill -"$signal" "$server"; wait "$server"; rm -rf "$folder"
        """;

    // Held for as long as the process lives: its end closes the pipe.
    private Process? guardian;

    protected DatabaseServer(string name)
    {
        var memory = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        Folder = Path.Combine(memory, $"sharpstack-{name}-{Convert.ToHexStringLower(Guid.NewGuid().ToByteArray().AsSpan(0, 4))}");
    }

    /// <summary>Everything of the server.</summary>
    protected string Folder { get; }

    /// <summary>The user that the server runs as; root may not run PostgreSQL.</summary>
    protected abstract string SystemUser { get; }

    /// <summary>How it ends at once.</summary>
    protected virtual string EndSignal => "KILL";

    /// <summary>The URL of a database of that name.</summary>
    public abstract string Url(string database);

    /// <summary>Creates an empty database.</summary>
    public Task CreateAsync(string database) => ExecuteAsync($"CREATE DATABASE {Quoted(database)}");

    /// <summary>Creates a database with the tables and rows of another one, to which nobody is connected.</summary>
    public abstract Task CopyAsync(string template, string database);

    public abstract Task DropAsync(string database);

    /// <summary>Runs a statement as the server's administrator.</summary>
    public async Task ExecuteAsync(string sql)
    {
        await using var connection = Administrator();
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        await command.ExecuteNonQueryAsync();
    }

    protected abstract string Quoted(string name);

    protected abstract DbConnection Administrator();

    /// <summary>The command that fills the data folder, and the one that runs the server.</summary>
    protected abstract (string[] Install, string[] Run) Commands();

    internal async Task StartAsync()
    {
        Directory.CreateDirectory(Folder);
        var (install, run) = Commands();
        if (Environment.IsPrivilegedProcess)
        {
            string[] asUser = ["setpriv", $"--reuid={SystemUser}", $"--regid={SystemUser}", "--clear-groups", "--"];
            await RunAsync(["chown", SystemUser, Folder]);
            (install, run) = ([.. asUser, .. install], [.. asUser, .. run]);
        }

        await RunAsync(install);
        guardian = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", Guardian, "sh", Folder, EndSignal, .. run]) { RedirectStandardInput = true, RedirectStandardOutput = true, WorkingDirectory = "/" })!;
        await AnswersAsync(run[0]);
    }

    /// <summary>Ends the server at once, as a crash does; its data stays.</summary>
    public async Task StopAsync()
    {
        await guardian!.StandardInput.WriteLineAsync("stop");
        await guardian.StandardInput.FlushAsync();
        await guardian.StandardOutput.ReadLineAsync();
    }

    /// <summary>Starts the server that was stopped on its data.</summary>
    public async Task StartAgainAsync()
    {
        await guardian!.StandardInput.WriteLineAsync("start");
        await guardian.StandardInput.FlushAsync();
        await AnswersAsync("the server");
    }

    /// <summary>Ends the server and removes everything of it.</summary>
    public async ValueTask DisposeAsync()
    {
        if (guardian is not null)
        {
            guardian.StandardInput.Close();
            await guardian.WaitForExitAsync();
            guardian.Dispose();
            guardian = null;
        }

        GC.SuppressFinalize(this);
    }

    private async Task AnswersAsync(string program)
    {
        using var limit = new CancellationTokenSource(Patience);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (true)
        {
            try
            {
                await using var connection = Administrator();
                await connection.OpenAsync(limit.Token);
                return;
            }
            catch (Exception failure) when (failure is DbException or IOException)
            {
                if (limit.IsCancellationRequested || guardian!.HasExited || !await poll.WaitForNextTickAsync(CancellationToken.None))
                {
                    throw new InvalidOperationException($"{program} does not answer: {File.ReadAllText(Path.Combine(Folder, "log"))}", failure);
                }
            }
        }
    }

    protected static string Find(params string[] candidates) =>
        candidates.FirstOrDefault(File.Exists) ?? throw new FileNotFoundException($"None of {string.Join(", ", candidates)} is installed: see TEST_PACKAGES in deploy/lib.sh.");

    private static async Task RunAsync(string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" })!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        using var limit = new CancellationTokenSource(Patience);
        await process.WaitForExitAsync(limit.Token);
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{string.Join(' ', command)}: {await output}{await errors}");
        }
    }
}
