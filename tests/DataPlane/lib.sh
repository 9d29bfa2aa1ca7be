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
  nsenter -t "$pid" -m -u -i -n -p -- env HOME=/var/lib/lab sh -c 'cd 2>/dev/null; exec "$@"' sh "${@:2}" </dev/null
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
  for ip in $PINGED; do on "$PINGER" sh -c 'echo $$ > /run/ping-$1.pid; exec ping -n -D -i 0.5 -W 2 "$1"' sh "$ip" >"$DATA/pings-$ip" & PINGING="${PINGING:-} $!"; done
}
end_pings() {
  local ip text
  for ip in $PINGED; do on "$PINGER" sh -c 'kill -INT "$(cat "/run/ping-$1.pid")"' sh "$ip"; done
  wait $PINGING; PINGING=
  for ip in $PINGED; do
    text=$(awk -F'icmp_seq=' 'NF > 1 && $2 ~ /time=/ { seq = $2 + 0; if (seq > last + 1) print "no answer to " last + 1 " ... " seq - 1 ", before " $1; if (seq > last) last = seq } END { if (last < 10) print "only " last " answers" }' "$DATA/pings-$ip")
    same "$ip answered every ping $1" "" "$text"
  done
}
# audit: what Nova, Placement, Neutron and the hosts have is in agreement.
audit() { on controller "$PROGRAM" audit --config-dir /etc/nova; }
# remains SINCE SECONDS: waits until so many seconds have gone by: what is broken stays so for as long.
remains() { while [ $((SECONDS - $1)) -lt "$2" ]; do sleep 0.3; done; }
has_status() { client demo server show "$1" -f value -c status; [ "$out" = "$2" ]; }
# run_demo NUMBER: the demo, and where its first two servers are.
run_demo() {
  local text
  if text=$(lab demo "$1"); then ok "the demo"; else not_ok "the demo" "$text"; fi
  grep -E '^\[' <<<"$text" | tail -6
  find_servers
  like "the servers are on both compute nodes" '^(compute1 compute2|compute2 compute1)\s*$' "$HOST1 $HOST2"
  check_audit
}
# check_audit: on all nodes, within two minutes.
check_audit() { until_ok "the audit finds everything in agreement" 120 audit || audit; }
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
  # The kernel takes a moment to clear up after those that were killed.
  left_over() { ps -eo args= | grep -E "dnsmasq|qemu|ovs|libvirt|sharpstack lab|sharpstack serve|mariadbd|beam|memcached|unshare|supervise" | grep -v grep; }
  none_left() { ! left_over; }
  until_ok "no process is left" 10 none_left
  same "no namespace is left" "" "$(ls /run/netns)"
  same "no link is left" "lo" "$(ls /sys/class/net | tr '\n' ' ' | sed 's/ $//')"
  same "no mount is left" "" "$(grep -F "$DATA" /proc/mounts)"
  check "the state stays" test -s "$DATA/lab.json"
  check "down --purge" lab down --purge
  check_not "the state is gone" test -e "$DATA"
  finish
}
# hear NAME NODE DEVICE FILTER...: writes the frames of the next half minute to $DATA/heard-NAME; VIA, where set, is the network namespace. Goes on once it listens.
hear() {
  on "$2" ${VIA:+ip netns exec "$VIA"} timeout 30 tcpdump -l -nn -e -i "$3" "${@:4}" >"$DATA/heard-$1" 2>"$DATA/heard-$1.log" &
  local end=$((SECONDS + 5)); until grep -q '^listening' "$DATA/heard-$1.log" 2>/dev/null || [ $SECONDS -ge $end ]; do sleep 0.1; done
}
# heard WHAT NAME REGEX: what was written matches, within some seconds.
heard() { local end=$((SECONDS + 8)); until grep -qPz -- "$3" "$DATA/heard-$2" || [ $SECONDS -ge $end ]; do sleep 0.2; done; like "$1" "$3" "$(cat "$DATA/heard-$2")"; }
# not_heard WHAT NAME REGEX: not one line matches. Something that was sent later must have been heard before it is asked.
not_heard() { check_not "$1" grep -P -- "$3" "$DATA/heard-$2"; }
# find_third: sets IP3 and HOST3.
find_third() {
  client admin server list --all-projects --name demo-instance-3 --long -f json
  IP3=$(grep -oE '([0-9]+\.){3}[0-9]+' <<<"$out" | head -1) HOST3=$(grep -oE '"compute[0-9]"' <<<"$out" | tr -d '"' | head -1)
}
# find_router: sets ROUTER, the namespace of demo-router.
find_router() { client admin router show demo-router -f value -c id; ROUTER=qrouter-${out//[[:space:]]/}; }
# find_floating: sets FIP, the floating IP of the first server.
find_floating() { client demo floating ip list -f value -c 'Floating IP Address'; FIP=$(grep -oE '([0-9]+\.){3}[0-9]+' <<<"$out" | head -1); }
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
# guest COMMAND...: in the first server, which is $TO as seen from the node $NEAR; VIA, where set, is the network namespace there.
guest() { ssh_on "$NEAR" "$TO" "$@"; }
# check_server: the first server is reached, is who it should be, and is known to the metadata service.
check_server() {
  until_ok "SSH to $TO from $NEAR${VIA:+, in $VIA}" 60 guest true
  same "it leads to the first server" demo-instance-1 "$(guest hostname)"
  like "which has its lease" "inet ${IP1//./\\.}/" "$(guest ip -4 addr show eth0)"
  like "the metadata service knows it" "$ID1" "$(guest wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json)"
}
# check_mtu MTU: packets of just that size pass between the servers, larger ones in pieces.
check_mtu() {
  until_ok "it reaches the second, on the other node" 30 guest sudo ping -c 1 -W 3 "$IP2"
  like "its link has the network's MTU" "mtu $1" "$(guest ip link show eth0)"
  check "packets of the whole MTU of $1 pass" guest sudo ping -c 1 -W 3 -s $(($1 - 28)) "$IP2"
  check "larger ones pass in pieces" guest sudo ping -c 1 -W 3 -s 4000 "$IP2"
}
# port_of OPTION...: sets PORT, the first eleven characters of a port's id, by which its devices are named, and MAC.
port_of() { client admin port list "$@" -f value -c ID -c 'MAC Address'; read -r PORT MAC <<<"$out"; PORT=${PORT:0:11}; }
# check_forging: the first server sends by addresses that are not its own; none of it comes to the second.
check_forging() {
  local gateway=${IP1%.*}.1 other=${IP1%.*}.77
  port_of --server "$ID2"; VIA='' hear forged "$HOST2" "tap$PORT" 'arp or icmp'
  port_of --server "$ID1"; VIA='' hear tried "$HOST1" "tap$PORT" 'arp or icmp'
  # In one command: no answer comes while the address is another's.
  guest "sudo sh -c '
    ping -c 1 -W 1 $IP2
    ip addr add $other/32 dev eth0; ping -c 2 -W 1 -I $other $IP2; ip addr del $other/32 dev eth0
    ip addr add $gateway/32 dev eth0; arping -c 2 -w 2 -I eth0 -s $gateway $IP2; arping -U -c 2 -w 2 -I eth0 -s $gateway $gateway; ip addr del $gateway/32 dev eth0
    ip link set eth0 address fa:16:3e:00:00:99; ping -c 2 -W 1 $IP2; ip link set eth0 address $MAC
    ping -c 1 -W 3 -s 99 $IP2'" >/dev/null 2>&1
  heard "a server is heard by its own addresses" forged "$MAC > [^\n]*$IP1 > $IP2: ICMP echo request[^\n]*length 107"
  heard "it tries others" tried "(?s)(?=.*$other > $IP2)(?=.*fa:16:3e:00:00:99 > )(?=.*$MAC > [^\n]*(tell|Reply) $gateway\b)"
  not_heard "it is not heard by another's IP address" forged "$other"
  not_heard "not by another's MAC address" forged 'fa:16:3e:00:00:99'
  not_heard "nor does it say that the gateway's is its own" forged "$MAC > .*(tell|Reply) $gateway\b"
}
# check_closing: what rules that are taken away and given back do to what is there already, to the first server.
check_closing() {
  local icmp ssh
  client demo security group rule list default --ingress --protocol icmp -f value -c ID; icmp=$(head -1 <<<"$out")
  client demo security group rule list default --ingress --protocol tcp -f value -c ID; ssh=$(head -1 <<<"$out")
  silent() { ! ping_on "$NEAR" "$TO"; }
  counting() { local before; before=$(wc -l <"$DATA/counted"); sleep 1.5; [ "$(wc -l <"$DATA/counted")" -gt "$before" ]; }
  not_counting() { ! counting; }
  guest 'timeout 120 sh -c "while :; do echo .; sleep 0.2; done"' >"$DATA/counted" 2>&1 &
  until_ok "a connection is there" 20 counting
  answers "the rule for ICMP is taken away" '^\n*$' demo security group rule delete "$icmp"
  until_ok "no ping passes then" 30 silent
  check "the connection goes on" counting
  answers "the rule for SSH is taken away" '^\n*$' demo security group rule delete "$ssh"
  until_ok "the connection is cut" 30 not_counting
  check_not "no other is made" guest true
  answers "the rule for ICMP is given back" icmp demo security group rule create --proto icmp default -f value -c protocol
  answers "and that for SSH" tcp demo security group rule create --proto tcp --dst-port 22 default -f value -c protocol
  until_ok "connections are made again" 30 guest true
  until_ok "and pings pass" 30 ping_on "$NEAR" "$TO"
}
# check_vlan: of labs 7 and 8: the servers are on VLAN 100, reached from the DHCP server's namespace alone, and the flat network on the same wire is another.
check_vlan() {
  answers "the network is that of the labs" '(?s)(?=.*"provider:network_type": "vlan")(?=.*"provider:segmentation_id": 100)(?=.*"shared": true)' admin network show vlan-network -f json
  answers "the flat network is there too" '(?s)(?=.*"provider:network_type": "flat")(?=.*"router:external": true)' admin network show flat-network -f json
  client admin network show vlan-network -f value -c id; VIA=qdhcp-${out//[[:space:]]/}
  NEAR=controller TO=$IP1
  for ip in $IP1 $IP2; do until_ok "from the DHCP server's namespace $ip answers" 60 ping_on controller "$ip"; done
  check_server
  check_mtu 1500
  # On the wire the frames have their tag: a question for an address that nobody has reaches the lab host too, which is on the same wire.
  VIA='' hear wire host vboxnet1 'vlan 100 and arp'
  on controller ip netns exec "$VIA" ping -c 3 -W 1 "${IP1%.*}.99" >/dev/null
  heard "frames have the tag 100 on the wire" wire "vlan 100.*who-has ${IP1%.*}\.99"
  VIA='' check_not "an address of the VLAN is not reached without its tag" on host ping -c 1 -W 1 -I vboxnet1 "$IP1"
}
