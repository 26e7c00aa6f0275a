# Starts and stops the five daemons of ring.toml on 127.0.0.1; sourced by `demo` and `ring`.
# shellcheck shell=bash

hosts=(MV PA G LA S)
declare -A pid_of=()

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

build_release() {
    cargo build --release --locked --quiet --package zog --package sprog
    bin=${CARGO_TARGET_DIR:-target}/release
}

# left_over PORT: whether a connection that ended still keeps the port, as the kernel has it for a minute. Tests
# leave thousands of them, and a daemon cannot listen there meanwhile.
left_over() { grep -qE ": [0-9A-F]{8}:$(printf %04X "$1") [0-9A-F]{8}:[0-9A-F]{4} 06 " /proc/net/tcp; }

# Host i listens on 55551 + 10i for the ring and on 55552 + 10i for clients.
require_free_ports() {
    local i port deadline=$((SECONDS + 70))
    for i in "${!hosts[@]}"; do
        for port in $((55551 + 10 * i)) $((55552 + 10 * i)); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
                die "port $port of ${hosts[i]} is taken on 127.0.0.1: is another ring running? 'ss -tlnp sport = :$port' shows who"
            fi
            until ! left_over "$port" || ((SECONDS >= deadline)); do sleep 0.2; done # between two looks
        done
    done
}

# start_daemon HOST DIR STDOUT STDERR: in a process group of its own, so that Ctrl-C reaches the script alone,
# which then stops the daemons in order.
start_daemon() {
    set -m
    "$bin/zog" run --config ring.toml --local --name "$1" --state-dir "$2/state" --log-dir "$2/log" >"$3" 2>"$4" &
    pid_of[$1]=$!
    set +m
}

# Sends TERM to all that run, waits for them, and fails if one of them did not exit with 0.
stop_daemons() {
    local host failed=0
    for host in "${!pid_of[@]}"; do
        kill -TERM "${pid_of[$host]}" 2>/dev/null || true
    done
    for host in "${!pid_of[@]}"; do
        wait "${pid_of[$host]}" || {
            echo "$host ended with exit code $?" >&2
            failed=1
        }
    done
    pid_of=()
    return "$failed"
}
