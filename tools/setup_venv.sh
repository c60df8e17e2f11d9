#!/bin/sh
# Makes the virtual environment with the pinned set: setup_venv.sh VENV PYTHON [pip arguments]
# An empty PYTHON stands for the first fit one on the path, and then an existing environment is kept.
set -eu
venv=$1
named=$2
shift 2

fit='import sys, venv; sys.exit(sys.version_info < (3, 11))'
version='import sys; print("%d.%d" % sys.version_info[:2])'

runs_fit() {
    "$1" -c "$fit" >/dev/null 2>&1
}

python=$named
if [ -z "$named" ]; then
    for candidate in "$venv/bin/python" python3.11 python3.12 python3.13 python3.14 python3; do
        if runs_fit "$candidate"; then
            python=$candidate
            break
        fi
    done
    [ -n "$python" ] || { echo "no Python 3.11 or newer found: install one, or name it with PYTHON=..." >&2; exit 2; }
elif ! runs_fit "$named"; then
    echo "$named is not a Python 3.11 or newer: name another one with PYTHON=..." >&2
    exit 2
fi

wanted=$("$python" -c "$version")
if [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" != "$wanted" ]; then
    echo "making $venv with Python $wanted"
    "$python" -m venv --clear "$venv" || { echo "cannot make $venv: is Python's venv module installed?" >&2; exit 2; }
fi
echo "installing the pinned set into $venv"
"$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet \
    -c constraints.txt -e '.[all,test,dev]' "$@"
