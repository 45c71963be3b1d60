# shellcheck shell=bash
# Cordon as a broker under load: its fleet, policies and configuration. Sourced by brokers.sh.
# shellcheck disable=SC2154,SC2034

# === Rules ===

# Who may do what, for every thing by its own name.
device_policy() {
    cat <<'JSON'
{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Action": "iot:Connect", "Resource": [
        "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}",
        "arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}-*" ] },
    { "Effect": "Allow", "Action": "iot:Publish",
      "Resource": "arn:aws:iot:*:*:topic/plant/${iot:Connection.Thing.ThingName}/telemetry" },
    { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:*:*:topicfilter/plant/*/telemetry" },
    { "Effect": "Allow", "Action": "iot:Receive", "Resource": "arn:aws:iot:*:*:topic/plant/*/telemetry" }
  ]
}
JSON
}

# One of many policies that say nothing of the load's topics, and must be looked at all the same.
area_policy() { # area_policy NUMBER
    cat <<JSON
{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Action": "iot:Publish",
      "Resource": "arn:aws:iot:*:*:topic/area-$1/\${iot:Connection.Thing.ThingName}/*" },
    { "Effect": "Allow", "Action": ["iot:Subscribe", "iot:Receive"],
      "Resource": ["arn:aws:iot:*:*:topicfilter/area-$1/*", "arn:aws:iot:*:*:topic/area-$1/*"] },
    { "Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:*:*:topic/plant/*/setpoint-$1/*" }
  ]
}
JSON
}

# A profile that watches every thing and that no load here violates.
profile() {
    cat <<'JSON'
{
  "securityProfileName": "bench",
  "behaviors": [
    { "name": "messages-sent", "metric": "aws:num-messages-sent",
      "criteria": { "comparisonOperator": "less-than-equals", "value": { "count": 1000000000 }, "durationSeconds": 10,
        "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1 } },
    { "name": "authorization-failures", "metric": "aws:num-authorization-failures",
      "criteria": { "comparisonOperator": "less-than", "value": { "count": 1000000000 }, "durationSeconds": 10,
        "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1 } }
  ]
}
JSON
}

# === Fleets ===

# The files that stay the same from run to run. FLEET is
#   few    the things that the load needs, one policy
#   many   5,000 things and 1,000 more policies, five of them for each thing
#   crowd  as few, and 5,000 things more in the group "crowd", with the probe
prepare_cordon() { # prepare_cordon FLEET
    local fleet=$1 home=$work/cordon-$1 hash name number
    [[ -d $home ]] && return 0
    prepare_pki
    mkdir -p "$home/policies" "$home/profiles"
    device_policy >"$home/policies/device.json"
    profile >"$home/profiles/bench.json"
    if [[ $fleet = many ]]; then
        for ((number = 0; number < 1000; number++)); do area_policy "$number" >"$home/policies/area-$number.json"; done
    fi
    # One hash for all is enough for a measurement, and quicker made than 150.
    hash=$("$cordon" passwd <<<"$secret")
    {
        echo '[passwords]'
        identities | while read -r name; do echo "$name = \"$hash\""; done
    } >"$home/passwords.toml"
    chmod 600 "$home/passwords.toml"
    {
        [[ $fleet = crowd ]] && printf '[[group]]\nname = "crowd"\n'
        number=0
        identities | while read -r name; do
            printf '[[thing]]\nname = "%s"\nusername = "%s"\n' "$name" "$name"
            [[ $fleet = crowd && $name = probe ]] && echo 'groups = ["crowd"]'
            policies_of "$fleet" "$((number += 1))"
        done
        if [[ $fleet != few ]]; then
            for ((number = 0; number < 5000; number++)); do
                printf '[[thing]]\nname = "dev-%s"\n' "$number"
                [[ $fleet = crowd ]] && echo 'groups = ["crowd"]'
                policies_of "$fleet" "$number"
            done
        fi
    } >"$home/fleet.toml"
}

policies_of() { # policies_of FLEET NUMBER: five of the thousand for each thing, evenly
    if [[ $1 = many ]]; then
        printf 'policies = ["device", "area-%s", "area-%s", "area-%s", "area-%s", "area-%s"]\n' \
            $(($2 * 5 % 1000)) $((($2 * 5 + 1) % 1000)) $((($2 * 5 + 2) % 1000)) $((($2 * 5 + 3) % 1000)) $((($2 * 5 + 4) % 1000))
    else
        echo 'policies = ["device"]'
    fi
}

# === Process ===

cordon_config() { # cordon_config DATA PLAIN TLS OPEN CONTROL
    cat <<TOML
[gateway]
name = "bench"
data_dir = "$1"
[[listener]]
name = "plain"
bind = "127.0.0.1:$2"
auth = "password"
[[listener]]
name = "tls"
bind = "127.0.0.1:$3"
auth = "certificate"
[listener.tls]
certificate = "$work/pki/devices/gateway.cert.pem"
key = "$work/pki/devices/gateway.key.pem"
client_ca = "$work/pki/devices/ca.pem"
[[listener]]
name = "open"
bind = "127.0.0.1:$4"
auth = "anonymous"
policies = ["device"]
[control]
bind = "127.0.0.1:$5"
certificate = "$work/pki/devices/gateway.cert.pem"
key = "$work/pki/devices/gateway.key.pem"
client_ca = "$work/pki/operators/ca.pem"
[[operator]]
name = "operator"
role = "operator"
[[profile]]
name = "bench"
applies_to = ["all"]
[limits]
workers = ${WORKERS:-1}
[log]
level = "warn"
TOML
    [[ -z ${CORDON_EXTRA:-} ]] || cat "$CORDON_EXTRA"
}

# Starts Cordon with an order in force on a thing that takes no part.
start_cordon() { # start_cordon FLEET plain|tls
    local home=$work/cordon-$1 data=$work/data ports
    prepare_cordon "$1"
    # Where an order waits for a disk, the disk is measured: in memory it is the gateway.
    if [[ $1 = crowd && -w /dev/shm ]]; then
        in_memory=$(mktemp -d /dev/shm/cordon-bench.XXXXXX)
        data=$in_memory
    fi
    rm -rf "$work/data"
    free_ports 4
    cordon_config "$data" "${ports[@]}" >"$home/cordon.toml"
    "${wrap[@]}" "$cordon" serve --config "$home/cordon.toml" >"$home/log" 2>&1 &
    broker_pid=$!
    await_port "${ports[3]}" "$home/log"
    await_port "${ports[0]}" "$home/log"
    "$cordon" --endpoint "127.0.0.1:${ports[3]}" --ca "$work/pki/devices/ca.pem" \
        --cert "$work/pki/operators/operator.cert.pem" --key "$work/pki/operators/operator.key.pem" \
        isolate --thing other --level quarantine --reason "an order in force while measuring" >>"$home/log" 2>&1 \
        || { cat "$home/log" >&2; return 1; }
    if [[ $2 = tls ]]; then
        reach=(port="${ports[1]}" certificates="$work/pki/devices")
    else
        reach=(port="${ports[0]}" password="$secret")
    fi
    reach+=(pid="$broker_pid")
    [[ $1 != crowd ]] || reach+=(members_port="${ports[2]}" control="${ports[3]}" operators="$work/pki/operators")
}
