using System.Diagnostics;
using SharpStack.Cloud;
using SharpStack.Demo;

namespace SharpStack.Tests.Demo;

public sealed class DemoKeyTests : IDisposable
{
    private readonly CloudLayout layout = new(Directory.CreateTempSubdirectory("sharpstack-test-").FullName);

    public void Dispose() => Directory.Delete(layout.Data, recursive: true);

    [Fact]
    public void Ssh_reads_the_private_key_and_finds_the_same_public_one()
    {
        var line = DemoKey.Ensure(layout);

        using var ssh = Process.Start(new ProcessStartInfo("ssh-keygen", ["-y", "-f", layout.DemoKey]) { RedirectStandardOutput = true })!;
        var derived = ssh.StandardOutput.ReadToEnd();
        ssh.WaitForExit();

        Assert.Equal(0, ssh.ExitCode);
        Assert.Equal(line.Split(' ')[..2], derived.Trim().Split(' ')[..2]);
    }

    [Fact]
    public void The_key_stays_the_same_when_it_is_asked_for_again() => Assert.Equal(DemoKey.Ensure(layout), DemoKey.Ensure(layout));

    [Fact]
    public void The_private_key_is_for_its_owner_alone()
    {
        DemoKey.Ensure(layout);

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(layout.DemoKey));
    }
}
