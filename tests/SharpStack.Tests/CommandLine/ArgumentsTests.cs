using SharpStack.CommandLine;

namespace SharpStack.Tests.CommandLine;

public sealed class ArgumentsTests
{
    [Fact]
    public void Options_take_their_value_after_a_space_or_an_equals_sign()
    {
        var arguments = Arguments.Parse(["nova-api", "--data", "/a", "--listen=10.0.0.1", "--fake"], ["--data", "--listen"], ["--fake"]);

        Assert.Equal("/a", arguments.Value("--data"));
        Assert.Equal("10.0.0.1", arguments.Value("--listen"));
        Assert.True(arguments.Has("--fake"));
        Assert.Equal(["nova-api"], arguments.Words);
    }

    [Fact]
    public void An_unknown_option_is_refused_with_the_names_of_the_known_ones()
    {
        var failure = Assert.Throws<UsageException>(() => Arguments.Parse(["--dta", "/a"], ["--data"], ["--fake"]));

        Assert.Contains("--dta", failure.Message, StringComparison.Ordinal);
        Assert.Contains("--data, --fake", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_option_without_its_value_is_refused() =>
        Assert.Contains("--data needs a value", Assert.Throws<UsageException>(() => Arguments.Parse(["--data"], ["--data"], [])).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("x")]
    [InlineData("-1")]
    [InlineData("1.5")]
    public void A_number_that_is_none_is_refused(string text) =>
        Assert.Throws<UsageException>(() => Arguments.Parse([$"--port-base={text}"], ["--port-base"], []).Number("--port-base"));
}
