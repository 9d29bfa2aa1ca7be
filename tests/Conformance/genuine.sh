# Debian's own OpenStack services in a node (in-node), beside ours. Sourced after lib.sh, with WORK set to a folder.
# give_up WHY LOG: nothing further can be said.
give_up() { not_ok "$1" "$(tail -40 "$2")"; finish; }
reaches() { curl -s -o /dev/null "$1"; }
# starts WHAT URL LOG COMMAND...: runs it in the background; sets pid.
starts() {
  local what=$1 url=$2 log=$3; shift 3
  "$@" >"$log" 2>&1 & pid=$!
  until_ok "$what starts" 90 reaches "$url" || give_up "$what answers" "$log"
}
# stops PID: a process of this run, to its end.
stops() { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }
# genuine_places SERVICE...: Debian's services find their files where they always are: in this node those places are empty, and the node's own.
genuine_places() {
  local service place
  for service; do
    cp -a "/etc/$service" "$WORK/etc-$service"
    for place in etc var/lib var/log; do mkdir -p "/$place/$service"; mount -t tmpfs -o mode=755 tmpfs "/$place/$service"; chown "$service:$service" "/$place/$service"; done
    cp -a "$WORK/etc-$service/." "/etc/$service"
    install -d -o "$service" -g "$service" "/run/lock/$service"
  done
}
as_user() { local user=$1; shift; (cd / && exec setpriv --reuid "$user" --regid "$user" --init-groups "$@"); }
# genuine PROJECT SERVICE URL: Debian's service as its start script runs it, with as many processes as are needed here; its
# server closes connections after an answer, and says so here.
genuine() {
  local ini=$WORK/$2.ini address=${3#http://}
  sed -E 's/^\[uwsgi\]/&\nadd-header = Connection: close/; s/^(processes) *=.*/\1 = 2/; s/^(threads) *=.*/\1 = 4/; s/,apparmor//; /^apparmor/d; /^logto/d' "/etc/$1/$2-uwsgi.ini" > "$ini"
  starts "Debian's $2" "$3" "$WORK/$2.log" uwsgi_python3 --http-socket "$address" --ini "$ini"
}
# genuine_database NAME PASSWORD: starts MariaDB with a database and a user of that name. On SQLite keystone's transactions lock each other out.
genuine_database() {
  mount -t tmpfs -o mode=755 tmpfs /var/lib/mysql; chown mysql:mysql /var/lib/mysql; install -d -o mysql -g mysql /run/mysqld
  mariadb-install-db --no-defaults --user=mysql --datadir=/var/lib/mysql --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve \
    --innodb-log-file-size=8M >"$WORK/mariadb.log" 2>&1
  mariadbd --no-defaults --user=mysql --datadir=/var/lib/mysql --socket=/run/mysqld/mysqld.sock --bind-address=127.0.0.1 --skip-log-bin --skip-name-resolve \
    --innodb-log-file-size=8M --innodb-buffer-pool-size=32M --performance-schema=OFF >>"$WORK/mariadb.log" 2>&1 &
  until_ok "MariaDB starts" 60 mariadb --socket=/run/mysqld/mysqld.sock -u root \
    -e "CREATE DATABASE IF NOT EXISTS $1; CREATE USER IF NOT EXISTS $1@127.0.0.1 IDENTIFIED BY '$2'; GRANT ALL ON $1.* TO $1@127.0.0.1" \
    || give_up "MariaDB answers" "$WORK/mariadb.log"
}
