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
# start_pings NODE ADDRESS...: from a node, twice a second, until end_pings WHAT, which says that each was answered.
start_pings() {
  local ip; PINGER=$1 PINGED="${*:2}"
  for ip in $PINGED; do on "$PINGER" sh -c 'echo $$ > /run/ping-$1.pid; exec ping -n -i 0.5 -W 2 "$1"' sh "$ip" >"$DATA/pings-$ip" & PINGING="${PINGING:-} $!"; done
}
end_pings() {
  local ip
  for ip in $PINGED; do on "$PINGER" sh -c 'kill -INT "$(cat "/run/ping-$1.pid")"' sh "$ip"; done
  wait $PINGING; PINGING=
  for ip in $PINGED; do like "$ip answered every ping $1" '\n(\d{2,}) packets transmitted, \1 received' "$(cat "$DATA/pings-$ip")"; done
}
# remains SINCE SECONDS: waits until so many seconds have gone by: what is broken stays so for as long.
remains() { while [ $((SECONDS - $1)) -lt "$2" ]; do sleep 0.3; done; }
has_status() { client demo server show "$1" -f value -c status; [ "$out" = "$2" ]; }
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
# hear NAME NODE DEVICE FILTER...: writes the frames of the next seconds to $DATA/heard-NAME; VIA, where set, is the network namespace. Goes on once it listens.
hear() {
  on "$2" ${VIA:+ip netns exec "$VIA"} timeout 9 tcpdump -l -nn -e -i "$3" "${@:4}" >"$DATA/heard-$1" 2>"$DATA/heard-$1.log" & HEARING="${HEARING:-} $!"
  local end=$((SECONDS + 5)); until grep -q '^listening' "$DATA/heard-$1.log" 2>/dev/null || [ $SECONDS -ge $end ]; do sleep 0.1; done
}
# hearing_ends: waits until the files are whole.
hearing_ends() { wait ${HEARING:-} 2>/dev/null; HEARING=; }
# heard WHAT NAME REGEX: what was written matches.
heard() { like "$1" "$3" "$(cat "$DATA/heard-$2")"; }
# find_addresses: sets FIP, the floating IP of the first server, and ROUTER, the namespace of its router.
find_addresses() {
  client demo floating ip list -f value -c 'Floating IP Address'; FIP=$(grep -oE '([0-9]+\.){3}[0-9]+' <<<"$out" | head -1)
  client demo router show demo-router -f value -c id; ROUTER=qrouter-${out//[[:space:]]/}
}
# stray NODE NAME ADDRESS: a namespace of that name on the node is a machine of the network "other", with this address.
stray() {
  local id mac
  client admin port create --network other --fixed-ip "ip-address=$3" --host "$1" "$2" -f json; id=$(field "d['id']") mac=$(field "d['mac_address']")
  on "$1" ovs-vsctl --timeout=30 add-port br-int "$2" -- set Interface "$2" type=internal "mac=\"$mac\"" "external_ids:iface-id=$id" "external_ids:attached-mac=\"$mac\""
  on "$1" sh -ec 'ip netns add $1; ip link set $1 netns $1; ip -n $1 link set $1 mtu 1450 up; ip -n $1 addr add $2/24 dev $1' sh "$2" "$3"
}
# check_tunnels NODE ADDRESS...: the node's tunnels lead to these addresses and no others.
check_tunnels() {
  local node=$1 address wanted=; shift
  for address; do wanted+=$(printf 'vxlan-%02x%02x%02x%02x\n ' ${address//./ }); done
  same "the tunnels of $node" "$(tr -d ' ' <<<"$wanted" | sort | sed '/^$/d')" "$(on "$node" ovs-vsctl list-ports br-tun | grep ^vxlan | sort)"
}
# check_apart: a network of another project with the same addresses is another network. The servers are IP1 on HOST1 and IP2 on HOST2.
check_apart() {
  client admin network create other; client admin subnet create --network other --subnet-range 172.18.0.0/24 --no-dhcp other
  stray "$HOST1" stray1 "$IP1"; stray "$HOST2" stray2 "$IP2"
  VIA=stray1 until_ok "machines of another project with the same addresses reach each other" 30 ping_on "$HOST1" "$IP2"
  like "and are not the servers" "$(on "$HOST2" ip -n stray2 -o link show stray2 | grep -oE 'ether [0-9a-f:]+' | cut -d' ' -f2)" "$(on "$HOST1" ip -n stray1 neigh show "$IP2")"
}
