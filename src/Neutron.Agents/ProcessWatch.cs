using SharpStack.LinuxHost.Processes;

namespace SharpStack.Neutron.Agents;

/// <summary>Tells of processes that end without being told to; one a key.</summary>
internal sealed class ProcessWatch
{
    private readonly Dictionary<string, int> watched = [];

    /// <summary>The key, and the process that it had.</summary>
    public event Action<string, int>? Ended;

    public void Watch(string key, ManagedProcess process)
    {
        lock (watched)
        {
            if (watched.TryGetValue(key, out var known) && known == process.Id)
            {
                return;
            }

            watched[key] = process.Id;
        }

        _ = process.Exited.ContinueWith(
            _ =>
            {
                lock (watched)
                {
                    if (!watched.TryGetValue(key, out var current) || current != process.Id)
                    {
                        return;
                    }

                    watched.Remove(key);
                }

                Ended?.Invoke(key, process.Id);
            },
            CancellationToken.None,
            TaskContinuationOptions.None,
            TaskScheduler.Default);
    }

    public void Forget(string key)
    {
        lock (watched)
        {
            watched.Remove(key);
        }
    }
}
