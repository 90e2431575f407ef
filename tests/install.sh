#!/usr/bin/env bash
# Installs what building and testing need beside the Rust toolchain, if it is missing: cmake, make and
# a C compiler for compression and cryptography, the PostgreSQL server for the tests.
set -euo pipefail

# Where distributions keep server binaries that are not on the PATH.
postgres_folder() {
    local candidate
    candidate="$(command -v initdb || true)"
    if [ -n "$candidate" ]; then
        # Some put a link on the PATH, but keep the other binaries only beside its target.
        dirname "$(readlink -f "$candidate")"
        return
    fi
    for candidate in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        if [ -x "$candidate/initdb" ] && [ -x "$candidate/postgres" ]; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

missing() {
    command -v cmake >/dev/null || echo cmake
    command -v make >/dev/null || echo make
    command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || echo cc
    postgres_folder >/dev/null || echo postgresql
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root, and there is no sudo: run as root: $*" >&2
        exit 1
    fi
}

# The names of what is missing, as this package manager knows them.
packages() {
    local compiler="$1" server="$2"
    missing | sed -e "s/^cc\$/$compiler/" -e "s/^postgresql\$/$server/" | tr '\n' ' '
}

install_missing() {
    # shellcheck disable=SC2046 # several package names
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $(packages "gcc libc6-dev" postgresql)
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q $(packages gcc postgresql-server)
    elif command -v apk >/dev/null; then
        as_root apk add -q $(packages "gcc musl-dev" postgresql)
    elif command -v brew >/dev/null; then
        brew install -q $(packages gcc postgresql@17)
    else
        echo "missing: $(missing | tr '\n' ' ')" >&2
        echo "install them with your system's package manager, then run this again" >&2
        exit 1
    fi
}

if [ "${1:-}" = "--postgres-folder" ]; then
    postgres_folder
    exit
fi
if [ -n "$(missing)" ]; then
    echo "installing: $(missing | tr '\n' ' ')" >&2
    install_missing >&2
    if [ -n "$(missing)" ]; then
        echo "still missing: $(missing | tr '\n' ' ')" >&2
        exit 1
    fi
fi
