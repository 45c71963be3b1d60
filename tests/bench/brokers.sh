# shellcheck shell=bash
# Brokers on free loopback ports, each in a folder of its own under $work, with what they need written there. Sourced by
# run.sh and profile.sh, which set here, work, load, cordon, mosquitto and rumqttd.
# shellcheck disable=SC2154
#
# start_* sets broker_pid and reach, the words that tell cordon-load how to get in.

broker_pid=''
reach=()
# A command that Cordon is run under.
wrap=()
# A folder outside $work that goes with the broker.
in_memory=''

# shellcheck source=tests/bench/cordon.sh
source "$here/cordon.sh"

# Only for this machine and this run; the brokers listen on loopback and their folders go at the end.
secret=bench-$$-$RANDOM$RANDOM

# The identities that the load uses: 50 publishers, 100 subscribers, and a few of their own kind.
identities() {
    local number
    for ((number = 0; number < 50; number++)); do echo "pub-$number"; done
    for ((number = 0; number < 100; number++)); do echo "sub-$number"; done
    printf '%s\n' idle conn probe other
}

free_ports() { # free_ports COUNT: sets ports
    read -ra ports <<<"$("$load" ports count="$1")"
}

# Certificates, once for all brokers.
prepare_pki() {
    [[ -d $work/pki ]] || "$load" pki dir="$work/pki" names=pub-0,pub-1,pub-2,pub-3,sub-0,idle,conn >/dev/null
}

# Waits until the broker takes connections.
await_port() { # await_port PORT LOG
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        kill -0 "$broker_pid" 2>/dev/null || break
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        sleep 0.1
    done
    echo "the broker does not take connections:" >&2
    cat "$2" >&2
    return 1
}

stop_broker() {
    [[ -n $broker_pid ]] || return 0
    kill "$broker_pid" 2>/dev/null || true
    wait "$broker_pid" 2>/dev/null || true
    broker_pid=''
    [[ -z $in_memory ]] || rm -rf "$in_memory"
    in_memory=''
}

# === Peers ===

# Debian's Mosquitto with the same rules in its own words, and the same window towards subscribers.
start_mosquitto() { # start_mosquitto plain|tls
    local home=$work/mosquitto ports
    free_ports 1
    mkdir -p "$home"
    printf 'pattern write plant/%%u/telemetry\npattern read plant/+/telemetry\n' >"$home/acl"
    {
        [[ $(id -u) -ne 0 ]] || echo 'user root'
        printf 'persistence false\nallow_anonymous false\nlog_dest stderr\nlog_type error\nset_tcp_nodelay true\n'
        # A queue without end, because with its default of 1,000 it drops most of what comes at QoS 1 and 2.
        printf 'max_inflight_messages 100\nmax_queued_messages 0\n'
        printf 'acl_file %s\nlistener %s 127.0.0.1\n' "$home/acl" "${ports[0]}"
        if [[ $1 = tls ]]; then
            prepare_pki
            printf 'cafile %s\ncertfile %s\nkeyfile %s\n' "$work/pki/devices/ca.pem" \
                "$work/pki/devices/gateway.cert.pem" "$work/pki/devices/gateway.key.pem"
            printf 'tls_version tlsv1.3\nrequire_certificate true\nuse_identity_as_username true\n'
        else
            identities | sed "s/\$/:$secret/" >"$home/passwords"
            chmod 600 "$home/passwords"
            mosquitto_passwd -U "$home/passwords"
            printf 'password_file %s\n' "$home/passwords"
        fi
    } >"$home/mosquitto.conf"
    "$mosquitto" -c "$home/mosquitto.conf" >"$home/log" 2>&1 &
    broker_pid=$!
    await_port "${ports[0]}" "$home/log"
    reach=(port="${ports[0]}" pid="$broker_pid")
    if [[ $1 = tls ]]; then reach+=(certificates="$work/pki/devices"); else reach+=(password="$secret"); fi
}

# A bare rumqttd: no login, no rules; a log that no subscriber of these rows can fall behind by.
start_rumqttd() {
    local home=$work/rumqttd ports
    free_ports 1
    mkdir -p "$home"
    cat >"$home/rumqttd.toml" <<TOML
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "127.0.0.1:${ports[0]}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 20480
max_inflight_count = 100
dynamic_filters = true
TOML
    "$rumqttd" --quiet --config "$home/rumqttd.toml" >"$home/log" 2>&1 &
    broker_pid=$!
    await_port "${ports[0]}" "$home/log"
    reach=(port="${ports[0]}" pid="$broker_pid")
}
