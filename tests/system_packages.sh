#!/bin/sh
# See that the programs exist which pip cannot install, and install them where that is allowed.
#
#     sh tests/system_packages.sh mariadb chromium      programs that the tests start
#     sh tests/system_packages.sh compiler              C, for the inner loops
#     sh tests/system_packages.sh python [path]         a Python that can make an environment
#
# As root on Debian or Ubuntu missing packages are installed. Elsewhere they are named with the
# command that installs them; tests that need them are then skipped by name, except where CI is
# set: there a missing program ends the run.

set -u

PATH="$PATH:/usr/sbin:/usr/local/sbin"
for folder in /opt/homebrew/opt/mariadb/bin /usr/local/opt/mariadb/bin; do
    if [ -d "$folder" ]; then PATH="$PATH:$folder"; fi
done

has_any() {
    for candidate in "$@"; do
        if command -v "$candidate" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

# Of the Python that is used, so of one that was built by hand as well.
has_headers() {
    python=$(sh "$(dirname "$0")/find_python.sh" "${PYTHON:-}" 2>/dev/null) &&
        "$python" -c 'import os, sysconfig as s, sys
sys.exit(not os.path.isfile(os.path.join(s.get_path("include"), "Python.h")))'
}

missing() {
    case "$1" in
        mariadb) ! has_any mariadbd mysqld ;;
        chromium) ! has_any chromium chromium-browser google-chrome &&
            ! [ -d "/Applications/Chromium.app" ] && ! [ -d "/Applications/Google Chrome.app" ] ;;
        compiler) ! has_any cc gcc clang || ! has_headers ;;
        *) echo "system_packages.sh: unknown program '$1'" >&2; exit 2 ;;
    esac
}

# The server's core package only: the full one starts a service.
debian_package() {
    case "$1" in
        mariadb)
            if apt-cache show mariadb-server-core >/dev/null 2>&1; then
                echo mariadb-server-core
            else
                apt-cache search --names-only '^mariadb-server-core-[0-9.]+$' | sort | tail -n 1 |
                    cut -d ' ' -f 1
            fi ;;
        chromium) echo chromium ;;
        compiler) echo gcc libc6-dev python3-dev ;;
    esac
}

name_command() {
    case "$(uname -s)-$1" in
        Darwin-mariadb) echo "brew install mariadb" ;;
        Darwin-chromium) echo "brew install --cask chromium" ;;
        Darwin-compiler) echo "xcode-select --install" ;;
        *-compiler) echo "apt-get install gcc libc6-dev python3-dev (dnf: gcc python3-devel)" ;;
        *-mariadb) echo "apt-get install mariadb-server-core (dnf: mariadb-server)" ;;
        *) echo "apt-get install chromium (dnf: chromium)" ;;
    esac
}

install_packages() {
    echo "Installing with apt-get: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@" \
        >/dev/null
}

if [ "${1:-}" = python ]; then
    if sh "$(dirname "$0")/find_python.sh" "${2:-}" >/dev/null 2>&1; then exit 0; fi
    if [ -z "${2:-}" ] && can_install; then
        apt-get update --quiet >/dev/null
        install_packages python3 python3-venv
    fi
    exit 0  # what is still wrong is said by find_python.sh
fi

absent=""
for program in "$@"; do
    if missing "$program"; then absent="$absent $program"; fi
done
if [ -z "$absent" ]; then exit 0; fi

if can_install; then
    apt-get update --quiet >/dev/null
    packages=""
    for program in $absent; do packages="$packages $(debian_package "$program")"; done
    # shellcheck disable=SC2086
    install_packages $packages || echo "apt-get could not install:$packages" >&2
fi

status=0
for program in $absent; do
    if missing "$program"; then
        echo "$program is not installed; tests that need it are skipped." >&2
        echo "  Install it with: $(name_command "$program")" >&2
        if [ -n "${CI:-}" ]; then status=1; fi
    fi
done
if [ "$status" != 0 ]; then echo "CI is set, so nothing may be missing." >&2; fi
exit "$status"
