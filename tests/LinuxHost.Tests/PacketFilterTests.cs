using System.Net.Sockets;
using SharpStack.LinuxHost.Firewall;
using SharpStack.LinuxHost.Processes;

namespace SharpStack.LinuxHost.Tests;

public sealed class PacketFilterTests
{
    private static readonly FilterTable Nat = new(
        "nat",
        new Dictionary<string, IReadOnlyList<string>>
        {
            ["own-PREROUTING"] = ["-d 203.0.113.5/32 -j DNAT --to-destination 10.0.0.5"],
            ["own-snat"] = ["-s 10.0.0.5/32 -j SNAT --to-source 203.0.113.5 --random-fully"],
        },
        ["PREROUTING -j own-PREROUTING", "POSTROUTING -j own-snat"]);

    [Fact]
    public async Task A_table_is_written_once_and_others_rules_stay()
    {
        using var scratch = new ScratchNamespace();
        await RestoreAsync(scratch, "*nat\n:foreign - [0:0]\n-A POSTROUTING -j foreign\n-A foreign -s 192.0.2.1/32 -j ACCEPT\nCOMMIT\n");
        Assert.True(await ApplyAsync(scratch, Nat));
        Assert.False(await ApplyAsync(scratch, Nat));
        var saved = await SaveAsync(scratch);
        Assert.Contains("-A own-PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.0.0.5\n", saved, StringComparison.Ordinal);
        Assert.Contains("-A foreign -s 192.0.2.1/32 -j ACCEPT\n", saved, StringComparison.Ordinal);
        Assert.True(saved.IndexOf("-A POSTROUTING -j foreign", StringComparison.Ordinal) < saved.IndexOf("-A POSTROUTING -j own-snat", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_is_not_wanted_any_more_goes_with_its_chain()
    {
        using var scratch = new ScratchNamespace();
        await ApplyAsync(scratch, Nat);
        var less = Nat with { Chains = new Dictionary<string, IReadOnlyList<string>> { ["own-PREROUTING"] = [] }, Hooks = ["PREROUTING -j own-PREROUTING"] };
        Assert.True(await ApplyAsync(scratch, less));
        var saved = await SaveAsync(scratch);
        Assert.DoesNotContain("own-snat", saved, StringComparison.Ordinal);
        Assert.DoesNotContain("203.0.113.5", saved, StringComparison.Ordinal);
        Assert.Equal(["PREROUTING -j own-PREROUTING"], Assert.Single(await PacketFilter.ReadAsync(scratch.Name, AddressFamily.InterNetwork, Owns, TestContext.Current.CancellationToken)).Hooks);
    }

    [Fact]
    public async Task A_refused_rule_leaves_the_table_as_it_was()
    {
        using var scratch = new ScratchNamespace();
        await ApplyAsync(scratch, Nat);
        var before = await SaveAsync(scratch);
        var bad = Nat with { Chains = new Dictionary<string, IReadOnlyList<string>> { ["own-PREROUTING"] = ["-d 203.0.113.6/32 -j NONSENSE"] } };
        await Assert.ThrowsAsync<ShellException>(() => ApplyAsync(scratch, bad));
        Assert.Equal(before, await SaveAsync(scratch));
        await Assert.ThrowsAsync<ArgumentException>(() => ApplyAsync(scratch, Nat with { Hooks = ["PREROUTING -j own-PREROUTING\nCOMMIT"] }));
    }

    private static bool Owns(string chain) => chain.StartsWith("own-", StringComparison.Ordinal);

    private static Task<bool> ApplyAsync(ScratchNamespace scratch, FilterTable table) =>
        PacketFilter.ApplyAsync(scratch.Name, AddressFamily.InterNetwork, [table], Owns, TestContext.Current.CancellationToken);

    private static async Task RestoreAsync(ScratchNamespace scratch, string text) =>
        Assert.True((await Shell.TryAsync("iptables-restore", ["--noflush"], text, scratch.Name, TestContext.Current.CancellationToken)).Succeeded);

    /// <summary>Without the comments, which have the time.</summary>
    private static async Task<string> SaveAsync(ScratchNamespace scratch) => string.Concat(
        (await Shell.TryAsync("iptables-save", [], null, scratch.Name, TestContext.Current.CancellationToken)).Output.Split('\n').Where(line => !line.StartsWith('#')).Select(line => line + "\n"));
}
