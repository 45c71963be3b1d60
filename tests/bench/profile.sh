#!/usr/bin/env bash
# Shows where a packet's life goes inside Cordon: instructions per delivery by function (callgrind), and system calls per
# delivery (strace). Builds a release binary with symbols in a target folder of its own, target/profile.
#
#   tests/bench/profile.sh [--top N] [--keep DIR] [ROW...]
#
# Under callgrind everything is some fifty times slower, so the paced rows run far below their pace: one message a wake-up,
# as at the full pace. The system calls are counted at the full pace.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
all_rows=(paced-4x2000 paced-50x20 fan-in-qos0 fan-in-qos1 fan-in-qos2 fan-out-8)
top=25 keep='' rows=()

while (($#)); do
    case $1 in
        --top) top=${2:?--top N} && shift 2 ;;
        --keep) keep=${2:?--keep DIR} && shift 2 ;;
        *)
            [[ " ${all_rows[*]} " == *" $1 "* ]] || { echo "rows: ${all_rows[*]}" >&2 && exit 2; }
            rows+=("$1") && shift
            ;;
    esac
done
((${#rows[@]})) || rows=("${all_rows[@]}")
for tool in valgrind callgrind_control callgrind_annotate strace; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: install the packages valgrind and strace" >&2 && exit 2; }
done

# === Build ===

cordon=${CORDON:-} load=${CORDON_LOAD:-}
target=${CARGO_TARGET_DIR:-$root/target}
if [[ -z $cordon ]]; then
    (cd "$root" && CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only \
        cargo build --release --locked --quiet -p cordon --target-dir "$target/profile")
    cordon=$target/profile/release/cordon
fi
if [[ -z $load ]]; then
    (cd "$root" && cargo build --release --locked --quiet -p cordon-tests --bin cordon-load)
    load=$target/release/cordon-load
fi

work=$(mktemp -d)
# shellcheck source=tests/bench/brokers.sh
source "$here/brokers.sh"

tracer=''
clean_up() {
    [[ -z $tracer ]] || kill -INT "$tracer" 2>/dev/null || true
    stop_broker
    [[ -z $keep ]] || { mkdir -p "$keep" && cp "$work"/*.callgrind "$work"/*.strace "$keep" 2>/dev/null; } || true
    rm -rf "$work"
}
trap clean_up EXIT

# === The loads ===

# The load of a row, to be counted (callgrind) or at its real pace; sets words.
words_of() { # words_of ROW counted|paced
    case $1-$2 in
        paced-4x2000-counted) words=(paced pairs=4 rate=40 seconds=10) ;;
        paced-4x2000-paced) words=(paced pairs=4 rate=2000 seconds=3) ;;
        paced-50x20-counted) words=(paced-in publishers=50 rate=2 seconds=10) ;;
        paced-50x20-paced) words=(paced-in publishers=50 rate=20 seconds=10) ;;
        fan-in-qos?-counted) words=(fan-in qos="${1: -1}" messages=5000) ;;
        fan-in-qos?-paced) words=(fan-in qos="${1: -1}" messages=100000) ;;
        fan-out-8-counted) words=(fan-out subscribers=8 messages=5000) ;;
        fan-out-8-paced) words=(fan-out subscribers=8 messages=100000) ;;
    esac
}

# Runs the load; sets delivered.
run_load() { # run_load WORDS...
    local result
    result=$("$load" "${words[@]}" "${reach[@]}" "$@")
    delivered=$(sed -n 's/.*"delivered":\([0-9]*\).*/\1/p' <<<"$result")
    ((delivered > 0))
}

# === Instructions ===

count_instructions() { # count_instructions ROW
    local file=$work/$1.callgrind words delivered total
    wrap=(valgrind --quiet --tool=callgrind --instr-atstart=no --callgrind-out-file="$file")
    start_cordon few plain
    wrap=()
    words_of "$1" counted
    # The first time passwords are checked; the second time is counted, from when all are connected.
    run_load
    run_load begin="callgrind_control -i on $broker_pid 2>&1" end="callgrind_control -i off $broker_pid 2>&1"
    stop_broker
    total=$(sed -n 's/^totals: *//p' "$file")
    printf '\n== %s: %s instructions a delivery (%s deliveries)\n' "$1" "$((total / delivered))" "$delivered"
    callgrind_annotate --auto=no --threshold=100 "$file" | awk -v each="$delivered" -v top="$top" '
        /PROGRAM TOTALS/ { listed = 1; next }
        listed && $1 ~ /^[0-9,]+$/ && shown++ < top {
            count = $1; gsub(",", "", count)
            sub(/^ *[0-9,]+ *\([^)]*\) */, ""); sub(/ \[[^]]*\]$/, ""); sub(/^[^:]*\//, "")
            printf "%10.1f %s\n", count / each, substr($0, 1, 140)
        }'
}

# === System calls ===

count_calls() { # count_calls ROW
    local file=$work/$1.strace words delivered
    start_cordon few plain
    words_of "$1" paced
    run_load
    strace -f -c -U calls,errors,name -o "$file" -p "$broker_pid" 2>"$work/attached" &
    tracer=$!
    until grep -q attached "$work/attached"; do
        kill -0 "$tracer" && sleep 0.1
    done
    run_load
    kill -INT "$tracer"
    wait "$tracer" || true
    tracer=''
    stop_broker
    printf '\n== %s: system calls a delivery (%s deliveries), with their failures\n' "$1" "$delivered"
    awk -v each="$delivered" '$1 ~ /^[0-9]+$/ && $NF != "total" && $1 / each >= 0.001 {
        printf "%10.3f %8.3f  %s\n", $1 / each, (NF > 2 ? $2 / each : 0), $NF }' "$file" | sort -rn
}

for row in "${rows[@]}"; do
    count_instructions "$row"
    count_calls "$row"
done
