#!/usr/bin/env bash
# Runs every test of the workspace: installs what is missing, starts a private PostgreSQL server that
# is thrown away afterwards, builds the binaries, tests. Arguments go to the test runner:
#
#   tests/run.sh                 everything
#   tests/run.sh race            only tests with "race" in their name
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
tests/install.sh

bin="$(tests/install.sh --postgres-folder)"
data="$(mktemp -d "${TMPDIR:-/tmp}/tollgate-postgres.XXXXXX")"
server=""

# The server refuses to run as root, so that root hands it to a user without rights.
server_user=""
if [ "$(id -u)" -eq 0 ]; then
    for candidate in postgres nobody; do
        if id "$candidate" >/dev/null 2>&1; then
            server_user="$candidate"
            break
        fi
    done
    chown "$server_user" "$data"
fi

as_server_user() {
    if [ -z "$server_user" ]; then
        exec "$@"
    elif command -v setpriv >/dev/null && setpriv --help 2>&1 | grep -q reuid; then
        exec setpriv --reuid "$server_user" --regid "$(id -g "$server_user")" --clear-groups "$@"
    elif command -v runuser >/dev/null; then
        exec runuser -u "$server_user" -- "$@"
    else
        exec su -s /bin/sh "$server_user" -c 'exec "$0" "$@"' -- "$@"
    fi
}

stop() {
    local status=$?
    trap - EXIT INT TERM
    if [ -n "$server" ]; then
        # An immediate stop: nothing in it is worth keeping.
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Below the range from which systems take the ports of outgoing connections.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((15000 + RANDOM % 5000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    echo "found no free port" >&2
    return 1
}

start_postgres() {
    local port
    port="$(free_port)"
    (cd "$data" && as_server_user "$bin/initdb" -D "$data/cluster" -U tollgate -A trust \
        -E UTF8 --no-locale --no-sync >"$data.log" 2>&1) || { cat "$data.log" >&2; exit 1; }
    rm -f "$data.log"
    (cd "$data" && as_server_user "$bin/postgres" -D "$data/cluster" -k "$data" -p "$port" \
        -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=64MB -c fsync=off \
        -c synchronous_commit=off -c full_page_writes=off -c logging_collector=off \
        2>"$data/log") &
    server=$!
    for _ in $(seq 150); do
        if "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" -U tollgate -d postgres 2>/dev/null ||
            { [ ! -x "$bin/pg_isready" ] && pg_isready -q -h 127.0.0.1 -p "$port"; }; then
            export TOLLGATE_TEST_POSTGRES_URL="postgres://tollgate@127.0.0.1:$port/postgres"
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    echo "PostgreSQL did not start:" >&2
    cat "$data/log" >&2
    exit 1
}

# The races hold up to a thousand connections.
ulimit -n 8192 2>/dev/null || true

start_postgres
cargo build --workspace --locked
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --locked "$@"
else
    cargo test --workspace --locked "$@"
fi
