using SharpStack.Doctor;

namespace SharpStack.Tests.Doctor;

public sealed class DoctorTests
{
    [Theory]
    [InlineData("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b1)\nCopyright (c) 2003-2022", "7.2.22")]
    [InlineData("/usr/sbin/libvirtd (libvirt) 9.0.0", "9.0.0")]
    [InlineData("ovs-vswitchd (Open vSwitch) 3.1.0", "3.1.0")]
    [InlineData("Dnsmasq version 2.90  Copyright (c) 2000-2024 Simon Kelley", "2.90")]
    public void A_version_is_found_in_what_a_program_says_of_itself(string words, string version) =>
        Assert.Equal(Version.Parse(version), DoctorCommand.VersionIn(words));

    [Fact]
    public void Words_without_a_version_give_none() => Assert.Null(DoctorCommand.VersionIn("no such program"));
}
