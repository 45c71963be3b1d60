#!/usr/bin/env bash
# Plays the story of the README with stock clients and prints what happened: connect and judge, record, alert, isolate,
# remediate. Needs mosquitto_pub and mosquitto_sub; installs nothing. Ends with exit code 0 only if every step came out
# as it should. CORDON names the binary (default: target/release/cordon, else target/debug/cordon).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cordon=${CORDON:-}
for built in "$root/target/release/cordon" "$root/target/debug/cordon"; do
    [ -n "$cordon" ] || { [ -x "$built" ] && cordon=$built; }
done
[ -n "$cordon" ] || { echo "no binary: run 'cargo build --release' first" >&2; exit 2; }
cordon=$(realpath "$cordon")
command -v mosquitto_pub >/dev/null && command -v mosquitto_sub >/dev/null \
    || { echo "mosquitto_pub and mosquitto_sub are needed (Debian package mosquitto-clients)" >&2; exit 2; }

home=$(mktemp -d)
cd "$home"
mqtt=${MQTT_PORT:-21883} mqtts=${MQTTS_PORT:-28883} control=${CONTROL_PORT:-27443} metrics=${METRICS_PORT:-29464}
jobs_running=()
cleanup() {
    for job in "${jobs_running[@]}"; do kill "$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$home"
}
trap cleanup EXIT

failures=0
say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@" || true; }
expect() { # expect WHAT PATTERN FILE: the file must come to hold the pattern within 10 s
    for _ in $(seq 100); do
        if grep -qE -- "$2" "$3" 2>/dev/null; then echo "   ok: $1"; return 0; fi
        sleep 0.1
    done
    echo "   FAILED: $1 (no /$2/ in $3)"; failures=$((failures + 1))
}
expect_events() { # expect_events WHAT PATTERN ARGS...: `cordon events ARGS` must come to print the pattern within 10 s
    local what=$1 pattern=$2; shift 2
    for _ in $(seq 100); do
        if "$cordon" events "$@" >events.txt 2>&1 && grep -qE -- "$pattern" events.txt; then echo "   ok: $what"; return 0; fi
        sleep 0.1
    done
    echo "   FAILED: $what (no /$pattern/ in cordon events $*)"; failures=$((failures + 1))
}
expect_session() { # expect_session CLIENT FILTERS: the client must come to be connected with so many subscriptions
    for _ in $(seq 100); do
        if "$cordon" --output json sessions 2>/dev/null | grep "\"client_id\":\"$1\"" | grep -q "\"subscriptions\":$2"; then
            echo "   ok: $1 is connected and subscribed"; return 0
        fi
        sleep 0.1
    done
    echo "   FAILED: $1 is not connected with $2 subscription(s)"; failures=$((failures + 1))
}
password() { cat "cordon-dev/things/$1/password"; }
pub() { local thing=$1; shift; mosquitto_pub -h 127.0.0.1 -p "$mqtt" -i "$thing" -u "$thing" -P "$(password "$thing")" "$@"; }
sub() { # sub THING FILE ARGS...: in the background
    local thing=$1 file=$2; shift 2
    mosquitto_sub -h 127.0.0.1 -p "$mqtt" -i "$thing-watch" -u "$thing" -P "$(password "$thing")" -v "$@" >"$file" 2>&1 &
    jobs_running+=($!)
}

say "Start: an empty directory becomes a gateway"
begin=$(date +%s%N)
"$cordon" serve --dev --mqtt-port "$mqtt" --mqtts-port "$mqtts" --control-port "$control" --metrics-port "$metrics" \
    >serve.txt 2>serve.log &
gateway=$!
jobs_running+=("$gateway")
expect "the gateway is ready" "ready" serve.txt
echo "   first start, certificates included: $((($(date +%s%N) - begin) / 1000000)) ms"
run "$cordon" status

