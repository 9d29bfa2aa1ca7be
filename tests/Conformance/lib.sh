# What the conformance runs share: counted checks, the genuine client, raw requests. Sourced with CONFORMANCE set to this folder.
passed=0 failed=0 out='' rc=0
ok() { passed=$((passed + 1)); echo "ok     $1"; }
not_ok() { failed=$((failed + 1)); echo "FAILED $1"; [ -z "${2:-}" ] || sed 's/^/         /' <<<"$2" | head -20; }
finish() { echo "$passed passed, $failed failed, 0 skipped"; [ $failed = 0 ]; exit; }

# as OPENRC: whose credentials the client's next commands take.
as() { OPENRC=$1; }
# os ARGUMENT...: runs the genuine client; sets out and rc.
os() {
  local line request="$OPENRC" argument
  if [ -z "${CLIENT_PID:-}" ]; then coproc CLIENT { exec /usr/bin/python3 "$CONFORMANCE/client.py"; }; fi
  for argument; do request+=$'\x1f'$argument; done
  printf '%s\n' "$request" >&"${CLIENT[1]}"
  out= rc=255
  while IFS= read -r line <&"${CLIENT[0]}"; do
    case $line in $'\x1e'*) rc=${line#?}; break ;; esac
    out+=$line$'\n'
  done
  while [[ $out == *$'\n' ]]; do out=${out%$'\n'}; done
}
# expect WHAT REGEX ARGUMENT...: the client's command succeeds and prints what the regular expression matches.
expect() {
  local what=$1 regex=$2; shift 2; os "$@"
  if [ "$rc" = 0 ] && grep -qPz -- "$regex" <<<"$out"; then ok "$what"; else not_ok "$what" "openstack $* -> $rc, expected /$regex/:"$'\n'"$out"; fi
}
# refuse WHAT REGEX ARGUMENT...: the command fails, and its message matches.
refuse() {
  local what=$1 regex=$2; shift 2; os "$@"
  if [ "$rc" != 0 ] && grep -qPz -- "$regex" <<<"$out"; then ok "$what"; else not_ok "$what" "openstack $* -> $rc, expected a refusal with /$regex/:"$'\n'"$out"; fi
}
# check WHAT COMMAND...: the command succeeds.
check() { local what=$1 text; shift; if text=$("$@" 2>&1); then ok "$what"; else not_ok "$what" "$* -> $?: $text"; fi; }
check_not() { local what=$1 text; shift; if text=$("$@" 2>&1); then not_ok "$what" "$* succeeded: $text"; else ok "$what"; fi; }
# same WHAT EXPECTED ACTUAL
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $2"$'\n'"got:      $3"; fi; }
like() { if grep -qPz -- "$2" <<<"$3"; then ok "$1"; else not_ok "$1" "expected /$2/, got:"$'\n'"$3"; fi; }
# until WHAT SECONDS COMMAND...: the command succeeds within the bound.
until_ok() {
  local what=$1 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { not_ok "$what" "$* did not come true in time"; return 1; }; sleep 0.3; done
  ok "$what"
}
# http METHOD URL [BODY [HEADER...]]: a raw request with $token; sets status and out.
http() {
  local method=$1 url=$2 body=${3-} headers=() h; shift $(( $# < 3 ? $# : 3 ))
  for h; do headers+=(-H "$h"); done
  [ -z "$body" ] || headers+=(-H 'Content-Type: application/json' --data-binary "$body")
  out=$(curl -s -X "$method" -w '\n%{http_code}' -H "X-Auth-Token: $token" "${headers[@]}" "$url"); status=${out##*$'\n'}; out=${out%$'\n'*}
}
# answer WHAT STATUS REGEX: what the last http gave.
answer() { if [ "$status" = "$2" ] && grep -qPz -- "$3" <<<"$out"; then ok "$1"; else not_ok "$1" "expected $2 and /$3/, got $status:"$'\n'"$out"; fi; }
# field EXPRESSION: of the JSON in out, as Python writes it (d is the document).
field() { /usr/bin/python3 -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1]))' "$1" <<<"$out"; }
