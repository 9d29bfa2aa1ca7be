using System.Diagnostics;

namespace SharpStack.Lab.Tests;

public sealed class DemoKeyTests : IDisposable
{
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("sharpstack-test-");

    private string Key => Path.Combine(folder.FullName, "demo-key");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Ssh_reads_the_private_key_and_finds_the_same_public_one()
    {
        var line = DemoKey.Ensure(Key);

        using var ssh = Process.Start(new ProcessStartInfo("ssh-keygen", ["-y", "-f", Key]) { RedirectStandardOutput = true })!;
        var derived = ssh.StandardOutput.ReadToEnd();
        ssh.WaitForExit();

        Assert.Equal(0, ssh.ExitCode);
        Assert.Equal(line.Split(' ')[..2], derived.Trim().Split(' ')[..2]);
    }

    [Fact]
    public void The_key_stays_the_same_when_it_is_asked_for_again() => Assert.Equal(DemoKey.Ensure(Key), DemoKey.Ensure(Key));

    [Fact]
    public void The_private_key_is_for_its_owner_alone()
    {
        DemoKey.Ensure(Key);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Key));
    }
}