say "Connect and judge: a press publishes, a pump listens; by password and by certificate"
sub pump-01 pump.txt -q 1 -t 'plant/+/telemetry/#'
sub press-01 press.txt -q 1 -t 'plant/press-01/cmd/#' -t '$aws/things/press-01/shadow/update/delta'
expect_session pump-01-watch 1
expect_session press-01-watch 2
pub press-01 -q 1 -t plant/press-01/telemetry/temperature -m 21.5
expect "the pump got the temperature" "plant/press-01/telemetry/temperature 21.5" pump.txt
pub pump-01 -q 1 -t plant/press-01/cmd/speed -m 5
expect "the press got the pump's command" "plant/press-01/cmd/speed 5" press.txt
mosquitto_pub -h 127.0.0.1 -p "$mqtts" --cafile cordon-dev/ca.pem --cert cordon-dev/things/press-02/cert.pem \
    --key cordon-dev/things/press-02/key.pem -V 5 -i press-02 -q 1 -t plant/press-02/telemetry/temperature -m 22.5
expect "and the one sent over mutual TLS" "plant/press-02/telemetry/temperature 22.5" pump.txt

say "A publish outside the policy is refused and recorded with its rule"
pub press-01 -V 5 -q 1 -t plant/press-02/cmd/stop -m now || true
expect_events "the refusal is an event" "AUTHZ_PUBLISH_DENIED" --since 10m --thing press-01 --code AUTH
run "$cordon" events --since 10m --thing press-01 --code AUTH
run "$cordon" explain --thing press-01 --publish plant/press-02/cmd/stop

say "Alert: six wrong passwords for one name"
for guess in 1 2 3 4 5 6; do
    mosquitto_pub -h 127.0.0.1 -p "$mqtt" -i press-02 -u press-02 -P "guess-$guess" -t x -m x 2>>guess.txt || true
done
expect_events "an alarm is raised" "ALARM_RAISED" --since 10m
expect_events "further attempts are refused for a while" "AUTHN_REFUSED_TEMPORARILY" --since 10m
run "$cordon" alarms

say "Isolate: quarantine press-01; live subscriptions obey, the remediation topics stay open"
run "$cordon" isolate --thing press-01 --level quarantine --for 10m --reason "vibration out of range"
pub press-01 -q 1 -t plant/press-01/telemetry/temperature -m 99.9
pub pump-01 -q 1 -t plant/press-01/cmd/speed -m 99.9
expect_events "the publish was cut" "ISOLATION_CUT" --since 10m --thing press-01
run "$cordon" orders

say "The gateway is killed and started again: the order holds"
kill -9 "$gateway"; wait "$gateway" 2>/dev/null || true
begin=$(date +%s%N)
"$cordon" serve --dev --mqtt-port "$mqtt" --mqtts-port "$mqtts" --control-port "$control" --metrics-port "$metrics" \
    >serve2.txt 2>serve2.log &
gateway=$!
jobs_running+=("$gateway")
expect "the gateway is ready again" "ready" serve2.txt
echo "   second start: $((($(date +%s%N) - begin) / 1000000)) ms"
expect_session pump-01-watch 1
pub press-01 -q 1 -t plant/press-01/telemetry/temperature -m 99.9
order=$("$cordon" --output json orders | sed -n 's/.*"id":"\(iso-[0-9]*\)".*/\1/p' | head -n 1)
run "$cordon" release "$order" --reason "inspected, bearing replaced"
pub press-01 -q 1 -t plant/press-01/telemetry/temperature -m 23.5
expect "after the release messages flow" "temperature 23.5" pump.txt
if grep -q 99.9 pump.txt press.txt; then echo "   FAILED: a cut message was delivered"; failures=$((failures + 1)); else echo "   ok: nothing cut was delivered"; fi

say "Remediate: press-01 reports telnet on; the gateway tells it to switch it off"
expect_session press-01-watch 2
pub press-01 -q 1 -t '$aws/things/press-01/shadow/update' -m '{"state":{"reported":{"telnet":true,"firmware":"1.3.0"}}}'
expect "the delta arrives at the device" '"telnet":false' press.txt
run "$cordon" findings
pub press-01 -q 1 -t '$aws/things/press-01/shadow/update' -m '{"state":{"reported":{"telnet":false,"firmware":"1.3.0"}}}'
expect_events "the finding closes" "COMPLIANCE_CORRECTED" --since 10m --thing press-01

say "The journal is whole"
run "$cordon" journal verify
echo "   resident memory of the daemon: $(awk '/VmRSS/ {print $2 " " $3}' "/proc/$gateway/status"); binary: $(stat -c %s "$cordon") bytes"

if [ "$failures" -gt 0 ]; then echo; echo "$failures step(s) failed"; tail -n 20 serve.log serve2.log; exit 1; fi
echo; echo "every step came out as it should"
