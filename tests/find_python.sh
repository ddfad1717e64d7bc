#!/bin/sh
# Print the Python to build the environment with: the one named, or the first of the usual names
# that is 3.11 or newer and can make an environment. Nothing is printed but the path.
#
#     sh tests/find_python.sh [python]

usable='
import sys
if sys.version_info < (3, 11):
    sys.exit("Python %d.%d is too old" % sys.version_info[:2])
import ensurepip, venv
'

if [ -n "${1:-}" ]; then
    if reason=$("$1" -c "$usable" 2>&1); then
        command -v "$1"
        exit 0
    fi
    echo "PYTHON=$1 cannot be used: $reason" >&2
    echo "Name a Python 3.11 or newer that has the modules venv and ensurepip." >&2
    exit 1
fi

for name in python3.13 python3.12 python3.11 python3; do
    # A name on PATH may be a stand-in that runs nothing, so each is tried.
    if "$name" -c "$usable" >/dev/null 2>&1; then
        command -v "$name"
        exit 0
    fi
done

echo "No Python 3.11 or newer that can make an environment was found on PATH." >&2
case "$(uname -s)" in
    Darwin) echo "Install one with: brew install python@3.12" >&2 ;;
    *) echo "Install one with: apt-get install python3 python3-venv (Debian, Ubuntu)," >&2
       echo "or name one: make PYTHON=/path/to/python3" >&2 ;;
esac
exit 1
