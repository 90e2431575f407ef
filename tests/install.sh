#!/usr/bin/env bash
# Installs what building and testing need beside the Rust toolchain, if it is missing: cmake, make and
# a C compiler for compression and cryptography, the PostgreSQL server for the tests, and Python with
# the clients that the tests use, the latter in a folder of their own beside what is built.
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

# A Python that can make environments of its own.
python_suffices() {
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

missing() {
    command -v cmake >/dev/null || echo cmake
    command -v make >/dev/null || echo make
    command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || echo cc
    postgres_folder >/dev/null || echo postgresql
    python_suffices || echo python
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
    local compiler="$1" server="$2" python="$3"
    missing | sed -e "s/^cc\$/$compiler/" -e "s/^postgresql\$/$server/" -e "s/^python\$/$python/" |
        tr '\n' ' '
}

install_missing() {
    # shellcheck disable=SC2046 # several package names
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends \
            $(packages "gcc libc6-dev" postgresql python3-venv)
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q $(packages gcc postgresql-server python3)
    elif command -v apk >/dev/null; then
        as_root apk add -q $(packages "gcc musl-dev" postgresql python3)
    elif command -v brew >/dev/null; then
        brew install -q $(packages gcc postgresql@17 python@3.13)
    else
        echo "missing: $(missing | tr '\n' ' ')" >&2
        echo "install them with your system's package manager, then run this again" >&2
        exit 1
    fi
}

# Python's packages, unless the same ones are there already. No version is looked for: all are listed.
install_python_packages() {
    local folder="${CARGO_TARGET_DIR:-target}/python" wanted
    wanted="$(cat tests/python/requirements*.txt | cksum) $(python3 --version)"
    if [ "$(cat "$folder/installed" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "installing Python packages in $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m venv "$folder"
    local pip=("$folder/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
    local install=("${pip[@]}" install --no-deps --no-compile)
    "${install[@]}" -r tests/python/requirements.txt
    "${install[@]}" --target "$folder/instructor" -r tests/python/requirements-instructor.txt
    echo "$wanted" >"$folder/installed"
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
cd "$(dirname "${BASH_SOURCE[0]}")/.."
install_python_packages >&2
