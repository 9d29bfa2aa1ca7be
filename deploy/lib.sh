# What up, down, test and .ci/run have in common. Sourced by them, with ROOT set to the repository's folder.
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
say() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }
fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

# The packages a real host needs, and those of the demo: its guest and the genuine client.
HOST_PACKAGES="qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients openvswitch-switch dnsmasq-base
  iproute2 iptables radvd keepalived util-linux kmod e2fsprogs openssh-client iputils-ping python3-openstackclient libldap-2.5-0"

# What a lab's controller runs beside this program.
LAB_PACKAGES="mariadb-server rabbitmq-server memcached"

# What the tests start themselves, on ports and folders of their own: engines, brokers, directories, others' suites.
TEST_PACKAGES="$LAB_PACKAGES tempest keystone-tempest-plugin neutron-tempest-plugin keystone glance-api placement-api python3-osc-placement python3-pymysql uwsgi-plugin-python3 postgresql redis-server slapd ldap-utils python3-pysaml2
  ansible debootstrap tcpdump curl busybox-static procps perl sqlite3"

# install_packages NAME...: those of the Debian packages that are missing, without starting any service.
install_packages() {
  local name missing=() policy=/usr/sbin/policy-rc.d ours=
  command -v dpkg-query >/dev/null || { say "no dpkg here: these must be installed by hand: $*"; return 0; }
  for name; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return 0
  [ "$(id -u)" = 0 ] || fail "these packages are missing, and only root can install them: ${missing[*]}"
  say "installing ${missing[*]}"
  [ -e $policy ] || { ours=1; printf '#!/bin/sh\nexit 101\n' > $policy; chmod 755 $policy; }
  local rc=0
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
      -o Dpkg::Use-Pty=0 install "${missing[@]}"; } >"${TMPDIR:-/tmp}/sharpstack-apt.$$" 2>&1 || rc=$?
  [ -z "$ours" ] || rm -f $policy
  [ $rc = 0 ] || { tail -20 "${TMPDIR:-/tmp}/sharpstack-apt.$$" >&2; fail "apt-get could not install the packages"; }
  rm -f "${TMPDIR:-/tmp}/sharpstack-apt.$$"
}

# Sets DOTNET to a dotnet that has an SDK that can build this.
find_dotnet() {
  local d
  for d in ${DOTNET:-} dotnet "$HOME/.dotnet/dotnet" /usr/share/dotnet/dotnet /usr/lib/dotnet/dotnet /opt/dotnet/dotnet; do
    command -v "$d" >/dev/null || continue
    if [ -n "${DOTNET:-}" ] || (cd "$ROOT" && "$d" --version >/dev/null 2>&1); then DOTNET=$d; return 0; fi
  done
  fail "no .NET 10 SDK found. Install the package dotnet-sdk-10.0 (https://learn.microsoft.com/dotnet/core/install/linux), or set DOTNET to the path of its 'dotnet'"
}

# Builds the program into out/ where a source is newer than it.
build_program() {
  local stamp=$ROOT/out/.built log
  [ -e "$stamp" ] && [ -z "$(cd "$ROOT" && find src Directory.Build.props Directory.Packages.props global.json \
      \( -name bin -o -name obj \) -prune -o -type f -newer "$stamp" -print -quit)" ] && return 0
  say "building the program"
  mkdir -p "$ROOT/out"; log=$(mktemp); touch "$stamp.new"
  (cd "$ROOT" && "$DOTNET" publish src/SharpStack -c Release -o out -v q --nologo) >"$log" 2>&1 \
    || { rm -f "$stamp"; tail -30 "$log" >&2; rm -f "$log"; fail "the build failed"; }
  mv "$stamp.new" "$stamp"; rm -f "$log"
}
