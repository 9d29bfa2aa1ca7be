namespace SharpStack.Lab.Nodes;

/// <summary>The two scripts that run in a node: its first process, and the one over each service.</summary>
internal static class NodeScripts
{
    /// <summary>Where the second one is, as the node sees it.</summary>
    public const string Supervise = "/var/lib/lab/supervise";

    /// <summary>
    /// Arguments: the node's name, its folder (empty for a node that is only a network) and the program's folder. What the node has of its own are
    /// network, processes, host name, /run, /var, and what its folder lays over /etc. As the first process it takes over and reaps what daemons leave.
    /// </summary>
    public const string Init =
        """
        set -e
        mount --make-rprivate /
        mount -t sysfs sysfs /sys
        hostname "$1"
        mount -t tmpfs -o mode=755 tmpfs /run
        mkdir -p /run/netns /run/lock /run/lab
        mkdir -m 1777 /run/tmp
        if [ -n "$2" ]; then
          # A program below /var stays where it is in the node too.
          case $3 in /var/*) mkdir -p "$2$3"; mount --bind "$3" "$2$3" ;; esac
          mount -t overlay overlay -o "lowerdir=/etc,upperdir=$2/etc,workdir=$2/work" /etc
          mount --rbind "$2/var" /var
        fi
        : > /run/lab/ready
        while :; do sleep infinity & wait $!; done

        """;

    /// <summary>
    /// Arguments: a service's name and its command. Starts it again a second after it failed, as systemd does with Restart=on-failure; told to end, it tells
    /// the service, and ends with it.
    /// </summary>
    public const string Supervisor =
        """
        name=$1; shift
        log=/var/log/lab/$name.log stop= pid=
        trap 'stop=1; [ -z "$pid" ] || kill -TERM "$pid"' TERM
        while [ -z "$stop" ]; do
          "$@" </dev/null >>"$log" 2>&1 & pid=$!
          wait "$pid"; rc=$?
          # A signal for this script ends the wait, not the service.
          while kill -0 "$pid" 2>/dev/null; do wait "$pid"; rc=$?; done
          pid=
          [ "$rc" != 0 ] || break
          [ -n "$stop" ] || { echo "$(date '+%F %T') supervise: $name ended with $rc and is started again" >>"$log"; sleep 1; }
        done

        """;
}
