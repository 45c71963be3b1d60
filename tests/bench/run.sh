#!/usr/bin/env bash
# Measures Cordon beside a bare rumqttd and Mosquitto, row by row, each broker afresh and in turn: A B C A B C ...
# Prints medians, the ratios and the bars. Noise is no failure: the exit code tells only whether it could be measured.
#
#   tests/bench/run.sh [--rounds N] [--seconds N] [--json FILE] [ROW...]
#
# See tests/bench/README.md for the rows, and for what must be built and installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
built=${CARGO_TARGET_DIR:-$root/target}/release

all_rows=(fan-in-qos0 fan-in-qos1 fan-in-qos2 fan-out-8 fan-out-100 paced-4x2000 paced-50x20 tls-throughput
    tls-handshakes idle-plain idle-tls rules connect-plain isolation)
rounds=5 seconds=3 connections=${CONNECTIONS:-1000} json='' rows=()

usage() {
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    echo "rows: ${all_rows[*]}"
}

while (($#)); do
    case $1 in
        --rounds) rounds=${2:?--rounds N} && shift 2 ;;
        --seconds) seconds=${2:?--seconds N} && shift 2 ;;
        --json) json=${2:?--json FILE} && shift 2 ;;
        -h | --help) usage && exit 0 ;;
        *)
            [[ " ${all_rows[*]} " == *" $1 "* ]] || { echo "$1 is no row; rows: ${all_rows[*]}" >&2 && exit 2; }
            rows+=("$1") && shift
            ;;
    esac
done
((${#rows[@]})) || rows=("${all_rows[@]}")

# === What is there ===

# A value that the environment gives, else a program of that name, else a place to look at.
program() { # program GIVEN NAME PLACE
    local found=${1:-$(command -v "$2" || echo "$3")}
    [[ -x $found ]] && realpath "$found"
}
if ! cordon=$(program "${CORDON:-$built/cordon}" cordon '') \
    || ! load=$(program "${CORDON_LOAD:-$built/cordon-load}" cordon-load ''); then
    echo "build first: cargo build --release && cargo build --release -p cordon-tests --bin cordon-load" >&2
    exit 2
fi
mosquitto=$(program "${MOSQUITTO:-}" mosquitto /usr/sbin/mosquitto) || echo "without Mosquitto: install the package mosquitto" >&2
rumqttd=$(program "${RUMQTTD:-}" rumqttd '') \
    || echo "without rumqttd: cargo install rumqttd --version 0.20.0, or RUMQTTD=path" >&2

needed=$((connections + 5200))
[[ $(ulimit -n) = unlimited || $(ulimit -n) -ge $needed ]] || ulimit -n "$needed" \
    || echo "at most $(ulimit -n) open files: rows with many connections may fail" >&2

work=$(mktemp -d)
results=$work/results.jsonl
: >"$results"
# shellcheck source=tests/bench/brokers.sh
source "$here/brokers.sh"

clean_up() {
    stop_broker
    rm -rf "$work"
}
trap clean_up EXIT

# === One run ===

# Starts a broker: cordon-few and cordon-many are Cordon with few or many rules.
start() { # start BROKER plain|tls
    case $1 in
        cordon | cordon-few) start_cordon few "$2" ;;
        cordon-many) start_cordon many "$2" ;;
        cordon-crowd) start_cordon crowd "$2" ;;
        mosquitto) start_mosquitto "$2" ;;
        rumqttd) start_rumqttd ;;
    esac
}

# One broker, one load, one line of results.
measure() { # measure ROW ROUND BROKER plain|tls MODE WORDS...
    local row=$1 round=$2 broker=$3 way=$4 result name
    shift 4
    printf '%s round %s/%s: %s\n' "$row" "$round" "$rounds" "$broker" >&2
    name=${broker/cordon-crowd/cordon}
    if start "$broker" "$way" && result=$("$load" "$@" "${reach[@]}" 2>"$work/error"); then
        printf '{"row":"%s","broker":"%s","round":%s,"result":%s}\n' "$row" "$name" "$round" "$result" >>"$results"
    else
        head -n 3 "$work/error" >&2 || true
        printf '{"row":"%s","broker":"%s","round":%s,"result":{},"error":"see above"}\n' "$row" "$name" "$round" >>"$results"
    fi
    stop_broker
}

# A row: every broker in turn, again and again.
compare() { # compare ROW BROKERS plain|tls MODE WORDS...
    local row=$1 brokers=$2 round broker
    shift 2
    for ((round = 1; round <= rounds; round++)); do
        for broker in $brokers; do
            [[ $broker != mosquitto || -n $mosquitto ]] || continue
            [[ $broker != rumqttd || -n $rumqttd ]] || continue
            measure "$row" "$round" "$broker" "$@"
        done
    done
}

# === The rows ===

three='cordon rumqttd mosquitto'
two='cordon mosquitto'
rules='cordon-many cordon-few'
for row in "${rows[@]}"; do
    case $row in
        fan-in-qos0) compare "$row" "$three" plain fan-in qos=0 seconds="$seconds" ;;
        fan-in-qos1) compare "$row" "$three" plain fan-in qos=1 seconds="$seconds" ;;
        fan-in-qos2) compare "$row" "$two" plain fan-in qos=2 seconds="$seconds" ;;
        fan-out-8) compare "$row" "$three" plain fan-out subscribers=8 seconds="$seconds" ;;
        fan-out-100) compare "$row" "$three" plain fan-out subscribers=100 seconds="$seconds" ;;
        paced-4x2000) compare "$row" "$three" plain paced pairs=4 rate=2000 seconds="$seconds" ;;
        paced-50x20) compare "$row" "$three" plain paced-in publishers=50 rate=20 seconds="$seconds" ;;
        tls-throughput)
            compare "$row-qos0" "$two" tls fan-in qos=0 seconds="$seconds"
            compare "$row-qos1" "$two" tls fan-in qos=1 seconds="$seconds"
            ;;
        tls-handshakes) compare "$row" "$two" tls connect seconds="$seconds" ;;
        idle-plain) compare "$row" "$three" plain idle connections="$connections" ;;
        idle-tls) compare "$row" "$two" tls idle connections="$connections" ;;
        rules)
            compare "$row-qos0" "$rules" plain fan-in qos=0 seconds="$seconds"
            compare "$row-qos1" "$rules" plain fan-in qos=1 seconds="$seconds"
            ;;
        connect-plain) compare "$row" "$two" plain connect seconds="$seconds" ;;
        isolation) compare "$row" cordon-crowd plain isolate rounds=20 members="${MEMBERS:-5000}" ;;
    esac
done

"$load" report in="$results" ${json:+json="$json"}
