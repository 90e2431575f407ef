#!/usr/bin/env bash
# From a fresh clone to a first answer: installs the build tools that are missing, builds in release,
# then runs `tollgate quickstart` in this folder. Arguments go to it:
#
#   ./quickstart.sh                                           keys from the environment, else a demo
#   ./quickstart.sh --upstream http://localhost:11434/v1      any OpenAI-compatible server
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

require_rust() {
    if ! command -v cargo >/dev/null && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # rustup was installed, but this shell has not been told.
        # shellcheck disable=SC1091 # not part of this repository
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    if ! command -v cargo >/dev/null; then
        echo "cargo is missing: install the Rust toolchain from https://rustup.rs, then run this again" >&2
        exit 1
    fi
    local least present
    least="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
    present="$(cargo --version | cut -d ' ' -f 2)"
    if [ "$(printf '%s\n' "$least" "$present" | sort -V | head -n 1)" != "$least" ]; then
        echo "cargo $present is too old, $least is needed: run rustup update, or see https://rustup.rs" >&2
        exit 1
    fi
}

# cmake and make build zlib, the C compiler builds it with SQLite and cryptography.
missing() {
    command -v cmake >/dev/null || echo cmake
    command -v make >/dev/null || echo make
    command -v cc >/dev/null || echo compiler
}

# The names of what is missing, as this package manager knows them.
packages() {
    missing | sed "s/^compiler\$/$1/" | tr '\n' ' '
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root, and there is no sudo: run as root, then run this again: $*" >&2
        exit 1
    fi
}

install_missing() {
    # shellcheck disable=SC2046 # several package names
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $(packages "gcc libc6-dev")
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q $(packages gcc)
    elif command -v apk >/dev/null; then
        as_root apk add -q $(packages "gcc musl-dev")
    elif command -v pacman >/dev/null; then
        as_root pacman -S --noconfirm --needed $(packages gcc)
    elif command -v brew >/dev/null; then
        command -v cc >/dev/null || { echo "run xcode-select --install, then run this again" >&2; exit 1; }
        brew install -q $(packages gcc)
    else
        echo "missing: $(missing | tr '\n' ' ')" >&2
        echo "install them with your system's package manager, then run this again" >&2
        exit 1
    fi
}

require_rust
if [ -n "$(missing)" ]; then
    echo "installing: $(missing | tr '\n' ' ')" >&2
    install_missing >&2
    if [ -n "$(missing)" ]; then
        echo "still missing: $(missing | tr '\n' ' ')" >&2
        exit 1
    fi
fi

cargo build --release --locked -p tollgate-proxy -p tollgate-admin
binaries="${CARGO_TARGET_DIR:-target}/release"
echo "For administration, in this folder: $binaries/tollgate-admin" >&2
exec "$binaries/tollgate" quickstart "$@"
