namespace SharpStack.LinuxHost.Processes;

/// <summary>Waits for a state of the machine, never for a time to pass.</summary>
public static class Wait
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);

    /// <param name="step">How often it is looked; ten times a second where none is given.</param>
    /// <returns>Whether the condition came true within the bound.</returns>
    public static async Task<bool> UntilAsync(Func<Task<bool>> condition, TimeSpan bound, TimeProvider time, CancellationToken cancellationToken, TimeSpan? step = null)
    {
        var start = time.GetTimestamp();
        using var timer = new PeriodicTimer(step ?? Step, time);
        while (!await condition())
        {
            if (time.GetElapsedTime(start) > bound)
            {
                return false;
            }

            await timer.WaitForNextTickAsync(cancellationToken);
        }

        return true;
    }
}
