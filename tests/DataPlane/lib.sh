# What the scripts over a lab share. Sourced with DATAPLANE set to this folder; the checks are those of the conformance runs.
CONFORMANCE=$DATAPLANE/../Conformance ROOT=$DATAPLANE/../..
. "$CONFORMANCE/lib.sh"
PROGRAM=${PROGRAM:-$ROOT/out/sharpstack}
# enter_node NUMBER SCRIPT: runs the script again in a node of its own, with a folder of its own for the lab; then ends.
enter_node() {
  IMAGE=$("$ROOT/deploy/guest/build") || { echo "0 passed, 1 failed"; exit 1; }
  FOLDER=$(mktemp -d "/tmp/sharpstack-lab$1.XXXXXX"); trap 'rm -rf "$FOLDER"' EXIT
  IMAGE=$IMAGE "$CONFORMANCE/in-node" --name "lab$1" "$2" "$FOLDER/data"; exit
}
lab() { "$PROGRAM" lab "$1" --data "$DATA" "${@:2}"; }
# on NODE COMMAND...: runs a command on a node of the lab, without this terminal, as 'lab enter' does and without the start of a program for each.
on() {
  local pid; pid=$(pgrep -of "^sh $DATA/run/init $1 ") || { echo "$1 does not run" >&2; return 1; }
  nsenter -t "$pid" -m -u -i -n -p -- env HOME=/var/lib/lab sh -c 'cd; exec "$@"' sh "${@:2}" </dev/null
}
# client USER ARGUMENT...: the genuine client on the controller, as admin or demo, all commands in one process; sets out and rc.
client() {
  if [ -z "${CLIENT_PID:-}" ]; then coproc CLIENT { exec "$PROGRAM" lab enter controller --data "$DATA" -- /usr/bin/python3 "$(readlink -f "$CONFORMANCE/client.py")"; }; fi
  as "/var/lib/lab/$1-openrc"; os "${@:2}"
}
# The client ends before its node does.
end_client() { [ -z "${CLIENT_PID:-}" ] || { local pid=$CLIENT_PID; eval "exec ${CLIENT[1]}>&-"; wait "$pid" 2>/dev/null; unset CLIENT_PID; }; }
# answers WHAT REGEX USER ARGUMENT...: the client's command succeeds and prints what the regular expression matches.
answers() {
  local what=$1 regex=$2; shift 2; client "$@"
  if [ "$rc" = 0 ] && grep -qPz -- "$regex" <<<"$out"; then ok "$what"; else not_ok "$what" "openstack $* -> $rc, expected /$regex/:"$'\n'"$out"; fi
}
# start_lab NUMBER: up, with the figures.
start_lab() {
  local text
  if text=$(lab up "$1" --image "$IMAGE"); then
    ok "lab $1 is ready ($(sed -nE 's/^\[ *([0-9.]+)s\] the cluster is ready.*/\1/p' <<<"$text") s after the command)"
  else
    not_ok "lab $1 is ready" "$text"; lab status; show_logs; lab down; finish
  fi
}
# show_logs: the ends of all logs, where something failed.
show_logs() { local log; for log in "$DATA"/nodes/*/var/log/lab/*.log; do echo "--- $log"; grep -vE ' INFO ' "$log" | tail -8; done; }
# What the cluster says of itself, in every lab: check_cluster COMPUTE-NODE...
check_cluster() {
  local services agents node
  client admin compute service list -f value -c Binary -c Host -c State; services=$out
  for node; do like "nova-compute of $node is up" "nova-compute $node up" "$services"; done
  like "conductor and scheduler are up" '(?s)(?=.*nova-conductor controller up)(?=.*nova-scheduler controller up)' "$services"
  client admin network agent list -f value -c 'Binary' -c Host -c Alive; agents=$out
  for node; do like "the Open vSwitch agent of $node is alive" "neutron-openvswitch-agent.*$node|$node.*neutron-openvswitch-agent" "$agents"; done
  answers "the hypervisors are those nodes" "(?s)(?=.*compute1)(?=.*compute2)" admin hypervisor list -f value -c 'Hypervisor Hostname'
  answers "the catalogue has the names of the labs" 'http://controller:8774/v2.1' admin catalog show compute -f json
}
# ssh_on NODE ADDRESS COMMAND...: into a guest from a node; VIA, where set, is the network namespace there.
ssh_on() {
  on "$1" ${VIA:+ip netns exec "$VIA"} ssh -n -q -i demo-key -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "cirros@$2" "${@:3}"
}
ping_on() { on "$1" ${VIA:+ip netns exec "$VIA"} ping -c 1 -W 2 "$2"; }
# find_servers: sets IP1 IP2 HOST1 HOST2 ID1 ID2.
find_servers() {
  local i
  for i in 1 2; do
    client admin server list --all-projects --name "demo-instance-$i" --long -f json
    printf -v "IP$i" %s "$(grep -oE '([0-9]+\.){3}[0-9]+' <<<"$out" | head -1)"
    printf -v "HOST$i" %s "$(grep -oE '"compute[0-9]"' <<<"$out" | tr -d '"' | head -1)"
    printf -v "ID$i" %s "$(field "d[0]['ID']")"
  done
}
# end_lab: down leaves nothing.
end_lab() {
  if [ $failed != 0 ]; then lab status; show_logs; fi
  end_client
  check "down" lab down
  same "no process is left" "" "$(ps -eo args= | grep -E "dnsmasq|qemu|ovs|libvirt|sharpstack lab|sharpstack serve|mariadbd|beam|memcached|unshare|supervise" | grep -v grep)"
  same "no namespace is left" "" "$(ls /run/netns)"
  same "no link is left" "lo" "$(ls /sys/class/net | tr '\n' ' ' | sed 's/ $//')"
  same "no mount is left" "" "$(grep -F "$DATA" /proc/mounts)"
  check "the state stays" test -s "$DATA/lab.json"
  check "down --purge" lab down --purge
  check_not "the state is gone" test -e "$DATA"
  finish
}
